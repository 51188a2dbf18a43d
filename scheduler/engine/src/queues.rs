//! The ready queue, the failover queue, and how a run ends.

use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::effect::{Effects, Trace};
use crate::engine::{Engine, ReadyKey, delete, put_text};
use crate::ids::{AgentId, JobName, RunId};
use crate::record::{Key, KillIntent, Origin, Phase, ShardOutcome};
use crate::run::{Requested, Run};
use crate::timers::Deadline;
use crate::view::{DocumentText, RunState};
use crate::wait::Wait;

/// Runs made on request that ended lately and are remembered.
const ENDED_REQUESTS_MAX: usize = 10_000;

impl Engine {
    /// Puts the pending runs of a job that may start among the ready runs and takes the others out.
    pub(crate) fn refresh_ready(&mut self, job: &JobName) {
        let Some(entry) = self.jobs.get(job) else {
            return;
        };
        let room = match &entry.document {
            Ok(document) => {
                (document.rules.active_max() as usize).saturating_sub(self.active_count(job))
            }
            Err(_) => 0,
        };
        let ready: Vec<ReadyKey> = entry
            .pending
            .iter()
            .filter_map(|(_, id)| self.runs.get(id))
            .filter(|run| run.held_until() <= self.now)
            // One of an app that the job has left and that is disabled does not hold up the others.
            .filter(|run| !self.is_disabled(entry, &run.job.app))
            .take(room)
            .map(Self::ready_key)
            .collect();
        let old = if ready.is_empty() {
            self.ready_of.remove(job)
        } else {
            self.ready_of.insert(job.clone(), ready.clone())
        };
        let old = old.unwrap_or_default();
        for key in old.iter().filter(|key| !ready.contains(key)) {
            self.ready.remove(key);
        }
        for key in ready {
            if !old.contains(&key) {
                self.ready.insert(key);
                self.place_needed = true;
            }
        }
    }

    /// Sets what a pending run waits for: the end of its being held back, and its expiry.
    pub(crate) fn set_queue_timers(
        &mut self,
        id: &RunId,
        held_until: Timestamp,
        expires_at: Option<Timestamp>,
    ) {
        if held_until > self.now {
            self.timers.set(Deadline::Held(id.clone()), held_until);
        }
        if let Some(at) = expires_at {
            self.timers.set(Deadline::QueueTimeout(id.clone()), at);
        }
    }

    pub(crate) fn on_held_due(&mut self, run: &RunId) {
        self.refresh_ready(&run.job());
    }

    /// Writes the number of a job's pending runs.
    pub(crate) fn write_ready_count(&self, job: &JobName, fx: &mut Effects) {
        let count = self.jobs.get(job).map_or(0, |entry| entry.pending.len());
        let key = Key::ReadyCount(job.clone());
        if count == 0 { delete(fx, key) } else { put_text(fx, key, &count.to_string()) }
    }

