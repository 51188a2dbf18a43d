//! What a status update means, by the state's row in the table of the behaviour paper.

use crate::document::Backoff;
use crate::effect::{Action, Effects, Trace};
use crate::engine::{Engine, delete};
use crate::event::{StatusReason, StatusUpdate, TaskState};
use crate::ids::{RunId, TaskId};
use crate::outcome;
use crate::record::{KillIntent, Phase, ShardOutcome};
use crate::run::Run;
use crate::timers::Deadline;

/// A daemon shard that ran this long has recovered: its next loss waits as briefly as the first.
const DAEMON_RECOVERED_MS: i64 = 10 * 60 * 1000;

impl Engine {
    pub(crate) fn on_status(&mut self, update: StatusUpdate, fx: &mut Effects) {
        self.handle_status(&update, fx);
        if let (Some(uuid), Some(agent)) = (update.uuid, update.agent) {
            fx.action(Action::Acknowledge { task: update.task, agent, uuid });
        }
    }

    fn handle_status(&mut self, update: &StatusUpdate, fx: &mut Effects) {
        self.unanswered.remove(&update.task);
        let Some((run, item)) = self.tasks.get(&update.task).cloned() else {
            if !self.finished_after_all(update, fx) {
                on_unknown_task(update, fx);
            }
            return;
        };
        self.trace_status(&run, item, update, fx);
        if update.reason == StatusReason::ExecutorLost {
            self.executor_lost(&run, item, &update.task);
        }
        match update.state {
            TaskState::Staging => self.on_alive(&run, item, &update.task),
            TaskState::Starting | TaskState::Killing => {
                self.confirm_executor(&run, item, &update.task);
                self.on_alive(&run, item, &update.task);
            }
            TaskState::Running => self.on_running(&run, item, update),
            TaskState::Finished => self.on_finished(&run, item, update, fx),
            // An agent that is drained kills what runs on it.
            TaskState::Killed if update.reason == StatusReason::AgentLost => {
                self.on_lost(&run, item, update, fx);
            }
            TaskState::Killed => self.on_killed(&run, item, update, fx),
            TaskState::Failed | TaskState::Error => match update.reason {
                StatusReason::ExecutorLost | StatusReason::AgentLost => {
                    self.on_lost(&run, item, update, fx);
                }
                StatusReason::ExecutorDiffers => {
                    self.executor_differs(&run, item, &update.task);
                    self.on_lost(&run, item, update, fx);
                }
                _ => self.on_work_failed(&run, item, update, fx),
            },
            TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => self.on_lost(&run, item, update, fx),
            TaskState::Unreachable => self.on_unreachable(&run, item),
        }
    }

    fn trace_status(&self, id: &RunId, item: u32, update: &StatusUpdate, fx: &mut Effects) {
        let Some(run) = self.runs.get(id) else { return };
        fx.trace(Trace::Task {
            run: id.clone(),
            job: run.job.name.clone(),
            app: run.job.app.clone(),
            is_daemon: run.is_daemon(),
            at: self.now,
            item,
            task: update.task.clone(),
            state: update.state.name(),
            message: outcome::told(update),
            submitter: run.submitter.clone(),
        });
    }

    /// The task lives. If its agent could not be reached, it can now.
    fn on_alive(&mut self, id: &RunId, item: u32, task: &TaskId) {
        let now = self.heard_at();
        self.timers.cancel(&Deadline::Unreachable(task.clone()));
        let Some(shard) = self.runs.get_mut(id).and_then(|run| run.shard_mut(item)) else {
            return;
        };
        let Phase::Unreachable { agent, started, .. } = shard.phase.clone() else {
            return;
        };
        shard.phase = match started {
            Some(since) => Phase::Running { agent, since },
            None => Phase::Launching { agent, since: now },
        };
        if started.is_none() {
            let limit = now.saturating_add(self.settings.launch_timeout_ms);
            self.timers.set(Deadline::Launch(task.clone()), limit);
        }
        self.dirty.insert(id.clone());
    }

    fn on_running(&mut self, id: &RunId, item: u32, update: &StatusUpdate) {
        self.confirm_executor(id, item, &update.task);
        let now = self.now;
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        match update.message.as_deref() {
            Some("BEGIN") => run.idle.retain(|idle| *idle != item),
            Some("COMPLETE") if !run.idle.contains(&item) => run.idle.push(item),
            _ => {}
        }
        let daemon = run.is_daemon();
        let Some(shard) = run.shard_mut(item) else {
            return;
        };
        if matches!(shard.phase, Phase::Unreachable { .. } | Phase::Killing { .. }) {
            self.timers.cancel(&Deadline::Unreachable(update.task.clone()));
        }
        let since = match &shard.phase {
            Phase::Launching { .. } => now,
            Phase::Unreachable { started, .. } => started.unwrap_or(now),
            // Told again, or a firing of a daemon: nothing to store.
            _ => {
                if let Some(outcome) = &update.outcome {
                    shard.note_firing(outcome);
                }
                return;
            }
        };
        let Some(agent) = shard.phase.agent().cloned() else {
            return;
        };
        shard.phase = Phase::Running { agent, since };
        self.timers.cancel(&Deadline::Launch(update.task.clone()));
        self.dirty.insert(id.clone());
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        if run.started_at.is_none() {
            run.started_at = Some(now);
            if let Some(timeout) = run.job.rules.timeout_ms.filter(|_| !daemon) {
                let at = now.saturating_add(timeout);
                self.timers.set(Deadline::RunTimeout(id.clone()), at);
            }
        }
    }

