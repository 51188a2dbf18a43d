//! What was registered when, from the changes the history holds: for each job the documents in the
//! order in which they counted, for each flag when it was set. Absent: anything the engine believes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use shiftwork_engine::document::{
    CalendarDocument, Concurrency, Execution, Job, Misfire, Strictness,
};
use shiftwork_schedule::{BoundedSchedule, Calendar, Timestamp, Timetable, Zone};

use crate::trace::{ChangeRow, EventKey};

/// What the audit asks of a job's document: equal for many, and then kept once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobFacts {
    pub(super) app: String,
    pub(super) execution: Execution,
    pub(super) schedule: Option<Arc<BoundedSchedule>>,
    pub(super) calendars: Vec<String>,
    pub(super) misfire: Misfire,
    pub(super) concurrency: Concurrency,
}

/// Stands for a document's text: the texts of a million jobs would fill the memory of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// One value and from when on it counts, milliseconds since 1970: firings up to there are not its
/// business.
#[derive(Debug)]
struct Since<T> {
    from_ms: i64,
    value: T,
}

/// What a job was, as far as is known.
#[derive(Debug, Default)]
struct JobLine {
    /// None where it was not registered, or its document cannot be read.
    versions: Vec<Since<Option<Arc<JobFacts>>>>,
    /// That of the last one, to be compared with what the engine has.
    last: Option<Fingerprint>,
}

/// A stretch of time in which a job fired by one timetable.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) facts: Arc<JobFacts>,
    pub(super) timetable: Timetable,
    /// Firings in `(after, until]` are its business.
    pub(super) after: Timestamp,
    pub(super) until: Timestamp,
}

/// Everything that was registered, and when.
#[derive(Debug)]
pub(super) struct Timeline {
    zone: Zone,
    jobs: BTreeMap<String, JobLine>,
    /// All that stand in the lines of jobs.
    facts: BTreeSet<Arc<JobFacts>>,
    calendars: BTreeMap<String, Vec<Since<Option<Arc<Calendar>>>>>,
    /// By kind and name: true while disabled.
    flags: BTreeMap<(String, String), Vec<Since<bool>>>,
    /// Jobs whose documents were taken from the engine, and when: before that nothing is known.
    noted: BTreeMap<String, i64>,
    last: Option<EventKey>,
}

// === impl Fingerprint ===

impl Fingerprint {
    pub(super) fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

// === impl Timeline ===

impl Timeline {
    /// Nothing known. `zone` is that of documents which name none.
    pub(super) fn new(zone: Zone) -> Self {
        let (jobs, calendars, flags) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let noted = BTreeMap::new();
        Self { zone, jobs, facts: BTreeSet::new(), calendars, flags, noted, last: None }
    }

    /// The last change it knows.
    pub(super) fn last(&self) -> Option<EventKey> {
        self.last
    }

    /// Takes in a change that comes behind all it knows.
    pub(super) fn take(&mut self, row: &ChangeRow) {
        self.last = Some(EventKey { epoch: row.epoch, sequence: row.sequence });
        let (from_ms, content) = (row.at_ms, row.content.as_deref());
        match row.kind.as_str() {
            "job" => {
                let value = content.and_then(|text| self.facts(text));
                let line = self.jobs.entry(row.name.clone()).or_default();
                line.versions.push(Since { from_ms, value });
                line.last = content.map(Fingerprint::of);
            }
            "calendar" => {
                let parse = |text: &str| {
                    CalendarDocument::parse(text.as_bytes(), Strictness::Stored, &self.zone).ok()
                };
                let value = content.and_then(parse).map(|document| document.calendar);
                let line = self.calendars.entry(row.name.clone()).or_default();
                line.push(Since { from_ms, value });
            }
            "job-flag" | "app-flag" => {
                let key = (row.kind.clone(), row.name.clone());
                let value = content.is_some();
                self.flags.entry(key).or_default().push(Since { from_ms, value });
            }
            _ => {}
        }
    }

    fn facts(&mut self, text: &str) -> Option<Arc<JobFacts>> {
        let job = Job::parse(text.as_bytes(), Strictness::Stored, &self.zone).ok()?;
        let facts = JobFacts {
            app: job.app.to_string(),
            execution: job.execution,
            schedule: job.schedule,
            calendars: job.calendars.iter().map(ToString::to_string).collect(),
            misfire: job.misfire,
            concurrency: job.concurrency,
        };
        if let Some(known) = self.facts.get(&facts) {
            return Some(Arc::clone(known));
        }
        let facts = Arc::new(facts);
        self.facts.insert(Arc::clone(&facts));
        Some(facts)
    }

    /// True if a change of a job counts from this moment on, or later.
    pub(super) fn changed_since(&self, job: &str, at_ms: i64) -> bool {
        let last = self.jobs.get(job).and_then(|line| line.versions.last());
        last.is_some_and(|version| version.from_ms >= at_ms)
    }

