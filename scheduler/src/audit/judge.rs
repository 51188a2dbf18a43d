//! The judgement: what was due, set against what the history says ran or was left out. Pure. Absent:
//! where its material comes from.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shiftwork_engine::document::{Concurrency, MisfirePolicy};
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_schedule::Timestamp;

use super::timeline::{JobFacts, Timeline};
use crate::trace::{LeftOutRow, RanRow};

/// Findings that one report lists; of more, only the number is told.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// Firings of one job in one slice that are looked at: every hundredth of a second of a slice.
const FIRINGS_MAX: usize = 100_000;

/// What is wrong with a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FindingKind {
    /// It was due, and neither got a run nor was left out by a rule.
    Missed,
    /// It was left out for a reason that its job's rules do not give.
    WronglyLeftOut,
    /// A run was made for a moment at which nothing was due.
    Unexpected,
    /// A shard of its run finished more than once.
    Doubled,
    /// Its run never ended, and the scheduler knows nothing of it any more.
    Forgotten,
}

impl FindingKind {
    /// Every kind there is.
    pub const ALL: [Self; 5] =
        [Self::Missed, Self::WronglyLeftOut, Self::Unexpected, Self::Doubled, Self::Forgotten];

    /// The name metrics use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::WronglyLeftOut => "wrongly_left_out",
            Self::Unexpected => "unexpected",
            Self::Doubled => "doubled",
            Self::Forgotten => "forgotten",
        }
    }
}

/// One thing that should not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// Whose firing.
    pub job: String,
    /// The moment the schedule named.
    pub firing: Timestamp,
    /// The run it is about, or should have been.
    pub run: String,
    /// More, for people.
    pub detail: String,
}

/// What the history holds of a slice of time.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// Runs whose logical time is in it.
    pub(crate) ran: Vec<RanRow>,
    /// Ranges that touch it.
    pub(crate) left_out: Vec<LeftOutRow>,
    /// Runs and items that finished more than once.
    pub(crate) finished_again: Vec<(String, i64)>,
}

/// What a judgement came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) due: u64,
    pub(super) fired: u64,
    pub(super) left_out: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) findings_total: u64,
}

/// The state of a run whose tasks run.
const STATE_RUNNING: &str = "RUNNING";

/// The state the history gives to what stands for firings that were left out.
const STATE_SKIPPED: &str = "SKIPPED";

// === impl Verdict ===

