//! What is known of agents: the offers held of each, and our executors on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::document::App;
use crate::event::Offer;
use crate::ids::{AgentId, AppName, ExecutorId, OfferId, TaskId};
use crate::resources::Resources;

/// All offers of one agent together: they are used in one call or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// The agent's host name.
    pub hostname: String,
    /// The agent's attributes, as text.
    pub attributes: Vec<(String, String)>,
    /// The offers.
    pub offers: Vec<HeldOffer>,
    /// What is left of their resources while placing.
    pub free: Resources,
    /// Apps whose executor has been paid for out of it.
    pub paid: BTreeSet<AppName>,
}

/// An offer we hold.
#[derive(Debug, Clone)]
pub(crate) struct HeldOffer {
    /// Its id.
    pub id: OfferId,
    /// What it contains.
    pub resources: Resources,
    /// When it came.
    pub since: Timestamp,
}

/// An executor of ours on an agent.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    /// The document it was started with: repeated in every launch as long as it lives.
    pub app: Arc<App>,
    /// What it was charged; `None` if it was started by a former leader.
    pub resources: Option<Resources>,
    /// Tasks launched in it and not ended.
    pub tasks: BTreeSet<TaskId>,
    /// Whether it is there.
    pub presence: Presence,
    /// Nothing more is launched in it, and it ends when it is idle: its document has changed, or is
    /// not known for certain.
    pub retired: bool,
}

/// Whether an executor is there. Offers tell: they name all that live on their agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It was launched and has not shown itself: the launch may have got lost.
    Launched,
    /// The master or a task has shown that it lives.
    Seen,
    /// It has ended, or its agent is away; some of its tasks have not been told of.
    Absent,
}

/// Agents, leases and executors.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) leases: BTreeMap<AgentId, Lease>,
    pub(crate) executors: BTreeMap<AgentId, BTreeMap<AppName, Executor>>,
    agents_by_offer: BTreeMap<OfferId, AgentId>,
}

impl Fleet {
    /// Takes an offer into the leases.
    pub(crate) fn hold(&mut self, offer: Offer, now: Timestamp) {
        self.see_executors(&offer.agent, &offer.executors);
        self.agents_by_offer.insert(offer.id.clone(), offer.agent.clone());
        let lease = self.leases.entry(offer.agent).or_insert_with(|| Lease {
            hostname: offer.hostname,
            attributes: offer.attributes,
            offers: Vec::new(),
            free: Resources::default(),
            paid: BTreeSet::new(),
        });
        lease.free.merge(offer.resources.clone());
        lease.offers.push(HeldOffer { id: offer.id, resources: offer.resources, since: now });
    }

    /// An offer names all executors of ours that its agent runs: others have ended.
    fn see_executors(&mut self, agent: &AgentId, seen: &[ExecutorId]) {
        let Some(executors) = self.executors.get_mut(agent) else {
            return;
        };
        executors.retain(|app, executor| {
            if seen.contains(&ExecutorId::of(app, agent)) {
                executor.presence = Presence::Seen;
            } else if executor.presence == Presence::Seen {
                executor.presence = Presence::Absent;
            }
            executor.is_wanted()
        });
    }

    /// Lets go of an offer; false if it was not held.
    pub(crate) fn release(&mut self, offer: &OfferId) -> bool {
        let Some(agent) = self.agents_by_offer.remove(offer) else {
            return false;
        };
        if let Some(lease) = self.leases.get_mut(&agent) {
            lease.offers.retain(|held| held.id != *offer);
            if lease.offers.is_empty() {
                self.leases.remove(&agent);
            } else {
                lease.free = Resources::default();
                for held in &lease.offers {
                    lease.free.merge(held.resources.clone());
                }
            }
        }
        true
    }

    /// Takes all offers of an agent out, to be used or declined.
    pub(crate) fn spend(&mut self, agent: &AgentId) -> Vec<OfferId> {
        let Some(lease) = self.leases.remove(agent) else {
            return Vec::new();
        };
        let offers: Vec<OfferId> = lease.offers.into_iter().map(|held| held.id).collect();
        for offer in &offers {
            self.agents_by_offer.remove(offer);
        }
        offers
    }

    /// All offers are void.
    pub(crate) fn clear_leases(&mut self) {
        self.leases.clear();
        self.agents_by_offer.clear();
    }

    /// An agent is gone, and so are its offers and executors, unless it comes back.
    pub(crate) fn forget_agent(&mut self, agent: &AgentId) {
        self.spend(agent);
        let apps: Vec<AppName> =
            self.executors.get(agent).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        for app in apps {
            self.executor_gone(agent, &app);
        }
    }

    /// An executor is gone; what became of its tasks is not known yet.
    pub(crate) fn executor_gone(&mut self, agent: &AgentId, app: &AppName) {
        if let Some(executor) = self.executor_mut(agent, app) {
            executor.presence = Presence::Absent;
            if executor.tasks.is_empty() {
                self.remove_executor(agent, app);
            }
        }
    }

    /// Number of offers held.
    pub(crate) fn offer_count(&self) -> usize {
        self.agents_by_offer.len()
    }

    /// The executor of an app on an agent.
    pub(crate) fn executor(&self, agent: &AgentId, app: &AppName) -> Option<&Executor> {
        self.executors.get(agent)?.get(app)
    }

    pub(crate) fn executor_mut(&mut self, agent: &AgentId, app: &AppName) -> Option<&mut Executor> {
        self.executors.get_mut(agent)?.get_mut(app)
    }

    /// A new executor. Tasks of the one before that have not been told of stay with it.
    pub(crate) fn add_executor(&mut self, agent: &AgentId, mut executor: Executor) {
        let executors = self.executors.entry(agent.clone()).or_default();
        if let Some(before) = executors.remove(&executor.app.name) {
            executor.tasks.extend(before.tasks);
        }
        executors.insert(executor.app.name.clone(), executor);
    }

    fn remove_executor(&mut self, agent: &AgentId, app: &AppName) {
        if let Some(executors) = self.executors.get_mut(agent) {
            executors.remove(app);
            if executors.is_empty() {
                self.executors.remove(agent);
            }
        }
    }

    /// A task of an executor has ended. One that never showed itself and has no task left may
    /// not exist: the next launch charges it again.
    pub(crate) fn task_ended(&mut self, agent: &AgentId, app: &AppName, task: &TaskId) {
        let Some(executor) = self.executor_mut(agent, app) else {
            return;
        };
        executor.tasks.remove(task);
        if executor.tasks.is_empty() && executor.presence != Presence::Seen {
            self.remove_executor(agent, app);
        }
    }
}

impl Executor {
    /// False for one that neither lives nor is waited for.
    fn is_wanted(&self) -> bool {
        self.presence != Presence::Absent || !self.tasks.is_empty()
    }
}
