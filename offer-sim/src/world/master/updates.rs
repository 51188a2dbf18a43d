//! Status updates on their way from agents to frameworks, and acknowledgements on their way back.
//! The master keeps none: the agent sends again.

use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, scheduler};

use super::super::Turn;
use super::super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::super::mail::ToAgent;
use super::{Master, is_terminal};

// === impl Master ===

impl Master {
    /// An agent sent a task's oldest unacknowledged update. The task's resources are free as soon
    /// as it is known to have ended, even if this update does not say so yet.
    pub(super) fn on_status_update(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkId,
        status: TaskStatus,
        latest_state: TaskState,
    ) {
        let key = (framework, TaskId::from(&status.task_id));
        let known = self.frameworks.contains_key(&key.0);
        if let Some(task) = self.tasks.get_mut(&key) {
            task.state = latest_state;
            task.unreachable_since_ms = None;
            task.container.clone_from(&status.container_status);
            if known {
                task.sent = Some(status.clone());
            }
            if is_terminal(latest_state) {
                self.free_task(turn, &key);
            }
        }
        self.tell(turn, &key.0, update(status));
    }

    /// A framework acknowledged an update: the agent may forget it, and the master the task when
    /// it was its last.
    pub(super) fn on_acknowledge(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: Option<scheduler::call::Acknowledge>,
    ) {
        let Some(call) = call else { return };
        let key = (framework.clone(), TaskId::from(&call.task_id));
        let ended = self.tasks.get(&key).and_then(|task| task.sent.as_ref()).is_some_and(|sent| {
            sent.uuid.as_ref() == Some(&call.uuid) && is_terminal(sent.state())
        });
        if ended {
            self.free_task(turn, &key);
            self.tasks.remove(&key);
        }
        let (framework, task) = key;
        let message = ToAgent::Acknowledge { framework, task, uuid: call.uuid };
        turn.send_agent(&AgentId::from(&call.agent_id), message);
    }

    /// An executor ended: what it held is free, and its framework is told.
    pub(super) fn on_exited_executor(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: ExecutorId,
        wait_status: i32,
    ) {
        let Some(registered) = self.agents.get_mut(agent) else { return };
        let key = (framework.clone(), executor);
        let Some(running) = registered.executors.remove(&key) else { return };
        self.give_back(turn, agent, &running.resources);
        let failure = scheduler::event::Failure {
            agent_id: Some(agent.into()),
            executor_id: Some((&key.1).into()),
            status: Some(wait_status),
        };
        let event = scheduler::Event {
            r#type: Some(scheduler::event::Type::Failure.into()),
            failure: Some(failure),
            ..scheduler::Event::default()
        };
        self.tell(turn, framework, event);
    }
}

/// The event that carries a status.
pub(super) fn update(status: TaskStatus) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(scheduler::event::Type::Update.into()),
        update: Some(scheduler::event::Update { status }),
        ..scheduler::Event::default()
    }
}
