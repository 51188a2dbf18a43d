//! A Mesos master and its agents as a deterministic state machine: events in, effects out. No I/O,
//! no clock, no randomness: time is given with each event and names come from a seed.
//!
//! Master and agents know nothing of each other but the messages in `mail`; all of a step's
//! messages are delivered before the step ends, in the order in which they were sent.

mod agent;
mod chance;
mod delivery;
mod distribution;
mod disturbance;
mod event;
mod fault;
mod id;
mod link_wire;
mod links;
mod mail;
mod master;
mod outbox;
mod resource_wire;
mod resources;
mod settings;
mod simulated;
mod state;
mod status;
mod survey;
mod timers;
mod transit;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shiftwork_proto::mesos::v1::{MasterInfo, executor, scheduler};

pub use distribution::{Distribution, DistributionError};
pub use event::{
    AgentSpec, Effect, Event, Fault, MaintenanceWindow, RecoveredUpdates, StartExecutor,
    UpdateFault,
};
pub use id::{AgentId, ContainerId, ExecutorId, FrameworkId, Ids, OfferId, StreamId, TaskId};
pub use master::{MESOS_VERSION, Rejection};
pub use resource_wire::{ResourceError, parse_attributes, parse_resources};
pub use resources::{Amount, Kind, Reservation, Resources};
pub use settings::WorldConfig;
pub use simulated::{Deed, ExecutorPlan, Reports, TaskPlan, Work, Workload};
pub use survey::AgentSummary;
pub use transit::Lost;

use agent::Agent;
use disturbance::Disturbance;
use fault::Refusal;
use links::Links;
use mail::{Mail, ToAgent, ToMaster};
use master::Master;
use outbox::Outbox;
use simulated::{Simulation, Stage};
use timers::{Timer, Timers};
use transit::Transit;

/// The master, its agents, and what is under way.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    ids: Ids,
    timers: Timers,
    parts: Parts,
    simulation: Simulation,
}

/// Everything that reacts to events, beside simulated executors.
#[derive(Debug)]
struct Parts {
    master: Master,
    agents: BTreeMap<AgentId, Agent>,
    /// Agents of other processes that registered here.
    remote: BTreeSet<AgentId>,
    /// Simulated hosts that vanished and may come back.
    killed: BTreeMap<AgentId, AgentSpec>,
    links: Links,
    transit: Transit,
    disturbance: Disturbance,
    refusal: Option<Refusal>,
    outbox: Outbox,
}

