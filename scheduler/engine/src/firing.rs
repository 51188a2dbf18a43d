//! From schedules to pending runs: what is due, what was missed, and the watermark that makes
//! sure that no firing is lost or doubled whoever leads.

use std::sync::Arc;

use shiftwork_schedule::{BoundedSchedule, Timestamp};

use crate::command::Overrides;
use crate::document::{Concurrency, Execution, Job, MisfirePolicy};
use crate::effect::{Effects, Trace};
use crate::engine::{Engine, put_json};
use crate::ids::{JobName, RunId};
use crate::record::{Key, KillIntent, Origin, WatermarkRecord};
use crate::run::{Run, Wait};
use crate::schedules::ScheduleId;
use crate::timers::Deadline;

/// A firing dealt with later than this after its time was missed: the policy `skip` leaves it
/// out. It covers a busy moment or a short pause, not a change of leader.
const LATE_MS: i64 = 5_000;

/// Firings looked at one by one when a gap is dealt with; of more, only the number is not exact.
const GAP_FIRINGS_MAX: usize = 100_000;

impl Engine {
    /// Starts the timer of a job's schedule.
    pub(crate) fn join_schedule(&mut self, job: &Job, from: Timestamp) {
        let Some(schedule) = &job.schedule else {
            return;
        };
        if job.execution == Execution::Daemon {
            return;
        }
        let id = self.schedules.join(schedule, job.name.clone(), from);
        if let Some(next) = schedule.next_after(from) {
            self.timers.set_no_later(Deadline::Schedule(id), next);
        }
    }

    /// Stops the timer of a job's schedule.
    pub(crate) fn leave_schedule(&mut self, job: &Job) {
        let Some(schedule) = &job.schedule else {
            return;
        };
        if let Some(id) = self.schedules.leave(schedule, &job.name) {
            self.timers.cancel(&Deadline::Schedule(id));
        }
    }

    pub(crate) fn on_schedule_due(&mut self, id: ScheduleId, fx: &mut Effects) {
        let now = self.now;
        let Some(entry) = self.schedules.get_mut(id) else {
            return;
        };
        let from = std::mem::replace(&mut entry.done_until, now);
        let schedule = Arc::clone(&entry.schedule);
        let jobs: Vec<JobName> = entry.jobs.iter().cloned().collect();
        for name in jobs {
            let Some(entry) = self.jobs.get(&name) else {
                continue;
            };
            let Ok(job) = &entry.document else { continue };
            let (job, from) = (Arc::clone(job), from.max(entry.effective_from));
            self.fire(&job, &schedule, from, fx);
        }
        if let Some(next) = schedule.next_after(now) {
            self.timers.set(Deadline::Schedule(id), next);
        }
        self.raise_watermark(fx);
    }

    /// Every firing up to now has been dealt with: from now on a new leader need not look back
    /// further. Also called when a document takes effect, so that it never fires for the past.
    pub(crate) fn raise_watermark(&mut self, fx: &mut Effects) {
        self.watermark = self.watermark.max(self.now);
        let record = WatermarkRecord { version: 1, watermark: self.watermark };
        put_json(fx, Key::Watermark, &record);
    }

    /// Deals with the firings of one job in `(from, now]`.
    fn fire(
        &mut self,
        job: &Arc<Job>,
        schedule: &BoundedSchedule,
        from: Timestamp,
        fx: &mut Effects,
    ) {
        let now = self.now;
        if let Some(reason) = self.disabled_reason(&job.name, &job.app) {
            self.miss_all(job, schedule, from, &reason, fx);
            return;
        }
        let window_from = match job.misfire.window_ms {
            Some(window) => from.max(now.saturating_sub(window)),
            None => from,
        };
        if window_from > from {
            self.miss(job, schedule, from, window_from, "older than the misfire window", fx);
        }
        match job.misfire.policy {
            MisfirePolicy::All => self.fire_all(job, schedule, window_from, fx),
            MisfirePolicy::Coalesce | MisfirePolicy::Skip => {
                self.fire_latest(job, schedule, window_from, fx);
            }
        }
    }

    /// Each firing gets its run, up to the bound.
    fn fire_all(
        &mut self,
        job: &Arc<Job>,
        schedule: &BoundedSchedule,
        from: Timestamp,
        fx: &mut Effects,
    ) {
        let pending = self.jobs.get(&job.name).map_or(0, |entry| entry.pending.len());
        let room = (job.misfire.max_pending as usize).saturating_sub(pending);
        let (firings, more) = schedule.firings_between(from, self.now, room);
        let last = firings.last().copied().unwrap_or(from);
        for at in firings {
            self.fire_one(job, at, fx);
        }
        if more || room == 0 {
            let reason =
                format!("maxPending: {} runs are pending already", job.misfire.max_pending);
            self.miss(job, schedule, last, self.now, &reason, fx);
        }
    }

