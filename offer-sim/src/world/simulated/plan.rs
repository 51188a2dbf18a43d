//! What simulated executors are to do, decided by whoever runs the world, and what they did. Nothing
//! is carried out here.

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{ExecutorInfo, TaskInfo};

use super::super::event::StartExecutor;
use super::super::id::{AgentId, ContainerId, FrameworkId, TaskId};

/// Decides what simulated executors do. It is asked once for each executor and once for each task,
/// so that a run is the same each time if the answers are.
pub trait Work: std::fmt::Debug + Send {
    /// How an executor fares that is started now.
    fn executor(&mut self, start: &StartExecutor) -> ExecutorPlan;

    /// How a task fares that its executor was given now.
    fn task(&mut self, task: &TaskInfo) -> TaskPlan;
}

/// How an executor fares. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorPlan {
    /// From its start to its SUBSCRIBE; `None` for one that never comes up.
    pub up_after_ms: Option<u64>,
    /// From its SUBSCRIBE until it crashes with exit 1; `None` for one that does not.
    pub crash_after_ms: Option<u64>,
    /// It leaves after so long without a task; `None` for one that stays.
    pub idle_ms: Option<u64>,
    /// From SHUTDOWN to its end.
    pub leave_after_ms: u64,
}

/// How a task fares. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPlan {
    /// Its executor says STARTING as soon as it has it.
    pub says_starting: bool,
    /// From its launch in its executor until it is RUNNING; `None` for one that never comes to it.
    pub run_after_ms: Option<u64>,
    /// From then to its end; `None` for one that runs until it is killed.
    pub end_after_ms: Option<u64>,
    /// It ends FAILED instead of FINISHED.
    pub fails: bool,
    /// What the update of its end carries.
    pub data: Option<Bytes>,
    /// What its executor says of it while it runs.
    pub reports: Option<Reports>,
    /// Its executor says KILLING when it is to be killed, if its framework knows that.
    pub says_killing: bool,
    /// From KILL to its end; no longer than the grace period that the kill names.
    pub kill_after_ms: u64,
}

/// Updates of a task that is RUNNING and stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Between two of them, milliseconds.
    pub every_ms: u64,
    /// Their messages, one update each.
    pub messages: Vec<&'static str>,
}

/// What a simulated executor did: what a process would really have done, whoever was told of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// It began to run.
    Started {
        /// Where.
        agent: AgentId,
        /// Whose.
        framework: FrameworkId,
        /// Names this run of it.
        container: ContainerId,
        /// Which.
        executor: Box<ExecutorInfo>,
    },
    /// It is gone, with all that it ran.
    Exited {
        /// Where.
        agent: AgentId,
        /// Which run of it.
        container: ContainerId,
    },
    /// It was given a task.
    Took {
        /// Where.
        agent: AgentId,
        /// Whose.
        framework: FrameworkId,
        /// Which, with all that it was told.
        task: Box<TaskInfo>,
    },
    /// The work of a task began.
    Began {
        /// Where.
        agent: AgentId,
        /// Which.
        task: TaskId,
    },
    /// A task is over, in whatever way, and nothing of it goes on.
    Over {
        /// Where.
        agent: AgentId,
        /// Which.
        task: TaskId,
    },
}
