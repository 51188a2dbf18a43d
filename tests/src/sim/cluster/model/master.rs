//! The master: who is subscribed, what it knows of agents, what it offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;
use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::{Offer, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use shiftwork_engine::resources::Resources;

use super::agent::Agent;
use super::{AgentMessage, Amounts, MasterMessage, Model, ModelHappening, Update};
use crate::sim::env::{Env, Fact, Happening, Process, StreamId};
use crate::sim::faults::Fault;

/// What the master knows.
#[derive(Debug, Default)]
pub(super) struct Master {
    /// Which master this is.
    pub(super) generation: u64,
    /// False between one master and the next.
    pub(super) away: bool,
    pub(super) stream: Option<Stream>,
    streams_made: StreamId,
    pub(super) framework: Option<FrameworkId>,
    frameworks_made: u64,
    /// Removed frameworks: nobody may come under their ids again.
    pub(super) burnt: BTreeSet<FrameworkId>,
    pub(super) suppressed: bool,
    pub(super) slaves: BTreeMap<AgentId, Slave>,
    pub(super) offers: BTreeMap<OfferId, OfferOut>,
    offers_made: u64,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) process: Process,
    /// When its latest message arrives: none overtakes another.
    pub(super) last_at: i64,
}

/// Where an agent stands with the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Registered,
    Unreachable,
    Gone,
    /// Known to a former master, not registered yet.
    Recovering,
}

/// An agent as the master sees it.
#[derive(Debug)]
pub(super) struct Slave {
    pub(super) standing: Standing,
    pub(super) hostname: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) capacity: Amounts,
    pub(super) tasks: BTreeMap<TaskId, MasterTask>,
    pub(super) executors: BTreeMap<ExecutorId, MasterExecutor>,
    /// When an executor ended: what was offered before still names it.
    pub(super) exits: BTreeMap<ExecutorId, i64>,
    /// Not offered until then if there is not more than this.
    pub(super) refused: Option<(i64, Amounts)>,
}

/// A task as the master sees it.
#[derive(Debug)]
pub(super) struct MasterTask {
    /// The latest state, maybe ahead of what the framework was told.
    pub(super) state: TaskState,
    /// The state the framework was told last, and by which update.
    pub(super) told: Option<(TaskState, u64)>,
    pub(super) amounts: Amounts,
    pub(super) executor: ExecutorId,
}

/// An executor as the master sees it.
#[derive(Debug, Clone)]
pub(super) struct MasterExecutor {
    pub(super) app: Arc<RawValue>,
    pub(super) resources: Resources,
}

/// An offer that is out.
#[derive(Debug)]
pub(super) struct OfferOut {
    pub(super) agent: AgentId,
    pub(super) amounts: Amounts,
    /// Those it names.
    pub(super) executors: Vec<ExecutorId>,
    pub(super) since: i64,
}

/// True for states after which nothing more comes from the executor.
pub(super) fn is_terminal(state: TaskState) -> bool {
    !matches!(
        state,
        TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing
    )
}

impl Slave {
    /// One of a registered agent.
    pub(super) fn registered(agent: &Agent) -> Self {
        Self {
            standing: Standing::Registered,
            hostname: agent.hostname.clone(),
            attributes: agent.attributes.clone(),
            capacity: agent.capacity,
            tasks: BTreeMap::new(),
            executors: BTreeMap::new(),
            exits: BTreeMap::new(),
            refused: None,
        }
    }

    /// What tasks and executors leave.
    fn unused(&self) -> Amounts {
        let mut free = self.capacity;
        for task in self.tasks.values().filter(|task| !is_terminal(task.state)) {
            free -= task.amounts;
        }
        for executor in self.executors.values() {
            free -= Amounts::of(&executor.resources);
        }
        free
    }
}

impl Model {
    /// A process subscribes: the stream before ends, offers are void, tasks go on. False if there is
    /// no master at the moment.
    pub(super) fn take_subscription(
        &mut self,
        process: Process,
        framework: Option<FrameworkId>,
        env: &mut Env,
    ) -> bool {
        if self.master.away {
            return false;
        }
        if framework.as_ref().is_some_and(|framework| self.master.burnt.contains(framework)) {
            let event = Box::new(Event::FrameworkRemoved);
            env.calendar.after(1, Happening::ToScheduler { to: process, stream: None, event });
            return true;
        }
        self.replace_stream(env);
        let framework = framework.unwrap_or_else(|| self.new_framework(env));
        self.master.framework = Some(framework.clone());
        self.master.streams_made += 1;
        let id = self.master.streams_made;
        self.master.stream = Some(Stream { id, process, last_at: env.now() });
        self.master.suppressed = false;
        for slave in self.master.slaves.values_mut() {
            slave.refused = None;
        }
        self.tell(Event::Subscribed { framework }, env);
        true
    }