    fn on_finished(&mut self, id: &RunId, item: u32, update: &StatusUpdate, fx: &mut Effects) {
        self.confirm_executor(id, item, &update.task);
        let intent = self.end_task(id, item, update, fx);
        let Some(run) = self.runs.get(id) else { return };
        if run.is_daemon() && intent.is_none() {
            // A daemon has no end of its own.
            self.lose(id, item, fx);
        } else if run.is_daemon() {
            self.after_kill(id, item, intent, fx);
        } else {
            self.shard_ended(id, item, ShardOutcome::Succeeded, fx);
        }
    }

    /// A task that was taken for lost had finished: nothing is done again that need not be, as long
    /// as its shard still waits to be launched anew.
    fn finished_after_all(&mut self, update: &StatusUpdate, fx: &mut Effects) -> bool {
        let (TaskState::Finished, Some((job, item))) = (update.state, update.task.job_and_item())
        else {
            return false;
        };
        let waits_after_it = |run: &&Run| {
            let shard = run.shard(item).filter(|_| !run.is_daemon());
            shard.is_some_and(|shard| {
                matches!(shard.phase, Phase::Waiting { .. })
                    && shard.task_id.as_ref() == Some(&update.task)
            })
        };
        let Some(id) = self.active_runs(&job).find(waits_after_it).map(|run| run.id.clone()) else {
            return false;
        };
        self.trace_status(&id, item, update, fx);
        self.unqueue_shard(&id, item, fx);
        if let Some(run) = self.runs.get_mut(&id) {
            let shards = run.shards.len();
            if let Some(shard) = run.shard_mut(item) {
                shard.note_end(update, shards);
            }
        }
        self.shard_ended(&id, item, ShardOutcome::Succeeded, fx);
        true
    }

    fn on_killed(&mut self, id: &RunId, item: u32, update: &StatusUpdate, fx: &mut Effects) {
        match self.end_task(id, item, update, fx) {
            None => self.work_failed(id, item, None, fx),
            intent => self.after_kill(id, item, intent, fx),
        }
    }

    fn on_work_failed(&mut self, id: &RunId, item: u32, update: &StatusUpdate, fx: &mut Effects) {
        if update.state == TaskState::Failed {
            self.confirm_executor(id, item, &update.task);
        }
        match self.end_task(id, item, update, fx) {
            None => self.work_failed(id, item, update.outcome.as_ref(), fx),
            intent => self.after_kill(id, item, intent, fx),
        }
    }

    /// The task went away with what it ran on.
    fn on_lost(&mut self, id: &RunId, item: u32, update: &StatusUpdate, fx: &mut Effects) {
        let phase = self.runs.get(id).and_then(|run| run.shard(item)).map(|s| s.phase.clone());
        let intent = self.end_task(id, item, update, fx);
        if intent.is_some() {
            return self.after_kill(id, item, intent, fx);
        }
        let never_launched = matches!(phase, Some(Phase::Launching { .. }))
            && match update.state {
                TaskState::Dropped => true,
                TaskState::Error => update.reason == StatusReason::ExecutorDiffers,
                // Its agent is registered and does not know it: the launch never arrived.
                TaskState::Gone => update.reason == StatusReason::Reconciliation,
                _ => false,
            };
        if never_launched {
            self.take_back_launch(id, item, fx);
        } else {
            self.lose(id, item, fx);
        }
    }

    /// A launch that did not happen costs nothing: the shard is placed again at once. Only when it
    /// goes on not happening does it wait longer and longer, so that it never becomes a hot loop.
    fn take_back_launch(&mut self, id: &RunId, item: u32, fx: &mut Effects) {
        let random = self.random.unit();
        let Some(shard) = self.runs.get_mut(id).and_then(|run| run.shard_mut(item)) else {
            return;
        };
        shard.attempt = shard.attempt.saturating_sub(1);
        let delay_ms = match shard.losses {
            0 => 0,
            before => Backoff::default().delay_ms(before, random),
        };
        shard.losses = shard.losses.saturating_add(1);
        self.shard_waits(id, item, self.now.saturating_add(delay_ms), None, fx);
    }

