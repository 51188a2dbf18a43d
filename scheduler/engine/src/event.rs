//! Everything the world can tell the engine. Wire types never come this far.

use shiftwork_schedule::Timestamp;

use crate::command::Command;
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::record::{Usage, Write};
use crate::resources::Resources;

/// Names a request that waits for a reply; given by the shell, only compared here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The master took our subscription.
    Subscribed {
        /// The id under which it knows us.
        framework: FrameworkId,
    },
    /// The stream to the master ended; all offers are void.
    Disconnected,
    /// The master says this framework was removed: its tasks are gone, its id is burnt.
    FrameworkRemoved,
    /// New offers.
    Offers(Vec<Offer>),
    /// Agents we should leave because an operator takes them away.
    InverseOffers(Vec<InverseOffer>),
    /// An offer is void.
    Rescinded(OfferId),
    /// A task changed its state.
    Status(StatusUpdate),
    /// An executor ended, or with no executor named, an agent was removed.
    Failure {
        /// The agent.
        agent: AgentId,
        /// The executor, if only that is gone.
        executor: Option<ExecutorId>,
    },
    /// An ACCEPT was refused or its fate is unknown; these tasks may not have been launched.
    LaunchFailed {
        /// The tasks of the call.
        tasks: Vec<TaskId>,
    },
    /// Somebody asks for a change.
    Command {
        /// Whom to answer.
        request: RequestId,
        /// Who asks, for the records.
        by: String,
        /// What is asked.
        command: Command,
    },
    /// Another program wrote or removed a record that people may change: a document or a flag.
    RegistryChanged(Write),
    /// Time has passed: the way deadlines are met when nothing else happens.
    Tick,
}

/// An offer of the master.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// The agent it is of.
    pub agent: AgentId,
    /// The agent's host name.
    pub hostname: String,
    /// What is offered.
    pub resources: Resources,
    /// Attributes of the agent, as text.
    pub attributes: Vec<(String, String)>,
    /// Executors of this framework that the agent already runs.
    pub executors: Vec<ExecutorId>,
    /// When the agent goes away for maintenance, if it does.
    pub unavailability: Option<Unavailability>,
}

/// A window in which an agent is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailability {
    /// Its beginning.
    pub start: Timestamp,
    /// Its length, milliseconds; `None` for one without a known end.
    pub duration_ms: Option<u64>,
}

/// The master's wish that we leave an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InverseOffer {
    /// Its id.
    pub id: OfferId,
    /// The agent.
    pub agent: AgentId,
    /// When the agent goes away.
    pub unavailability: Unavailability,
}

/// State of a task as Mesos names it, without the `TASK_` in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum TaskState {
    Staging,
    Starting,
    Running,
    Killing,
    Finished,
    Failed,
    Killed,
    Error,
    Lost,
    Dropped,
    Unreachable,
    Gone,
    GoneByOperator,
    Unknown,
}

impl TaskState {
    /// The name with which Elastic-Job-Cloud's history and our API speak of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staging => "TASK_STAGING",
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Finished => "TASK_FINISHED",
            Self::Failed => "TASK_FAILED",
            Self::Killed => "TASK_KILLED",
            Self::Error => "TASK_ERROR",
            Self::Lost => "TASK_LOST",
            Self::Dropped => "TASK_DROPPED",
            Self::Unreachable => "TASK_UNREACHABLE",
            Self::Gone => "TASK_GONE",
            Self::GoneByOperator => "TASK_GONE_BY_OPERATOR",
            Self::Unknown => "TASK_UNKNOWN",
        }
    }
}

/// Why the master or agent says so, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusReason {
    /// An answer to a reconciliation.
    Reconciliation,
    /// The executor ended, could not be started, or was not taken by the agent.
    ExecutorLost,
    /// The executor runs as another than the task described it: the task was not launched.
    ExecutorDiffers,
    /// The agent is gone, or goes.
    AgentLost,
    /// Anything else, or none.
    Other,
}

/// A status update.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusUpdate {
    /// The task.
    pub task: TaskId,
    /// The agent, where named.
    pub agent: Option<AgentId>,
    /// Its new state.
    pub state: TaskState,
    /// Why.
    pub reason: StatusReason,
    /// What the sender says in words; `BEGIN` and `COMPLETE` mark a firing of a daemon.
    pub message: Option<String>,
    /// Present if the update must be acknowledged.
    pub uuid: Option<Vec<u8>>,
    /// How the work ended, if the executor told.
    pub outcome: Option<Outcome>,
}

/// How the work of a task or of one daemon firing ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The exit code, unless a signal ended it or it never began.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How long it ran and what it used; `None` if its executor does not measure.
    pub usage: Option<Usage>,
    /// The status of the answer, where the work is a request.
    pub http_status: Option<u16>,
    /// How it failed, in words; `None` if it succeeded or its executor does not say.
    pub failure: Option<String>,
    /// The end of its stdout.
    pub stdout_tail: String,
    /// The end of its stderr.
    pub stderr_tail: String,
    /// The daemon firing this is about.
    pub firing_time: Option<Timestamp>,
}
