//! From schedules to pending runs: what is due, what was missed, and the watermark that makes
//! sure that no firing is lost or doubled whoever leads.

use shiftwork_schedule::{Timestamp, Timetable};

use crate::command::Overrides;
use crate::document::{Concurrency, Misfire as MisfireRule, MisfirePolicy};
use crate::effect::{Effects, Trace};
use crate::engine::{Engine, JobEntry, put_json, put_run, put_text};
use crate::ids::{JobName, RunId};
use crate::record::{Key, KillIntent, Origin, WatermarkRecord};
use crate::registered::{Registered, RunJob};
use crate::run::Run;
use crate::statistics::Misfire;
use crate::timers::Deadline;
use crate::view::RunState;
use crate::wait::Wait;

/// A firing dealt with later than this after its time was missed: the policy `skip` leaves it
/// out. It covers a busy moment or a short pause, not a change of leader.
const LATE_MS: i64 = 5_000;

/// Firings looked at one by one when a gap is dealt with; of more, only the number is not exact.
const GAP_FIRINGS_MAX: usize = 100_000;

/// Why a firing is left out that nobody dealt with in time.
const OUTDATED: &str = "older than the misfire window";

/// A run to be made.
pub(crate) struct NewRun {
    pub(crate) id: RunId,
    pub(crate) logical_time: Timestamp,
    /// Its generation.
    pub(crate) attempt: u32,
    pub(crate) origin: Origin,
    /// Who asked for it, if anybody did.
    pub(crate) submitter: Option<String>,
    pub(crate) overrides: Overrides,
}

impl NewRun {
    /// The first generation, as the document says.
    fn of(id: RunId, logical_time: Timestamp, origin: Origin) -> Self {
        let (submitter, overrides) = (None, Overrides::default());
        Self { id, logical_time, attempt: 1, origin, submitter, overrides }
    }
}

/// Some firings of one job, one after the other.
#[derive(Debug, Clone, Copy)]
struct Firings {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// The latest firing of a gap.
#[derive(Debug, Clone, Copy)]
struct Latest {
    at: Timestamp,
    /// Those of the gap before it.
    before: Option<Firings>,
}

/// The latest firing of the gap that was looked at last: jobs that share a timer mostly have the
/// same gap, and of a hundred thousand that are due together each would look for it again.
#[derive(Debug, Default)]
pub(crate) struct FoundLatest(Option<(Timestamp, Option<Latest>)>);

impl Firings {
    fn one(at: Timestamp) -> Self {
        Self { first: at, last: at, count: 1 }
    }

    /// Those in `(from, until]`, if there are any.
    fn between(timetable: &Timetable, from: Timestamp, until: Timestamp) -> Option<Self> {
        let (firings, more) = timetable.firings_between(from, until, GAP_FIRINGS_MAX);
        let (first, last) = (*firings.first()?, *firings.last()?);
        let last =
            if more { timetable.last_at_or_before(until, from).unwrap_or(first) } else { last };
        Some(Self { first, last, count: firings.len() as u64 })
    }
}

impl Latest {
    /// In `(from, until]`.
    fn find(timetable: &Timetable, from: Timestamp, until: Timestamp) -> Option<Self> {
        let at = timetable.last_at_or_before(until, from)?;
        Some(Self { at, before: Firings::between(timetable, from, at.plus_millis(-1)) })
    }
}

impl FoundLatest {
    /// As [`Latest::find`], for timetables of one schedule and one `until`.
    fn latest(
        &mut self,
        timetable: &Timetable,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<Latest> {
        // Calendars are a job's own.
        if !timetable.calendars.is_empty() {
            return Latest::find(timetable, from, until);
        }
        match self.0 {
            Some((known, latest)) if known == from => latest,
            _ => {
                let latest = Latest::find(timetable, from, until);
                self.0 = Some((from, latest));
                latest
            }
        }
    }
}

impl Engine {
    /// Starts the timer of a job's schedule.
    pub(crate) fn join_schedule(&mut self, name: &JobName, from: Timestamp) {
        let Some(job) = self.registered_job(name) else {
            return;
        };
        let Some(schedule) = job.schedule.clone() else {
            return;
        };
        if job.rules.is_daemon() {
            return;
        }
        let (id, schedule) = self.schedules.join(schedule, name.clone(), from);
        if let Some(next) = schedule.next_after(from) {
            self.timers.set_no_later(Deadline::Schedule(id), next);
        }
        if let Some(JobEntry { document: Ok(job), .. }) = self.jobs.get_mut(name) {
            job.schedule = Some(schedule);
        }
    }

    /// Stops the timer of a job's schedule.
    pub(crate) fn leave_schedule(&mut self, name: &JobName, job: &Registered) {
        let Some(schedule) = &job.schedule else {
            return;
        };
        if let Some(id) = self.schedules.leave(schedule, name) {
            self.timers.cancel(&Deadline::Schedule(id));
        }
    }

