//! The agents of one cycle: their leases, what is left of each, and the indexes that are kept in
//! step with it. What is looked for, and why, is not known here.

use std::collections::BTreeMap;

use shiftwork_schedule::Timestamp;

use super::amounts::{Amounts, CLASSES, Scale, skew};
use super::index::{Index, Order, Query};
use crate::executor_book::{Executor, Presence};
use crate::fleet::Lease;
use crate::ids::{AgentId, AppName};

/// Executors by agent and app, as the fleet knows them.
pub(super) type Executors = BTreeMap<AgentId, BTreeMap<AppName, Executor>>;

/// All agents that offer something, numbered in the order of their ids.
#[derive(Debug)]
pub(super) struct Nodes {
    list: Vec<Node>,
    /// What is left of each: apart, since a search looks at nothing else.
    free: Vec<Amounts>,
    scale: Scale,
    all: [Index; CLASSES],
    app_ids: BTreeMap<AppName, u32>,
    apps: Vec<App>,
}

#[derive(Debug)]
struct Node {
    agent: AgentId,
    lease: Lease,
    /// Apps whose executor runs here or was started in this cycle.
    apps: Vec<u32>,
    class: usize,
    score: u16,
    /// Of what it offered when the cycle began: see [`Amounts::inverse`].
    inverse: Amounts,
    /// Kept for others: found by no search.
    hidden: bool,
    /// When it goes away; later than any task for one that stays.
    leaves: Timestamp,
}

/// An app as far as agents go.
#[derive(Debug, Default)]
struct App {
    /// Agents that run its executor.
    running: [Index; CLASSES],
}

/// What a search may ask of an agent it looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peek<'a> {
    nodes: &'a [Node],
    free: &'a [Amounts],
    app: u32,
    ends: Timestamp,
}

impl Peek<'_> {
    /// True if the executor of the app in question runs there.
    pub(super) fn runs(&self, node: u32) -> bool {
        self.nodes[node as usize].apps.contains(&self.app)
    }

    /// Its class and dominant share.
    pub(super) fn standing(&self, node: u32) -> (usize, u16) {
        let own = &self.nodes[node as usize];
        (own.class, own.score)
    }

    pub(super) fn is_open(&self, node: u32) -> bool {
        let own = &self.nodes[node as usize];
        !own.hidden && own.leaves >= self.ends
    }

    pub(super) fn free(&self, node: u32) -> &Amounts {
        &self.free[node as usize]
    }
}

/// Which agents a search looks at, and in which order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    /// The app in question.
    pub(super) app: u32,
    /// When its tasks will have ended; [`Timestamp::MAX`] where that is not known.
    pub(super) ends: Timestamp,
    /// Only agents that run its executor.
    pub(super) running: bool,
    /// Agents without free GPUs or with.
    pub(super) class: usize,
    /// Which first.
    pub(super) order: Order,
    /// How many agents that would do are compared.
    pub(super) looks: usize,
}

impl Nodes {
    pub(super) fn new(leases: BTreeMap<AgentId, Lease>, executors: &Executors) -> Self {
        let free: Vec<Amounts> =
            leases.values().map(|lease| Amounts::of_resources(&lease.free)).collect();
        let scale = Scale::of(free.iter());
        let node = |(agent, lease): (AgentId, Lease), free: &Amounts| Node {
            agent,
            leaves: lease.leaves.unwrap_or(Timestamp::MAX),
            lease,
            apps: Vec::new(),
            class: free.class(),
            score: scale.place(free.class(), free),
            inverse: free.inverse(),
            hidden: false,
        };
        let nodes: Vec<Node> =
            leases.into_iter().zip(&free).map(|(entry, free)| node(entry, free)).collect();
        let (app_ids, apps) = (BTreeMap::new(), Vec::new());
        let mut all = Self { list: nodes, free, scale, all: Default::default(), app_ids, apps };
        for node in (0..all.list.len() as u32).rev() {
            let own = &all.list[node as usize];
            all.all[own.class].insert(own.score, node, &all.free[node as usize]);
        }
        if !executors.is_empty() {
            for node in (0..all.list.len() as u32).rev() {
                all.see_executors(node, executors);
            }
        }
        all
    }

    fn see_executors(&mut self, node: u32, executors: &Executors) {
        let Some(executors) = executors.get(&self.list[node as usize].agent) else {
            return;
        };
        for (app, executor) in executors {
            if executor.presence == Presence::Seen {
                let app = self.app_id(app);
                self.start(node, app);
            }
        }
    }

    /// The number of an app.
    pub(super) fn app_id(&mut self, app: &AppName) -> u32 {
        if let Some(id) = self.app_ids.get(app) {
            return *id;
        }
        let id = self.apps.len() as u32;
        self.app_ids.insert(app.clone(), id);
        self.apps.push(App::default());
        id
    }

