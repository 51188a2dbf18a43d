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

/// All agents that offer something, numbered in the order of their ids. What they are stands apart
/// from what a search looks at.
#[derive(Debug)]
pub(super) struct Nodes {
    agents: Vec<(AgentId, Lease)>,
    list: Vec<Node>,
    /// What is left of each.
    free: Vec<Amounts>,
    scale: Scale,
    all: Ranking,
    app_ids: BTreeMap<AppName, u32>,
    /// The app asked for last: candidates of one app mostly follow each other.
    last_app: Option<(AppName, u32)>,
    apps: Vec<App>,
}

#[derive(Debug)]
struct Node {
    /// In the index of all agents.
    seat: Seat,
    /// In those of apps whose executor runs here or was started in this cycle.
    apps: Vec<(u32, Seat)>,
    class: usize,
    place: u16,
    /// Kept for others: found by no search.
    hidden: bool,
    /// When it goes away; later than any task for one that stays.
    leaves: Timestamp,
    /// Of what it offered when the cycle began: see [`Amounts::inverse`].
    inverse: Amounts,
}

/// Where an agent stands in one index.
#[derive(Debug, Clone, Copy)]
struct Seat {
    class: usize,
    place: u16,
    /// The agent has changed since: it is listed to be moved before the next search.
    stale: bool,
}

/// Agents in order, by class. What changes is moved when the index is next searched: an agent that
/// takes many shards in between moves once, and in indexes that nobody asks it never does.
#[derive(Debug, Default)]
struct Ranking {
    by_class: [Index; CLASSES],
    stale: Vec<u32>,
}

/// An app as far as agents go.
#[derive(Debug, Default)]
struct App {
    /// Agents that run its executor.
    running: Ranking,
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
        self.nodes[node as usize].runs(self.app)
    }

    /// Its class and its place there.
    pub(super) fn standing(&self, node: u32) -> (usize, u16) {
        let own = &self.nodes[node as usize];
        (own.class, own.place)
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
        let agents: Vec<(AgentId, Lease)> = leases.into_iter().collect();
        let free: Vec<Amounts> =
            agents.iter().map(|(_, lease)| Amounts::of_resources(&lease.free)).collect();
        let scale = Scale::of(free.iter());
        let node = |((_, lease), free): (&(AgentId, Lease), &Amounts)| {
            let class = free.class();
            let place = scale.place(class, free);
            Node {
                seat: Seat { class, place, stale: false },
                apps: Vec::new(),
                class,
                place,
                hidden: false,
                leaves: lease.leaves.unwrap_or(Timestamp::MAX),
                inverse: free.inverse(),
            }
        };
        let list: Vec<Node> = agents.iter().zip(&free).map(node).collect();
        let mut all = Self {
            agents,
            list,
            free,
            scale,
            all: Ranking::default(),
            app_ids: BTreeMap::new(),
            last_app: None,
            apps: Vec::new(),
        };
        for (number, (node, free)) in (0..).zip(all.list.iter().zip(&all.free)) {
            all.all.by_class[node.class].insert(node.place, number, scale.outline(free));
        }
        if !executors.is_empty() {
            for node in 0..all.len() {
                all.see_executors(node, executors);
            }
        }
        all
    }

    fn see_executors(&mut self, node: u32, executors: &Executors) {
        let Some(executors) = executors.get(self.agent(node)) else {
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
        if let Some((_, id)) = self.last_app.as_ref().filter(|(last, _)| last == app) {
            return *id;
        }
        let id = self.find_app(app);
        self.last_app = Some((app.clone(), id));
        id
    }

    fn find_app(&mut self, app: &AppName) -> u32 {
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
        self.agents.iter().map(|(_, lease)| lease)
    }

    pub(super) fn into_leases(self) -> BTreeMap<AgentId, Lease> {
        self.agents.into_iter().collect()
    }

    pub(super) fn agent(&self, node: u32) -> &AgentId {
        &self.agents[node as usize].0
    }

    pub(super) fn node_of(&self, agent: &AgentId) -> Option<u32> {
        let found = self.agents.binary_search_by(|(own, _)| own.cmp(agent));
        found.ok().map(|node| node as u32)
    }

    pub(super) fn lease(&self, node: u32) -> &Lease {
        &self.agents[node as usize].1
    }

    pub(super) fn lease_mut(&mut self, node: u32) -> (&AgentId, &mut Lease) {
        let (agent, lease) = &mut self.agents[node as usize];
        (agent, lease)
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
        if !self.scale.reaches(need) {
            return None;
        }
        let Self { list: nodes, free, scale, all, apps, .. } = self;
        let index = if running {
            let own = &mut apps.get_mut(app as usize)?.running;
            own.settle(nodes, free, scale, |node| node.seat_of(app));
            &mut own.by_class[class]
        } else {
            all.settle(nodes, free, scale, |node| Some(&mut node.seat));
            &mut all.by_class[class]
        };
        let peek = Peek { nodes, free, app, ends };
        let place = scale.lowest_place(class, need);
        let query = Query { order, need: scale.outline(need), place, looks };
        index.find(query, |node| {
            let free = &free[node as usize];
            let fits = free.covers(need) && accept(&peek, node);
            fits.then(|| skew(&nodes[node as usize].inverse, free, need))
        })
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
        self.all.remove(&own.seat, node);
        for (app, seat) in &own.apps {
            self.apps[*app as usize].running.remove(seat, node);
        }
    }

    fn start(&mut self, node: u32, app: u32) {
        let own = &mut self.list[node as usize];
        let seat = Seat { class: own.class, place: own.place, stale: false };
        own.apps.push((app, seat));
        if !own.hidden {
            let outline = self.scale.outline(&self.free[node as usize]);
            let index = &mut self.apps[app as usize].running.by_class[seat.class];
            index.insert(seat.place, node, outline);
        }
    }

    fn stop(&mut self, node: u32, app: u32) {
        let own = &mut self.list[node as usize];
        if let Some(at) = own.apps.iter().position(|(other, _)| *other == app) {
            let (_, seat) = own.apps.remove(at);
            self.apps[app as usize].running.remove(&seat, node);
        }
    }

    /// Notes that another amount is left of an agent.
    fn settle(&mut self, node: u32) {
        let free = &self.free[node as usize];
        let own = &mut self.list[node as usize];
        own.class = free.class();
        own.place = self.scale.place(own.class, free);
        if own.hidden {
            return;
        }
        self.all.note(&mut own.seat, node);
        for (app, seat) in &mut own.apps {
            self.apps[*app as usize].running.note(seat, node);
        }
    }
}

