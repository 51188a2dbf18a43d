//! Jobs that are looked for among many: by part of the name and by state, and by when they fire next.
//! Absent: looking at all of them at once; whoever asks comes back for the rest, so that the engine is
//! never kept from its work for long.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use shiftwork_schedule::{Timestamp, Timetable};

use crate::engine::{Engine, JobEntry};
use crate::ids::{AppName, CalendarName, JobName};
use crate::query::Order;
use crate::schedules::Entry;
use crate::timers::Deadline;
use crate::view::JobView;

/// Jobs looked at for one question: some milliseconds.
const LOOKED_MAX: usize = 20_000;

/// What a job is doing, for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// Neither it nor its app is disabled.
    Enabled,
    /// It is disabled, or its app is.
    Disabled,
    /// A run of it is being launched or running.
    Running,
    /// A run of it waits.
    Pending,
    /// Its stored document, or a calendar that it names, cannot be used.
    Broken,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Enabled, Self::Disabled, Self::Running, Self::Pending, Self::Broken];

    /// The name the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Running => "RUNNING",
            Self::Pending => "PENDING",
            Self::Broken => "BROKEN",
        }
    }
}

/// Which jobs are asked for.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only of apps whose names begin with one of these; of all, if there is none.
    pub app_prefixes: Vec<String>,
    /// Only those whose names hold this, in upper or lower case.
    pub text: Option<String>,
    /// Only those in this state.
    pub state: Option<JobState>,
}

/// What was found, as far as was looked.
#[derive(Debug, Clone)]
pub struct Found<V, N> {
    /// What passes the filter, in order.
    pub rows: Vec<V>,
    /// Where to go on, if not all was looked at.
    pub looked_to: Option<N>,
}

/// What comes due within a while: how many jobs fire by the same timetable.
#[derive(Debug, Clone)]
pub struct Coming {
    /// The timetables, and how many jobs fire by each.
    pub timetables: Vec<(Timetable, usize)>,
    /// True if there are more jobs than were looked at.
    pub more: bool,
}

impl Engine {
    /// Jobs that pass a filter, in order of their names, those behind `after`.
    pub fn find_jobs(
        &self,
        filter: &JobFilter,
        after: Option<&JobName>,
        order: Order,
        limit: usize,
    ) -> Found<JobView, JobName> {
        let range = order.behind(after);
        let of_app = filter.app.as_ref().map(|app| self.jobs_by_app.get(app));
        match (of_app, filter.state) {
            (Some(None), _) => Found { rows: Vec::new(), looked_to: None },
            (Some(Some(jobs)), _) => self.look(filter, jobs.range(range), order, limit),
            (None, Some(JobState::Pending)) => {
                self.look(filter, self.queued.range(range), order, limit)
            }
            (None, Some(JobState::Running)) => {
                let jobs = self.active.range(range).map(|(name, _)| name);
                self.look(filter, jobs, order, limit)
            }
            (None, _) => {
                self.look(filter, self.jobs.range(range).map(|(name, _)| name), order, limit)
            }
        }
    }