    pub(super) fn len(&self) -> u32 {
        self.list.len() as u32
    }

    /// Whether an agent goes away before some task may have ended.
    pub(super) fn any_leaves(&self) -> bool {
        self.list.iter().any(|node| node.leaves < Timestamp::MAX)
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> + Clone {
        self.list.iter().map(|node| &node.lease)
    }

    pub(super) fn into_leases(self) -> BTreeMap<AgentId, Lease> {
        self.list.into_iter().map(|node| (node.agent, node.lease)).collect()
    }

    pub(super) fn agent(&self, node: u32) -> &AgentId {
        &self.list[node as usize].agent
    }

    pub(super) fn node_of(&self, agent: &AgentId) -> Option<u32> {
        let found = self.list.binary_search_by(|node| node.agent.cmp(agent));
        found.ok().map(|node| node as u32)
    }

    pub(super) fn lease(&self, node: u32) -> &Lease {
        &self.list[node as usize].lease
    }

    pub(super) fn lease_mut(&mut self, node: u32) -> &mut Lease {
        &mut self.list[node as usize].lease
    }

    pub(super) fn is_hidden(&self, node: u32) -> bool {
        self.list[node as usize].hidden
    }

    /// The first agent of a search that covers `need` and is accepted.
    pub(super) fn find(
        &mut self,
        search: Search,
        need: &Amounts,
        mut accept: impl FnMut(&Peek<'_>, u32) -> bool,
    ) -> Option<u32> {
        let Search { app, ends, running, class, order, looks } = search;
        let score = self.scale.lowest_place(class, need);
        let Self { list: nodes, free, all, apps, .. } = self;
        let own = apps.get_mut(app as usize)?;
        let index = if running { &mut own.running[class] } else { &mut all[class] };
        let peek = Peek { nodes, free, app, ends };
        let query = Query { order, need, score, looks };
        let rank = |node: u32| skew(&nodes[node as usize].inverse, &free[node as usize], need);
        index.find(query, free, |node| accept(&peek, node), rank)
    }

    /// What may be asked of agents beside a search.
    pub(super) fn peek(&self, app: u32, ends: Timestamp) -> Peek<'_> {
        Peek { nodes: &self.list, free: &self.free, app, ends }
    }

    /// Takes shards, and the executor if it starts, out of what is left of an agent.
    pub(super) fn take(
        &mut self,
        node: u32,
        shard: &Amounts,
        shards: usize,
        starts: Option<(u32, &Amounts)>,
    ) {
        let free = &mut self.free[node as usize];
        free.take(shard, shards);
        if let Some((_, executor)) = starts {
            free.take(executor, 1);
        }
        self.settle(node);
        if let Some((app, _)) = starts {
            self.start(node, app);
        }
    }

    /// The opposite of [`Nodes::take`].
    pub(super) fn give(
        &mut self,
        node: u32,
        shard: &Amounts,
        shards: usize,
        started: Option<(u32, &Amounts)>,
    ) {
        if let Some((app, _)) = started {
            self.stop(node, app);
        }
        let free = &mut self.free[node as usize];
        free.give(shard, shards);
        if let Some((_, executor)) = started {
            free.give(executor, 1);
        }
        self.settle(node);
    }

    /// Keeps an agent from all further searches of this cycle.
    pub(super) fn hide(&mut self, node: u32) {
        let own = &mut self.list[node as usize];
        if std::mem::replace(&mut own.hidden, true) {
            return;
        }
        self.all[own.class].remove(own.score, node);
        for app in &own.apps {
            self.apps[*app as usize].running[own.class].remove(own.score, node);
        }
    }

    fn start(&mut self, node: u32, app: u32) {
        let own = &mut self.list[node as usize];
        own.apps.push(app);
        if !own.hidden {
            let free = &self.free[node as usize];
            self.apps[app as usize].running[own.class].insert(own.score, node, free);
        }
    }

    fn stop(&mut self, node: u32, app: u32) {
        let own = &mut self.list[node as usize];
        own.apps.retain(|other| *other != app);
        self.apps[app as usize].running[own.class].remove(own.score, node);
    }

    /// Brings the indexes in step with what is left of an agent.
    fn settle(&mut self, node: u32) {
        let free = &self.free[node as usize];
        let class = free.class();
        let score = self.scale.place(class, free);
        let own = &mut self.list[node as usize];
        let (old_class, old_score) = (own.class, own.score);
        (own.class, own.score) = (class, score);
        if own.hidden {
            return;
        }
        let settle = |index: &mut [Index; CLASSES]| {
            if (class, score) == (old_class, old_score) {
                index[class].refresh(score, free);
            } else {
                index[old_class].remove(old_score, node);
                index[class].insert(score, node, free);
            }
        };
        settle(&mut self.all);
        for app in &own.apps {
            settle(&mut self.apps[*app as usize].running);
        }
    }
}
