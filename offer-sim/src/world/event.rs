//! What may happen to the world and what it wants done: the two enums that shells speak. No logic.

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{
    Attribute, ExecutorInfo, FrameworkInfo, TaskInfo, TaskStatus, executor, scheduler,
};
use shiftwork_proto::offersim::v1 as agent_link;

use super::id::{AgentId, ContainerId, ExecutorId, FrameworkId, StreamId, TaskId};
use super::resources::Resources;
use super::transit::Lost;

/// What happens to the world, in the order in which it is given to `World::step`.
#[derive(Clone, Debug)]
pub enum Event {
    /// Only time went by; what is due is done.
    Tick,
    /// A scheduler opened a stream with SUBSCRIBE.
    Subscribe {
        /// The stream that the answer goes to.
        stream: StreamId,
        /// What it subscribes with; an id in it asks for that framework.
        info: Box<FrameworkInfo>,
        /// Roles that begin suppressed.
        suppressed_roles: Vec<String>,
    },
    /// A scheduler's stream broke.
    SchedulerGone {
        /// The stream that is gone.
        stream: StreamId,
    },
    /// Any other call of a scheduler, let through by `World::admit_scheduler_call`.
    SchedulerCall {
        /// The framework that calls.
        framework: FrameworkId,
        /// What it asks for.
        call: Box<scheduler::Call>,
    },
    /// An agent of a former life is there and will register soon.
    AgentExpected {
        /// Which agent.
        agent: AgentId,
    },
    /// An agent registers with the master.
    RegisterAgent {
        /// What it says of itself.
        agent: AgentSpec,
        /// Status updates of a former life that were never acknowledged.
        recovered: Vec<RecoveredUpdates>,
    },
    /// An executor opened a stream with SUBSCRIBE.
    ExecutorSubscribe {
        /// The agent it subscribes at.
        agent: AgentId,
        /// The stream that the answer goes to.
        stream: StreamId,
        /// The executor's framework.
        framework: FrameworkId,
        /// Which executor.
        executor: ExecutorId,
        /// What it still waits to have acknowledged.
        subscribe: executor::call::Subscribe,
    },
    /// An executor's stream broke.
    ExecutorGone {
        /// The agent it was subscribed at.
        agent: AgentId,
        /// The stream that is gone.
        stream: StreamId,
    },
    /// An executor reports the state of a task, let through by `World::admit_executor_call`.
    ExecutorUpdate {
        /// The agent it runs on.
        agent: AgentId,
        /// The executor's framework.
        framework: FrameworkId,
        /// Which executor.
        executor: ExecutorId,
        /// What it reports.
        status: Box<TaskStatus>,
    },
    /// An executor sends data to its scheduler.
    ExecutorMessage {
        /// The agent it runs on.
        agent: AgentId,
        /// The executor's framework.
        framework: FrameworkId,
        /// Which executor.
        executor: ExecutorId,
        /// The data, which nobody on the way looks into.
        data: Bytes,
    },
    /// An executor's process runs.
    ExecutorStarted {
        /// The agent it runs on.
        agent: AgentId,
        /// Which run.
        container: ContainerId,
        /// The process.
        pid: u32,
    },
    /// An executor's process could not be started.
    ExecutorNotStarted {
        /// The agent it should have run on.
        agent: AgentId,
        /// Which run.
        container: ContainerId,
        /// Why, for people.
        why: String,
    },
    /// An executor's process ended, and nothing of it is left.
    ExecutorExited {
        /// The agent it ran on.
        agent: AgentId,
        /// Which run.
        container: ContainerId,
        /// How, as wait(2) says it: 1792 is exit 7, 9 is SIGKILL.
        wait_status: i32,
    },
    /// An agent of this process whose executors are simulated registers with the master.
    SimulateAgent {
        /// What it says of itself.
        agent: AgentSpec,
    },
    /// What an agent of another process sends.
    FromAgent {
        /// The message.
        message: Box<agent_link::FromAgent>,
    },
    /// The connection to an agent of another process broke.
    AgentGone {
        /// Which agent.
        agent: AgentId,
    },
    /// What the master of another process sends to an agent of this one.
    FromMaster {
        /// The message.
        message: Box<agent_link::ToAgent>,
    },
    /// A master of another process is there: agents register with it.
    MasterConnected,
    /// This master takes over from one whose agents it does not know: until they had time to
    /// register it says nothing of their tasks.
    MasterElected,
    /// Something goes wrong, as somebody wants it to.
    Fault(Fault),
    /// The agent is to leave: executors are asked to shut down, and killed after their grace.
    DrainAgent {
        /// Which agent.
        agent: AgentId,
    },
}

// === impl Event ===

impl Event {
    /// The agent at which something happens, when that is one of this process.
    pub(super) fn agent(&self) -> Option<&AgentId> {
        match self {
            Self::ExecutorSubscribe { agent, .. }
            | Self::ExecutorGone { agent, .. }
            | Self::ExecutorUpdate { agent, .. }
            | Self::ExecutorMessage { agent, .. }
            | Self::ExecutorStarted { agent, .. }
            | Self::ExecutorNotStarted { agent, .. }
            | Self::ExecutorExited { agent, .. }
            | Self::DrainAgent { agent } => Some(agent),
            _ => None,
        }
    }
}

