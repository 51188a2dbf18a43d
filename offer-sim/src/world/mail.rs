//! The messages between master and agents: the only thing they share. No behaviour.

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{
    ContainerStatus, ExecutorInfo, FrameworkInfo, KillPolicy, TaskInfo, TaskState, TaskStatus,
};

use super::event::AgentSpec;
use super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::resources::Resources;

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
#[derive(Clone, Debug, PartialEq)]
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
    /// The master takes the agent up; it thought that these tasks were there too. What was not
    /// acknowledged may be sent again.
    Registered { missing: Vec<MissingTask> },
    /// The agent was marked gone: end all it has and say nothing of it.
    Shutdown,
}

/// A task to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunTask {
    pub(super) framework: FrameworkInfo,
    pub(super) task: TaskInfo,
    /// `None` for a task that carries its own command.
    pub(super) executor: Option<ExecutorInfo>,
    /// What the task takes, allocated to its role.
    pub(super) resources: Resources,
    /// What its executor takes, likewise.
    pub(super) executor_resources: Resources,
    /// Whether the master believes that the executor has to be started.
    pub(super) launch_executor: bool,
}

/// A task that the master believes to be on an agent that does not name it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MissingTask {
    pub(super) framework: FrameworkId,
    pub(super) task: TaskId,
    /// `None` for a task with a command of its own.
    pub(super) executor: Option<ExecutorId>,
    /// What its framework is to be told.
    pub(super) state: TaskState,
}

/// What an agent tells the master.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ToMaster {
    /// A task's oldest unacknowledged update, and the state the task is in by now.
    StatusUpdate { framework: FrameworkId, status: Box<TaskStatus>, latest_state: TaskState },
    /// An executor ended.
    ExitedExecutor { framework: FrameworkId, executor: ExecutorId, wait_status: i32 },
    /// Data from an executor for its framework.
    ExecutorMessage { framework: FrameworkId, executor: ExecutorId, data: Bytes },
    /// The agent is there, for the first time or again.
    Register(Box<Registration>),
}

/// All that an agent has when it registers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Registration {
    pub(super) spec: AgentSpec,
    pub(super) executors: Vec<RegisteredExecutor>,
    pub(super) tasks: Vec<RegisteredTask>,
}

/// An executor that runs on an agent that registers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RegisteredExecutor {
    pub(super) framework: FrameworkInfo,
    pub(super) info: ExecutorInfo,
    /// Allocated to its role.
    pub(super) resources: Resources,
    /// Made up by the agent for one task with a command of its own; the master does not know it.
    pub(super) is_command: bool,
}

/// A task on an agent that registers: one that runs, or whose end was not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RegisteredTask {
    pub(super) framework: FrameworkId,
    pub(super) task: TaskId,
    /// `None` for a task with a command of its own.
    pub(super) executor: Option<ExecutorId>,
    /// Allocated to its role; nothing when it ended.
    pub(super) resources: Resources,
    /// As it is by now.
    pub(super) state: TaskState,
    /// The oldest update that was not acknowledged.
    pub(super) sent: Option<Box<TaskStatus>>,
    pub(super) container: Option<ContainerStatus>,
    /// Its executor is gone, and only its updates are left.
    pub(super) outlived: bool,
}
