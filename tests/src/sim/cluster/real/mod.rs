//! The core of offer-sim as the cluster: its master, its agents, its simulated executors and its
//! faults, behind the translation that the real driver uses. What executors really did is read from
//! offer-sim itself, not from what the scheduler was told. Absent: sockets; a message takes as long as
//! chance says.

mod calls;
mod load;
mod told;
mod trouble;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use offer_sim::world::{
    AgentId as SimAgentId, AgentSpec, Deed, Distribution, Effect, Event,
    FrameworkId as SimFramework, World, WorldConfig, parse_attributes, parse_resources,
};
use prost::Message as _;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::{AgentId, FrameworkId, RunId, TaskId};
use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::shiftwork::v1::TaskPayload;
use shiftwork_scheduler::mesos::{DriverConfig, framework_info};

use self::calls::OffersOut;
use self::load::Loads;
use self::trouble::Host;
use self::work::Habitual;
use super::{
    ALLOCATE_MS, Amounts, Cluster, ClusterHappening, Habits, REREGISTER_MS, RESEND_MS, ROLE,
    attributes, hostname,
};
use crate::random::Random;
use crate::sim::env::{Env, Fact, Happening, Process, StreamId};
use crate::sim::faults::{Fault, Faults};

/// Something that happens within the cluster.
#[derive(Debug)]
pub(crate) enum RealHappening {
    /// The world's next deadline, as it was when this was entered.
    Alarm(i64),
    /// The connection of a host to the master is as it was, if it still has this agent.
    Mended(usize, SimAgentId),
    /// A host boots: its agent registers as a new one.
    Boots(usize),
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Real {
    world: World,
    habits: Habits,
    random: Random,
    /// What the driver says of itself when it subscribes.
    driver: DriverConfig,
    hosts: Vec<Host>,
    streams: BTreeMap<StreamId, Stream>,
    streams_made: StreamId,
    /// Until then nobody leads the masters.
    away_until: i64,
    offers: OffersOut,
    loads: Loads,
    /// What executors were given, by what they themselves were told.
    given: BTreeMap<TaskId, Given>,
    /// Tasks whose work goes on.
    working: BTreeSet<TaskId>,
    /// Those of them whose framework was removed. An agent out of reach ends them when it is back; but
    /// if the master that knows of the removal is no more by then, nobody does, and no scheduler can.
    orphans: BTreeSet<TaskId>,
    /// When the world's alarms were entered into the calendar.
    alarms: BTreeSet<i64>,
    effects: Vec<Effect>,
}

/// A subscription, open at the master's end.
#[derive(Debug)]
struct Stream {
    process: Process,
    framework: Option<SimFramework>,
    /// When its latest message arrives: none overtakes another.
    last_at: i64,
    /// Its end means that another leads.
    replaced: bool,
    /// Its framework was removed, and nobody has been told yet.
    removed: bool,
}

/// A task as its executor knows it.
#[derive(Debug)]
struct Given {
    framework: SimFramework,
    run: RunId,
    item: u32,
}

// === impl Real ===

impl Real {
    pub(super) fn new(
        sizes: &[Amounts],
        habits: Habits,
        mut random: Random,
        env: &mut Env,
    ) -> Self {
        /// Pings of an agent that may be lost; together they last as long as this world bears.
        const PINGS: i64 = 5;
        let config = WorldConfig {
            allocation_interval_ms: ALLOCATE_MS as u64,
            offer_timeout_ms: Some(habits.offer_timeout_ms as u64),
            update_retry_ms_min: RESEND_MS as u64,
            agent_ping_timeout_ms: (habits.health_ms / PINGS) as u64,
            max_agent_ping_timeouts: PINGS as u64,
            agent_reregister_timeout_ms: REREGISTER_MS as u64,
            registration_backoff_ms: 20_000,
            link_delay: Distribution::Uniform(1, 5),
            master_id_len: 8,
            ..WorldConfig::default()
        };
        let mut world = World::new(config, random.next());
        world.set_work(Box::new(Habitual::new(habits.clone(), random.fork())));
        world.watch_work();
        let mut driver = DriverConfig::new(vec!["master:5050".to_owned()]);
        ROLE.clone_into(&mut driver.role);
        driver.gpus = true;
        let mut real = Self {
            world,
            habits,
            random,
            driver,
            hosts: sizes.iter().map(Host::new).collect(),
            streams: BTreeMap::new(),
            streams_made: 0,
            away_until: env.now(),
            offers: OffersOut::default(),
            loads: Loads::default(),
            given: BTreeMap::new(),
            working: BTreeSet::new(),
            orphans: BTreeSet::new(),
            alarms: BTreeSet::new(),
            effects: Vec::new(),
        };
        real.disturb(env);
        for number in 0..real.hosts.len() {
            real.boot(number, env);
        }
        real
    }

