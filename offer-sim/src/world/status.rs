//! Task states and the making of status updates. No decisions on when one is sent.

use shiftwork_proto::mesos::v1::{ContainerStatus, TaskState, TaskStatus, task_status};

use super::id::{AgentId, ContainerId, TaskId};

/// Whether a task in this state will never change again.
pub(super) fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

/// What is known of a container when only its name is left.
pub(super) fn container_status(container: &ContainerId) -> ContainerStatus {
    ContainerStatus { container_id: Some(container.into()), ..ContainerStatus::default() }
}

/// Who says a task is in a state, and why.
pub(super) struct Cause {
    pub(super) source: task_status::Source,
    pub(super) reason: task_status::Reason,
    pub(super) message: String,
}

// === impl Cause ===

impl Cause {
    pub(super) fn master(reason: task_status::Reason, message: impl Into<String>) -> Self {
        Self { source: task_status::Source::Master, reason, message: message.into() }
    }

    pub(super) fn agent(reason: task_status::Reason, message: impl Into<String>) -> Self {
        Self { source: task_status::Source::Agent, reason, message: message.into() }
    }

    /// A status with this cause, without uuid: nobody is to acknowledge it.
    pub(super) fn status(
        self,
        task: &TaskId,
        agent: Option<&AgentId>,
        state: TaskState,
        timestamp_seconds: f64,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.into(),
            state: state.into(),
            message: Some(self.message),
            source: Some(self.source.into()),
            reason: Some(self.reason.into()),
            agent_id: agent.map(Into::into),
            timestamp: Some(timestamp_seconds),
            ..TaskStatus::default()
        }
    }
}