    fn look<'a>(
        &self,
        filter: &JobFilter,
        names: impl DoubleEndedIterator<Item = &'a JobName>,
        order: Order,
        limit: usize,
    ) -> Found<JobView, JobName> {
        match order {
            Order::Ascending => self.look_at(filter, names, limit),
            Order::Descending => self.look_at(filter, names.rev(), limit),
        }
    }

    fn look_at<'a>(
        &self,
        filter: &JobFilter,
        names: impl Iterator<Item = &'a JobName>,
        limit: usize,
    ) -> Found<JobView, JobName> {
        let mut rows = Vec::new();
        for (before, name) in names.enumerate() {
            if rows.len() >= limit {
                break;
            }
            if self.passes(filter, name) {
                rows.extend(self.job(name));
            }
            if before + 1 >= LOOKED_MAX {
                return Found { rows, looked_to: Some(name.clone()) };
            }
        }
        Found { rows, looked_to: None }
    }

    fn passes(&self, filter: &JobFilter, name: &JobName) -> bool {
        let Some(entry) = self.jobs.get(name) else { return false };
        let named = filter.text.as_ref().is_none_or(|text| holds(name.as_str(), text));
        named
            && is_within(&filter.app_prefixes, entry)
            && filter.state.is_none_or(|state| self.is_in(name, entry, state))
    }

    fn is_in(&self, name: &JobName, entry: &JobEntry, state: JobState) -> bool {
        match state {
            JobState::Enabled => self.may_fire(name, entry),
            JobState::Disabled => match &entry.document {
                Ok(job) => self.disabled_reason(name, &job.app).is_some(),
                Err(_) => entry.disabled.is_some(),
            },
            JobState::Running => self.active.contains_key(name),
            JobState::Pending => self.queued.contains(name),
            JobState::Broken => self.timetable(name).is_some_and(|timetable| timetable.is_err()),
        }
    }

    fn may_fire(&self, name: &JobName, entry: &JobEntry) -> bool {
        let job = entry.document.as_ref().ok();
        job.is_some_and(|job| self.disabled_reason(name, &job.app).is_none())
    }

    /// Jobs by when their schedule fires next, at most `limit` of those behind a moment and a name.
    /// Only TRANSIENT jobs that are enabled have such a moment.
    pub fn jobs_by_next_firing(
        &self,
        filter: &JobFilter,
        after: Option<&(Timestamp, JobName)>,
        limit: usize,
    ) -> Vec<(Timestamp, JobView)> {
        let mut rows: Vec<(Timestamp, JobView)> = Vec::new();
        let mut entries = self.scheduled(after.map(|(at, _)| *at)).peekable();
        while let Some((at, entry)) = entries.next() {
            let mut moment = vec![entry];
            while let Some((_, other)) = entries.next_if(|(other, _)| *other == at) {
                moment.push(other);
            }
            let behind = after.filter(|(same, _)| *same == at).map(|(_, name)| name);
            let range = (behind.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            // No more than a page of each can be on the page.
            let wanted = limit - rows.len();
            let names: BTreeSet<&JobName> = moment
                .iter()
                .flat_map(|entry| {
                    let jobs = entry.jobs.range::<JobName, _>(range);
                    jobs.filter(|name| self.is_coming(filter, name)).take(wanted)
                })
                .collect();
            let jobs = names.into_iter().take(wanted).filter_map(|name| self.job(name));
            rows.extend(jobs.map(|job| (at, job)));
            if rows.len() >= limit {
                break;
            }
        }
        rows
    }

    fn is_coming(&self, filter: &JobFilter, name: &JobName) -> bool {
        let of_app = |entry: &JobEntry| {
            let app = entry.document.as_ref().ok().map(|job| &job.app);
            filter.app.as_ref().is_none_or(|wanted| app == Some(wanted))
        };
        let entry = self.jobs.get(name);
        entry.is_some_and(|entry| of_app(entry) && self.may_fire(name, entry))
            && self.passes(filter, name)
    }

    /// Schedules by when they fire next, from a moment on.
    fn scheduled(&self, from: Option<Timestamp>) -> impl Iterator<Item = (Timestamp, &Entry)> {
        self.timers.work().filter(move |(at, _)| from.is_none_or(|from| *at >= from)).filter_map(
            |(at, deadline)| match deadline {
                Deadline::Schedule(id) => Some((*at, self.schedules.get(*id)?)),
                _ => None,
            },
        )
    }

    /// What comes due up to a moment: the timetables of enabled TRANSIENT jobs, each once.
    pub fn coming(&self, until: Timestamp) -> Coming {
        let mut coming = Coming { timetables: Vec::new(), more: false };
        let mut looked = 0;
        for (_, entry) in self.scheduled(None).take_while(|(at, _)| *at <= until) {
            let mut by_calendars: BTreeMap<&[CalendarName], usize> = BTreeMap::new();
            for name in &entry.jobs {
                looked += 1;
                if looked > LOOKED_MAX {
                    coming.more = true;
                    break;
                }
                let Some(job) = self.jobs.get(name).filter(|job| self.may_fire(name, job)) else {
                    continue;
                };
                if let Ok(job) = &job.document {
                    *by_calendars.entry(&job.calendars).or_default() += 1;
                }
            }
            for (calendars, jobs) in by_calendars {
                // With a calendar that cannot be read they do not fire.
                if let Ok(timetable) = self.timetable_of(calendars, &entry.schedule) {
                    coming.timetables.push((timetable, jobs));
                }
            }
            if coming.more {
                break;
            }
        }
        coming
    }
}

/// Whether a job is of one of the apps; of one that cannot be read nobody knows.
fn is_within(prefixes: &[String], entry: &JobEntry) -> bool {
    let begins = |app: &AppName| prefixes.iter().any(|prefix| app.as_str().starts_with(prefix));
    prefixes.is_empty() || entry.document.as_ref().is_ok_and(|job| begins(&job.app))
}

/// Whether a name holds a text, in upper or lower case. Names are ASCII.
fn holds(name: &str, text: &str) -> bool {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    text.is_empty() || name.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
}