    /// A task on an agent the master cannot reach may still run: it is given time, or waited for.
    fn on_unreachable(&mut self, id: &RunId, item: u32) {
        let now = self.heard_at();
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let wait_ms = run.job.rules.unreachable_timeout_ms(&self.settings);
        let Some(shard) = run.shard_mut(item) else {
            return;
        };
        let started = match &shard.phase {
            Phase::Running { since, .. } => Some(*since),
            Phase::Launching { .. } => None,
            Phase::Killing { .. } => {
                // Whether it comes back decides; it is not waited for for ever.
                if let Some(task) = shard.task_id.clone() {
                    self.give_up_unreachable(task);
                }
                return;
            }
            // Told again.
            _ => return,
        };
        let Some((task, agent)) = shard.live_task().map(|(t, a)| (t.clone(), a.clone())) else {
            return;
        };
        shard.phase = Phase::Unreachable { agent, since: now, started };
        self.timers.cancel(&Deadline::Launch(task.clone()));
        if let Some(wait_ms) = wait_ms {
            self.timers.set(Deadline::Unreachable(task), now.saturating_add(wait_ms));
        }
        self.dirty.insert(id.clone());
    }

    /// What is to end and cannot be reached is waited for so long, whatever its job says.
    pub(crate) fn give_up_unreachable(&mut self, task: TaskId) {
        let at = self.heard_at().saturating_add(self.settings.unreachable_timeout_ms);
        self.timers.set_no_later(Deadline::Unreachable(task), at);
    }

    pub(crate) fn on_unreachable_timeout(&mut self, task: &TaskId, fx: &mut Effects) {
        if self.postpone_unanswered(task, Deadline::Unreachable(task.clone())) {
            return;
        }
        let message = format!(
            "its agent was unreachable for longer than {} ms",
            self.settings.unreachable_timeout_ms
        );
        self.declare_lost(task, message, fx);
    }

    /// Nothing is concluded from a task's silence while the master does not speak to us or owes an
    /// answer about it: the deadline moves on.
    pub(crate) fn postpone_unanswered(&mut self, task: &TaskId, deadline: Deadline) -> bool {
        let unanswered = !self.connected || self.unanswered.contains(task);
        if unanswered && self.tasks.contains_key(task) {
            let later = self.now.saturating_add(self.settings.kill_retry_ms);
            self.timers.set(deadline, later);
        }
        unanswered
    }

    /// Our own verdict that a task is lost. Should it come back, it is killed.
    pub(crate) fn declare_lost(&mut self, task: &TaskId, message: String, fx: &mut Effects) {
        let update = StatusUpdate {
            task: task.clone(),
            agent: None,
            state: TaskState::Lost,
            reason: StatusReason::Other,
            message: Some(message),
            uuid: None,
            outcome: None,
        };
        self.handle_status(&update, fx);
    }

    /// Takes a task that ended out of all books; tells whether we were killing it, and why.
    fn end_task(
        &mut self,
        id: &RunId,
        item: u32,
        update: &StatusUpdate,
        fx: &mut Effects,
    ) -> Option<KillIntent> {
        self.tasks.remove(&update.task);
        let now = self.now;
        let run = self.runs.get_mut(id)?;
        // What runs has none: each was cancelled on its way there.
        let deadlines: &[fn(TaskId) -> Deadline] = match run.shard(item).map(|shard| &shard.phase) {
            Some(Phase::Running { .. }) => &[],
            Some(Phase::Launching { .. }) => &[Deadline::Launch],
            _ => &[Deadline::Launch, Deadline::Kill, Deadline::Unreachable],
        };
        for deadline in deadlines {
            self.timers.cancel(&deadline(update.task.clone()));
        }
        run.idle.retain(|idle| *idle != item);
        let shards = run.shards.len();
        let app = run.job.app.clone();
        delete(fx, run.shard_key(item));
        let shard = run.shard_mut(item)?;
        let agent = shard.phase.agent().cloned();
        let intent = match &shard.phase {
            Phase::Killing { intent, .. } => Some(*intent),
            Phase::Running { since, .. } if now.since(*since) > DAEMON_RECOVERED_MS => {
                shard.losses = 0;
                None
            }
            _ => None,
        };
        shard.note_end(update, shards);
        self.dirty.insert(id.clone());
        if let Some(agent) = agent {
            self.fleet.task_ended(&agent, &app, &update.task);
            self.drain_outdated(&agent, &app, fx);
        }
        intent
    }
}

/// A task that no record knows: an old attempt that came back, or not ours to run.
fn on_unknown_task(update: &StatusUpdate, fx: &mut Effects) {
    /// For a task of which no document is at hand.
    const GRACE_MS: u64 = 5000;
    let lives =
        matches!(update.state, TaskState::Staging | TaskState::Starting | TaskState::Running);
    if let (true, Some(agent)) = (lives, &update.agent) {
        let (task, agent) = (update.task.clone(), agent.clone());
        fx.action(Action::Kill { task, agent, grace_ms: GRACE_MS });
    }
}