    /// The stream before is ended because there is a new one.
    fn replace_stream(&mut self, env: &mut Env) {
        self.master.offers.clear();
        if let Some(stream) = self.master.stream.take() {
            let at = stream.last_at.max(env.now() + 1);
            env.calendar.at(at, Happening::Deposed(stream.process));
        }
    }

    /// The other end has closed its stream.
    pub(super) fn forget_stream(&mut self, stream: StreamId) {
        if self.master.stream.as_ref().is_some_and(|found| found.id == stream) {
            self.master.stream = None;
            self.master.offers.clear();
        }
    }

    /// Somebody without an id: whatever ran under the one before is out of everybody's sight.
    fn new_framework(&mut self, env: &mut Env) -> FrameworkId {
        if self.master.slaves.values().any(|slave| !slave.tasks.is_empty()) {
            let text = "subscribed as a new framework while tasks run under the old id";
            env.facts.push(Fact::Improper(text.to_owned()));
        }
        self.master.frameworks_made += 1;
        FrameworkId::new(format!("F{}", self.master.frameworks_made))
    }

    /// The stream ends, its offers are void; the driver tells its owner.
    pub(super) fn drop_stream(&mut self, env: &mut Env) {
        self.master.offers.clear();
        let Some(stream) = self.master.stream.take() else { return };
        let event = Happening::ToScheduler {
            to: stream.process,
            stream: Some(stream.id),
            event: Box::new(Event::Disconnected),
        };
        env.calendar.at(stream.last_at.max(env.now() + 1), event);
    }

    /// Sends an event on the stream, after all that were sent before.
    pub(super) fn tell(&mut self, event: Event, env: &mut Env) {
        let Some(stream) = &mut self.master.stream else { return };
        let at = (env.calendar.now + self.random.between(0, 8)).max(stream.last_at);
        stream.last_at = at;
        let (to, id) = (stream.process, stream.id);
        let event = Box::new(event);
        env.calendar.at(at, Happening::ToScheduler { to, stream: Some(id), event });
    }

    /// Sends a status that the master itself makes: it is not to be acknowledged.
    pub(super) fn tell_state(
        &mut self,
        task: TaskId,
        agent: Option<AgentId>,
        state: TaskState,
        reason: StatusReason,
        env: &mut Env,
    ) {
        let update =
            StatusUpdate { task, agent, state, reason, message: None, uuid: None, outcome: None };
        self.tell(Event::Status(update), env);
    }

    /// A call arrives. It is given back if its stream is not the one that lives.
    pub(super) fn take_call(
        &mut self,
        stream: StreamId,
        action: Action,
        env: &mut Env,
    ) -> Option<Action> {
        if self.master.away || self.master.stream.as_ref().is_none_or(|s| s.id != stream) {
            return Some(action);
        }
        match action {
            Action::Accept { agent, offers, launches } => {
                self.accept(&agent, &offers, launches, env);
            }
            Action::Decline { offers, refuse_ms } => self.decline(&offers, refuse_ms, env),
            Action::Revive => {
                self.master.suppressed = false;
                for slave in self.master.slaves.values_mut() {
                    slave.refused = None;
                }
            }
            Action::Suppress => self.master.suppressed = true,
            Action::Kill { task, agent, grace_ms } => self.kill(task, agent, grace_ms, env),
            Action::Acknowledge { task, agent, uuid } => {
                let uuid = uuid.try_into().map_or(0, u64::from_be_bytes);
                self.acknowledge(&task, &agent, uuid, env);
            }
            Action::Reconcile { tasks } => self.reconcile(tasks, env),
            Action::ShutdownExecutor { executor, agent } => {
                self.send_agent(&agent, MasterMessage::ShutdownExecutor(executor), env);
            }
            // No agent of this master is ever taken away by an operator.
            Action::AcceptInverseOffers { .. }
            | Action::DeclineInverseOffers { .. }
            | Action::SubscribeAnew => {}
        }
        None
    }

    fn decline(&mut self, offers: &[OfferId], refuse_ms: u64, env: &Env) {
        for offer in offers {
            let Some(out) = self.master.offers.remove(offer) else { continue };
            if let Some(slave) = self.master.slaves.get_mut(&out.agent) {
                let until = env.now().saturating_add_unsigned(refuse_ms);
                slave.refused = Some((until, slave.unused()));
            }
        }
    }

    fn kill(&mut self, task: TaskId, agent: AgentId, grace_ms: u64, env: &mut Env) {
        let slave = self.master.slaves.get(&agent);
        if slave.is_some_and(|slave| slave.tasks.contains_key(&task)) {
            self.send_agent(&agent, MasterMessage::Kill(task, grace_ms), env);
        } else {
            // As a master does with the kill of a task it does not know.
            self.reconcile(vec![(task, agent)], env);
        }
    }