    /// Takes a run out of the ready queue: it was launched or will never be.
    pub(crate) fn dequeue(&mut self, run: &RunId, fx: &mut Effects) {
        let Some(found) = self.runs.get(run) else {
            return;
        };
        let (job, logical_time) = (found.job.name.clone(), found.logical_time);
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.pending.remove(&(logical_time, run.clone()));
            if entry.pending.is_empty() {
                self.queued.remove(&job);
            }
        }
        self.timers.cancel(&Deadline::QueueTimeout(run.clone()));
        self.timers.cancel(&Deadline::Held(run.clone()));
        delete(fx, Key::Ready(job.clone(), run.clone()));
        self.write_ready_count(&job, fx);
        self.refresh_ready(&job);
    }

    /// Ends a run that never started.
    pub(crate) fn end_pending(
        &mut self,
        run: &RunId,
        state: RunState,
        reason: String,
        fx: &mut Effects,
    ) {
        self.dequeue(run, fx);
        if let Some(ended) = self.take_run(run) {
            self.trace_end(ended, state, Some(reason), fx);
        }
    }

    pub(crate) fn on_queue_timeout(&mut self, run: &RunId, fx: &mut Effects) {
        let Some(found) = self.runs.get(run).filter(|run| run.is_pending()) else {
            return;
        };
        if found.origin == Origin::Schedule && found.logical_time > self.watermark {
            // Whoever leads next would make it once more, had it ended before the watermark covers it.
            return self.round.expire_at_end(run.clone());
        }
        self.expire(run, fx);
    }

    /// A run has waited too long.
    pub(crate) fn expire(&mut self, run: &RunId, fx: &mut Effects) {
        let Some(found) = self.runs.get(run).filter(|run| run.is_pending()) else {
            return;
        };
        let waited = found.job.rules.queue_timeout_ms.unwrap_or_default();
        let reason = format!("waited longer than queueTimeout ({waited} ms): {}", found.wait);
        self.end_pending(run, RunState::Expired, reason, fx);
    }

    /// A shard waits to be launched again: after `due`, away from `avoid` if possible.
    pub(crate) fn shard_waits(
        &mut self,
        run: &RunId,
        item: u32,
        due: Timestamp,
        avoid: Option<AgentId>,
        fx: &mut Effects,
    ) {
        let Some(found) = self.runs.get_mut(run) else {
            return;
        };
        let key = found.failover_key(item);
        let Some(shard) = found.shard_mut(item) else {
            return;
        };
        shard.phase = Phase::Waiting { due, avoid };
        if let Some(task) = &shard.task_id {
            put_text(fx, key, task.as_str());
        }
        self.dirty.insert(run.clone());
        self.queue_shard(run, item, due);
    }

    /// Queues a waiting shard for its due time.
    pub(crate) fn queue_shard(&mut self, run: &RunId, item: u32, due: Timestamp) {
        if due > self.now {
            self.timers.set(Deadline::Waiting(run.clone(), item), due);
        } else {
            self.on_shard_due(run, item);
        }
    }

    pub(crate) fn on_shard_due(&mut self, run: &RunId, item: u32) {
        let Some(found) = self.runs.get(run) else {
            return;
        };
        if found.shard(item).is_some_and(|shard| matches!(shard.phase, Phase::Waiting { .. })) {
            self.due.insert((Self::ready_key(found), item));
            self.place_needed = true;
        }
    }

    /// Takes a shard out of the failover queue.
    pub(crate) fn unqueue_shard(&mut self, run: &RunId, item: u32, fx: &mut Effects) {
        let Some(found) = self.runs.get(run) else {
            return;
        };
        self.due.remove(&(Self::ready_key(found), item));
        self.timers.cancel(&Deadline::Waiting(run.clone(), item));
        delete(fx, found.failover_key(item));
    }

    /// A shard has ended for good; if it was the last, so has its run.
    pub(crate) fn shard_ended(
        &mut self,
        run: &RunId,
        item: u32,
        outcome: ShardOutcome,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let Some(found) = self.runs.get_mut(run) else {
            return;
        };
        let Some(shard) = found.shard_mut(item) else {
            return;
        };
        shard.phase = Phase::Ended { outcome, at: now };
        self.dirty.insert(run.clone());
        if let Some(state) = self.runs.get(run).and_then(Run::final_state) {
            self.end_active(run, state, fx);
        }
    }

    fn end_active(&mut self, run: &RunId, state: RunState, fx: &mut Effects) {
        let Some(ended) = self.take_run(run) else {
            return;
        };
        let job = ended.job.name.clone();
        self.deactivate(&job, run);
        self.timers.cancel(&Deadline::RunTimeout(run.clone()));
        delete(fx, ended.key());
        let reason = end_reason(&ended, state);
        self.trace_end(ended, state, reason, fx);
        self.ensure_daemon(&job, fx);
        self.expire_before_start(&job, fx);
        self.refresh_ready(&job);
    }

    fn trace_end(&mut self, run: Run, state: RunState, reason: Option<String>, fx: &mut Effects) {
        if matches!(run.origin, Origin::Trigger | Origin::Rerun) {
            self.ended_requests.push_back((run.id.clone(), Requested::of(&run)));
            if self.ended_requests.len() > ENDED_REQUESTS_MAX {
                self.ended_requests.pop_front();
            }
        }
        let mut view = run.view();
        view.state = state;
        view.reason = reason;
        view.finished_at = Some(self.now);
        // Made once more, it is made with the document it had.
        view.document = Some(DocumentText(Arc::clone(&run.job.source)));
        fx.trace(Trace::Run(Box::new(view)));
    }

    /// Ends an active run: live tasks are killed, waiting shards end at once.
    pub(crate) fn cancel_active(&mut self, run: &RunId, intent: KillIntent, fx: &mut Effects) {
        let Some(found) = self.runs.get(run) else {
            return;
        };
        let items: Vec<u32> = found.shards.iter().map(|shard| shard.item).collect();
        for item in items {
            let Some(shard) = self.runs.get(run).and_then(|run| run.shard(item)) else {
                continue;
            };
            match shard.phase {
                Phase::Waiting { .. } => {
                    self.unqueue_shard(run, item, fx);
                    self.set_message(run, item, intent.words());
                    self.shard_ended(run, item, intent.outcome(), fx);
                }
                Phase::Ended { .. } => {}
                _ => self.kill_shard(run, item, intent, fx),
            }
        }
    }

    pub(crate) fn set_message(&mut self, run: &RunId, item: u32, message: &str) {
        if let Some(shard) = self.runs.get_mut(run).and_then(|run| run.shard_mut(item)) {
            shard.message = Some(message.to_owned());
        }
    }

    /// Why a pending run waits now.
    pub(crate) fn wait_of(&self, run: &Run) -> Wait {
        let job = &run.job.name;
        if let Some(reason) = self.disabled_reason(job, &run.job.app) {
            return Wait::Disabled(reason);
        }
        if run.is_pending() {
            if run.held_until() > self.now {
                return Wait::Jitter(run.held_until());
            }
            if let Some(wait) = self.wait_for_others(run) {
                return wait;
            }
        }
        if self.connected { run.wait.clone() } else { Wait::Disconnected }
    }

    /// The runs of the same job that a pending run must wait for.
    fn wait_for_others(&self, run: &Run) -> Option<Wait> {
        let job = &run.job.name;
        let (active, max) = (self.active_count(job), self.active_max(job));
        if active >= max {
            let first = self.active_runs(job).next()?;
            return Some(match max {
                1 => Wait::ActiveRun(first.id.clone()),
                _ => Wait::Full { active, max },
            });
        }
        let all = self.ready_of.get(job)?;
        if all.iter().any(|(_, _, ready)| *ready == run.id) {
            return None;
        }
        let (_, _, before) = all.first()?;
        Some(Wait::Behind(before.clone()))
    }
}

