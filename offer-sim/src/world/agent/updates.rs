//! Status updates, one stream a task: kept in order, the oldest sent until it is acknowledged, the
//! next only then. What the updates say is not looked into beyond their state.

use std::collections::VecDeque;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, executor as api, task_status};

use super::super::event::RecoveredUpdates;
use super::super::id::{ContainerId, ExecutorId, FrameworkId, TaskId};
use super::super::mail::ToMaster;
use super::super::status::{Cause, is_terminal};
use super::super::timers::Timer;
use super::super::{Effect, Turn};
use super::Agent;

/// How many updates of a task are remembered by uuid, to know one that an executor sends again
/// after it lost its stream. It sends what the agent did not acknowledge: a few at most.
const REMEMBERED_MAX: usize = 64;

/// The updates of one task.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) executor: ExecutorId,
    /// The run that reports; `None` when the task never reached one.
    pub(super) container: Option<ContainerId>,
    /// Not acknowledged, oldest first; only the first was sent.
    pending: VecDeque<TaskStatus>,
    remembered: VecDeque<Bytes>,
    pub(super) latest: TaskState,
    retry_at_ms: u64,
    backoff_ms: u64,
}

// === impl Stream ===

impl Stream {
    fn new(executor: ExecutorId, container: Option<ContainerId>) -> Self {
        Self {
            executor,
            container,
            pending: VecDeque::new(),
            remembered: VecDeque::new(),
            latest: TaskState::TaskStaging,
            retry_at_ms: 0,
            backoff_ms: 0,
        }
    }

    pub(super) fn first(&self) -> Option<&TaskStatus> {
        self.pending.front()
    }

    /// Whether an update is one that was taken before, or comes after the task's end.
    fn is_stale(&self, uuid: &Bytes) -> bool {
        is_terminal(self.latest) || self.remembered.contains(uuid)
    }

    fn push(&mut self, status: TaskStatus) {
        self.latest = status.state();
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back(status.uuid().to_vec().into());
        self.pending.push_back(status);
    }
}

// === impl Agent ===

