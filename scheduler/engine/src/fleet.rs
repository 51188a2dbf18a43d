//! What is known of agents: the offers held of each, and what each is. Absent: our executors on them
//! (`executor_book.rs`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use shiftwork_schedule::Timestamp;

use crate::event::{Offer, Unavailability};
use crate::executor_book::Executor;
use crate::ids::{AgentId, AppName, OfferId};
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
    /// When the agent goes away, if that is near: it gets only what will have ended by then.
    pub(crate) leaves: Option<Timestamp>,
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
    /// The executor of each app that is launched in.
    pub(crate) executors: BTreeMap<AgentId, BTreeMap<AppName, Executor>>,
    /// Executors nothing more is launched in, by app and generation: they end when they are idle.
    pub(crate) draining: BTreeMap<AgentId, BTreeMap<(AppName, u32), Executor>>,
    /// When agents go away, as their latest offers and inverse offers said.
    pub(crate) unavailable: BTreeMap<AgentId, Unavailability>,
    agents_by_offer: BTreeMap<OfferId, AgentId>,
    /// Agents that ever made an offer and are not known to be gone.
    seen: BTreeMap<AgentId, Seen>,
    /// Agents that are gone while tasks there are not known to have ended: where those tasks are
    /// still counts for their siblings.
    former: BTreeMap<AgentId, Site>,
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
            leaves: None,
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
        self.former.remove(&site.agent);
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

    /// An agent is gone, and so are its offers and executors, unless it comes back. `has_tasks` tells
    /// of which agents more must be remembered.
    pub(crate) fn forget_agent(&mut self, agent: &AgentId, has_tasks: impl Fn(&AgentId) -> bool) {
        self.spend(agent);
        if let Some(seen) = self.seen.remove(agent) {
            self.former.insert(agent.clone(), seen.site);
        }
        self.former.retain(|agent, _| has_tasks(agent));
        self.unavailable.remove(agent);
        self.executors_gone(agent);
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
        let seen = self.seen.get(agent).map(|seen| &seen.site);
        seen.or_else(|| self.former.get(agent))
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
}
