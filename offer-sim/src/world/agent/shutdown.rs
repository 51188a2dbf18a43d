//! Executors that are to leave: asked, and killed when they stay. What becomes of their tasks is
//! decided when they are gone.

use super::super::id::{ContainerId, ExecutorId, FrameworkId};
use super::super::timers::Timer;
use super::super::{Effect, Turn};
use super::Agent;
use super::executor::{End, Phase};
use super::subscribe::shutdown_event;

/// A time that does not come: the executor was killed, and only its end is awaited.
const NEVER_MS: u64 = u64::MAX;

// === impl Agent ===

impl Agent {
    /// Asks an executor to leave, and kills it after its grace. One that never subscribed cannot
    /// be asked.
    pub(super) fn shutdown(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, ExecutorId)) {
        let Some(executor) = self.executors.get_mut(key) else { return };
        if matches!(executor.phase, Phase::Terminating { .. } | Phase::Terminated) {
            return;
        }
        let container = executor.container.clone();
        match executor.take_stream() {
            Some(stream) => {
                let kill_at_ms = turn.now_ms + turn.config.executor_shutdown_grace_ms;
                let timer = Timer::Executor(self.spec.id.clone(), container);
                turn.timers.set(kill_at_ms, timer);
                turn.send_executor(&stream, shutdown_event());
                let end = End::terminated();
                executor.phase = Phase::Terminating { stream: Some(stream), kill_at_ms, end };
            }
            None => self.kill_executor(turn, key, End::terminated()),
        }
    }

    fn kill_executor(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, ExecutorId), end: End) {
        let Some(executor) = self.executors.get_mut(key) else { return };
        let stream = executor.take_stream();
        let container = executor.container.clone();
        executor.phase = Phase::Terminating { stream, kill_at_ms: NEVER_MS, end };
        self.kill(turn, &container);
    }

    /// A deadline of an executor came: to subscribe, or to leave.
    pub(in super::super) fn on_executor_deadline(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
    ) {
        let Some(key) = self.executor_in(container) else { return };
        let Some(executor) = self.executors.get(&key) else { return };
        if executor.deadline_ms().is_none_or(|deadline_ms| deadline_ms > turn.now_ms) {
            return;
        }
        let end = match &executor.phase {
            Phase::Starting { .. } => {
                End::not_registered(turn.config.executor_registration_timeout_ms)
            }
            Phase::Terminating { end, .. } => end.clone(),
            Phase::Running { .. } | Phase::Terminated => return,
        };
        self.kill_executor(turn, &key, end);
    }

    /// The framework is gone for good: its executors end, its updates are forgotten.
    pub(super) fn on_framework_removed(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        self.forget_updates_of(turn, framework);
        let of_framework = |key: &&(FrameworkId, ExecutorId)| key.0 == *framework;
        let keys: Vec<_> = self.executors.keys().filter(of_framework).cloned().collect();
        for key in keys {
            if let Some(executor) = self.executors.get_mut(&key) {
                executor.is_abandoned = true;
            }
            self.shutdown(turn, &key);
            self.forget_if_done(&key);
        }
    }

    /// The host is gone: whatever runs on it ends, and nobody is told.
    pub(in super::super) fn kill_all(&self, turn: &mut Turn<'_>) {
        for executor in self.executors.values() {
            self.kill(turn, &executor.container);
            if let Some(stream) = executor.stream() {
                turn.effects.push(Effect::CloseExecutor { stream: stream.clone() });
            }
        }
    }

    /// The agent itself leaves.
    pub(in super::super) fn on_drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        let keys: Vec<_> = self.executors.keys().cloned().collect();
        for key in keys {
            self.shutdown(turn, &key);
        }
    }
}
