//! Each due firing of an enabled job has exactly one run, or is missed exactly as the job's rules
//! say and told so; whoever leads, and however often that changes.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::Trace;
use shiftwork_engine::document::{Concurrency, Execution, Job, MisfirePolicy};
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_engine::record::{Key, Write};
use shiftwork_schedule::Timestamp;

use super::gangs::active_max;
use super::mind::{Document, Mind, firing_of, watermark};
use super::{Tally, cause, ended};
use crate::sim::registry::Registry;
use crate::sim::scheduler::Step;

/// A firing dealt with later than this was missed: what `skip` leaves out.
const LATE_MS: i64 = 5_000;
/// More firings than any gap of a simulation has.
const FIRINGS_MAX: usize = 1_000_000;

/// Runs that were made, ever, and under which epoch.
#[derive(Debug, Default)]
pub(super) struct Firings {
    made: BTreeMap<RunId, u64>,
}

/// What a job's queue may have looked like when a firing met it: other deadlines of the same step
/// may have come before.
#[derive(Debug, Clone, Copy)]
struct Before {
    pending: usize,
    /// Of these, runs that stand for firings to come: whole ones, made for the first time.
    standing: usize,
    active: usize,
}

impl Firings {
    /// Firings of one moment may be made in several steps; the watermark moves in the last of them.
    pub(super) fn on_step(mind: &mut Mind, step: &Step, tally: &mut Tally) -> Result<(), String> {
        let made = made_in(mind, step);
        let moved = step.writes.iter().find(|write| write.key == Key::Watermark);
        let moved = moved.and_then(|write| watermark(write.value.as_deref()?));
        let Some(since) = mind.watermark else {
            return Ok(());
        };
        let at = mind.round.at.unwrap_or_else(|| Timestamp::from_millis(mind.now));
        // While its clock is behind, the engine judges by the watermark.
        let until = moved.unwrap_or_else(|| at.max(since));
        if until < since {
            return Err(format!("the watermark went back from {since} to {until}"));
        }
        for (name, document) in &mind.documents {
            let made = made.get(name).map(Vec::as_slice).unwrap_or_default();
            if document.job.execution != Execution::Transient {
                continue;
            }
            if mind.round.judged.contains(name) {
                if !made.is_empty() {
                    return Err(format!("{name} fired twice by one watermark: {made:?}"));
                }
                continue;
            }
            let is_touched =
                !made.is_empty() || step.traces.iter().any(|trace| missed(trace, name) > 0);
            let is_due = moved.is_some() && document.next.is_some_and(|next| next <= until);
            if is_touched || is_due {
                let case = Case { mind, step, document, since, until, made };
                judge(&case, tally)?;
            }
            if is_touched && moved.is_none() {
                mind.round.touched.push(name.clone());
            }
        }
        mind.round.go_on(moved.is_some(), at, made_runs(step));
        mind.round.check(step)
    }

    /// A run that was made once is never made again. One that was asked for is not made again while
    /// the same leader leads, and those made again after a change of leader are given back: the keys
    /// of runs that have ended are not kept in the registry.
    pub(super) fn on_transaction(
        &mut self,
        epoch: u64,
        step: &Step,
        writes: &[Write],
        registry: &Registry,
    ) -> Result<Vec<RunId>, String> {
        let mut again = Vec::new();
        for Write { key, .. } in writes {
            let Key::Ready(_, run) = key else { continue };
            if registry.records().contains_key(key) {
                continue;
            }
            let Some(before) = self.made.insert(run.clone(), epoch) else { continue };
            if firing_of(run).is_some() || before == epoch {
                return Err(format!("run {run} was made a second time ({})", cause(step)));
            }
            again.push(run.clone());
        }
        Ok(again)
    }
}

/// Firings of one moment that are under way: the watermark does not cover them yet.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The moment by which they are judged.
    at: Option<Timestamp>,
    /// Jobs that have been looked at, in steps before and in this one.
    judged: BTreeSet<JobName>,
    touched: Vec<JobName>,
    /// The runs that were made.
    made: BTreeSet<RunId>,
}

impl Round {
    fn go_on(&mut self, is_over: bool, at: Timestamp, made: impl Iterator<Item = RunId>) {
        if is_over {
            *self = Self::default();
        } else if !self.touched.is_empty() {
            self.at = Some(at);
            self.judged.extend(self.touched.drain(..));
            self.made.extend(made);
        }
    }

    /// What could end before the watermark covers it would be made again by the next leader.
    fn check(&self, step: &Step) -> Result<(), String> {
        let launched = step.writes.iter().find_map(|write| match &write.key {
            Key::Ready(_, run) if write.value.is_none() && self.made.contains(run) => Some(run),
            _ => None,
        });
        match launched.filter(|run| !ended(step).any(|ended| ended == *run)) {
            Some(run) => Err(format!("{run} is launched, the watermark stayed ({})", cause(step))),
            None => Ok(()),
        }
    }
}

/// The runs of firings that a step stores in a ready queue.
fn made_runs(step: &Step) -> impl Iterator<Item = RunId> + '_ {
    step.writes.iter().filter_map(|write| match &write.key {
        Key::Ready(_, run) if firing_of(run).is_some() && write.value.is_some() => {
            Some(run.clone())
        }
        _ => None,
    })
}

