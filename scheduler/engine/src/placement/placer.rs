//! The search itself: candidates one after another, each whole or not at all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use super::amounts::{Amounts, CLASSES, PLAIN};
use super::attempt::{Attempt, Need, refused, room};
use super::index::Order;
use super::misfits::{Capacity, Misfits, Shape};
use super::nodes::{Executors, Nodes, Search};
use super::refusal::Unplaced;
use super::rules::{Cluster, Columns, Rules};
use super::{Candidate, Slot};
use crate::document::Placement;
use crate::fleet::Lease;
use crate::ids::AgentId;
use crate::resources::{Demand, Resources};

/// How many values a cluster constraint is tried on beyond the first that seems to have room: it
/// only seems so when several constraints stand in each other's way.
const CLUSTER_TRIES_MAX: usize = 16;

/// For work with GPUs, how many of the fullest agents that would do are compared for the one that is
/// left most balanced. More would find little more room and take longer.
const LOOKS: usize = 8;

/// Places candidates on leases. It owns the leases until `Placer::into_leases`.
#[derive(Debug)]
pub struct Placer {
    nodes: Nodes,
    /// Whether an agent goes away soon.
    any_leaves: bool,
    columns: Columns,
    misfits: Misfits,
    /// Where everything placed in this cycle goes, one candidate after another: no list is made
    /// for each.
    shares: Vec<Share>,
}

/// What is compared among few agents, the lowest first: shards of the run there when spreading, the
/// class, whether the executor would have to start, and what is left.
type Preference = (usize, usize, bool, i32);

/// A candidate that has its place: drawn from the leases or undone, once.
#[derive(Debug)]
#[must_use = "what is neither drawn nor undone is lost for this cycle"]
pub struct Placed {
    need: Need,
    /// Its part of all shares.
    shares: Range<usize>,
    mark: usize,
}

/// What one agent takes of a candidate.
#[derive(Debug, Clone, Copy)]
struct Share {
    node: u32,
    shards: usize,
    starts_executor: bool,
}

impl Placer {
    /// Takes over leases. `executors` are those of the fleet, on whatever agents.
    pub(crate) fn new(leases: BTreeMap<AgentId, Lease>, executors: &Executors) -> Self {
        let nodes = Nodes::new(leases, executors);
        Self {
            any_leaves: nodes.any_leaves(),
            nodes,
            columns: Columns::default(),
            misfits: Misfits::default(),
            shares: Vec::new(),
        }
    }

    /// Gives the leases back, without what was drawn from them.
    pub(crate) fn into_leases(self) -> BTreeMap<AgentId, Lease> {
        self.nodes.into_leases()
    }

    /// Finds a place for all shards of a candidate and keeps it for them, or changes nothing.
    ///
    /// # Errors
    /// Why it was not placed.
    pub fn place(&mut self, candidate: &Candidate<'_>) -> Result<Placed, Arc<Unplaced>> {
        let need = self.need(candidate);
        if !self.misfits.is_empty()
            && let Some(unplaced) = self.misfits.known(&self.shape(candidate, &need), need.count)
        {
            return Err(unplaced);
        }
        let mark = self.misfits.mark();
        match self.try_values(candidate, &need) {
            Ok(shares) => Ok(Placed { need, shares, mark }),
            Err(unplaced) => {
                let unplaced = Arc::new(unplaced);
                // Siblings and the agent to avoid are one shard's own; others may still fit.
                if candidate.siblings.is_empty() && candidate.avoid.is_none() {
                    let shape = self.shape(candidate, &need);
                    self.misfits.note(shape, need.count, Arc::clone(&unplaced));
                }
                Err(unplaced)
            }
        }
    }