// === impl Node ===

impl Node {
    fn runs(&self, app: u32) -> bool {
        self.apps.iter().any(|(other, _)| *other == app)
    }

    /// Among the agents that run an app's executor.
    fn seat_of(&mut self, app: u32) -> Option<&mut Seat> {
        self.apps.iter_mut().find(|(other, _)| *other == app).map(|(_, seat)| seat)
    }
}

// === impl Ranking ===

impl Ranking {
    fn remove(&mut self, seat: &Seat, node: u32) {
        self.by_class[seat.class].remove(seat.place, node);
    }

    fn note(&mut self, seat: &mut Seat, node: u32) {
        if !std::mem::replace(&mut seat.stale, true) {
            self.stale.push(node);
        }
    }

    /// Moves agents that have changed to where they belong.
    fn settle(
        &mut self,
        nodes: &mut [Node],
        free: &[Amounts],
        scale: &Scale,
        seat_of: impl Fn(&mut Node) -> Option<&mut Seat>,
    ) {
        for number in self.stale.drain(..) {
            let node = &mut nodes[number as usize];
            let (class, place, hidden) = (node.class, node.place, node.hidden);
            // One that was taken back meanwhile has no seat, or a new one.
            let Some(seat) = seat_of(node).filter(|seat| seat.stale) else {
                continue;
            };
            let before = std::mem::replace(seat, Seat { class, place, stale: false });
            if hidden {
                continue;
            }
            let outline = scale.outline(&free[number as usize]);
            if before.class == class {
                self.by_class[class].relocate(before.place, place, number, outline);
            } else {
                self.by_class[before.class].remove(before.place, number);
                self.by_class[class].insert(place, number, outline);
            }
        }
    }
}
