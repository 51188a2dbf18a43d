//! A Mesos cluster at the level of the engine's events and actions: one master after another, agents,
//! executors and their work. It follows what was recorded of real ones and knows nothing of the
//! engine's bookkeeping. Absent: other frameworks and roles, the wire.

mod accept;
mod agent;
mod master;
mod reconcile;
mod trouble;
mod work;

use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::event::{Outcome, StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use shiftwork_engine::resources::Resources;
use std::collections::BTreeMap;

use self::agent::Agent;
use self::master::Master;
use super::amounts::{Amounts, Origins};
use super::{ALLOCATE_MS, Cluster, ClusterHappening, Habits, RESEND_MS, attributes, hostname};
use crate::random::Random;
use crate::sim::env::{Env, Process, StreamId};
use crate::sim::faults::{Fault, Faults};

/// Something that happens within the cluster.
#[derive(Debug)]
pub(crate) enum ModelHappening {
    /// The master offers what is free.
    Allocate,
    /// An offer was held too long.
    OfferTimeout(OfferId),
    /// A message of an agent arrives at the master.
    AtMaster(AgentId, AgentMessage),
    /// A message of the master arrives at an agent.
    AtAgent(AgentId, MasterMessage),
    /// An executor takes up a task.
    TaskStarts(AgentId, TaskId),
    /// Its work begins.
    TaskRuns(AgentId, TaskId),
    /// Its work ends by itself.
    TaskEnds(AgentId, TaskId),
    /// A daemon fires.
    DaemonFires(AgentId, TaskId),
    /// A killed task has ended.
    KillDone(AgentId, TaskId),
    /// An update was not acknowledged in time.
    Resend(AgentId, TaskId, u64),
    /// An executor has been idle for its time.
    ExecutorIdle(AgentId, ExecutorId, u64),
    /// An executor that was told to end has ended.
    ExecutorLeaves(AgentId, ExecutorId),
    /// The master has not heard of an agent for long.
    HealthTimeout(AgentId, u64),
    /// An agent can be reached again.
    LinkBack(AgentId, u64),
    /// A machine has booted: its agent registers as a new one.
    Boots(usize),
    /// The next master is there.
    MasterBack,
    /// Agents that did not register at the new master are given up.
    ReregisterTimeout(u64),
}

/// From an agent to the master.
#[derive(Debug, Clone)]
pub(crate) enum AgentMessage {
    /// It is there, again or for the first time.
    Register,
    /// A task changed its state.
    Update(TaskId, Update),
    /// An executor ended.
    ExecutorExited(ExecutorId),
}

/// From the master to an agent.
#[derive(Debug, Clone)]
pub(crate) enum MasterMessage {
    /// Run a task.
    Run(Box<Launch>),
    /// End a task.
    Kill(TaskId, u64),
    /// An update was recorded by the framework.
    Acknowledge(TaskId, u64),
    /// End an executor.
    ShutdownExecutor(ExecutorId),
    /// Report these tasks, which the master has and you did not name.
    Missing(Vec<TaskId>),
    /// End everything of the framework.
    ShutdownFramework,
}

/// A status update on its way from an agent.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) uuid: u64,
    pub(crate) state: TaskState,
    pub(crate) reason: StatusReason,
    pub(crate) message: Option<&'static str>,
    pub(crate) outcome: Option<Outcome>,
}

/// A machine: its agent comes and goes, its size stays.
#[derive(Debug)]
struct Machine {
    capacity: Amounts,
    hostname: String,
    attributes: Vec<(String, String)>,
    /// How often its agent has got an id.
    boots: u64,
    /// The agent it is now, while it is up.
    agent: Option<AgentId>,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Model {
    habits: Habits,
    random: Random,
    origins: Origins,
    machines: Vec<Machine>,
    agents: BTreeMap<AgentId, Agent>,
    master: Master,
    /// What executors were to be charged when they were last launched.
    described: BTreeMap<(AgentId, ExecutorId), Resources>,
    /// When a task told last that its executor had ended: maybe one before it under the same id.
    told_lost: BTreeMap<(AgentId, ExecutorId), i64>,
    updates_made: u64,
}

// === impl Model ===

impl Model {
    /// Machines of these sizes, all of them up.
    pub(crate) fn new(
        sizes: &[Amounts],
        habits: Habits,
        mut random: Random,
        env: &mut Env,
    ) -> Self {
        let machine = |(number, capacity): (usize, &Amounts)| Machine {
            capacity: *capacity,
            hostname: hostname(number),
            attributes: attributes(number),
            boots: 0,
            agent: None,
        };
        let own = random.fork();
        let mut cluster = Self {
            habits,
            random: own,
            origins: Origins::new(),
            machines: sizes.iter().enumerate().map(machine).collect(),
            agents: BTreeMap::new(),
            master: Master::default(),
            described: BTreeMap::new(),
            told_lost: BTreeMap::new(),
            updates_made: 0,
        };
        for number in 0..cluster.machines.len() {
            cluster.boot(number, env);
        }
        env.cluster(ALLOCATE_MS, ModelHappening::Allocate);
        cluster
    }

