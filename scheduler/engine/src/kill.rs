//! Ending tasks before their time: on request, by time-outs, and again when a kill got lost.

use crate::effect::{Action, Effects};
use crate::engine::Engine;
use crate::ids::{RunId, TaskId};
use crate::record::{KillIntent, Phase};
use crate::timers::Deadline;

impl Engine {
    /// Kills the live task of a shard. What its end will mean is recorded first.
    pub(crate) fn kill_shard(
        &mut self,
        id: &RunId,
        item: u32,
        intent: KillIntent,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let Some(shard) = run.shard_mut(item) else {
            return;
        };
        // A kill that ends the run outweighs one that would launch the shard again.
        if let Phase::Killing { intent: old, .. } = &mut shard.phase {
            if *old == KillIntent::Relaunch && intent != KillIntent::Relaunch {
                *old = intent;
                self.dirty.insert(id.clone());
            }
            return;
        }
        let Some((task, agent)) = shard.live_task().map(|(t, a)| (t.clone(), a.clone())) else {
            return;
        };
        let out_of_reach = matches!(shard.phase, Phase::Unreachable { .. });
        shard.phase = Phase::Killing { agent, since: now, intent };
        self.dirty.insert(id.clone());
        if out_of_reach {
            self.give_up_unreachable(task.clone());
        }
        self.timers.cancel(&Deadline::Launch(task.clone()));
        self.send_kill(&task, fx);
    }

    fn send_kill(&mut self, task: &TaskId, fx: &mut Effects) {
        let Some((run, item)) = self.tasks.get(task) else {
            return;
        };
        let Some(run) = self.runs.get(run) else {
            return;
        };
        let Some(agent) = run.shard(*item).and_then(|shard| shard.phase.agent()) else {
            return;
        };
        let grace_ms = run.job.rules.kill_grace_period_ms;
        fx.action(Action::Kill { task: task.clone(), agent: agent.clone(), grace_ms });
        let again = grace_ms.saturating_add(self.settings.kill_retry_ms);
        self.timers.set(Deadline::Kill(task.clone()), self.now.saturating_add(again));
    }

    /// A killed task has not ended in its time: the kill may have been lost.
    pub(crate) fn on_kill_overdue(&mut self, task: &TaskId, fx: &mut Effects) {
        self.send_kill(task, fx);
    }

    /// A launched task never came to run.
    pub(crate) fn on_launch_timeout(&mut self, task: &TaskId, fx: &mut Effects) {
        if self.postpone_unanswered(task, Deadline::Launch(task.clone())) {
            return;
        }
        let Some((run, item)) = self.tasks.get(task).cloned() else {
            return;
        };
        let limit = self.settings.launch_timeout_ms;
        self.set_message(&run, item, &format!("did not run within {limit} ms after its launch"));
        self.kill_shard(&run, item, KillIntent::Relaunch, fx);
    }

    pub(crate) fn on_run_timeout(&mut self, run: &RunId, fx: &mut Effects) {
        self.cancel_active(run, KillIntent::Timeout, fx);
    }
}
