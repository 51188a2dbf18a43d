//! What follows from the end of a task that did not succeed: tried again, run again elsewhere, or the
//! end of its shard. Absent: which update means what (`status.rs`).

use crate::document::Backoff;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::event::Outcome;
use crate::ids::{AgentId, RunId, TaskId};
use crate::record::{KillIntent, ShardOutcome};

/// How often a shard may ask to be run again later: at the longest default back-off it is eight
/// hours. Beyond it, the exit code counts as the failure it hides.
const LATERS_MAX: u32 = 100;

impl Engine {
    /// The work of a shard failed: tried again as its policy says, or failed for good.
    pub(crate) fn work_failed(
        &mut self,
        id: &RunId,
        item: u32,
        outcome: Option<&Outcome>,
        fx: &mut Effects,
    ) {
        let random = self.random.unit();
        let now = self.now;
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        if run.is_daemon() {
            return self.lose(id, item, fx);
        }
        let Some(job) = run.job.whole() else { return };
        let Some(shard) = run.shard_mut(item) else {
            return;
        };
        let code = outcome.and_then(|outcome| outcome.exit_code);
        let later = code.is_some_and(|code| job.retry.later_exit_codes.contains(&code));
        if later && shard.laters < LATERS_MAX {
            shard.laters += 1;
            let due = now.saturating_add(job.retry.backoff.delay_ms(shard.laters, random));
            return self.shard_waits(id, item, due, None, fx);
        }
        shard.failures += 1;
        let failures = shard.failures;
        let timed_out = match (job.timeout_ms, outcome) {
            (Some(limit), Some(outcome)) => {
                outcome.usage.is_some_and(|usage| usage.duration_ms >= limit)
            }
            _ => false,
        };
        let retried = job.retry.exit_codes.is_empty()
            || code.is_some_and(|code| job.retry.exit_codes.contains(&code));
        if timed_out {
            self.shard_ended(id, item, ShardOutcome::TimedOut, fx);
        } else if failures < job.retry.max_attempts && retried {
            let due = now.saturating_add(job.retry.backoff.delay_ms(failures, random));
            self.shard_waits(id, item, due, None, fx);
        } else {
            self.shard_ended(id, item, ShardOutcome::Failed, fx);
        }
    }

    /// A shard was lost with what it ran on: launched again if the job asks for it.
    pub(crate) fn lose(&mut self, id: &RunId, item: u32, fx: &mut Effects) {
        let random = self.random.unit();
        let now = self.now;
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let again = run.job.rules.failover || run.is_daemon();
        let Some(shard) = run.shard_mut(item) else {
            return;
        };
        if !again {
            return self.shard_ended(id, item, ShardOutcome::Failed, fx);
        }
        shard.losses = shard.losses.saturating_add(1);
        let due = now.saturating_add(Backoff::default().delay_ms(shard.losses, random));
        let avoid = shard.task_id.as_ref().and_then(agent_of);
        self.shard_waits(id, item, due, avoid, fx);
    }

    /// A task we were killing has ended: what that means was decided when it was killed.
    pub(crate) fn after_kill(
        &mut self,
        id: &RunId,
        item: u32,
        intent: Option<KillIntent>,
        fx: &mut Effects,
    ) {
        let Some(intent) = intent else { return };
        if intent == KillIntent::Relaunch {
            let avoid = self
                .runs
                .get(id)
                .and_then(|run| run.shard(item)?.task_id.as_ref().and_then(agent_of));
            self.shard_waits(id, item, self.now, avoid, fx);
        } else {
            self.set_message(id, item, intent.words());
            self.shard_ended(id, item, intent.outcome(), fx);
        }
    }
}

/// The agent stands in the task's id.
fn agent_of(task: &TaskId) -> Option<AgentId> {
    task.as_str().split(crate::ids::ID_DELIMITER).nth(3).map(AgentId::new)
}