    /// Every firing up to now has been dealt with: from now on a new leader need not look back
    /// further. Also called when a document takes effect, so that it never fires for the past.
    pub(crate) fn raise_watermark(&mut self, fx: &mut Effects) {
        self.watermark = self.watermark.max(self.now);
        let record = WatermarkRecord {
            version: 1,
            watermark: self.watermark,
            tzdb: Some(shiftwork_schedule::tzdb().release().to_owned()),
        };
        put_json(fx, Key::Watermark, &record);
    }

    /// Deals with the firings of one job in `(from, now]`.
    pub(crate) fn fire(
        &mut self,
        job: &RunJob,
        timetable: &Timetable,
        from: Timestamp,
        found: &mut FoundLatest,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let disabled = self.disabled_reason(&job.name, &job.app);
        if let (Some(reason), MisfirePolicy::Skip) = (&disabled, job.rules.misfire.policy) {
            self.miss(job, timetable, (from, now), Misfire::Missed, reason, fx);
            return;
        }
        let window_from = match job.rules.misfire.window_ms {
            Some(window) => from.max(now.saturating_sub(window)),
            None => from,
        };
        if window_from > from {
            self.miss(job, timetable, (from, window_from), Misfire::Missed, OUTDATED, fx);
        }
        let latest = match job.rules.misfire.policy {
            MisfirePolicy::All => None,
            MisfirePolicy::Coalesce | MisfirePolicy::Skip => {
                let latest = found.latest(timetable, window_from, now);
                if latest.is_none() {
                    return;
                }
                latest
            }
        };
        // What still waits for an earlier run, for room or for its job to be enabled makes way.
        self.expire_outdated(job, fx);
        match latest {
            Some(latest) => self.fire_latest(job, latest, fx),
            None => self.fire_all(job, timetable, window_from, fx),
        }
    }

    /// A job may run again: what waited for that beyond its misfire window expires, unless it stands
    /// for a later firing that is not that old.
    pub(crate) fn expire_before_start(&mut self, name: &JobName, fx: &mut Effects) {
        let Some(job) = self.run_job(name) else {
            return;
        };
        let MisfireRule { policy, window_ms: Some(window), .. } = job.rules.misfire else {
            return;
        };
        let fresh = (self.now.saturating_sub(window), self.now);
        if policy == MisfirePolicy::All || !self.fires_between(name, fresh) {
            self.expire_outdated(&job, fx);
        }
    }

    fn fires_between(&self, job: &JobName, (from, until): (Timestamp, Timestamp)) -> bool {
        let timetable = self.registered_job(job).and_then(|job| {
            let schedule = job.schedule.as_ref()?;
            self.timetable_of(&job.calendars, schedule).ok()
        });
        timetable.is_some_and(|timetable| timetable.last_at_or_before(until, from).is_some())
    }

    /// Ends pending runs of firings that are older than the job's misfire window.
    fn expire_outdated(&mut self, job: &RunJob, fx: &mut Effects) {
        let Some(window) = job.rules.misfire.window_ms else {
            return;
        };
        let oldest = self.now.saturating_sub(window);
        let pending = self.jobs.get(&job.name).into_iter().flat_map(|entry| &entry.pending);
        let outdated: Vec<RunId> = pending
            .take_while(|(logical_time, _)| *logical_time <= oldest)
            .filter_map(|(_, id)| self.runs.get(id))
            .filter(|run| run.origin == Origin::Schedule && run.attempt == 1)
            .map(|run| run.id.clone())
            .collect();
        for run in outdated {
            self.end_pending(&run, RunState::Expired, OUTDATED.to_owned(), fx);
        }
    }

    /// Each firing gets its run, up to the bound.
    fn fire_all(&mut self, job: &RunJob, timetable: &Timetable, from: Timestamp, fx: &mut Effects) {
        let pending = self.jobs.get(&job.name).map_or(0, |entry| entry.pending.len());
        let room = (job.rules.misfire.max_pending as usize).saturating_sub(pending);
        let (firings, more) = timetable.firings_between(from, self.now, room);
        let last = firings.last().copied().unwrap_or(from);
        for at in firings {
            self.fire_one(job, at, fx);
        }
        if more || room == 0 {
            let reason =
                format!("maxPending: {} runs are pending already", job.rules.misfire.max_pending);
            self.miss(job, timetable, (last, self.now), Misfire::Missed, &reason, fx);
        }
    }

    /// The latest firing stands for all.
    fn fire_latest(&mut self, job: &RunJob, latest: Latest, fx: &mut Effects) {
        let Latest { at: latest, before } = latest;
        let misfire = match job.rules.misfire.policy {
            MisfirePolicy::Skip => Misfire::Skipped,
            MisfirePolicy::Coalesce | MisfirePolicy::All => Misfire::Coalesced,
        };
        if let Some(missed) = before {
            let reason = "missed; a later firing stands for it".to_owned();
            self.trace_missed(job, missed, (misfire, reason), fx);
        }
        let pending = self.pending_for_firings(&job.name);
        let late_ms = self.now.since(latest);
        let active = self.active_runs(&job.name).next().map(|run| run.id.clone());
        let active =
            active.filter(|_| self.active_count(&job.name) >= job.rules.active_max() as usize);
        let reason = match (job.rules.misfire.policy, pending, active) {
            (_, Some(run), _) => format!("run {run} is pending and stands for it"),
            (MisfirePolicy::Skip, None, Some(run)) => format!("run {run} has not ended"),
            (MisfirePolicy::Skip, None, None) if late_ms > LATE_MS => {
                format!("noticed {late_ms} ms late")
            }
            _ => {
                self.fire_one(job, latest, fx);
                return;
            }
        };
        self.trace_missed(job, Firings::one(latest), (misfire, reason), fx);
    }