/// The firings that get a run in a step.
fn made_in(mind: &Mind, step: &Step) -> BTreeMap<JobName, Vec<Timestamp>> {
    let mut made: BTreeMap<JobName, Vec<Timestamp>> = BTreeMap::new();
    for Write { key, .. } in &step.writes {
        let Key::Ready(job, run) = key else { continue };
        let known = mind.pending.get(job).is_some_and(|pending| pending.contains(run));
        if let (false, Some(at)) = (known, firing_of(run)) {
            made.entry(job.clone()).or_default().push(at);
        }
    }
    for times in made.values_mut() {
        times.sort_unstable();
    }
    made
}

/// The firings of one job in one step.
struct Case<'a> {
    mind: &'a Mind,
    step: &'a Step,
    document: &'a Document,
    /// The watermark before and after.
    since: Timestamp,
    until: Timestamp,
    /// The firings that got a run.
    made: &'a [Timestamp],
}

fn judge(case: &Case<'_>, tally: &mut Tally) -> Result<(), String> {
    let Case { mind, step, document, since, until, made } = *case;
    let job = &document.job;
    let Some(timetable) = mind.timetable(job) else {
        return Err(format!("{} has no schedule and got runs for {made:?}", job.name));
    };
    let from = since.max(document.from).max(has_run(mind, &job.name));
    let (due, _) = timetable.firings_between(from, until, FIRINGS_MAX);
    let options = before(mind, step, job, until);
    let expected: Vec<Vec<Timestamp>> =
        options.iter().map(|before| expected(mind, job, *before, &due, until)).collect();
    if !expected.iter().any(|expected| expected == made) {
        return Err(format!(
            "{}: of the firings {due:?} up to {until}, {made:?} got runs, expected {expected:?} \
             ({:?}, {:?}, {options:?})",
            job.name, job.misfire, job.concurrency
        ));
    }
    let told: u64 = step.traces.iter().map(|trace| missed(trace, &job.name)).sum();
    let missed = (due.len() - made.len()) as u64;
    if told != missed {
        return Err(format!("{}: {missed} firings were missed, {told} were told", job.name));
    }
    tally.firings += made.len() as u64;
    tally.missed += missed;
    Ok(())
}

/// The last firing of a job that has its run: of a large step that was stored in parts, the runs may
/// be there and the watermark not.
fn has_run(mind: &Mind, job: &JobName) -> Timestamp {
    let pending = mind.pending.get(job).into_iter().flatten();
    let fired = pending.chain(mind.active_of(job)).filter(|run| !is_repeated(run));
    fired.filter_map(firing_of).max().unwrap_or(Timestamp::MIN)
}

/// How the job's queue may have been when its firings came.
fn before(mind: &Mind, step: &Step, document: &Job, now: Timestamp) -> Vec<Before> {
    let job = &document.name;
    let mut pending = mind.pending.get(job).cloned().unwrap_or_default();
    // What is too old to start makes room.
    if let Some(window) = document.misfire.window_ms {
        let oldest = now.saturating_sub(window);
        let outdated = |run: &RunId| firing_of(run).is_some_and(|at| at <= oldest);
        pending.retain(|run| is_repeated(run) || !outdated(run));
    }
    let count = pending.len();
    let altered = |run: &RunId| mind.waiting.get(run).is_some_and(|known| known.altered);
    let whole = |run: &&RunId| !altered(run) && !is_repeated(run);
    let standing = pending.iter().filter(whole).count();
    // Of those that end in this step it is not known whether they ended before.
    let ended_pending: BTreeSet<_> = ended(step).filter(|run| pending.contains(*run)).collect();
    let ended_standing = ended_pending.iter().filter(|run| whole(run)).count();
    let active = mind.active_of(job).count();
    let still = mind.active_of(job).filter(|run| !ended(step).any(|ended| ended == *run)).count();
    let mut options = Vec::new();
    for pending in (count - ended_pending.len())..=count {
        for standing in (standing - ended_standing)..=standing.min(pending) {
            for active in still..=active {
                options.push(Before { pending, standing, active });
            }
        }
    }
    options
}

/// The firings that get a run, by the job's rules.
fn expected(
    mind: &Mind,
    job: &Job,
    before: Before,
    due: &[Timestamp],
    now: Timestamp,
) -> Vec<Timestamp> {
    if !mind.is_enabled(job) && job.misfire.policy == MisfirePolicy::Skip {
        return Vec::new();
    }
    let oldest = job.misfire.window_ms.map_or(Timestamp::MIN, |window| now.saturating_sub(window));
    let fresh = || due.iter().copied().filter(|at| *at > oldest);
    let overlaps = before.active > 0 && job.concurrency == Concurrency::Skip;
    match job.misfire.policy {
        MisfirePolicy::All if overlaps => Vec::new(),
        MisfirePolicy::All => {
            let room = (job.misfire.max_pending as usize).saturating_sub(before.pending);
            fresh().take(room).collect()
        }
        MisfirePolicy::Coalesce => {
            let stands = before.standing > 0 || overlaps;
            fresh().next_back().filter(|_| !stands).into_iter().collect()
        }
        MisfirePolicy::Skip => {
            let in_time = |at: &Timestamp| now.since(*at) <= LATE_MS;
            let stands = before.standing > 0 || before.active >= active_max(job);
            fresh().next_back().filter(in_time).filter(|_| !stands).into_iter().collect()
        }
    }
}

/// True for a run that is made once more: `….2` and so on.
fn is_repeated(run: &RunId) -> bool {
    let suffix = run.as_str().rsplit_once('.').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| suffix.parse::<u32>().is_ok())
}

fn missed(trace: &Trace, job: &JobName) -> u64 {
    match trace {
        Trace::Missed { job: of, count, .. } if of == job => *count,
        _ => 0,
    }
}