    /// Lets the core take one event, and carries out what it wants.
    fn step(&mut self, event: Event, env: &mut Env) {
        let mut effects = std::mem::take(&mut self.effects);
        self.world.step(env.now().unsigned_abs(), event, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect, env);
        }
        self.effects = effects;
        for deed in self.world.take_deeds() {
            self.note(deed, env);
        }
        self.set_alarm(env);
    }

    /// The core is woken for its next deadline.
    fn set_alarm(&mut self, env: &mut Env) {
        let Some(next) = self.world.next_deadline_ms() else { return };
        let next = next as i64;
        if self.alarms.first().is_none_or(|first| next < *first) {
            self.alarms.insert(next);
            env.cluster_at(next, RealHappening::Alarm(next));
        }
    }

    fn on_alarm(&mut self, at: i64, env: &mut Env) -> bool {
        self.alarms.remove(&at);
        let due = self.world.next_deadline_ms().is_some_and(|next| next as i64 <= env.now());
        if due {
            self.step(Event::Tick, env);
        } else {
            self.set_alarm(env);
        }
        due
    }

    /// A host's agent starts under a new id.
    fn boot(&mut self, number: usize, env: &mut Env) {
        let id = self.world.assign_agent_id();
        let Some(host) = self.hosts.get_mut(number) else { return };
        host.boots(id.clone());
        let attributes: Vec<String> =
            attributes(number).into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        // Flags made here are well formed; one that was not would offer nothing, and be noticed.
        let agent = AgentSpec {
            hostname: hostname(number),
            ip: format!("10.0.0.{number}"),
            port: 5051,
            resources: parse_resources(&host.capacity().to_flag()).unwrap_or_default(),
            attributes: parse_attributes(&attributes.join(";")).unwrap_or_default(),
            id,
        };
        self.loads.on_boot(&agent);
        env.tell(&agent.id.0, || "boots");
        self.step(Event::SimulateAgent { agent }, env);
    }

    /// What a task is for: an executor of ours is told by the payload, a command by its environment.
    fn read(task: &TaskInfo) -> Option<(RunId, u32)> {
        if let Some(command) = &task.command {
            let variables = &command.environment.as_ref()?.variables;
            let value = |name: &str| {
                let found = variables.iter().find(|variable| variable.name == name);
                found.and_then(|variable| variable.value.as_deref())
            };
            let run = RunId::parse(value("SHIFTWORK_RUN_ID")?).ok()?;
            return Some((run, value("SHIFTWORK_ITEM")?.parse().ok()?));
        }
        let payload = TaskPayload::decode(task.data.clone()?).ok()?;
        Some((RunId::parse(&payload.run_id).ok()?, payload.item))
    }

