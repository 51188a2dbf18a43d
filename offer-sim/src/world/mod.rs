//! A Mesos master and its agents as a deterministic state machine: events in, effects out. No I/O,
//! no clock, no randomness: time is given with each event and names come from a seed.
//!
//! Master and agents know nothing of each other but the messages in `mail`; all of a step's
//! messages are delivered before the step ends, in the order in which they were sent.

mod agent;
mod event;
mod id;
mod mail;
mod master;
mod resource_wire;
mod resources;
mod status;
mod timers;

use std::collections::{BTreeMap, VecDeque};

use shiftwork_proto::mesos::v1::{executor, scheduler};

pub use event::{AgentSpec, Effect, Event, RecoveredUpdates, StartExecutor};
pub use id::{AgentId, ContainerId, ExecutorId, FrameworkId, Ids, OfferId, StreamId, TaskId};
pub use master::Rejection;
pub use resource_wire::{ResourceError, parse_attributes, parse_resources};
pub use resources::{Amount, Kind, Reservation, Resources};

use agent::Agent;
use mail::{Mail, ToAgent};
use master::Master;
use timers::{Timer, Timers};

/// The settings of a master and its agents that change what happens.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Between two heartbeats on a scheduler's stream.
    pub heartbeat_interval_ms: u64,
    /// Resources that come back wait for the next beat of this interval, to be offered together with
    /// others; also the least time that a filter lasts.
    pub allocation_interval_ms: u64,
    /// An offer not answered for this long is rescinded; `None` keeps it.
    pub offer_timeout_ms: Option<u64>,
    /// Until an unacknowledged update is sent again; doubled each time.
    pub update_retry_ms_min: u64,
    /// The longest such wait.
    pub update_retry_ms_max: u64,
    /// From an executor's SHUTDOWN to its death.
    pub executor_shutdown_grace_ms: u64,
    /// From an executor's start to its SUBSCRIBE; after that it is killed.
    pub executor_registration_timeout_ms: u64,
    /// Host name that the master gives.
    pub hostname: String,
    /// IPv4 address that the master gives.
    pub ip: std::net::Ipv4Addr,
    /// Port that the master gives.
    pub port: u16,
}

impl Default for WorldConfig {
    /// The defaults of a real master and agent, on the loopback interface.
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 15_000,
            allocation_interval_ms: 1_000,
            offer_timeout_ms: None,
            update_retry_ms_min: 10_000,
            update_retry_ms_max: 600_000,
            executor_shutdown_grace_ms: 5_000,
            executor_registration_timeout_ms: 60_000,
            hostname: "127.0.0.1".to_owned(),
            ip: std::net::Ipv4Addr::LOCALHOST,
            port: 5050,
        }
    }
}

/// The master, its agents, and what is under way.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    ids: Ids,
    timers: Timers,
    master: Master,
    agents: BTreeMap<AgentId, Agent>,
}

/// What a reaction may use: the time, the settings, names, alarms, and the way out.
struct Turn<'a> {
    now_ms: u64,
    config: &'a WorldConfig,
    ids: &'a mut Ids,
    timers: &'a mut Timers,
    effects: &'a mut Vec<Effect>,
    mail: &'a mut VecDeque<Mail>,
}

// === impl World ===

impl World {
    /// A master without agents and frameworks. The seed decides every name.
    pub fn new(config: WorldConfig, seed: u64) -> Self {
        Self {
            config,
            ids: Ids::new(seed),
            timers: Timers::default(),
            master: Master::default(),
            agents: BTreeMap::new(),
        }
    }

    /// The master's own id: a part of every name that it gives.
    pub fn master_id(&self) -> &str {
        self.ids.master()
    }

    /// A name for an agent that has none yet.
    pub fn assign_agent_id(&mut self) -> AgentId {
        self.ids.agent()
    }

    /// A name for a stream about to be opened.
    pub fn assign_stream_id(&mut self) -> StreamId {
        self.ids.stream()
    }

    /// Says whether the master answers this call with 202 (or 200 for SUBSCRIBE).
    ///
    /// # Errors
    /// The status and text it answers with otherwise.
    pub fn admit_scheduler_call(
        &self,
        call: &scheduler::Call,
        stream: Option<&str>,
    ) -> Result<(), Rejection> {
        self.master.admit(call, stream)
    }

    /// Says whether an agent answers this call with 202 (or 200 for SUBSCRIBE).
    ///
    /// # Errors
    /// The status and text it answers with otherwise.
    pub fn admit_executor_call(
        &self,
        agent: &AgentId,
        call: &executor::Call,
    ) -> Result<(), Rejection> {
        match self.agents.get(agent) {
            Some(agent) => agent.admit(call),
            None => Err(Rejection::unavailable("Agent has not registered with the master")),
        }
    }