    /// The latest firing stands for all.
    fn fire_latest(
        &mut self,
        job: &Arc<Job>,
        schedule: &BoundedSchedule,
        from: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(latest) = schedule.last_at_or_before(self.now, from) else {
            return;
        };
        let just_before = latest.plus_millis(-1);
        if just_before > from {
            self.miss(job, schedule, from, just_before, "missed; a later firing stands for it", fx);
        }
        let pending = self.jobs.get(&job.name).and_then(|entry| entry.pending.first().cloned());
        let late_ms = self.now.since(latest);
        let reason = match (job.misfire.policy, pending, self.active.get(&job.name)) {
            (_, Some((_, run)), _) => format!("run {run} is pending and stands for it"),
            (MisfirePolicy::Skip, None, Some(run)) => format!("run {run} has not ended"),
            (MisfirePolicy::Skip, None, None) if late_ms > LATE_MS => {
                format!("noticed {late_ms} ms late")
            }
            _ => {
                self.fire_one(job, latest, fx);
                return;
            }
        };
        self.miss(job, schedule, just_before, latest, &reason, fx);
    }

    /// Makes the run of one firing, as the concurrency rule allows.
    fn fire_one(&mut self, job: &Arc<Job>, at: Timestamp, fx: &mut Effects) {
        if let Some(active) = self.active.get(&job.name).cloned() {
            match job.concurrency {
                Concurrency::Forbid => {}
                Concurrency::Skip => {
                    let reason = format!("run {active} has not ended");
                    self.trace_missed(job, at, at, 1, reason, fx);
                    return;
                }
                Concurrency::Replace => self.cancel_active(&active, KillIntent::Replace, fx),
            }
        }
        self.enqueue(
            job,
            RunId::scheduled(&job.name, at),
            at,
            Origin::Schedule,
            Overrides::default(),
            fx,
        );
    }

    fn miss_all(
        &mut self,
        job: &Arc<Job>,
        schedule: &BoundedSchedule,
        from: Timestamp,
        reason: &str,
        fx: &mut Effects,
    ) {
        self.miss(job, schedule, from, self.now, reason, fx);
    }

    /// Notes the firings in `(from, until]` that get no run.
    fn miss(
        &mut self,
        job: &Arc<Job>,
        schedule: &BoundedSchedule,
        from: Timestamp,
        until: Timestamp,
        reason: &str,
        fx: &mut Effects,
    ) {
        let (firings, more) = schedule.firings_between(from, until, GAP_FIRINGS_MAX);
        let Some(first) = firings.first().copied() else {
            return;
        };
        let last = if more {
            schedule.last_at_or_before(until, from).unwrap_or(first)
        } else {
            firings.last().copied().unwrap_or(first)
        };
        self.trace_missed(job, first, last, firings.len() as u64, reason.to_owned(), fx);
    }

    fn trace_missed(
        &self,
        job: &Job,
        first: Timestamp,
        last: Timestamp,
        count: u64,
        reason: String,
        fx: &mut Effects,
    ) {
        let (job, app, at) = (job.name.clone(), job.app.clone(), self.now);
        fx.trace(Trace::Missed { job, app, first, last, count, reason, at });
    }

    /// Puts a run into its job's queue. A run that is there already is left as it is.
    pub(crate) fn enqueue(
        &mut self,
        job: &Arc<Job>,
        id: RunId,
        logical_time: Timestamp,
        origin: Origin,
        overrides: Overrides,
        fx: &mut Effects,
    ) {
        if self.runs.contains_key(&id) {
            return;
        }
        let run = Run {
            id: id.clone(),
            job: Arc::clone(job),
            app: None,
            logical_time,
            attempt: 1,
            origin,
            created_at: self.now,
            launched_at: None,
            started_at: None,
            overrides,
            shards: Vec::new(),
            wait: Wait::NotConsidered,
            idle: Vec::new(),
        };
        self.runs.insert(id.clone(), run);
        if let Some(entry) = self.jobs.get_mut(&job.name) {
            entry.pending.insert((logical_time, id.clone()));
        }
        if let Some(limit) = job.queue_timeout_ms {
            self.timers.set(Deadline::QueueTimeout(id.clone()), self.now.saturating_add(limit));
        }
        self.dirty.insert(id);
        self.write_ready_count(&job.name, fx);
        self.refresh_ready(&job.name);
    }

    /// A DAEMON job that may run and has no run gets one.
    pub(crate) fn ensure_daemon(&mut self, name: &JobName, fx: &mut Effects) {
        let Some(entry) = self.jobs.get(name) else {
            return;
        };
        let Ok(job) = &entry.document else { return };
        let job = Arc::clone(job);
        if job.execution != Execution::Daemon
            || !entry.pending.is_empty()
            || self.active.contains_key(name)
            || self.disabled_reason(name, &job.app).is_some()
        {
            return;
        }
        let mut at = self.now;
        let mut id = RunId::scheduled(name, at);
        // Two documents in the same millisecond: the next one is the next run.
        while self.runs.contains_key(&id) {
            at = at.plus_millis(1);
            id = RunId::scheduled(name, at);
        }
        self.enqueue(&job, id, at, Origin::Daemon, Overrides::default(), fx);
    }
}