    /// What an executor really did.
    fn note(&mut self, deed: Deed, env: &mut Env) {
        if let Err(what) = self.loads.on_deed(&deed) {
            env.facts.push(Fact::Overcommitted(what));
        }
        match deed {
            Deed::Started { .. } | Deed::Exited { .. } => {}
            Deed::Took { framework, task, .. } => {
                let Some((run, item)) = Self::read(&task) else {
                    let text = format!("{}: its executor cannot read it", task.task_id.value);
                    env.facts.push(Fact::Improper(text));
                    return;
                };
                let given = Given { framework, run, item };
                self.given.insert(TaskId::new(task.task_id.value), given);
            }
            Deed::Began { agent, task } => {
                let task = TaskId::new(task.0);
                let Some(Given { run, item, .. }) = self.given.get(&task) else { return };
                let (run, item, agent) = (run.clone(), *item, AgentId::new(agent.0));
                self.working.insert(task.clone());
                env.facts.push(Fact::WorkStarted { task, run, item, agent });
            }
            Deed::Over { agent, task } => {
                env.tell(&agent.0, || format!("{task} is over"));
                let task = TaskId::new(task.0);
                self.given.remove(&task);
                self.orphans.remove(&task);
                if self.working.remove(&task) {
                    env.facts.push(Fact::WorkEnded { task });
                }
            }
        }
    }
}

impl Cluster for Real {
    fn happen(&mut self, what: ClusterHappening, env: &mut Env) -> bool {
        let ClusterHappening::Real(what) = what else { return false };
        match what {
            RealHappening::Alarm(at) => return self.on_alarm(at, env),
            RealHappening::Mended(number, agent) => self.mend(number, &agent, env),
            RealHappening::Boots(number) => self.boot_again(number, env),
        }
        true
    }

    fn subscribe(&mut self, from: Process, framework: Option<FrameworkId>, env: &mut Env) -> bool {
        if env.now() < self.away_until || self.world.refuses_call(env.now() as u64).is_some() {
            return false;
        }
        if framework.is_none() && !self.given.is_empty() {
            let text = "subscribed as a new framework while tasks run under the old id";
            env.facts.push(Fact::Improper(text.to_owned()));
        }
        self.streams_made += 1;
        let stream = Stream {
            process: from,
            framework: None,
            last_at: env.now(),
            replaced: false,
            removed: false,
        };
        self.streams.insert(self.streams_made, stream);
        let info = Box::new(framework_info(&self.driver, "batch", framework.as_ref()));
        let stream = self.streams_made.to_string().as_str().into();
        self.step(Event::Subscribe { stream, info, suppressed_roles: Vec::new() }, env);
        true
    }

    fn stream_closed(&mut self, stream: StreamId, env: &mut Env) {
        if self.streams.remove(&stream).is_some() {
            self.offers.on_stream_gone(stream);
            let stream = stream.to_string().as_str().into();
            self.step(Event::SchedulerGone { stream }, env);
        }
    }

    fn missed(&mut self, action: &Action) {
        if let Action::Accept { agent, launches, .. } = action {
            self.offers.describe(agent, launches);
        }
    }

    fn call(&mut self, stream: StreamId, action: Action, env: &mut Env) -> Option<Action> {
        self.take_call(stream, action, env)
    }

    fn suffer(&mut self, fault: Fault, env: &mut Env) -> bool {
        self.befall(fault, env)
    }

    fn calm(&mut self, env: &mut Env) {
        self.habits.failing = 0.0;
        self.habits.stuck = 0.0;
        let work = Habitual::new(self.habits.clone(), self.random.fork());
        self.world.set_work(Box::new(work));
        self.step(Event::Fault(offer_sim::world::Fault::EndDisturbances), env);
    }

    fn count(&self, faults: &mut Faults) {
        self.count_disturbances(faults);
    }

    fn working(&self) -> Vec<&TaskId> {
        self.working.difference(&self.orphans).collect()
    }

    fn offers_out(&self) -> usize {
        self.offers.count()
    }

    fn oldest_offer(&self) -> Option<i64> {
        self.offers.oldest()
    }
}

/// Puts an event of the driver's stream onto the calendar, after all that came before it.
fn deliver(stream: &mut Stream, id: StreamId, event: shiftwork_engine::Event, env: &mut Env) {
    let at = (env.now() + env.random.between(0, 8)).max(stream.last_at);
    stream.last_at = at;
    let (to, event) = (stream.process, Box::new(event));
    env.calendar.at(at, Happening::ToScheduler { to, stream: Some(id), event });
}