/// What is to be reacted to.
enum Due {
    Event(Event),
    Timer(Timer),
    /// The end of a step.
    Offers,
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
            ids: Ids::new(seed, config.master_id_len),
            config,
            timers: Timers::default(),
            parts: Parts {
                master: Master::default(),
                agents: BTreeMap::new(),
                remote: BTreeSet::new(),
                killed: BTreeMap::new(),
                links: Links::default(),
                transit: Transit::new(seed),
                disturbance: Disturbance::new(seed),
                refusal: None,
                outbox: Outbox::default(),
            },
            simulation: Simulation::new(seed),
        }
    }

    /// What executors of simulated agents do with the tasks that they are given from now on.
    pub fn set_workload(&mut self, workload: Workload) {
        self.simulation.set_workload(workload);
    }

    /// The same, planned by the caller.
    pub fn set_work(&mut self, work: Box<dyn Work>) {
        self.simulation.set_work(work);
    }

    /// The master as others know it.
    pub fn master_info(&self) -> MasterInfo {
        master::master_info(&self.config, self.ids.master())
    }

    /// The answer to a call while calls are refused, whatever it asks for.
    pub fn refuses_call(&mut self, now_ms: u64) -> Option<Rejection> {
        self.parts.refusal.as_mut().and_then(|refusal| refusal.refuses(now_ms))
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
        self.parts.master.admit(call, stream)
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
        match self.parts.agents.get(agent) {
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
        self.parts.agents.get(agent).map_or(0, Agent::executors_alive)
    }

    /// Takes one event, and all alarms due at `now_ms`, and appends what is to be done.
    /// `now_ms` must not go back.
    pub fn step(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) {
        self.react(now_ms, Due::Event(event), effects);
        while let Some(timer) = self.timers.pop_due(now_ms) {
            self.react(now_ms, Due::Timer(timer), effects);
        }
        self.react(now_ms, Due::Offers, effects);
    }

    /// Reacts to one thing and to all that simulated executors do because of it.
    fn react(&mut self, now_ms: u64, due: Due, effects: &mut Vec<Effect>) {
        let mut events = VecDeque::new();
        let mut next = Some(due);
        let mut fresh = Vec::new();
        let mut mail = VecDeque::new();
        while let Some(due) = next {
            let timers = &mut self.timers;
            let mut stage = Stage { now_ms, timers, events: &mut events };
            match &due {
                Due::Timer(Timer::Simulated(container, alarm)) => {
                    self.simulation.on_alarm(&mut stage, container, alarm);
                }
                Due::Event(Event::Fault(Fault::CrashExecutor(container))) => {
                    self.simulation.crash(&mut stage, container);
                }
                _ => {}
            }
            let mut turn = Turn {
                now_ms,
                config: &self.config,
                ids: &mut self.ids,
                timers: &mut self.timers,
                effects: &mut fresh,
                mail: &mut mail,
            };
            match due {
                Due::Event(event) => self.parts.on_event(&mut turn, &mut self.simulation, event),
                Due::Timer(Timer::Outbox) => {
                    self.parts.outbox.release(now_ms, turn.timers, effects);
                }
                Due::Timer(timer) => self.parts.on_timer(&mut turn, timer),
                Due::Offers => {
                    self.parts.master.flush_offers(&mut turn);
                    self.parts.master.flush_inverse_offers(&mut turn);
                }
            }
            self.parts.deliver(&mut turn);
            let mut stage = Stage { now_ms, timers: &mut self.timers, events: &mut events };
            for effect in fresh.drain(..) {
                if let Some(effect) = self.simulation.absorb(&mut stage, effect) {
                    self.parts.outbox.push(effect, effects);
                }
            }
            next = events.pop_front().map(Due::Event);
        }
    }
}

// === impl Parts ===

impl Parts {
    /// Gives an event to the master or to the agent it concerns. What concerns nobody is dropped:
    /// the sender has been told, or will be, that its peer is gone.
    fn on_event(&mut self, turn: &mut Turn<'_>, simulation: &mut Simulation, event: Event) {
        match event {
            Event::Tick => {}
            Event::Subscribe { stream, info, suppressed_roles } => {
                self.master.on_subscribe(turn, stream, *info, suppressed_roles);
            }
            Event::SchedulerGone { stream } => self.master.on_stream_gone(turn, &stream),
            Event::SchedulerCall { framework, call } => {
                self.master.on_call(turn, &framework, *call);
            }
            Event::AgentExpected { agent } => self.master.on_agent_expected(agent),
            Event::RegisterAgent { agent, recovered } => {
                self.agents.insert(agent.id.clone(), Agent::new(turn, agent, recovered));
            }
            Event::SimulateAgent { agent } => {
                simulation.add_agent(agent.id.clone());
                self.agents.insert(agent.id.clone(), Agent::new(turn, agent, Vec::new()));
            }
            Event::FromAgent { message } => {
                if let Some((from, message)) = link_wire::read_from_agent(*message) {
                    self.on_remote_message(turn, from, message);
                }
            }
            Event::AgentGone { agent } => self.on_agent_gone(turn, &agent),
            Event::FromMaster { message } => {
                if let Some((to, message)) = link_wire::read_to_agent(*message) {
                    turn.send_agent(&to, message);
                }
            }
            Event::MasterConnected => {
                self.agents.values().for_each(|agent| agent.register(turn));
            }
            Event::MasterElected => self.master.on_elected(turn),
            Event::Fault(fault) => self.on_fault(turn, simulation, fault),
            other => self.on_executor_event(turn, other),
        }
    }

