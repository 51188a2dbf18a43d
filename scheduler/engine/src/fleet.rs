//! What is known of agents: the offers held of each, and our executors on it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::document::App;
use crate::event::Offer;
use crate::ids::{AgentId, AppName, ExecutorId, OfferId, TaskId};
use crate::placement::{Placer, Site};
use crate::resources::{Demand, Resources};

/// All offers of one agent together: they are used in one call or not at all.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The agent's host name.
    pub hostname: String,
    /// The agent's attributes, as text.
    pub attributes: Vec<(String, String)>,
    /// The offers.
    pub(crate) offers: Vec<HeldOffer>,
    /// What is left of their resources while placing.
    pub free: Resources,
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
    /// Tasks of executors before it that have not been told to have ended.
    pub former: BTreeSet<TaskId>,
    /// Its app has another document by now, or none.
    pub(crate) outdated: bool,
    /// Whether it is there.
    pub(crate) presence: Presence,
    /// Nothing more is launched in it, and it ends when it is idle: its document has changed, or is
    /// not known for certain.
    pub retired: bool,
}

/// Whether an executor is there. Offers tell: they name all that live on their agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was launched and has not shown itself: the launch may have got lost.
    Launched,
    /// The master or a task has shown that it lives.
    Seen,
    /// It has ended, or its agent is away; some of its tasks have not been told of.
    Absent,
}

/// An agent that made an offer.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What constraints look at.
    pub site: Site,
    /// The most it ever offered together: what it holds when nothing of ours runs there.
    pub most: Demand,
    /// What ran there when this leader began, until the first offer.
    restored: Demand,
}

/// Most agents remembered beyond their offers: more than any Mesos cluster has. What is forgotten
/// comes back with the next offer.
const SEEN_AGENTS_MAX: usize = 100_000;

/// Agents, leases and executors.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    pub(crate) leases: BTreeMap<AgentId, Lease>,
    pub(crate) executors: BTreeMap<AgentId, BTreeMap<AppName, Executor>>,
    agents_by_offer: BTreeMap<OfferId, AgentId>,
    /// Agents that ever made an offer and are not known to be gone.
    seen: BTreeMap<AgentId, Seen>,
}

impl Fleet {
    /// Takes an offer into the leases.
    pub fn hold(&mut self, offer: Offer, now: Timestamp) {
        self.see_executors(&offer.agent, &offer.executors);
        self.agents_by_offer.insert(offer.id.clone(), offer.agent.clone());
        let site = Site {
            agent: offer.agent.clone(),
            hostname: offer.hostname.clone(),
            attributes: offer.attributes.clone(),
        };
        let lease = self.leases.entry(offer.agent).or_insert_with(|| Lease {
            hostname: offer.hostname,
            attributes: offer.attributes,
            offers: Vec::new(),
            free: Resources::default(),
        });
        lease.free.merge(offer.resources.clone());
        lease.offers.push(HeldOffer { id: offer.id, resources: offer.resources, since: now });
        self.see(site);
    }

    /// Notes what an agent is and the most it ever offered together.
    fn see(&mut self, site: Site) {
        let Some(lease) = self.leases.get(&site.agent) else {
            return;
        };
        let offered = Demand::of_resources(&lease.free);
        if self.seen.len() >= SEEN_AGENTS_MAX && !self.seen.contains_key(&site.agent) {
            self.seen.pop_first();
        }
        match self.seen.entry(site.agent.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Seen { site, most: offered, restored: Demand::default() });
            }
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                // What ran there when the leader changed is part of the agent, too.
                let restored = std::mem::take(&mut seen.restored);
                seen.most = seen.most.larger(&offered.plus(&restored));
                seen.site = site;
            }
        }
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
        self.seen.remove(agent);
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
            if !executor.is_wanted() {
                self.remove_executor(agent, app);
            }
        }
    }

    /// Lends all leases to a placer; [`Fleet::take_back`] ends that.
    pub fn lend(&mut self) -> Placer {
        Placer::new(std::mem::take(&mut self.leases), &self.executors)
    }

    /// Takes back what was lent, without what was drawn from it.
    pub fn take_back(&mut self, placer: Placer) {
        self.leases = placer.into_leases();
    }

    /// Agents that ever made an offer and are not known to be gone.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values()
    }

    /// The most an agent ever offered together.
    pub(crate) fn most(&self, agent: &AgentId) -> Demand {
        self.seen.get(agent).map(|seen| seen.most).unwrap_or_default()
    }

    /// What an agent is, if it ever made an offer to this leader.
    pub(crate) fn site(&self, agent: &AgentId) -> Option<&Site> {
        self.seen.get(agent).map(|seen| &seen.site)
    }

    /// Something ran on an agent when this leader began: its offers will not show that.
    pub(crate) fn restore_usage(&mut self, agent: &AgentId, demand: &Demand) {
        let seen = self.seen.entry(agent.clone()).or_insert_with(|| Seen {
            site: Site { agent: agent.clone(), hostname: String::new(), attributes: Vec::new() },
            most: Demand::default(),
            restored: Demand::default(),
        });
        seen.restored = seen.restored.plus(demand);
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
            executor.former.extend(before.tasks);
            executor.former.extend(before.former);
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
        executor.former.remove(task);
        executor.tasks.remove(task);
        let idle = executor.tasks.is_empty() && executor.former.is_empty();
        if idle && executor.presence != Presence::Seen {
            self.remove_executor(agent, app);
        }
    }
}

impl Executor {
    /// Nothing is launched on its agent for its app: it is about to end; or whether it is there is
    /// open, and what was launched in it may yet start it, of a document that is no longer right.
    pub(crate) fn is_closed(&self) -> bool {
        match self.presence {
            Presence::Launched => self.outdated,
            Presence::Seen => self.retired,
            Presence::Absent => !self.tasks.is_empty() && (self.retired || self.outdated),
        }
    }

    /// False for one that neither lives nor is waited for.
    fn is_wanted(&self) -> bool {
        self.presence != Presence::Absent || !self.tasks.is_empty() || !self.former.is_empty()
    }
}
