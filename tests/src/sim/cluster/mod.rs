//! A Mesos cluster at the level of the engine's events and actions: one master after another, agents,
//! executors and their work. It follows what was recorded of real ones and knows nothing of the
//! engine's bookkeeping. Absent: other frameworks and roles, the wire.

mod accept;
mod agent;
mod amounts;
mod master;
mod reconcile;
mod trouble;
mod work;

use shiftwork_engine::effect::Launch;
use shiftwork_engine::event::{Outcome, StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, OfferId, TaskId};
use std::collections::BTreeMap;

use self::agent::Agent;
pub(crate) use self::amounts::Amounts;
use self::amounts::Origins;
use self::master::Master;
use super::env::Env;
use crate::random::Random;

/// Something that happens within the cluster.
#[derive(Debug)]
pub(crate) enum ClusterHappening {
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

/// How the work of this world behaves; from the seed.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Mean time a task works, milliseconds.
    pub(crate) work_mean_ms: f64,
    /// Share of the work that fails.
    pub(crate) failing: f64,
    /// Share of tasks that never come to run.
    pub(crate) stuck: f64,
    /// An executor without tasks leaves after this long, milliseconds.
    pub(crate) idle_ms: i64,
    /// An agent that is silent this long is unreachable, milliseconds.
    pub(crate) health_ms: i64,
    /// An offer is taken back after this long, milliseconds.
    pub(crate) offer_timeout_ms: i64,
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
pub(crate) struct Cluster {
    habits: Habits,
    random: Random,
    origins: Origins,
    machines: Vec<Machine>,
    agents: BTreeMap<AgentId, Agent>,
    master: Master,
    updates_made: u64,
}

/// What an agent says of its machine: one of three racks, one of two zones, and each other machine
/// that its disks are fast.
fn attributes(number: usize) -> Vec<(String, String)> {
    let attribute = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes = vec![
        attribute("rack", format!("r{}", number % 3)),
        attribute("zone", format!("z{}", number % 2)),
    ];
    if number.is_multiple_of(2) {
        attributes.push(attribute("ssd", "true".to_owned()));
    }
    attributes
}

/// The time between two rounds of offers.
const ALLOCATE_MS: i64 = 1_000;
/// Until an agent sends an unacknowledged update again.
const RESEND_MS: i64 = 10_000;

// === impl Cluster ===

impl Cluster {
    /// Machines of these sizes, all of them up.
    pub(crate) fn new(
        sizes: &[Amounts],
        habits: Habits,
        mut random: Random,
        env: &mut Env,
    ) -> Self {
        let machine = |(number, capacity): (usize, &Amounts)| Machine {
            capacity: *capacity,
            hostname: format!("host{number}"),
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
            updates_made: 0,
        };
        for number in 0..cluster.machines.len() {
            cluster.boot(number, env);
        }
        env.cluster(ALLOCATE_MS, ClusterHappening::Allocate);
        cluster
    }

    /// Lets one thing happen.
    pub(crate) fn happen(&mut self, what: ClusterHappening, env: &mut Env) {
        match what {
            ClusterHappening::Allocate => {
                self.allocate(env);
                env.cluster(ALLOCATE_MS, ClusterHappening::Allocate);
            }
            ClusterHappening::OfferTimeout(offer) => self.rescind(&offer, env),
            ClusterHappening::AtMaster(agent, message) => self.at_master(&agent, message, env),
            ClusterHappening::AtAgent(agent, message) => self.at_agent(&agent, message, env),
            ClusterHappening::TaskStarts(agent, task) => self.task_starts(&agent, &task, env),
            ClusterHappening::TaskRuns(agent, task) => self.task_runs(&agent, &task, env),
            ClusterHappening::TaskEnds(agent, task) => self.task_ends(&agent, &task, env),
            ClusterHappening::DaemonFires(agent, task) => self.daemon_fires(&agent, &task, env),
            ClusterHappening::KillDone(agent, task) => self.kill_done(&agent, &task, env),
            ClusterHappening::Resend(agent, task, uuid) => self.resend(&agent, &task, uuid, env),
            ClusterHappening::ExecutorIdle(agent, executor, since) => {
                self.executor_idle(&agent, &executor, since, env);
            }
            ClusterHappening::ExecutorLeaves(agent, executor) => {
                self.end_executor(&agent, &executor, env);
            }
            ClusterHappening::HealthTimeout(agent, outage) => {
                self.health_timeout(&agent, outage, env);
            }
            ClusterHappening::LinkBack(agent, outage) => self.link_back(&agent, outage, env),
            ClusterHappening::Boots(machine) => self.boot(machine, env),
            ClusterHappening::MasterBack => self.master_back(env),
            ClusterHappening::ReregisterTimeout(master) => self.reregister_timeout(master, env),
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

    /// From now on work runs well; what has begun badly stays so.
    pub(crate) fn calm(&mut self) {
        self.habits.failing = 0.0;
        self.habits.stuck = 0.0;
    }

    /// Work that is going on, for the auditor: task by task.
    pub(crate) fn working(&self) -> impl Iterator<Item = &TaskId> {
        self.agents.values().flat_map(Agent::working)
    }

    /// Offers that are out.
    pub(crate) fn offers_out(&self) -> usize {
        self.master.offers.len()
    }

    /// When the oldest offer that is out was made.
    pub(crate) fn oldest_offer(&self) -> Option<i64> {
        self.master.offers.values().map(|offer| offer.since).min()
    }
}
