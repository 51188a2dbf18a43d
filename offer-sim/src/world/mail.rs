//! The messages between master and agents: the only thing they share. No behaviour.

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{
    ExecutorInfo, FrameworkInfo, KillPolicy, TaskInfo, TaskState, TaskStatus,
};

use super::id::{AgentId, ExecutorId, FrameworkId, TaskId};

/// A message with its address.
#[derive(Debug)]
pub(super) enum Mail {
    /// From the master.
    ToAgent {
        /// Which agent.
        to: AgentId,
        /// What.
        message: ToAgent,
    },
    /// To the master.
    ToMaster {
        /// Which agent sent it.
        from: AgentId,
        /// What.
        message: ToMaster,
    },
}

/// What a master tells an agent.
#[derive(Debug)]
pub(super) enum ToAgent {
    /// Run a task.
    RunTask(Box<RunTask>),
    /// Kill a task.
    KillTask { framework: FrameworkId, task: TaskId, policy: Option<KillPolicy> },
    /// Shut an executor down.
    ShutdownExecutor { framework: FrameworkId, executor: ExecutorId },
    /// Data for an executor.
    FrameworkMessage { framework: FrameworkId, executor: ExecutorId, data: Bytes },
    /// The scheduler acknowledged an update.
    Acknowledge { framework: FrameworkId, task: TaskId, uuid: Bytes },
    /// The framework is there: updates that never reached it can.
    FrameworkConnected { framework: FrameworkId },
    /// The framework is gone for good: end all it has.
    ShutdownFramework { framework: FrameworkId },
}

/// A task to run.
#[derive(Debug)]
pub(super) struct RunTask {
    pub(super) framework: FrameworkInfo,
    pub(super) task: TaskInfo,
    /// `None` for a task that carries its own command.
    pub(super) executor: Option<ExecutorInfo>,
    /// Whether the master believes that the executor has to be started.
    pub(super) launch_executor: bool,
}

/// What an agent tells the master.
#[derive(Debug)]
pub(super) enum ToMaster {
    /// A task's oldest unacknowledged update, and the state the task is in by now.
    StatusUpdate { framework: FrameworkId, status: Box<TaskStatus>, latest_state: TaskState },
    /// An executor ended.
    ExitedExecutor { framework: FrameworkId, executor: ExecutorId, wait_status: i32 },
}
