//! An executor's connection: started, subscribed, broken, and its end. What it reports is in
//! `updates`.

use shiftwork_proto::mesos::v1::{TaskState, executor as api};

use super::super::id::{ContainerId, ExecutorId, FrameworkId, StreamId, TaskId};
use super::super::mail::ToMaster;
use super::super::status::Cause;
use super::super::{Effect, Turn};
use super::Agent;
use super::executor::{End, Phase};

/// The wait status that is reported of an executor that could not be started.
const NOT_STARTED: i32 = -1;

// === impl Agent ===

impl Agent {
    pub(in super::super) fn on_executor_started(&mut self, container: &ContainerId, pid: u32) {
        if let Some(key) = self.executor_in(container)
            && let Some(executor) = self.executors.get_mut(&key)
        {
            executor.pid = Some(pid);
        }
    }

    /// SUBSCRIBE: the executor learns who it is, then gets the tasks that wait for it. One that
    /// was told to leave is told again.
    pub(in super::super) fn on_executor_subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        stream: StreamId,
        framework: FrameworkId,
        executor_id: ExecutorId,
        subscribe: api::call::Subscribe,
    ) {
        let key = (framework, executor_id);
        let agent_info = self.info();
        let Some(executor) = self.executors.get_mut(&key) else { return };
        match &mut executor.phase {
            Phase::Terminating { stream: current, .. } => {
                *current = Some(stream.clone());
                turn.send_executor(&stream, shutdown_event());
                return;
            }
            Phase::Terminated => {
                turn.effects.push(Effect::CloseExecutor { stream });
                return;
            }
            Phase::Starting { .. } | Phase::Running { .. } => {}
        }
        if let Some(former) = executor.take_stream() {
            turn.effects.push(Effect::CloseExecutor { stream: former });
        }
        executor.phase = Phase::Running { stream: Some(stream.clone()) };
        let subscribed = api::event::Subscribed {
            executor_info: executor.info.clone(),
            framework_info: executor.framework.clone(),
            agent_info,
            container_id: Some((&executor.container).into()),
        };
        let event = api::Event {
            r#type: Some(api::event::Type::Subscribed.into()),
            subscribed: Some(subscribed),
            ..api::Event::default()
        };
        turn.send_executor(&stream, event);
        for update in subscribe.unacknowledged_updates {
            self.on_executor_update(turn, &key.0, &key.1, update.status);
        }
        self.launch_queued(turn, &key);
        let unused = |executor: &super::Executor| !executor.was_used && executor.tasks.is_empty();
        if self.executors.get(&key).is_some_and(unused) {
            // Its only tasks were killed before it came up.
            self.shutdown(turn, &key);
        }
    }

    /// A stream broke: events are lost and launches wait, until the executor subscribes again or
    /// its process ends.
    pub(in super::super) fn on_executor_stream_gone(&mut self, stream: &StreamId) {
        if let Some(key) = self.executor_of_stream(stream)
            && let Some(executor) = self.executors.get_mut(&key)
        {
            executor.take_stream();
        }
    }

    pub(in super::super) fn on_executor_not_started(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        why: &str,
    ) {
        if let Some(key) = self.executor_in(container) {
            self.end_executor(turn, &key, NOT_STARTED, Some(End::not_started(why)));
        }
    }

    pub(in super::super) fn on_executor_exited(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        wait_status: i32,
    ) {
        if let Some(key) = self.executor_in(container) {
            self.end_executor(turn, &key, wait_status, None);
        }
    }

    /// The executor is gone: the master is told, then every task of it that had not ended fails.
    fn end_executor(
        &mut self,
        turn: &mut Turn<'_>,
        key: &(FrameworkId, ExecutorId),
        wait_status: i32,
        end: Option<End>,
    ) {
        let Some(executor) = self.executors.get_mut(key) else { return };
        if let Some(stream) = executor.take_stream() {
            turn.effects.push(Effect::CloseExecutor { stream });
        }
        let phase = std::mem::replace(&mut executor.phase, Phase::Terminated);
        let end = end.unwrap_or_else(|| match phase {
            Phase::Terminating { end, .. } => end,
            _ => End::terminated(),
        });
        let silent = executor.is_abandoned || self.draining;
        let is_command = executor.is_command;
        let tasks: Vec<TaskId> = executor.tasks.keys().cloned().collect();
        if silent {
            executor.tasks.clear();
        } else {
            if !is_command {
                let (framework, executor) = key.clone();
                let message = ToMaster::ExitedExecutor { framework, executor, wait_status };
                self.tell_master(turn, message);
            }
            for task in tasks {
                let cause = Cause::agent(end.reason, end.message.clone());
                self.report(turn, key, &task, TaskState::TaskFailed, cause);
            }
        }
        self.forget_if_done(key);
    }
}

pub(super) fn shutdown_event() -> api::Event {
    api::Event { r#type: Some(api::event::Type::Shutdown.into()), ..api::Event::default() }
}