impl Agent {
    /// An executor reports. It is answered as soon as the update is kept; whether the scheduler
    /// has it is the agent's care from here on.
    pub(in super::super) fn on_executor_update(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        executor_id: &ExecutorId,
        mut status: TaskStatus,
    ) {
        let key = (framework.clone(), executor_id.clone());
        let Some(executor) = self.executors.get(&key) else { return };
        let acknowledged = api::event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid().to_vec().into(),
        };
        if !executor.is_abandoned {
            status.agent_id = Some((&self.spec.id).into());
            status.executor_id = Some(executor_id.into());
            status.container_status = Some(self.container_status(executor));
            self.take_update(turn, &key, status);
        }
        let event = api::Event {
            r#type: Some(api::event::Type::Acknowledged.into()),
            acknowledged: Some(acknowledged),
            ..api::Event::default()
        };
        self.tell(turn, &key, event);
        self.forget_if_done(&key);
    }

    /// The agent itself reports of a task.
    pub(super) fn report(
        &mut self,
        turn: &mut Turn<'_>,
        key: &(FrameworkId, ExecutorId),
        task: &TaskId,
        state: TaskState,
        cause: Cause,
    ) {
        let seconds = turn.timestamp_seconds();
        let status = TaskStatus {
            executor_id: Some((&key.1).into()),
            uuid: Some(Bytes::copy_from_slice(turn.ids.uuid().as_bytes())),
            ..cause.status(task, Some(&self.spec.id), state, seconds)
        };
        self.take_update(turn, key, status);
    }

    fn take_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &(FrameworkId, ExecutorId),
        status: TaskStatus,
    ) {
        let task = TaskId::from(&status.task_id);
        let mut container = None;
        if let Some(executor) = self.executors.get_mut(key) {
            // A task that was turned away is not one of this run.
            if executor.tasks.contains_key(&task) {
                container = Some(executor.container.clone());
            }
            if let Some(running) = executor.tasks.get_mut(&task) {
                running.state = status.state();
                running.queued = None;
            }
            if is_terminal(status.state()) {
                executor.tasks.remove(&task);
            }
        }
        let stream_key = (key.0.clone(), task);
        let stream = self
            .streams
            .entry(stream_key.clone())
            .or_insert_with(|| Stream::new(key.1.clone(), container));
        if stream.is_stale(&status.uuid().to_vec().into()) {
            return;
        }
        if let Some(container) = &stream.container {
            turn.effects.push(Effect::KeepUpdate {
                agent: self.spec.id.clone(),
                container: container.clone(),
                status: Box::new(status.clone()),
            });
        }
        stream.push(status);
        if stream.pending.len() == 1 {
            self.send_first(turn, &stream_key, false);
        }
    }

    /// Sends a task's oldest update, and plans to send it again.
    fn send_first(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, TaskId), again: bool) {
        let config = turn.config;
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(status) = stream.pending.front().cloned() else { return };
        stream.backoff_ms = if again {
            (stream.backoff_ms * 2).min(config.update_retry_ms_max)
        } else {
            config.update_retry_ms_min
        };
        stream.retry_at_ms = turn.now_ms + stream.backoff_ms;
        let timer = Timer::UpdateRetry(self.spec.id.clone(), key.clone());
        turn.timers.set(stream.retry_at_ms, timer);
        let message = ToMaster::StatusUpdate {
            framework: key.0.clone(),
            status: Box::new(status),
            latest_state: stream.latest,
        };
        self.tell_master(turn, message);
    }

    pub(in super::super) fn on_update_retry_due(
        &mut self,
        turn: &mut Turn<'_>,
        key: &(FrameworkId, TaskId),
    ) {
        if self.streams.get(key).is_some_and(|stream| stream.retry_at_ms <= turn.now_ms) {
            self.send_first(turn, key, true);
        }
    }

    /// The scheduler acknowledged the update that was sent: the next one goes out. Any other uuid
    /// is of an update already acknowledged.
    pub(super) fn on_acknowledge(
        &mut self,
        turn: &mut Turn<'_>,
        key: (FrameworkId, TaskId),
        uuid: &Bytes,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.pending.front().is_none_or(|first| first.uuid() != &uuid[..]) {
            return;
        }
        stream.pending.pop_front();
        if stream.pending.is_empty() {
            // Most tasks say nothing for most of their time, and there are a great many of them.
            stream.pending = VecDeque::new();
        }
        let executor = (key.0.clone(), stream.executor.clone());
        let is_over = stream.pending.is_empty() && is_terminal(stream.latest);
        if let Some(container) = &stream.container {
            turn.effects.push(Effect::ForgetUpdate {
                agent: self.spec.id.clone(),
                container: container.clone(),
                uuid: uuid.clone(),
            });
        }
        if is_over {
            self.streams.remove(&key);
            self.forget_if_done(&executor);
        } else {
            self.send_first(turn, &key, false);
        }
    }

    /// Data for the framework: carried, not looked into, and not kept.
    pub(in super::super) fn on_executor_message(
        &self,
        turn: &mut Turn<'_>,
        framework: FrameworkId,
        executor: ExecutorId,
        data: Bytes,
    ) {
        self.tell_master(turn, ToMaster::ExecutorMessage { framework, executor, data });
    }

    /// A framework that the master did not know is there: what waits for it goes out now.
    pub(super) fn on_framework_connected(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        for key in self.streams_of(framework) {
            self.send_first(turn, &key, false);
        }
    }

    /// Takes up the updates of a task that outlived its executor and the agent's former life. A
    /// task that had not ended has now.
    pub(super) fn recover(&mut self, turn: &mut Turn<'_>, updates: RecoveredUpdates) {
        let mut stream = Stream::new(updates.executor.clone(), Some(updates.container));
        for status in updates.statuses {
            let agent_id = Some((&self.spec.id).into());
            stream.push(TaskStatus { agent_id, ..status });
        }
        let ended = is_terminal(stream.latest);
        let key = (updates.framework, updates.task);
        self.streams.insert(key.clone(), stream);
        if !ended {
            let reason = task_status::Reason::ExecutorTerminated;
            let cause = Cause::agent(reason, "Executor terminated");
            let executor = (key.0.clone(), updates.executor);
            self.report(turn, &executor, &key.1, TaskState::TaskFailed, cause);
        }
    }

    /// Sends the oldest update of every task that has one.
    pub(super) fn send_all(&mut self, turn: &mut Turn<'_>) {
        let keys: Vec<_> = self.streams.keys().cloned().collect();
        for key in keys {
            self.send_first(turn, &key, false);
        }
    }

    pub(super) fn forget_updates_of(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        for key in self.streams_of(framework) {
            let Some(stream) = self.streams.remove(&key) else { continue };
            let Some(container) = stream.container else { continue };
            for status in stream.pending {
                turn.effects.push(Effect::ForgetUpdate {
                    agent: self.spec.id.clone(),
                    container: container.clone(),
                    uuid: status.uuid().to_vec().into(),
                });
            }
        }
    }

    fn streams_of(&self, framework: &FrameworkId) -> Vec<(FrameworkId, TaskId)> {
        self.streams.keys().filter(|key| key.0 == *framework).cloned().collect()
    }
}
