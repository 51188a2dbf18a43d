//! The words between the core and its shells: events, effects, ids, time. Absent: any behaviour.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_schedule::Timestamp;

use super::TaskSpec;

/// A Mesos task id, as the scheduler wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub String);

/// One start of a process by this executor; never used twice, so that a late word about an earlier
/// firing of the same task is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// The two clocks of one step. Schedules and status times follow the wall clock, which may be set;
/// graces, timeouts and back-offs follow the monotonic one, which may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// Milliseconds of a clock that never goes back, since any fixed moment.
    pub mono_ms: u64,
}

/// Where the ids of status updates come from.
pub trait Ids {
    /// The 16 bytes of a fresh UUID.
    fn fresh(&mut self) -> [u8; 16];
}

/// How a piece of work ended: its first process, its request, its job in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exited {
    /// The process returned this code.
    Code(i32),
    /// This signal ended the process.
    Signal(i32),
    /// The request was answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Whether it is one that the job asks for.
        good: bool,
    },
    /// The job returned without an error.
    Returned,
    /// The request or the job failed.
    Failed {
        /// What failed and why.
        reason: String,
    },
    /// The request was given up because it was to end.
    Cancelled,
}

/// What a piece of work has used; zero where it was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The most memory that one of its processes held, bytes.
    pub memory_peak_bytes: u64,
    /// Time on a CPU, milliseconds.
    pub cpu_time_ms: u64,
}

/// What the shell knows when the first process of a piece of work, or all of it, has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkEnd {
    /// How it ended.
    pub exited: Exited,
    /// The last bytes written to stdout, or those of an answer's body.
    pub stdout_tail: Bytes,
    /// The last bytes written to stderr, or those of an answer's body.
    pub stderr_tail: Bytes,
}

/// What happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Nothing but time passing: a deadline may have come.
    Tick,
    /// The agent accepted the subscription.
    Subscribed {
        /// Leave after being without tasks this long; `None` is never.
        idle_timeout_ms: Option<u64>,
    },
    /// A subscription was refused or its stream ended.
    Disconnected,
    /// A task to run.
    Launch(Box<TaskInfo>),
    /// A task to end.
    Kill {
        /// The task.
        task: TaskId,
        /// From SIGTERM to SIGKILL, when the call overrides the task's own.
        grace_ms: Option<u64>,
    },
    /// The agent holds this update: it need not be sent again.
    Acknowledged {
        /// The task the update is about.
        task: TaskId,
        /// The update's id.
        uuid: Bytes,
    },
    /// The agent (or a SIGTERM) ends the executor.
    Shutdown,
    /// The process of `work` runs.
    Started {
        /// The task.
        task: TaskId,
        /// Which start.
        work: WorkId,
    },
    /// The process of `work` could not be started.
    StartFailed {
        /// The task.
        task: TaskId,
        /// Which start.
        work: WorkId,
        /// The step that failed and its cause.
        reason: String,
    },
    /// The first process of `work` ended; processes it left behind may still run.
    LeaderEnded {
        /// The task.
        task: TaskId,
        /// Which start.
        work: WorkId,
        /// How it ended.
        end: WorkEnd,
    },
    /// Nothing of `work` is left.
    Gone {
        /// The task.
        task: TaskId,
        /// Which start.
        work: WorkId,
        /// What it has used.
        usage: Usage,
    },
}

/// Which signal the processes of a piece of work get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asked to end.
    Terminate,
    /// SIGKILL, repeated until nothing is left.
    Kill,
}

/// What the shell is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a piece of work; answered by [`Event::Started`] or [`Event::StartFailed`].
    Start {
        /// Which start.
        work: WorkId,
        /// What to run.
        spec: Arc<TaskSpec>,
        /// The moment this firing stands for; `None` for work that runs once.
        firing: Option<Timestamp>,
    },
    /// Signal every process of `work`. May come before the shell has answered the start.
    Signal {
        /// Which start.
        work: WorkId,
        /// Which signal.
        signal: Signal,
    },
    /// Append an update to the checkpoint. Always precedes the first sending of that update.
    Checkpoint(Update),
    /// Replace what the checkpoint holds.
    RewriteCheckpoint(Vec<Update>),
    /// Open a new subscription, giving up any other. Answered by [`Event::Subscribed`] or
    /// [`Event::Disconnected`].
    Subscribe {
        /// Tasks of which no update was acknowledged.
        tasks: Vec<TaskInfo>,
        /// Updates that were not acknowledged, oldest first.
        updates: Vec<Update>,
    },
    /// Send an update over the open subscription, after those before it.
    Send(Update),
    /// Something was asked that needs no doing; for the log.
    Ignored {
        /// The task it was about.
        task: TaskId,
        /// Why it needs no doing.
        why: &'static str,
    },
    /// End: kill what still runs, at once, and leave. The last effect ever.
    Exit(ExitReason),
}

/// Why the executor leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// No task and nothing unacknowledged for the idle timeout.
    Idle,
    /// The agent asked for it, or a SIGTERM did.
    Shutdown,
    /// The agent is gone and nobody waits for this executor any more.
    AgentLost,
    /// Nothing is left but jobs in this process that do not heed their kill.
    Stuck,
}

// === impl Exited ===

impl Exited {
    /// Whether this is how work ends that succeeded.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Code(0) | Self::Returned | Self::Answered { good: true, .. })
    }
}

// === impl TaskId ===

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl WorkId ===

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

// === impl ExitReason ===

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle for the app's idle timeout",
            Self::Shutdown => "asked to shut down",
            Self::AgentLost => "the agent is lost",
            Self::Stuck => "a Rust job does not heed its kill, and nothing else runs",
        })
    }
}