/// What is to be said about a run that ended: the first shard that did not succeed says it.
fn end_reason(run: &Run, state: RunState) -> Option<String> {
    if state == RunState::Succeeded {
        return None;
    }
    let shard = run.shards.iter().find(|shard| match shard.phase {
        Phase::Ended { outcome, .. } => outcome.run_state() == state,
        _ => false,
    })?;
    let message = shard.message.as_deref().unwrap_or("no message");
    Some(format!("shard {}: {message}", shard.item))
}

// === impl ShardOutcome ===

impl ShardOutcome {
    fn run_state(self) -> RunState {
        match self {
            Self::Succeeded => RunState::Succeeded,
            Self::Failed => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
            Self::TimedOut => RunState::TimedOut,
        }
    }
}

// === impl KillIntent ===

impl KillIntent {
    /// How a shard that ends by this counts.
    pub(crate) fn outcome(self) -> ShardOutcome {
        match self {
            Self::Timeout => ShardOutcome::TimedOut,
            _ => ShardOutcome::Cancelled,
        }
    }

    /// What is said of it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled on request",
            Self::Timeout => "took longer than the job's timeout",
            Self::Disable => "stopped because the job or its app was disabled",
            Self::Delete => "stopped because the job or its app was deleted",
            Self::Replace => "stopped because a newer firing replaces it",
            Self::Update => "stopped because the job's document changed",
            Self::Relaunch => "killed to be launched again",
        }
    }
}