    /// True if the last document known of a job is this one, or a newer one has come since `at_ms`.
    pub(super) fn agrees(&self, job: &str, document: Fingerprint, at_ms: i64) -> bool {
        let known = self.jobs.get(job).and_then(|line| line.last);
        known == Some(document) || self.changed_since(job, at_ms)
    }

    /// A document of which the history does not know counts from this moment on, at the latest.
    pub(super) fn note(&mut self, job: &str, text: &str, at_ms: i64) {
        let versions = vec![Since { from_ms: at_ms, value: self.facts(text) }];
        let last = Some(Fingerprint::of(text));
        self.jobs.insert(job.to_owned(), JobLine { versions, last });
        self.noted.insert(job.to_owned(), at_ms);
    }

    /// How many jobs cannot be judged for all of the time from `since_ms` on.
    pub(super) fn noted_after(&self, since_ms: i64) -> u64 {
        self.noted.values().filter(|at_ms| **at_ms > since_ms).count() as u64
    }

    /// Nothing that was known of a job can be relied on.
    pub(super) fn forget(&mut self, job: &str) {
        self.jobs.remove(job);
    }

    /// The jobs that are known.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }

    /// True if a job is registered at the end of what is known.
    pub(super) fn is_registered(&self, job: &str) -> bool {
        self.jobs.get(job).is_some_and(|line| line.last.is_some())
    }

    /// True if a job was TRANSIENT in all documents that are known of it. The shards of a DAEMON
    /// begin again whenever they end.
    pub(super) fn is_transient(&self, job: &str) -> bool {
        self.jobs.get(job).is_some_and(|line| {
            let mut facts = line.versions.iter().filter_map(|version| version.value.as_ref());
            facts.all(|facts| facts.execution == Execution::Transient)
        })
    }

    /// True unless it is known that neither the job nor its app was disabled between the two moments.
    pub(super) fn may_be_disabled(&self, job: &str, app: &str, from_ms: i64, to_ms: i64) -> bool {
        [("job-flag", job), ("app-flag", app)].iter().any(|(kind, name)| {
            let Some(line) = self.flags.get(&((*kind).to_owned(), (*name).to_owned())) else {
                return false;
            };
            let before = at(line, from_ms).is_some_and(|since| since.value);
            let within =
                |since: &Since<bool>| since.value && (from_ms..=to_ms).contains(&since.from_ms);
            before || line.iter().any(within)
        })
    }

    /// How a job fired in `(after, until]`, cut where its document or one of its calendars changed.
    /// What is not known, or cannot fire, is left out.
    pub(super) fn stretches(&self, job: &str, after: Timestamp, until: Timestamp) -> Vec<Stretch> {
        let Some(line) = self.jobs.get(job) else { return Vec::new() };
        let mut stretches = Vec::new();
        for (index, version) in line.versions.iter().enumerate() {
            let Some(facts) = &version.value else { continue };
            let Some(schedule) = &facts.schedule else { continue };
            let next = line.versions.get(index + 1).map_or(i64::MAX, |next| next.from_ms);
            let from = after.max(Timestamp::from_millis(version.from_ms));
            let to = until.min(Timestamp::from_millis(next));
            if facts.execution == Execution::Transient && from < to {
                self.cut_at_calendars(facts, schedule, from, to, &mut stretches);
            }
        }
        stretches
    }

    fn cut_at_calendars(
        &self,
        facts: &Arc<JobFacts>,
        schedule: &Arc<BoundedSchedule>,
        from: Timestamp,
        to: Timestamp,
        stretches: &mut Vec<Stretch>,
    ) {
        let lines: Vec<_> = facts.calendars.iter().map(|name| self.calendars.get(name)).collect();
        let changes = lines.iter().flatten().flat_map(|line| line.iter());
        let mut cuts: Vec<Timestamp> = changes
            .map(|since| Timestamp::from_millis(since.from_ms))
            .filter(|at| *at > from && *at < to)
            .collect();
        cuts.push(to);
        cuts.sort_unstable();
        let mut after = from;
        for until in cuts {
            let calendars: Option<Vec<Arc<Calendar>>> =
                lines.iter().map(|line| at((*line)?, until.as_millis())?.value.clone()).collect();
            if let Some(calendars) = calendars
                && after < until
            {
                let timetable = Timetable { schedule: Arc::clone(schedule), calendars };
                stretches.push(Stretch { facts: Arc::clone(facts), timetable, after, until });
            }
            after = until;
        }
    }
}

/// What counted for a firing of this moment.
fn at<T>(line: &[Since<T>], at_ms: i64) -> Option<&Since<T>> {
    line.iter().rev().find(|since| since.from_ms < at_ms)
}