    fn happens(&mut self, what: ModelHappening, env: &mut Env) {
        match what {
            ModelHappening::Allocate => {
                self.allocate(env);
                env.cluster(ALLOCATE_MS, ModelHappening::Allocate);
            }
            ModelHappening::OfferTimeout(offer) => self.rescind(&offer, env),
            ModelHappening::AtMaster(agent, message) => self.at_master(&agent, message, env),
            ModelHappening::AtAgent(agent, message) => self.at_agent(&agent, message, env),
            ModelHappening::TaskStarts(agent, task) => self.task_starts(&agent, &task, env),
            ModelHappening::TaskRuns(agent, task) => self.task_runs(&agent, &task, env),
            ModelHappening::TaskEnds(agent, task) => self.task_ends(&agent, &task, env),
            ModelHappening::DaemonFires(agent, task) => self.daemon_fires(&agent, &task, env),
            ModelHappening::KillDone(agent, task) => self.kill_done(&agent, &task, env),
            ModelHappening::Resend(agent, task, uuid) => self.resend(&agent, &task, uuid, env),
            ModelHappening::ExecutorIdle(agent, executor, since) => {
                self.executor_idle(&agent, &executor, since, env);
            }
            ModelHappening::ExecutorLeaves(agent, executor) => {
                self.end_executor(&agent, &executor, env);
            }
            ModelHappening::HealthTimeout(agent, outage) => {
                self.health_timeout(&agent, outage, env);
            }
            ModelHappening::LinkBack(agent, outage) => self.link_back(&agent, outage, env),
            ModelHappening::Boots(machine) => self.boot(machine, env),
            ModelHappening::MasterBack => self.master_back(env),
            ModelHappening::ReregisterTimeout(master) => self.reregister_timeout(master, env),
        }
    }

    /// A machine's agent starts under a new id.
    fn boot(&mut self, number: usize, env: &mut Env) {
        let Some(machine) = self.machines.get_mut(number) else { return };
        machine.boots += 1;
        let id = AgentId::new(format!("S{number}.{}", machine.boots));
        machine.agent = Some(id.clone());
        self.agents.insert(id.clone(), Agent::new(machine));
        env.tell(id.as_str(), || "boots");
        self.send_master(&id, AgentMessage::Register, env);
    }
}

impl Cluster for Model {
    fn happen(&mut self, what: ClusterHappening, env: &mut Env) -> bool {
        if let ClusterHappening::Model(what) = what {
            self.happens(what, env);
        }
        true
    }

    fn subscribe(&mut self, from: Process, framework: Option<FrameworkId>, env: &mut Env) -> bool {
        self.take_subscription(from, framework, env)
    }

    fn stream_closed(&mut self, stream: StreamId, _env: &mut Env) {
        self.forget_stream(stream);
    }

    fn missed(&mut self, action: &Action) {
        if let Action::Accept { agent, launches, .. } = action {
            self.describe(agent, launches, None);
        }
    }

    fn call(&mut self, stream: StreamId, action: Action, env: &mut Env) -> Option<Action> {
        self.take_call(stream, action, env)
    }

    fn suffer(&mut self, fault: Fault, env: &mut Env) -> bool {
        self.befall(fault, env)
    }

    fn calm(&mut self, _env: &mut Env) {
        self.habits.failing = 0.0;
        self.habits.stuck = 0.0;
    }

    /// Faults of this cluster are drawn and counted where they strike.
    fn count(&self, _faults: &mut Faults) {}

    fn working(&self) -> Vec<&TaskId> {
        self.agents.values().flat_map(Agent::working).collect()
    }

    fn offers_out(&self) -> usize {
        self.master.offers.len()
    }

    fn oldest_offer(&self) -> Option<i64> {
        self.master.offers.values().map(|offer| offer.since).min()
    }
}