/// What can be made to go wrong. Agents that do not exist are passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Hosts vanish with all that runs there.
    KillAgents(Vec<AgentId>),
    /// Hosts that vanished come back, empty and under new ids. Simulated agents only.
    StartAgents(Vec<AgentId>),
    /// Agents do nothing more, and their messages wait; their executors go on.
    FreezeAgents(Vec<AgentId>),
    /// Frozen agents go on.
    ThawAgents(Vec<AgentId>),
    /// The network drops what passes between master and agents.
    CutOffAgents(Vec<AgentId>),
    /// The network passes it again.
    ReconnectAgents(Vec<AgentId>),
    /// An operator marks agents gone for good.
    MarkAgentsGone(Vec<AgentId>),
    /// The master dies and another takes over: streams end, and agents register again.
    FailOverMaster,
    /// Status updates are disturbed.
    DisturbUpdates {
        /// How.
        fault: UpdateFault,
        /// On their way from which agents; `None` for all.
        agents: Option<Vec<AgentId>>,
        /// How many of them, 0 to 1.
        probability: f64,
        /// For how long; `None` until [`Fault::EndDisturbances`].
        for_ms: Option<u64>,
    },
    /// Messages of the master are lost: the connection breaks at one, with all that is under way on
    /// it, and the agent makes another a little later.
    LoseMessages {
        /// Which.
        what: Lost,
        /// How many of them, 0 to 1.
        probability: f64,
    },
    /// A simulated executor crashes.
    CrashExecutor(ContainerId),
    /// Offers of these agents, or all, are taken back.
    RescindOffers(Option<Vec<AgentId>>),
    /// Calls of schedulers are refused with 503.
    RefuseCalls {
        /// How many of them, 0 to 1.
        probability: f64,
        /// For how long.
        for_ms: u64,
    },
    /// Events leave one at a time on the schedulers' streams.
    SlowStreams {
        /// Between two events.
        interval_ms: u64,
        /// For how long.
        for_ms: u64,
    },
    /// Updates, calls and streams are left alone again.
    EndDisturbances,
    /// The maintenance schedule is replaced by this one.
    SetMaintenance(Vec<MaintenanceWindow>),
}

/// What happens to a status update on its way to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateFault {
    /// It is lost; its agent sends it again later.
    Drop,
    /// It comes late.
    Delay {
        /// How late.
        ms: u64,
    },
    /// It comes twice.
    Duplicate,
    /// The next one comes before it.
    Reorder,
}

/// A time in which hosts are not to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// Which hosts, by name.
    pub hostnames: Vec<String>,
    /// Milliseconds since the epoch.
    pub start_ms: u64,
    /// `None` for one without an end.
    pub duration_ms: Option<u64>,
}

/// What the world wants done. Effects of one step are carried out in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An event for a scheduler. The stream is open.
    ToScheduler {
        /// Where to.
        stream: StreamId,
        /// What.
        event: Box<scheduler::Event>,
    },
    /// The master ends a scheduler's stream. Nothing follows on it.
    CloseScheduler {
        /// Which stream.
        stream: StreamId,
    },
    /// An agent starts an executor. Answered by `ExecutorStarted` or `ExecutorNotStarted`.
    StartExecutor(Box<StartExecutor>),
    /// An event for an executor. The stream is open.
    ToExecutor {
        /// Where to.
        stream: StreamId,
        /// What.
        event: Box<executor::Event>,
    },
    /// The agent ends an executor's stream. Nothing follows on it.
    CloseExecutor {
        /// Which stream.
        stream: StreamId,
    },
    /// An agent kills an executor and all it left behind. Answered by `ExecutorExited`.
    KillExecutor {
        /// Which agent.
        agent: AgentId,
        /// Which run.
        container: ContainerId,
    },
    /// An agent writes down an update, before the ACKNOWLEDGED that follows it is sent.
    KeepUpdate {
        /// Which agent.
        agent: AgentId,
        /// The run that reported.
        container: ContainerId,
        /// What it reported.
        status: Box<TaskStatus>,
    },
    /// A message for an agent of another process.
    ToAgent {
        /// Which agent.
        agent: AgentId,
        /// What.
        message: Box<agent_link::ToAgent>,
    },
    /// A message for a master of another process.
    ToMaster {
        /// What.
        message: Box<agent_link::FromAgent>,
    },
    /// The master failed over: connections to agents of other processes end.
    DropAgents,
    /// The scheduler acknowledged an update that was kept (or recovered): it need not be kept.
    ForgetUpdate {
        /// Which agent.
        agent: AgentId,
        /// The run that reported.
        container: ContainerId,
        /// The update.
        uuid: Bytes,
    },
}

/// What is needed to start an executor.
#[derive(Clone, Debug, PartialEq)]
pub struct StartExecutor {
    /// The agent that starts it.
    pub agent: AgentId,
    /// Its framework.
    pub framework: FrameworkInfo,
    /// Names this run.
    pub container: ContainerId,
    /// What to run. For a task with a command of its own, made up by the agent.
    pub executor: ExecutorInfo,
    /// The task that carries its own command instead of an executor.
    pub command_task: Option<Box<TaskInfo>>,
}

/// What an agent says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    /// Its id, from `World::assign_agent_id` or from a former life.
    pub id: AgentId,
    /// The host it is on.
    pub hostname: String,
    /// Its IP address.
    pub ip: String,
    /// The port of its API.
    pub port: u16,
    /// All it has.
    pub resources: Resources,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// Updates of one task that outlived the agent that had taken them.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveredUpdates {
    /// The task's framework.
    pub framework: FrameworkId,
    /// The executor that reported.
    pub executor: ExecutorId,
    /// The run that reported.
    pub container: ContainerId,
    /// The task.
    pub task: TaskId,
    /// In the order in which they were reported; at least one.
    pub statuses: Vec<TaskStatus>,
}
