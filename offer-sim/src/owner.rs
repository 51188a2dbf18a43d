//! The owner of the world: takes inputs one at a time, lets the world step, carries the effects
//! out. The only place where the clock, the streams and the local agent meet; no protocol here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shiftwork_proto::mesos::v1::{ExecutorInfo, executor, scheduler};
use shiftwork_proto::offersim::v1 as wire;
use shiftwork_proto::offersim::v1::{FromAgent, ToAgent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, FaultError};
use crate::http::States;
use crate::hub::{Input, Opened};
use crate::local::LocalAgent;
use crate::world::{
    AgentId, AgentSpec, AgentSummary, ContainerId, Effect, Event, ExecutorId, FrameworkId,
    RecoveredUpdates, Rejection, StreamId, World,
};

/// Events waiting for one reader. A reader this far behind is cut off, as its memory would be ours.
const STREAM_EVENTS_MAX: usize = 65_536;

/// Longest sleep while nothing is due; any input ends it.
const IDLE_LOOK: Duration = Duration::from_mins(1);
/// While shutting down: background work ends without saying so, and is looked for this often.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// The owner itself.
#[derive(Debug)]
pub(crate) struct Owner {
    world: World,
    clock: Clock,
    inputs: mpsc::Receiver<Input>,
    gone: mpsc::UnboundedReceiver<StreamId>,
    schedulers: BTreeMap<StreamId, mpsc::Sender<scheduler::Event>>,
    executors: BTreeMap<StreamId, mpsc::Sender<executor::Event>>,
    local: Option<LocalAgent>,
    /// Connections to processes of agents.
    links: BTreeMap<u64, mpsc::Sender<Box<ToAgent>>>,
    /// Which connection an agent of another process last spoke on.
    remote: BTreeMap<AgentId, u64>,
    /// The way to a master of another process, while there is one.
    master: Option<mpsc::Sender<Box<FromAgent>>>,
    is_draining: bool,
}

/// Milliseconds since the epoch that never go back: the wall clock is read once.
#[derive(Debug)]
struct Clock {
    started: Instant,
    started_ms: u64,
}

// === impl Clock ===

impl Clock {
    fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: since_epoch.as_millis() as u64 }
    }

    fn now_ms(&self) -> u64 {
        self.started_ms + self.started.elapsed().as_millis() as u64
    }
}

// === impl Owner ===

impl Owner {
    pub(crate) fn new(
        world: World,
        local: Option<LocalAgent>,
        inputs: mpsc::Receiver<Input>,
        gone: mpsc::UnboundedReceiver<StreamId>,
    ) -> Self {
        Self {
            world,
            clock: Clock::start(),
            inputs,
            gone,
            schedulers: BTreeMap::new(),
            executors: BTreeMap::new(),
            local,
            links: BTreeMap::new(),
            remote: BTreeMap::new(),
            master: None,
            is_draining: false,
        }
    }