    /// The first pending run that stands for firings to come.
    fn pending_for_firings(&self, job: &JobName) -> Option<RunId> {
        let pending = self.jobs.get(job)?.pending.iter();
        let mut runs = pending.filter_map(|(_, id)| self.runs.get(id));
        runs.find(|run| run.stands_for_firings()).map(|run| run.id.clone())
    }

    /// Makes the run of one firing, as the concurrency rule allows.
    fn fire_one(&mut self, job: &RunJob, at: Timestamp, fx: &mut Effects) {
        for active in self.active_ids(&job.name) {
            match job.rules.concurrency {
                Concurrency::Forbid | Concurrency::Allow { .. } => break,
                Concurrency::Skip => {
                    let reason = format!("run {active} has not ended");
                    self.trace_missed(job, Firings::one(at), (Misfire::Skipped, reason), fx);
                    return;
                }
                Concurrency::Replace => self.cancel_active(&active, KillIntent::Replace, fx),
            }
        }
        self.count_fired(&job.name);
        let id = RunId::scheduled(&job.name, at);
        self.enqueue(job, NewRun::of(id, at, Origin::Schedule), fx);
    }

    /// Notes the firings in `(from, until]` that get no run.
    pub(crate) fn miss(
        &mut self,
        job: &RunJob,
        timetable: &Timetable,
        (from, until): (Timestamp, Timestamp),
        misfire: Misfire,
        reason: &str,
        fx: &mut Effects,
    ) {
        if let Some(missed) = Firings::between(timetable, from, until) {
            self.trace_missed(job, missed, (misfire, reason.to_owned()), fx);
        }
    }

    fn trace_missed(
        &mut self,
        job: &RunJob,
        Firings { first, last, count }: Firings,
        (misfire, reason): (Misfire, String),
        fx: &mut Effects,
    ) {
        self.count_misfires(&job.name, misfire, count);
        let (job, app, at) = (job.name.clone(), job.app.clone(), self.now);
        fx.trace(Trace::Missed { job, app, first, last, count, misfire, reason, at });
    }

    /// Puts a run into its job's queue. A run that is there already is left as it is.
    pub(crate) fn enqueue(&mut self, job: &RunJob, new: NewRun, fx: &mut Effects) {
        let NewRun { id, logical_time, attempt, origin, submitter, overrides } = new;
        if self.runs.contains_key(&id) {
            return;
        }
        let mut run = Run {
            id: id.clone(),
            job: job.clone(),
            app: None,
            logical_time,
            attempt,
            origin,
            created_at: self.now,
            launched_at: None,
            started_at: None,
            submitter,
            overrides,
            parallel: false,
            shards: Vec::new(),
            wait: Wait::NotConsidered,
            told: None,
            idle: Vec::new(),
        };
        // At once and not with what has changed in this step: of a hundred thousand that are due
        // together each would be looked up again.
        put_run(fx, &run);
        run.told = Some(RunState::Pending);
        fx.trace(Trace::Run(Box::new(run.view())));
        let (held_until, expires_at) = (run.held_until(), run.expires_at());
        self.add_run(run);
        let mut pending = 0;
        if let Some(entry) = self.jobs.get_mut(&job.name) {
            entry.pending.insert((logical_time, id.clone()));
            pending = entry.pending.len();
        }
        if pending == 1 {
            self.queued.insert(job.name.clone());
        }
        self.set_queue_timers(&id, held_until, expires_at);
        put_text(fx, Key::ReadyCount(job.name.clone()), &pending.to_string());
        self.refresh_ready(&job.name);
    }

    /// A DAEMON job that may run and has no run gets one.
    pub(crate) fn ensure_daemon(&mut self, name: &JobName, fx: &mut Effects) {
        let Some(entry) = self.jobs.get(name) else {
            return;
        };
        let Ok(job) = &entry.document else { return };
        if !job.rules.is_daemon()
            || !entry.pending.is_empty()
            || self.active.contains_key(name)
            || self.disabled_reason(name, &job.app).is_some()
        {
            return;
        }
        // Two documents in the same millisecond: the next one is the next run.
        let mut at = self.now.max(self.last_daemon_at.saturating_add(1));
        let mut id = RunId::scheduled(name, at);
        while self.runs.contains_key(&id) {
            at = at.saturating_add(1);
            id = RunId::scheduled(name, at);
        }
        self.last_daemon_at = at;
        let Some(job) = self.run_job(name) else {
            return;
        };
        self.enqueue(&job, NewRun::of(id, at, Origin::Daemon), fx);
    }
}