    /// As [`Placer::place`]; a gang that does not fit is compared with what all agents hold when
    /// they are empty. `capacity` is asked once for a shape, not once for a candidate.
    pub(crate) fn place_within(
        &mut self,
        candidate: &Candidate<'_>,
        capacity: impl FnOnce() -> Capacity,
    ) -> Result<Placed, Arc<Unplaced>> {
        self.place(candidate).map_err(|unplaced| {
            let count = candidate.count;
            if count < 2 {
                return unplaced;
            }
            let need = self.need(candidate);
            let shape = self.shape(candidate, &need);
            let Capacity { shards: fits, agents } = self.misfits.capacity(shape, capacity);
            let too_large = agents > 0 && fits < count;
            if too_large { Arc::new(Unplaced::TooLarge { fits, count, agents }) } else { unplaced }
        })
    }

    fn shape(&self, candidate: &Candidate<'_>, need: &Need) -> Shape {
        Shape {
            app: need.app,
            executor: need.executor,
            shard: need.shard,
            ends: if self.any_leaves { need.ends } else { Timestamp::MAX },
            placement: candidate.placement,
            constraints: Arc::clone(candidate.constraints),
        }
    }

    /// Takes the resources of a placed candidate out of the leases: a slot for each shard is added
    /// to `slots`. What an executor that starts is charged is what `described` says of its agent, if
    /// it says something and the lease still has it.
    ///
    /// # Errors
    /// `None` if a lease has less than its sums say, which would be a defect of this module; the
    /// shards must not be launched then.
    pub fn draw<'d>(
        &mut self,
        candidate: &Candidate<'_>,
        placed: Placed,
        slots: &mut Vec<Slot>,
        described: impl Fn(&AgentId) -> Option<&'d Resources>,
    ) -> Option<()> {
        slots.reserve(placed.need.count);
        for share in self.shares.get(placed.shares)? {
            let (agent, lease) = self.nodes.lease_mut(share.node);
            let free = &mut lease.free;
            let mut executor = None;
            if share.starts_executor {
                let as_described =
                    described(agent).filter(|it| Demand::of_resources(it) == *candidate.executor);
                let taken = as_described.and_then(|it| free.take_exactly(it));
                executor = Some(taken.map_or_else(|| free.take(candidate.executor), Some)?);
            }
            for _ in 0..share.shards {
                let (resources, executor) = (free.take(candidate.shard)?, executor.take());
                slots.push(Slot { agent: agent.clone(), resources, executor });
            }
        }
        Some(())
    }

    /// Gives up the place of a candidate. Costs what was placed, however many agents there are.
    pub fn undo(&mut self, placed: Placed) {
        self.give_back(&placed.need, placed.shares);
        self.misfits.take_back(placed.mark);
    }

    /// Keeps an agent from all candidates that follow.
    pub fn hide(&mut self, agent: &AgentId) {
        if let Some(node) = self.nodes.node_of(agent) {
            self.nodes.hide(node);
        }
    }

    /// The lease of an agent, as long as it is here.
    pub(crate) fn lease(&self, agent: &AgentId) -> Option<&Lease> {
        self.nodes.node_of(agent).map(|node| self.nodes.lease(node))
    }

    /// Shards of a candidate that fit on each agent now, where any does, resources alone looked at.
    pub(crate) fn rooms(&mut self, candidate: &Candidate<'_>) -> Vec<(AgentId, usize)> {
        let need = self.need(candidate);
        let peek = self.nodes.peek(need.app, need.ends);
        (0..self.nodes.len())
            .filter(|node| peek.is_open(*node))
            .map(|node| (self.nodes.agent(node).clone(), room(&need, &peek, node)))
            .filter(|(_, room)| *room > 0)
            .collect()
    }

    /// Agents used by a placed candidate, each with its number of shards.
    pub fn shares<'a>(&'a self, placed: &'a Placed) -> impl Iterator<Item = (&'a AgentId, usize)> {
        let shares = self.shares.get(placed.shares.clone()).unwrap_or_default();
        shares.iter().map(|share| (self.nodes.agent(share.node), share.shards))
    }

    fn need(&mut self, candidate: &Candidate<'_>) -> Need {
        let shard = Amounts::of_demand(candidate.shard);
        let executor = Amounts::of_demand(candidate.executor);
        Need {
            app: self.nodes.app_id(candidate.app),
            ends: ends(candidate),
            shard,
            executor,
            with_executor: shard.plus(&executor),
            count: candidate.count,
            spread: candidate.placement == Placement::Spread,
            avoid: candidate.avoid.and_then(|agent| self.nodes.node_of(agent)),
        }
    }

    /// Tries one value after another where a constraint wants all shards on one.
    fn try_values(
        &mut self,
        candidate: &Candidate<'_>,
        need: &Need,
    ) -> Result<Range<usize>, Unplaced> {
        if self.nodes.len() == 0 {
            return Err(Unplaced::NoOffers);
        }
        let mut cluster = None;
        let mut fits = 0;
        let begin = self.shares.len();
        for _ in 0..=CLUSTER_TRIES_MAX {
            let mut attempt = self.attempt(candidate, need, cluster.take());
            let placed = self.fill(&mut attempt);
            if placed == need.count {
                return Ok(begin..self.shares.len());
            }
            fits = fits.max(placed);
            cluster = attempt.cluster.take();
            let first = self.shares.get(begin).map(|share| share.node);
            let (Some(tried), Some(first)) = (cluster.as_mut(), first) else {
                fits = fits.max(cluster.as_ref().map_or(0, Cluster::largest));
                let refusals = attempt.refusals(candidate, &self.nodes);
                self.give_back(need, begin..self.shares.len());
                return Err(refused(fits, need.count, refusals));
            };
            tried.reject(first, placed);
            self.give_back(need, begin..self.shares.len());
        }
        let attempt = self.attempt(candidate, need, None);
        let refusals = attempt.refusals(candidate, &self.nodes);
        Err(refused(fits, need.count, refusals))
    }

    fn attempt<'a>(
        &mut self,
        candidate: &Candidate<'_>,
        need: &'a Need,
        cluster: Option<Cluster>,
    ) -> Attempt<'a> {
        let (nodes, columns) = (&self.nodes, &mut self.columns);
        let rules = if candidate.constraints.is_empty() {
            Rules::default()
        } else {
            columns.rules(candidate.constraints, candidate.siblings, nodes.leases())
        };
        let mut used = BTreeMap::new();
        if need.spread {
            for site in candidate.siblings {
                if let Some(node) = nodes.node_of(&site.agent) {
                    *used.entry(node).or_default() += 1;
                }
            }
        }
        let cluster = cluster.or_else(|| rules.undecided().map(Cluster::new));
        Attempt { need, rules, cluster, used }
    }

    /// Places as many shards as fit and leaves them in place; gives their number.
    fn fill(&mut self, attempt: &mut Attempt<'_>) -> usize {
        let need = attempt.need;
        let mut left = need.count;
        while left > 0 {
            let Some(node) = self.choose(attempt, left) else {
                break;
            };
            let peek = self.nodes.peek(need.app, need.ends);
            let starts_executor = !peek.runs(node);
            let most = attempt.rules.room(node).min(if need.spread { 1 } else { left });
            let shards = room(need, &peek, node).min(most);
            let starts = starts_executor.then_some((need.app, &need.executor));
            self.nodes.take(node, &need.shard, shards, starts);
            attempt.rules.note(node, shards);
            if need.spread {
                *attempt.used.entry(node).or_default() += shards;
            }
            self.shares.push(Share { node, shards, starts_executor });
            left -= shards;
        }
        need.count - left
    }

    /// The best agent for the next shard.
    fn choose(&mut self, attempt: &mut Attempt<'_>, left: usize) -> Option<u32> {
        let avoid = attempt.need.avoid;
        if avoid.is_some()
            && let Some(node) = self.choose_but(attempt, left, avoid)
        {
            return Some(node);
        }
        self.choose_but(attempt, left, None)
    }

    /// Agents with the fewest shards of the run when spreading; then those without GPUs for work
    /// without; then those that run the executor when packing; then the fullest, or the emptiest.
    fn choose_but(
        &mut self,
        attempt: &mut Attempt<'_>,
        left: usize,
        avoid: Option<u32>,
    ) -> Option<u32> {
        let need = attempt.need;
        if attempt.rules.few().is_some() {
            return self.choose_among_few(attempt, left, avoid);
        }
        let first_class = need.shard.class();
        if need.spread {
            let levels = attempt.used.values().max().map_or(0, |most| *most);
            let classes = |level| (first_class..CLASSES).map(move |class| (level, class));
            return (0..=levels).flat_map(classes).find_map(|(level, class)| {
                let order = Order::EmptiestFirst;
                let search = Search {
                    app: need.app,
                    ends: need.ends,
                    running: false,
                    class,
                    order,
                    looks: 1,
                };
                self.nodes.find(search, &need.shard, |peek, node| {
                    avoid != Some(node)
                        && attempt.used.get(&node).copied().unwrap_or(0) == level
                        && (peek.runs(node) || peek.free(node).covers(&need.with_executor))
                        && attempt.accepts(peek, node, left)
                })
            });
        }
        let order = Order::FullestFirst;
        let looks = if first_class == PLAIN { 1 } else { LOOKS };
        for class in first_class..CLASSES {
            for running in [true, false] {
                let search =
                    Search { app: need.app, ends: need.ends, running, class, order, looks };
                let least = if running { &need.shard } else { &need.with_executor };
                let found = self.nodes.find(search, least, |peek, node| {
                    avoid != Some(node) && attempt.accepts(peek, node, left)
                });
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// As [`Placer::choose_but`] where constraints leave few agents.
    fn choose_among_few(
        &self,
        attempt: &mut Attempt<'_>,
        left: usize,
        avoid: Option<u32>,
    ) -> Option<u32> {
        let need = attempt.need;
        let peek = self.nodes.peek(need.app, need.ends);
        let count = attempt.rules.few().map_or(0, <[u32]>::len);
        let mut best: Option<(Preference, u32)> = None;
        for index in 0..count {
            let Some(node) = attempt.rules.few().and_then(|few| few.get(index)).copied() else {
                break;
            };
            if avoid == Some(node) || room(need, &peek, node) == 0 {
                continue;
            }
            let (class, score) = peek.standing(node);
            let preference = if need.spread {
                let siblings = attempt.used.get(&node).copied().unwrap_or(0);
                (siblings, class, false, -i32::from(score))
            } else {
                (0, class, !peek.runs(node), i32::from(score))
            };
            let better = best.is_none_or(|(old, _)| preference < old);
            if better && attempt.accepts(&peek, node, left) {
                best = Some((preference, node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// Frees what was taken; shares at the end of all are dropped.
    fn give_back(&mut self, need: &Need, shares: Range<usize>) {
        for share in self.shares.get(shares.clone()).unwrap_or_default().iter().rev() {
            let started = share.starts_executor.then_some((need.app, &need.executor));
            self.nodes.give(share.node, &need.shard, share.shards, started);
        }
        if shares.end == self.shares.len() {
            self.shares.truncate(shares.start);
        }
    }
}

/// When the tasks of a candidate will have ended: never, where that is not known.
fn ends(candidate: &Candidate<'_>) -> Timestamp {
    candidate.ends_by.unwrap_or(Timestamp::MAX)
}

/// More shards than any agent is asked to hold: keeps sums over all agents far from overflow.
const SHARDS_MAX: usize = 1_000_000;

/// How many shards of a candidate fit on an agent that offers so much and runs nothing.
pub(crate) fn room_on_empty(candidate: &Candidate<'_>, offered: &Demand) -> usize {
    let shard = Amounts::of_demand(candidate.shard);
    let executor = Amounts::of_demand(candidate.executor);
    Amounts::of_demand(offered).copies(&shard, &executor, SHARDS_MAX)
}
