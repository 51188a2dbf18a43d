//! The master: subscription, reconciliation, and what is gone. Nothing is declared lost before
//! the master has answered or has had its time to.

use std::collections::BTreeSet;

use crate::effect::{Action, Effects};
use crate::engine::{Engine, delete};
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::record::{Key, Phase, framework_id_bytes};
use crate::timers::Deadline;

/// Tasks in one RECONCILE: keeps a call well under a megabyte.
const RECONCILE_BATCH: usize = 5_000;
/// The first repetition of a reconciliation; each further one waits twice as long.
const RECONCILE_RETRY_MS: u64 = 5_000;
/// The longest such wait.
const RECONCILE_RETRY_MAX_MS: u64 = 60_000;
/// A periodic reconciliation leaves out launches younger than this: they are on their way.
const RECONCILE_YOUNG_MS: i64 = 60_000;

impl Engine {
    pub(crate) fn on_subscribed(&mut self, framework: FrameworkId, fx: &mut Effects) {
        if self.framework.as_ref() != Some(&framework) {
            let value = Some(framework_id_bytes(&framework));
            fx.write(crate::record::Write { key: Key::FrameworkId, value });
            self.framework = Some(framework);
        }
        self.connected = true;
        if self.suppressed || self.filters.is_some() {
            // What was decided under the subscription before may only leave now, behind a slow commit:
            // the master would then keep away what is believed to come.
            fx.action(Action::Revive);
        }
        self.suppressed = false;
        self.filters = None;
        self.fleet.clear_leases();
        self.place_needed = true;
        self.unanswered = self.tasks.keys().cloned().collect();
        self.reconcile_tries = 0;
        self.reconcile_unanswered(fx);
        fx.action(Action::Reconcile { tasks: Vec::new() });
        let now = self.now;
        let grace = self.heard_at().saturating_add(self.settings.reconcile_grace_ms);
        self.timers.set(Deadline::ReconcileGrace, grace);
        let periodic = now.saturating_add(self.settings.reconcile_interval_ms);
        self.timers.set(Deadline::Reconcile, periodic);
    }

    pub(crate) fn on_disconnected(&mut self) {
        self.connected = false;
        self.fleet.clear_leases();
        for deadline in [Deadline::Reconcile, Deadline::ReconcileRetry, Deadline::ReconcileGrace] {
            self.timers.cancel(&deadline);
        }
    }

    /// Its tasks were killed by the master; nobody will send their states any more.
    pub(crate) fn on_framework_removed(&mut self, fx: &mut Effects) {
        self.on_disconnected();
        self.fleet = crate::fleet::Fleet::default();
        self.framework = None;
        delete(fx, Key::FrameworkId);
        let tasks: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for task in tasks {
            let message = "the master removed this framework and killed its tasks".to_owned();
            self.declare_lost(&task, message, fx);
        }
        fx.action(Action::SubscribeAnew);
    }

    /// An executor or agent is gone. Its tasks' own updates say how each ended, and may say that
    /// one had finished: so they are asked for instead of guessed.
    pub(crate) fn on_failure(
        &mut self,
        agent: &AgentId,
        executor: Option<&ExecutorId>,
        fx: &mut Effects,
    ) {
        let held: Vec<TaskId> = if let Some(executor) = executor {
            let of = self.fleet.executors_on(agent).filter(|own| own.id(agent) == *executor);
            let held: Vec<TaskId> =
                of.flat_map(|own| own.tasks.iter().chain(&own.former)).cloned().collect();
            let coming: BTreeSet<TaskId> =
                held.iter().filter(|task| self.may_be_on_its_way(task)).cloned().collect();
            self.fleet.executor_gone(agent, executor, |task| coming.contains(task));
            held
        } else {
            let live = self.live(self.tasks.keys());
            let used: BTreeSet<&AgentId> = live.iter().map(|(_, on)| on).collect();
            self.fleet.forget_agent(agent, |agent| used.contains(agent));
            live.into_iter().filter(|(_, on)| on == agent).map(|(task, _)| task).collect()
        };
        // What was refused because of it may fit now.
        self.place_needed = true;
        let tasks = self.live(held.iter());
        self.ask_about(tasks, fx);
    }

