//! The ready queue, the failover queue, and how a run ends.

use shiftwork_schedule::Timestamp;

use crate::effect::{Effects, Trace};
use crate::engine::{Engine, delete, put_text};
use crate::ids::{AgentId, JobName, RunId};
use crate::record::{Key, KillIntent, Origin, Phase, ShardOutcome};
use crate::run::{Run, Wait};
use crate::timers::Deadline;
use crate::view::RunState;

/// Triggered runs that ended lately and whose keys are remembered.
const ENDED_TRIGGERS_MAX: usize = 10_000;

impl Engine {
    /// The job's first pending run may start or not: puts it among the ready runs or takes it out.
    pub(crate) fn refresh_ready(&mut self, job: &JobName) {
        let Some(entry) = self.jobs.get(job) else {
            return;
        };
        let head = entry.pending.first().and_then(|(_, id)| self.runs.get(id));
        let may_start = match head {
            Some(run) => {
                !self.active.contains_key(job)
                    && self.disabled_reason(job, &run.job.app).is_none()
                    && entry.document.is_ok()
            }
            None => false,
        };
        let key = head.filter(|_| may_start).map(Self::ready_key);
        let Some(entry) = self.jobs.get_mut(job) else {
            return;
        };
        if entry.ready == key {
            return;
        }
        if let Some(old) = std::mem::replace(&mut entry.ready, key.clone()) {
            self.ready.remove(&old);
        }
        if let Some(key) = key {
            self.ready.insert(key);
            self.place_needed = true;
        }
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
        }
        self.timers.cancel(&Deadline::QueueTimeout(run.clone()));
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
        self.dirty.remove(run);
        if let Some(ended) = self.runs.remove(run) {
            self.trace_end(ended, state, Some(reason), fx);
        }
    }

    pub(crate) fn on_queue_timeout(&mut self, run: &RunId, fx: &mut Effects) {
        let Some(found) = self.runs.get(run).filter(|run| run.is_pending()) else {
            return;
        };
        let waited = found.job.queue_timeout_ms.unwrap_or_default();
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
        let job = found.job.name.clone();
        let Some(shard) = found.shard_mut(item) else {
            return;
        };
        shard.phase = Phase::Waiting { due, avoid };
        if let Some(task) = &shard.task_id {
            put_text(fx, Key::Failover(job, item), task.as_str());
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
        delete(fx, Key::Failover(found.job.name.clone(), item));
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
        let Some(ended) = self.runs.remove(run) else {
            return;
        };
        let job = ended.job.name.clone();
        self.dirty.remove(run);
        self.active.remove(&job);
        self.timers.cancel(&Deadline::RunTimeout(run.clone()));
        delete(fx, Key::Running(job.clone()));
        let reason = end_reason(&ended, state);
        self.trace_end(ended, state, reason, fx);
        self.ensure_daemon(&job, fx);
        self.refresh_ready(&job);
    }

    fn trace_end(&mut self, run: Run, state: RunState, reason: Option<String>, fx: &mut Effects) {
        if run.origin == Origin::Trigger {
            self.ended_triggers.push_back(run.id.clone());
            if self.ended_triggers.len() > ENDED_TRIGGERS_MAX {
                self.ended_triggers.pop_front();
            }
        }
        let mut view = run.view();
        view.state = state;
        view.reason = reason;
        view.finished_at = Some(self.now);
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
        if let Some(active) = self.active.get(job).filter(|active| **active != run.id) {
            return Wait::ActiveRun(active.clone());
        }
        let head = self.jobs.get(job).and_then(|entry| entry.pending.first());
        if let Some((_, head)) = head.filter(|(_, head)| run.is_pending() && *head != run.id) {
            return Wait::Behind(head.clone());
        }
        if self.connected { run.wait.clone() } else { Wait::Disconnected }
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