    /// What happens at an agent of this process.
    fn on_executor_event(&mut self, turn: &mut Turn<'_>, event: Event) {
        let Some(id) = event.agent() else { return };
        let Some(agent) = self.agents.get_mut(id) else { return };
        match event {
            Event::ExecutorSubscribe { stream, framework, executor, subscribe, .. } => {
                agent.on_executor_subscribe(turn, stream, framework, executor, subscribe);
            }
            Event::ExecutorGone { stream, .. } => agent.on_executor_stream_gone(&stream),
            Event::ExecutorUpdate { framework, executor, status, .. } => {
                agent.on_executor_update(turn, &framework, &executor, *status);
            }
            Event::ExecutorMessage { framework, executor, data, .. } => {
                agent.on_executor_message(turn, framework, executor, data);
            }
            Event::ExecutorStarted { container, pid, .. } => {
                agent.on_executor_started(&container, pid);
            }
            Event::ExecutorNotStarted { container, why, .. } => {
                agent.on_executor_not_started(turn, &container, &why);
            }
            Event::ExecutorExited { container, wait_status, .. } => {
                agent.on_executor_exited(turn, &container, wait_status);
            }
            Event::DrainAgent { .. } => agent.on_drain(turn),
            // Any other is not of an agent.
            _ => {}
        }
    }

    /// An agent of another process is there as soon as it registers.
    fn on_remote_message(&mut self, turn: &mut Turn<'_>, from: AgentId, message: ToMaster) {
        if matches!(message, ToMaster::Register(_)) {
            self.remote.insert(from.clone());
            if self.links.is_gone(&from) {
                self.links.open(&from);
            }
        }
        turn.send_master(&from, message);
    }

    fn on_timer(&mut self, turn: &mut Turn<'_>, timer: Timer) {
        match timer {
            Timer::Heartbeat(framework) => self.master.on_heartbeat_due(turn, &framework),
            Timer::FailoverTimeout(framework) => self.master.on_failover_timeout(turn, &framework),
            Timer::OfferTimeout(offer) => self.master.on_offer_timeout(turn, &offer),
            Timer::FilterExpiry(agent) => self.master.on_filter_expiry(turn, &agent),
            Timer::Allocate => self.master.on_allocation_due(turn),
            Timer::ReregisterTimeout => self.master.on_reregister_timeout(turn),
            Timer::InverseOffers => self.master.on_inverse_offers_due(turn),
            Timer::AgentHealth(agent) => self.on_health_due(turn, &agent),
            Timer::HeldUpdate(number) => {
                if let Some((from, message)) = self.disturbance.release(number) {
                    self.master.on_agent_message(turn, &from, message);
                }
            }
            Timer::UpdateRetry(agent, key) => {
                if let Some(agent) = self.agents.get_mut(&agent) {
                    agent.on_update_retry_due(turn, &key);
                }
            }
            Timer::Executor(agent, container) => {
                if let Some(agent) = self.agents.get_mut(&agent) {
                    agent.on_executor_deadline(turn, &container);
                }
            }
            Timer::Reregister(agent) => {
                if let Some(agent) = self.agents.get(&agent) {
                    agent.register(turn);
                }
            }
            Timer::Mail(number) => self.on_mail_due(turn, number),
            Timer::Relink(agent) => self.on_relink_due(turn, &agent),
            // Theirs are not of master or agents.
            Timer::Outbox | Timer::Simulated(..) => {}
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

    fn send_master(&mut self, from: &AgentId, message: ToMaster) {
        self.mail.push_back(Mail::ToMaster { from: from.clone(), message });
    }

    fn send_scheduler(&mut self, stream: &StreamId, event: scheduler::Event) {
        self.effects.push(Effect::ToScheduler { stream: stream.clone(), event: Box::new(event) });
    }

    fn send_executor(&mut self, stream: &StreamId, event: executor::Event) {
        self.effects.push(Effect::ToExecutor { stream: stream.clone(), event: Box::new(event) });
    }
}