    /// Works until `shutdown` and until the local agent has no executor left after it.
    pub(crate) async fn run(mut self, simulated: Vec<AgentSpec>, shutdown: CancellationToken) {
        for agent in simulated {
            self.step(Event::SimulateAgent { agent });
        }
        if let Some(local) = &self.local {
            let agent = local.agent_id().clone();
            self.step(Event::AgentExpected { agent });
        }
        while !self.is_done() {
            let pause = self.pause();
            tokio::select! {
                Some(input) = self.inputs.recv() => self.on_input(input),
                Some(stream) = self.gone.recv() => self.on_stream_gone(stream),
                () = tokio::time::sleep(pause) => self.step(Event::Tick),
                () = shutdown.cancelled(), if !self.is_draining => self.drain(),
            }
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let longest = if self.is_draining { DRAIN_LOOK } else { IDLE_LOOK };
        let due = self
            .world
            .next_deadline_ms()
            .map(|at_ms| Duration::from_millis(at_ms.saturating_sub(self.clock.now_ms())));
        due.map_or(longest, |due| due.min(longest))
    }

    fn is_done(&self) -> bool {
        self.is_draining
            && self.local.as_ref().is_none_or(|local| {
                local.is_idle() && self.world.executors_alive(local.agent_id()) == 0
            })
    }

    fn drain(&mut self) {
        self.is_draining = true;
        if let Some(local) = &self.local {
            let agent = local.agent_id().clone();
            self.step(Event::DrainAgent { agent });
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::SubscribeScheduler { call, stream, reply } => {
                let answer = self.subscribe_scheduler(*call, stream.as_deref());
                let _caller_left = reply.send(answer);
            }
            Input::CallScheduler { call, stream, reply } => {
                let refused = self.world.refuses_call(self.clock.now_ms()).map_or(Ok(()), Err);
                let admitted = refused
                    .and_then(|()| self.world.admit_scheduler_call(&call, stream.as_deref()));
                let framework = call.framework_id.as_ref().map(FrameworkId::from);
                // Answered before the events that follow from it, as a master does.
                let is_admitted = admitted.is_ok();
                let _caller_left = reply.send(admitted);
                if let Some(framework) = framework.filter(|_| is_admitted) {
                    self.step(Event::SchedulerCall { framework, call });
                }
            }
            Input::SubscribeExecutor { call, reply } => {
                let answer = self.subscribe_executor(*call);
                let _caller_left = reply.send(answer);
            }
            Input::CallExecutor { call, reply } => {
                let answer = self.call_executor(*call);
                let _caller_left = reply.send(answer);
            }
            Input::Register { spec, recovered } => self.register(spec, recovered),
            Input::World(event) => self.step(event),
            Input::Exited { event, unsent } => self.on_exited(event, unsent),
            Input::Inject { fault, reply } => {
                let _caller_left = reply.send(self.inject(fault));
            }
            Input::ListAgents { selectors, reply } => {
                let _caller_left = reply.send(admin::selected(&self.world, &selectors));
            }
            Input::State { reply } => {
                let _caller_left = reply.send(Ok(self.states()));
            }
            Input::Elected => self.step(Event::MasterElected),
            other => self.on_link_input(other),
        }
    }

    /// What comes and goes between processes.
    fn on_link_input(&mut self, input: Input) {
        match input {
            Input::LinkOpened { link, sender } => {
                self.links.insert(link, sender);
            }
            // What was on its way when a connection was cut off is lost.
            Input::FromAgent { link, message } if self.links.contains_key(&link) => {
                self.remote.insert(AgentId(message.agent_id.clone()), link);
                self.step(Event::FromAgent { message });
            }
            Input::LinkClosed { link } => self.on_link_closed(link),
            Input::MasterConnected { sender } => {
                self.master = Some(sender);
                if !self.is_draining {
                    self.step(Event::MasterConnected);
                }
            }
            Input::FromMaster { message } => self.step(Event::FromMaster { message }),
            Input::MasterGone => self.master = None,
            // Any other is handled where it came in.
            _ => {}
        }
    }

    fn on_link_closed(&mut self, link: u64) {
        self.links.remove(&link);
        let of_link = self.remote.iter().filter(|(_, last)| **last == link);
        let agents: Vec<AgentId> = of_link.map(|(agent, _)| agent.clone()).collect();
        for agent in agents {
            self.remote.remove(&agent);
            self.step(Event::AgentGone { agent });
        }
    }

    fn inject(&mut self, fault: wire::Fault) -> Result<Vec<AgentSummary>, FaultError> {
        let (fault, concerned) = admin::fault(&self.world, fault, self.clock.now_ms())?;
        tracing::info!(?fault, "fault injected");
        self.step(Event::Fault(fault));
        Ok(concerned)
    }

    fn subscribe_scheduler(
        &mut self,
        call: scheduler::Call,
        stream: Option<&str>,
    ) -> Result<Opened<scheduler::Event>, Rejection> {
        self.world.refuses_call(self.clock.now_ms()).map_or(Ok(()), Err)?;
        self.world.admit_scheduler_call(&call, stream)?;
        let subscribe = call.subscribe.unwrap_or_default();
        let id = self.world.assign_stream_id();
        let (sender, events) = mpsc::channel(STREAM_EVENTS_MAX);
        self.schedulers.insert(id.clone(), sender);
        self.step(Event::Subscribe {
            stream: id.clone(),
            info: Box::new(subscribe.framework_info),
            suppressed_roles: subscribe.suppressed_roles,
        });
        Ok(Opened { id, events })
    }

    fn subscribe_executor(
        &mut self,
        call: executor::Call,
    ) -> Result<Opened<executor::Event>, Rejection> {
        let agent = self.agent_of_call(&call)?;
        let id = self.world.assign_stream_id();
        let (sender, events) = mpsc::channel(STREAM_EVENTS_MAX);
        self.executors.insert(id.clone(), sender);
        self.step(Event::ExecutorSubscribe {
            agent,
            stream: id.clone(),
            framework: (&call.framework_id).into(),
            executor: (&call.executor_id).into(),
            subscribe: call.subscribe.unwrap_or_default(),
        });
        Ok(Opened { id, events })
    }

    /// What operators ask for. The sandboxes are the local agent's, so it tells where they are.
    fn states(&self) -> States {
        let agent = self.local.as_ref().and_then(|local| {
            let place =
                |info: &ExecutorInfo, container: &ContainerId| local.sandbox(info, container);
            let mut state = self.world.agent_state(local.agent_id(), &place)?;
            state["flags"] = serde_json::json!({"work_dir": local.work_dir()});
            Some(state)
        });
        States { master: self.world.master_state(), agent }
    }

    fn call_executor(&mut self, call: executor::Call) -> Result<(), Rejection> {
        let agent = self.agent_of_call(&call)?;
        if let Some(event) = executor_event(agent, call) {
            self.step(event);
        }
        Ok(())
    }

    fn agent_of_call(&self, call: &executor::Call) -> Result<AgentId, Rejection> {
        let Some(local) = &self.local else {
            return Err(Rejection::unavailable("No agent is served here"));
        };
        self.world.admit_executor_call(local.agent_id(), call)?;
        Ok(local.agent_id().clone())
    }

    /// The local agent is ready. While draining it stays away: nothing may start any more.
    fn register(&mut self, agent: AgentSpec, recovered: Vec<RecoveredUpdates>) {
        if let Some(local) = &mut self.local {
            local.registered(&recovered);
        }
        if !self.is_draining {
            self.step(Event::RegisterAgent { agent, recovered });
        }
    }

    /// What an executor wrote down but could not send counts before its end does.
    fn on_exited(&mut self, event: Event, unsent: Vec<executor::Call>) {
        if let Some(agent) = self.local.as_ref().map(|local| local.agent_id().clone()) {
            for call in unsent {
                if self.world.admit_executor_call(&agent, &call).is_ok()
                    && let Some(event) = executor_event(agent.clone(), call)
                {
                    self.step(event);
                }
            }
        }
        if let Some(local) = &mut self.local
            && let Event::ExecutorExited { container, .. }
            | Event::ExecutorNotStarted { container, .. } = &event
        {
            local.exited(container);
        }
        self.step(event);
    }

    fn on_stream_gone(&mut self, stream: StreamId) {
        if self.schedulers.remove(&stream).is_some() {
            self.step(Event::SchedulerGone { stream });
        } else if self.executors.remove(&stream).is_some()
            && let Some(local) = &self.local
        {
            let agent = local.agent_id().clone();
            self.step(Event::ExecutorGone { agent, stream });
        }
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.world.step(self.clock.now_ms(), event, &mut effects);
        let mut lost = Vec::new();
        for effect in effects {
            self.perform(effect, &mut lost);
        }
        if let Some(local) = &mut self.local {
            local.settle();
        }
        for stream in lost {
            tracing::warn!(%stream, "a stream's reader fell too far behind and is cut off");
            self.on_stream_gone(stream);
        }
    }

    fn send_agent(&mut self, agent: &AgentId, message: Box<ToAgent>) {
        let Some(link) = self.remote.get(agent).copied() else { return };
        let sent = self.links.get(&link).map(|sender| sender.try_send(message));
        if sent.is_some_and(is_overrun) {
            tracing::warn!(link, "agents fell too far behind and are cut off");
            self.links.remove(&link);
        }
    }

    fn perform(&mut self, effect: Effect, lost: &mut Vec<StreamId>) {
        match effect {
            Effect::ToScheduler { stream, event } => {
                let sender = self.schedulers.get(&stream);
                if sender.is_some_and(|sender| is_overrun(sender.try_send(*event)))
                    && !lost.contains(&stream)
                {
                    lost.push(stream);
                }
            }
            Effect::ToExecutor { stream, event } => {
                let sender = self.executors.get(&stream);
                if sender.is_some_and(|sender| is_overrun(sender.try_send(*event)))
                    && !lost.contains(&stream)
                {
                    lost.push(stream);
                }
            }
            Effect::ToAgent { agent, message } => self.send_agent(&agent, message),
            Effect::ToMaster { message } => {
                // Without a master it is lost; the agent registers with the next one.
                let sent = self.master.as_ref().map(|master| master.try_send(message));
                if sent.is_some_and(is_overrun) {
                    tracing::warn!("the master fell too far behind and is given up");
                    self.master = None;
                }
            }
            Effect::DropAgents => self.links.clear(),
            Effect::CloseScheduler { stream } => {
                self.schedulers.remove(&stream);
            }
            Effect::CloseExecutor { stream } => {
                self.executors.remove(&stream);
            }
            Effect::StartExecutor(start) => {
                if let Some(local) = &mut self.local {
                    local.start(*start);
                }
            }
            Effect::KillExecutor { container, .. } => {
                if let Some(local) = &mut self.local {
                    local.kill(&container);
                }
            }
            Effect::KeepUpdate { container, status, .. } => {
                if let Some(local) = &mut self.local {
                    local.keep(&container, *status);
                }
            }
            Effect::ForgetUpdate { container, uuid, .. } => {
                if let Some(local) = &mut self.local {
                    local.forget(&container, &uuid);
                }
            }
        }
    }
}

/// A reader that left says so itself; one that is too slow does not.
fn is_overrun<E>(sent: Result<(), mpsc::error::TrySendError<E>>) -> bool {
    matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
}

/// An executor's call as the world knows it; `None` for a heartbeat, which says nothing.
fn executor_event(agent: AgentId, call: executor::Call) -> Option<Event> {
    let framework = (&call.framework_id).into();
    let executor: ExecutorId = (&call.executor_id).into();
    match (call.update, call.message) {
        (Some(update), _) => {
            let status = Box::new(update.status);
            Some(Event::ExecutorUpdate { agent, framework, executor, status })
        }
        (None, Some(message)) => {
            let data = message.data;
            Some(Event::ExecutorMessage { agent, framework, executor, data })
        }
        (None, None) => None,
    }
}