    /// When `step` must be called with [`Event::Tick`] if nothing happens before.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.timers.next_ms()
    }

    /// How many executors an agent has that have not ended.
    pub fn executors_alive(&self, agent: &AgentId) -> usize {
        self.agents.get(agent).map_or(0, Agent::executors_alive)
    }

    /// Takes one event, and all alarms due at `now_ms`, and appends what is to be done.
    /// `now_ms` must not go back.
    pub fn step(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) {
        let mut mail = VecDeque::new();
        let mut turn = Turn {
            now_ms,
            config: &self.config,
            ids: &mut self.ids,
            timers: &mut self.timers,
            effects,
            mail: &mut mail,
        };
        dispatch(&mut self.master, &mut self.agents, &mut turn, event);
        deliver(&mut self.master, &mut self.agents, &mut turn);
        while let Some(timer) = turn.timers.pop_due(now_ms) {
            on_timer(&mut self.master, &mut self.agents, &mut turn, timer);
            deliver(&mut self.master, &mut self.agents, &mut turn);
        }
        self.master.flush_offers(&mut turn);
    }
}

/// Gives an event to the master or to the agent it concerns. What concerns nobody is dropped: the
/// sender has been told, or will be, that its peer is gone.
fn dispatch(
    master: &mut Master,
    agents: &mut BTreeMap<AgentId, Agent>,
    turn: &mut Turn<'_>,
    event: Event,
) {
    match event {
        Event::Tick => {}
        Event::Subscribe { stream, info, suppressed_roles } => {
            master.on_subscribe(turn, stream, *info, suppressed_roles);
        }
        Event::SchedulerGone { stream } => master.on_stream_gone(turn, &stream),
        Event::SchedulerCall { framework, call } => master.on_call(turn, &framework, *call),
        Event::AgentExpected { agent } => master.on_agent_expected(agent),
        Event::RegisterAgent { agent, recovered } => {
            master.on_agent_registered(&agent, &recovered);
            agents.insert(agent.id.clone(), Agent::new(turn, agent, recovered));
        }
        Event::ExecutorSubscribe { agent, stream, framework, executor, subscribe } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_subscribe(turn, stream, framework, executor, subscribe);
            }
        }
        Event::ExecutorGone { agent, stream } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_stream_gone(&stream);
            }
        }
        Event::ExecutorUpdate { agent, framework, executor, status } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_update(turn, &framework, &executor, *status);
            }
        }
        Event::ExecutorMessage { agent, framework, executor, data } => {
            master.on_executor_message(turn, &agent, &framework, &executor, data);
        }
        Event::ExecutorStarted { agent, container, pid } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_started(&container, pid);
            }
        }
        Event::ExecutorNotStarted { agent, container, why } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_not_started(turn, &container, &why);
            }
        }
        Event::ExecutorExited { agent, container, wait_status } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_exited(turn, &container, wait_status);
            }
        }
        Event::DrainAgent { agent } => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_drain(turn);
            }
        }
    }
}

/// Delivers messages until none is left.
fn deliver(master: &mut Master, agents: &mut BTreeMap<AgentId, Agent>, turn: &mut Turn<'_>) {
    while let Some(mail) = turn.mail.pop_front() {
        match mail {
            Mail::ToMaster { from, message } => master.on_agent_message(turn, &from, message),
            Mail::ToAgent { to, message } => {
                if let Some(agent) = agents.get_mut(&to) {
                    agent.on_master_message(turn, message);
                }
            }
        }
    }
}

fn on_timer(
    master: &mut Master,
    agents: &mut BTreeMap<AgentId, Agent>,
    turn: &mut Turn<'_>,
    timer: Timer,
) {
    match timer {
        Timer::Heartbeat(framework) => master.on_heartbeat_due(turn, &framework),
        Timer::FailoverTimeout(framework) => master.on_failover_timeout(turn, &framework),
        Timer::OfferTimeout(offer) => master.on_offer_timeout(turn, &offer),
        Timer::FilterExpiry(agent) => master.on_filter_expiry(turn, &agent),
        Timer::Allocate => master.on_allocation_due(turn),
        Timer::UpdateRetry(agent, key) => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_update_retry_due(turn, &key);
            }
        }
        Timer::Executor(agent, container) => {
            if let Some(agent) = agents.get_mut(&agent) {
                agent.on_executor_deadline(turn, &container);
            }
        }
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// The time as status updates carry it.
    fn timestamp_seconds(&self) -> f64 {
        self.now_ms as f64 / 1000.0
    }

    fn send_agent(&mut self, to: &AgentId, message: ToAgent) {
        self.mail.push_back(Mail::ToAgent { to: to.clone(), message });
    }

    fn send_scheduler(&mut self, stream: &StreamId, event: scheduler::Event) {
        self.effects.push(Effect::ToScheduler { stream: stream.clone(), event: Box::new(event) });
    }

    fn send_executor(&mut self, stream: &StreamId, event: executor::Event) {
        self.effects.push(Effect::ToExecutor { stream: stream.clone(), event: Box::new(event) });
    }
}