    /// A task that is not known to have been taken up: its launch may still be on its way.
    pub(crate) fn may_be_on_its_way(&self, task: &TaskId) -> bool {
        let shard = self.tasks.get(task).and_then(|(run, item)| self.runs.get(run)?.shard(*item));
        let phase = shard.map(|shard| &shard.phase);
        matches!(phase, Some(Phase::Launching { .. } | Phase::Killing { .. }))
    }

    /// A launch may not have reached the master: it is asked.
    pub(crate) fn on_launch_failed(&mut self, tasks: &[TaskId], fx: &mut Effects) {
        let asked = self.live(tasks.iter());
        self.ask_about(asked, fx);
        self.place_needed = true;
    }

    /// The tasks with the agents they are on.
    fn live<'a>(&self, tasks: impl Iterator<Item = &'a TaskId>) -> Vec<(TaskId, AgentId)> {
        tasks
            .filter_map(|task| {
                let (run, item) = self.tasks.get(task)?;
                let agent = self.runs.get(run)?.shard(*item)?.phase.agent()?;
                Some((task.clone(), agent.clone()))
            })
            .collect()
    }

    fn ask_about(&mut self, tasks: Vec<(TaskId, AgentId)>, fx: &mut Effects) {
        if tasks.is_empty() || !self.connected {
            return;
        }
        self.unanswered.extend(tasks.iter().map(|(task, _)| task.clone()));
        for batch in tasks.chunks(RECONCILE_BATCH) {
            fx.action(Action::Reconcile { tasks: batch.to_vec() });
        }
        let retry = self.now.saturating_add(RECONCILE_RETRY_MS);
        self.timers.set_no_later(Deadline::ReconcileRetry, retry);
        let grace = self.heard_at().saturating_add(self.settings.reconcile_grace_ms);
        self.timers.set(Deadline::ReconcileGrace, grace);
    }

    fn reconcile_unanswered(&mut self, fx: &mut Effects) {
        let tasks = self.live(self.unanswered.iter());
        for batch in tasks.chunks(RECONCILE_BATCH) {
            fx.action(Action::Reconcile { tasks: batch.to_vec() });
        }
        if !tasks.is_empty() {
            let wait_ms = RECONCILE_RETRY_MS
                .saturating_mul(1 << self.reconcile_tries.min(10))
                .min(RECONCILE_RETRY_MAX_MS);
            self.reconcile_tries += 1;
            let at = self.now.saturating_add(wait_ms);
            self.timers.set(Deadline::ReconcileRetry, at);
        }
    }

    pub(crate) fn on_reconcile_retry(&mut self, fx: &mut Effects) {
        if self.connected {
            self.reconcile_unanswered(fx);
        }
    }

    pub(crate) fn on_reconcile_due(&mut self, fx: &mut Effects) {
        let at = self.now.saturating_add(self.settings.reconcile_interval_ms);
        self.timers.set(Deadline::Reconcile, at);
        self.reconcile_all(fx);
    }

    /// Asks about every task that is not just being launched.
    pub(crate) fn reconcile_all(&mut self, fx: &mut Effects) {
        let now = self.now;
        let mut tasks = self.live(self.tasks.keys());
        tasks.retain(|(task, _)| {
            let shard =
                self.tasks.get(task).and_then(|(run, item)| self.runs.get(run)?.shard(*item));
            match shard.map(|shard| &shard.phase) {
                Some(Phase::Launching { since, .. }) => now.since(*since) > RECONCILE_YOUNG_MS,
                _ => true,
            }
        });
        self.ask_about(tasks, fx);
        if self.connected {
            fx.action(Action::Reconcile { tasks: Vec::new() });
        }
    }

    pub(crate) fn on_reconcile_grace(&mut self, fx: &mut Effects) {
        for task in std::mem::take(&mut self.unanswered) {
            let message = format!(
                "the master did not answer about it within {} ms",
                self.settings.reconcile_grace_ms
            );
            self.declare_lost(&task, message, fx);
        }
    }
}