    /// The framework has recorded an update: a task that ended is forgotten.
    fn acknowledge(&mut self, task: &TaskId, agent: &AgentId, uuid: u64, env: &mut Env) {
        self.send_agent(agent, MasterMessage::Acknowledge(task.clone(), uuid), env);
        let Some(slave) = self.master.slaves.get_mut(agent) else { return };
        let told = slave.tasks.get(task).and_then(|task| task.told);
        if told.is_some_and(|(state, of)| of == uuid && is_terminal(state)) {
            slave.tasks.remove(task);
        }
    }

    /// A message of an agent, unless the master that it was for is gone.
    pub(super) fn at_master(&mut self, agent: &AgentId, message: AgentMessage, env: &mut Env) {
        if self.master.away || !self.agents.get(agent).is_some_and(|agent| agent.linked) {
            return;
        }
        match message {
            AgentMessage::Register => self.register(agent, env),
            AgentMessage::Update(task, update) => self.forward(agent, task, update, env),
            AgentMessage::ExecutorExited(executor) => {
                if let Some(slave) = self.master.slaves.get_mut(agent) {
                    slave.executors.remove(&executor);
                    slave.exits.insert(executor.clone(), env.now());
                }
                self.tell(Event::Failure { agent: agent.clone(), executor: Some(executor) }, env);
            }
        }
    }

    fn forward(&mut self, agent: &AgentId, task: TaskId, update: Update, env: &mut Env) {
        let Some(slave) = self.master.slaves.get_mut(agent) else { return };
        if slave.standing != Standing::Registered {
            return;
        }
        // The agent tells with each update which state is the latest by now.
        let latest = self.agents.get(agent).and_then(|agent| agent.latest(&task));
        if let Some(known) = slave.tasks.get_mut(&task) {
            known.state = latest.unwrap_or(update.state);
            known.told = Some((update.state, update.uuid));
            if update.reason == StatusReason::ExecutorLost {
                let key = (agent.clone(), known.executor.clone());
                self.told_lost.insert(key, env.now());
            }
        }
        let status = StatusUpdate {
            task,
            agent: Some(agent.clone()),
            state: update.state,
            reason: update.reason,
            message: update.message.map(str::to_owned),
            uuid: Some(update.uuid.to_be_bytes().to_vec()),
            outcome: update.outcome,
        };
        if env.strikes(Fault::UpdateDoubled) {
            self.tell(Event::Status(status.clone()), env);
        }
        self.tell(Event::Status(status), env);
    }

    /// Offers all that is free and wanted.
    pub(super) fn allocate(&mut self, env: &mut Env) {
        if self.master.stream.is_none() || self.master.suppressed {
            return;
        }
        let mut offered: BTreeMap<AgentId, Amounts> = BTreeMap::new();
        for out in self.master.offers.values() {
            *offered.entry(out.agent.clone()).or_default() += out.amounts;
        }
        let now = env.now();
        let mut offers = Vec::new();
        for (agent, slave) in &mut self.master.slaves {
            let mut free = slave.unused();
            free -= offered.get(agent).copied().unwrap_or_default();
            let refused =
                slave.refused.is_some_and(|(until, less)| now < until && less.covers(&free));
            if slave.standing != Standing::Registered || free.is_crumb() || refused {
                continue;
            }
            self.master.offers_made += 1;
            let id = OfferId::new(format!("O{}", self.master.offers_made));
            let executors: Vec<ExecutorId> = slave.executors.keys().cloned().collect();
            let out = OfferOut {
                agent: agent.clone(),
                amounts: free,
                executors: executors.clone(),
                since: now,
            };
            self.master.offers.insert(id.clone(), out);
            env.cluster(self.habits.offer_timeout_ms, ModelHappening::OfferTimeout(id.clone()));
            offers.push(Offer {
                id,
                agent: agent.clone(),
                hostname: slave.hostname.clone(),
                resources: free.to_resources(&self.origins),
                attributes: slave.attributes.clone(),
                executors,
                unavailability: None,
            });
        }
        if !offers.is_empty() {
            self.tell(Event::Offers(offers), env);
        }
    }

    /// Takes an offer back if it is still out.
    pub(super) fn rescind(&mut self, offer: &OfferId, env: &mut Env) {
        if self.master.offers.remove(offer).is_some() {
            self.tell(Event::Rescinded(offer.clone()), env);
        }
    }

    /// All offers of an agent are void.
    pub(super) fn rescind_agent(&mut self, agent: &AgentId, env: &mut Env) {
        let of_agent = |(_, out): &(&OfferId, &OfferOut)| out.agent == *agent;
        let offers: BTreeSet<OfferId> =
            self.master.offers.iter().filter(of_agent).map(|(id, _)| id.clone()).collect();
        for offer in offers {
            self.rescind(&offer, env);
        }
    }
}
