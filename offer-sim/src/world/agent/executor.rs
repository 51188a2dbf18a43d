//! One run of an executor: its phase and its tasks. No messages are sent here.

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1::{ExecutorInfo, FrameworkInfo, TaskInfo, TaskState, task_status};

use super::super::id::{ContainerId, StreamId, TaskId};
use super::super::resources::Resources;

/// An executor that was started and not yet forgotten.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) framework: FrameworkInfo,
    pub(super) info: ExecutorInfo,
    /// Allocated to its role.
    pub(super) resources: Resources,
    pub(super) container: ContainerId,
    /// Made up by the agent for one task with a command of its own; the master does not know it.
    pub(super) is_command: bool,
    pub(super) pid: Option<u32>,
    pub(super) phase: Phase,
    /// Tasks that have not ended.
    pub(super) tasks: BTreeMap<TaskId, RunningTask>,
    /// Whether it was ever given a task.
    pub(super) was_used: bool,
    /// Its framework is gone for good: nobody wants to hear of it.
    pub(super) is_abandoned: bool,
}

/// How far an executor's life has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// Started; tasks wait for it to subscribe.
    Starting { subscribe_by_ms: u64 },
    /// Subscribed once. `None` while its stream is broken.
    Running { stream: Option<StreamId> },
    /// Asked or made to leave.
    Terminating { stream: Option<StreamId>, kill_at_ms: u64, end: End },
    /// Gone; kept while what it reported is unacknowledged.
    Terminated,
}

/// What is said of the tasks of an executor that ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) reason: task_status::Reason,
    pub(super) message: String,
}

/// A task that an executor runs, or is to run.
#[derive(Debug)]
pub(super) struct RunningTask {
    pub(super) state: TaskState,
    /// Allocated to its role.
    pub(super) resources: Resources,
    /// Waits for the executor to subscribe.
    pub(super) queued: Option<Box<TaskInfo>>,
}

// === impl Executor ===

impl Executor {
    pub(super) fn stream(&self) -> Option<&StreamId> {
        match &self.phase {
            Phase::Running { stream } | Phase::Terminating { stream, .. } => stream.as_ref(),
            Phase::Starting { .. } | Phase::Terminated => None,
        }
    }

    /// Marks the stream as broken; the stream that was open.
    pub(super) fn take_stream(&mut self) -> Option<StreamId> {
        match &mut self.phase {
            Phase::Running { stream } | Phase::Terminating { stream, .. } => stream.take(),
            Phase::Starting { .. } | Phase::Terminated => None,
        }
    }

    /// When something must be done if the executor stays as it is.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Starting { subscribe_by_ms } => Some(*subscribe_by_ms),
            Phase::Terminating { kill_at_ms, .. } => Some(*kill_at_ms),
            Phase::Running { .. } | Phase::Terminated => None,
        }
    }
}

// === impl End ===

impl End {
    /// It left, or crashed, or was killed by somebody else.
    pub(super) fn terminated() -> Self {
        Self {
            reason: task_status::Reason::ExecutorTerminated,
            message: "Executor terminated".to_owned(),
        }
    }

    pub(super) fn not_registered(timeout_ms: u64) -> Self {
        Self {
            reason: task_status::Reason::ExecutorRegistrationTimeout,
            message: format!("Executor did not register within {}secs", timeout_ms / 1000),
        }
    }

    pub(super) fn not_started(why: &str) -> Self {
        Self {
            reason: task_status::Reason::ContainerLaunchFailed,
            message: format!("Failed to launch container: {why}"),
        }
    }
}