impl Verdict {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Judges the firings in `(after, until]`.
pub(super) fn judge(
    timeline: &Timeline,
    slice: &Slice,
    after: Timestamp,
    until: Timestamp,
    verdict: &mut Verdict,
) {
    let ran: BTreeSet<&str> = slice
        .ran
        .iter()
        .filter(|row| row.state != STATE_SKIPPED)
        .map(|row| row.id.as_str())
        .collect();
    let mut left_out: BTreeMap<&str, Vec<&LeftOutRow>> = BTreeMap::new();
    for row in &slice.left_out {
        left_out.entry(&row.job).or_default().push(row);
    }
    let mut due: BTreeSet<String> = BTreeSet::new();
    for name in timeline.jobs() {
        let Ok(job) = JobName::parse(name) else { continue };
        for stretch in timeline.stretches(name, after, until) {
            let (firings, _) =
                stretch.timetable.firings_between(stretch.after, stretch.until, FIRINGS_MAX);
            for at in firings {
                verdict.due += 1;
                let run = RunId::scheduled(&job, at).to_string();
                if ran.contains(run.as_str()) {
                    verdict.fired += 1;
                } else {
                    let rows = left_out.get(name).map(Vec::as_slice).unwrap_or_default();
                    not_fired(timeline, name, &stretch.facts, at, &run, rows, verdict);
                }
                due.insert(run);
            }
        }
    }
    unexpected(timeline, slice, (after, until), &due, verdict);
    for (run, item) in &slice.finished_again {
        let Ok(id) = RunId::parse(run) else { continue };
        let job = id.job().to_string();
        if !timeline.is_transient(&job) {
            continue;
        }
        let detail = format!("shard {item} finished more than once");
        let firing = moment_of(run).unwrap_or(until);
        verdict.add(Finding { kind: FindingKind::Doubled, job, firing, run: run.clone(), detail });
    }
}

fn not_fired(
    timeline: &Timeline,
    name: &str,
    facts: &JobFacts,
    at: Timestamp,
    run: &str,
    rows: &[&LeftOutRow],
    verdict: &mut Verdict,
) {
    let (job, run) = (name.to_owned(), run.to_owned());
    let at_ms = at.as_millis();
    let covering = rows.iter().filter(|row| row.first_ms <= at_ms && at_ms <= row.last_ms);
    let mut refused = None;
    for row in covering {
        match against_the_rules(timeline, name, facts, at_ms, row) {
            None => {
                verdict.left_out += 1;
                return;
            }
            Some(why) => refused = Some(why),
        }
    }
    verdict.add(match refused {
        Some(detail) => Finding { kind: FindingKind::WronglyLeftOut, job, firing: at, run, detail },
        None => Finding {
            kind: FindingKind::Missed,
            job,
            firing: at,
            run,
            detail: "it was due, and the history knows neither a run nor why there is none"
                .to_owned(),
        },
    });
}

/// Why a firing may not have been left out for this cause; none if it may.
fn against_the_rules(
    timeline: &Timeline,
    job: &str,
    facts: &JobFacts,
    at_ms: i64,
    row: &LeftOutRow,
) -> Option<String> {
    let policy = facts.misfire.policy;
    let allowed = match row.cause.as_str() {
        "COALESCED" => policy != MisfirePolicy::All,
        "SKIPPED" => facts.concurrency == Concurrency::Skip || policy == MisfirePolicy::Skip,
        "MISSED" => {
            let late_ms = row.decided_at_ms.saturating_sub(at_ms);
            timeline.may_be_disabled(job, &facts.app, at_ms, row.decided_at_ms)
                || !facts.calendars.is_empty()
                || policy == MisfirePolicy::All
                || facts.misfire.window_ms.is_some_and(|window| late_ms >= window as i64)
        }
        // A decision of a newer version, which knows more.
        _ => true,
    };
    (!allowed).then(|| format!("left out as {}, which its rules do not give", row.cause))
}

/// True if a run that has not ended must be known to the scheduler. The history hears of a run before
/// its making is durable: after a crash in between, a firing is dealt with once more, and a run that
/// somebody asked for was never promised. A run whose tasks ran was.
pub(super) fn must_have_been(row: &RanRow, slice: &Slice) -> bool {
    if row.state == STATE_RUNNING {
        return true;
    }
    let is_left_out = slice.left_out.iter().any(|left_out| {
        left_out.job == row.job
            && (left_out.first_ms..=left_out.last_ms).contains(&row.logical_time_ms)
    });
    let at = Timestamp::from_millis(row.logical_time_ms);
    let is_scheduled =
        JobName::parse(&row.job).is_ok_and(|job| RunId::scheduled(&job, at).to_string() == row.id);
    is_scheduled && !is_left_out
}

/// Runs named for a moment at which their job was known and nothing was due.
fn unexpected(
    timeline: &Timeline,
    slice: &Slice,
    (after, until): (Timestamp, Timestamp),
    due: &BTreeSet<String>,
    verdict: &mut Verdict,
) {
    for row in slice.ran.iter().filter(|row| row.state != STATE_SKIPPED) {
        let Ok(job) = JobName::parse(&row.job) else { continue };
        let at = Timestamp::from_millis(row.logical_time_ms);
        let is_named_so = RunId::scheduled(&job, at).to_string() == row.id;
        if !is_named_so || due.contains(&row.id) || at <= after || at > until {
            continue;
        }
        // Daemons have runs of their own making; of what is not known nothing can be said.
        let transient = timeline.stretches(&row.job, at.plus_millis(-1), at);
        if transient.is_empty() {
            continue;
        }
        verdict.add(Finding {
            kind: FindingKind::Unexpected,
            job: row.job.clone(),
            firing: at,
            run: row.id.clone(),
            detail: "a run was made although nothing was due at that moment".to_owned(),
        });
    }
}

/// The moment a run of a schedule is named for.
fn moment_of(run: &str) -> Option<Timestamp> {
    let (_, moment) = run.split_once('@')?;
    Timestamp::parse_compact(moment).ok()
}
