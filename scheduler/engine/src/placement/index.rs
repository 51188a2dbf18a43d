//! Agents by what is left of them, so that the best fit is found without looking at those that are
//! too full, nor at groups of which none is large enough. What an agent is, is not known here.

use super::outline::Outline;

/// Which end is looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The fullest agents first: best fit.
    FullestFirst,
    /// The emptiest agents first.
    EmptiestFirst,
}

/// Agents of one chunk before it is split: a move within it touches half a kilobyte at most, and one
/// comparison rules out all of it.
const CHUNK_MAX: usize = 32;

/// Agents in ascending order of their places, and of their numbers where places are equal.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// In ascending order; the first begins at the lowest key there is.
    chunks: Vec<Chunk>,
}

/// A stretch of the order.
#[derive(Debug, Default)]
struct Chunk {
    /// No key of the chunk is lower, and all keys of chunks before it are.
    low: u64,
    /// No agent of the chunk has more of any kind: an upper bound.
    most: Outline,
    /// Whether `most` is no more than an agent of the chunk has, kind by kind.
    exact: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Place and number: see [`key`].
    key: u64,
    outline: Outline,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query {
    pub(super) order: Order,
    /// What must be there.
    pub(super) need: Outline,
    /// The lowest place of an agent that can cover it.
    pub(super) place: u16,
    /// How many agents that would do are compared before the best of them is taken.
    pub(super) looks: usize,
}

/// A search under way: the best agent so far and how many were compared.
struct Search<F> {
    need: Outline,
    looks_left: usize,
    best: Option<(u64, u32)>,
    rank: F,
}

/// Where an entry stands: its chunk and its place there.
type Position = (usize, usize);

/// The key of an agent.
fn key(place: u16, node: u32) -> u64 {
    (u64::from(place) << u32::BITS) | u64::from(node)
}

// === impl Index ===

impl Index {
    /// Adds an agent that is not there.
    pub(super) fn insert(&mut self, place: u16, node: u32, outline: Outline) {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        let key = key(place, node);
        let (at, slot) = self.position(key);
        let chunk = &mut self.chunks[at];
        if chunk.entries.capacity() == 0 {
            chunk.entries.reserve_exact(CHUNK_MAX);
        }
        chunk.entries.insert(slot, Entry { key, outline });
        chunk.most.raise(outline);
        if chunk.entries.len() == CHUNK_MAX {
            let upper = chunk.split();
            self.chunks.insert(at + 1, upper);
        }
    }

    /// Takes an agent out.
    pub(super) fn remove(&mut self, place: u16, node: u32) {
        if let Some(position) = self.entry(key(place, node)) {
            self.remove_at(position);
        }
    }

    fn remove_at(&mut self, (at, slot): Position) {
        let chunk = &mut self.chunks[at];
        chunk.entries.remove(slot);
        chunk.exact = false;
        if chunk.entries.is_empty() {
            self.chunks.remove(at);
            if let Some(first) = self.chunks.first_mut() {
                first.low = 0;
            }
        }
    }

    /// An agent has other amounts now, and perhaps another place.
    pub(super) fn relocate(&mut self, from: u16, to: u16, node: u32, outline: Outline) {
        let Some((at, slot)) = self.entry(key(from, node)) else {
            return;
        };
        let next_low = self.chunks.get(at + 1).map_or(u64::MAX, |next| next.low);
        let chunk = &mut self.chunks[at];
        let key = key(to, node);
        if (chunk.low..next_low).contains(&key) {
            chunk.relocate(slot, Entry { key, outline });
        } else {
            self.remove_at((at, slot));
            self.insert(to, node, outline);
        }
    }

    /// The agent with the lowest rank among the first in order that have one; among equals the first
    /// in order. `rank` is asked only about agents whose outline covers the need.
    pub(super) fn find(
        &mut self,
        query: Query,
        rank: impl FnMut(u32) -> Option<u64>,
    ) -> Option<u32> {
        let Query { order, need, place, looks } = query;
        let mut search = Search { need, looks_left: looks, best: None, rank };
        let (lowest, end) = (self.position(key(place, 0)), (self.chunks.len(), 0));
        match order {
            Order::FullestFirst => {
                self.walk(lowest, end, &mut search);
            }
            Order::EmptiestFirst => self.walk_down(lowest, end, &mut search),
        }
        search.best.map(|(_, node)| node)
    }

    /// Looks from one position up to another; true if enough agents were compared.
    fn walk<F: FnMut(u32) -> Option<u64>>(
        &mut self,
        from: Position,
        to: Position,
        search: &mut Search<F>,
    ) -> bool {
        let mut begin = from.1;
        for at in from.0..self.chunks.len().min(to.0 + 1) {
            let chunk = &mut self.chunks[at];
            let end = if at == to.0 { to.1 } else { chunk.entries.len() };
            if chunk.most.covers(search.need) && chunk.search(begin, end, search) {
                return true;
            }
            begin = 0;
        }
        false
    }

    /// As [`Index::walk`], from the highest place down, in each place upwards.
    fn walk_down<F: FnMut(u32) -> Option<u64>>(
        &mut self,
        lowest: Position,
        end: Position,
        search: &mut Search<F>,
    ) {
        let (mut at, mut end) = end;
        while (at, end) > lowest {
            if end == 0 {
                at -= 1;
                end = self.chunks[at].entries.len();
                continue;
            }
            let chunk = &self.chunks[at];
            if !chunk.most.covers(search.need) {
                end = 0;
                continue;
            }
            let begin = self.position((chunk.entries[end - 1].key >> u32::BITS) << u32::BITS);
            if self.walk(begin, (at, end), search) {
                return;
            }
            (at, end) = begin;
        }
    }

    /// Where the first entry stands, or would stand, whose key is not lower.
    fn position(&self, key: u64) -> Position {
        let at = self.chunks.partition_point(|chunk| chunk.low <= key).saturating_sub(1);
        let slot = self
            .chunks
            .get(at)
            .map_or(0, |chunk| chunk.entries.partition_point(|entry| entry.key < key));
        (at, slot)
    }

    fn entry(&self, key: u64) -> Option<Position> {
        let (at, slot) = self.position(key);
        let found = self.chunks.get(at)?.entries.get(slot)?.key == key;
        found.then_some((at, slot))
    }
}

// === impl Chunk ===

impl Chunk {
    /// Keeps the lower half and gives the upper.
    fn split(&mut self) -> Self {
        let mut entries = Vec::with_capacity(CHUNK_MAX);
        entries.extend(self.entries.drain(CHUNK_MAX / 2..));
        let low = entries.first().map_or(u64::MAX, |entry| entry.key);
        self.exact = false;
        Self { low, most: self.most, exact: false, entries }
    }

    /// Moves an entry to where its new key belongs within the chunk.
    fn relocate(&mut self, from: usize, entry: Entry) {
        let to = self.entries.partition_point(|other| other.key < entry.key);
        let to = if to > from {
            self.entries.copy_within(from + 1..to, from);
            to - 1
        } else {
            self.entries.copy_within(to..from, to + 1);
            to
        };
        self.entries[to] = entry;
        self.most.raise(entry.outline);
        self.exact = false;
    }

    /// Looks at some agents; true if enough were compared.
    fn search<F: FnMut(u32) -> Option<u64>>(
        &mut self,
        begin: usize,
        end: usize,
        search: &mut Search<F>,
    ) -> bool {
        let mut covered = false;
        for entry in &self.entries[begin..end] {
            if entry.outline.covers(search.need) {
                covered = true;
                if search.look(entry.key as u32) {
                    return true;
                }
            }
        }
        if !covered && !self.exact {
            self.measure();
        }
        false
    }

    /// Makes the upper bound exact.
    fn measure(&mut self) {
        let mut most = Outline::default();
        for entry in &self.entries {
            most.raise(entry.outline);
        }
        (self.most, self.exact) = (most, true);
    }
}

// === impl Search ===

impl<F: FnMut(u32) -> Option<u64>> Search<F> {
    /// Compares an agent with the best so far; true if enough were compared.
    fn look(&mut self, node: u32) -> bool {
        let Some(rank) = (self.rank)(node) else {
            return false;
        };
        if self.best.is_none_or(|(lowest, _)| rank < lowest) {
            self.best = Some((rank, node));
        }
        self.looks_left = self.looks_left.saturating_sub(1);
        self.looks_left == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::amounts::KINDS;
    use super::*;

    /// More agents than two chunks hold.
    const NODES: u32 = 90;

    #[derive(Debug, Clone)]
    enum Step {
        /// An agent gets a place and so much of the two kinds; where it was before, it is no more.
        Put(u32, u16, u16, u16),
        Remove(u32),
        /// A search: the order, the lowest place, what is needed, how many are compared.
        Find(bool, u16, u16, u16, usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let node = 0..NODES;
        prop_oneof![
            6 => (node.clone(), 0u16..6, 0u16..9, 0u16..9)
                .prop_map(|(node, place, one, other)| Step::Put(node, place, one, other)),
            1 => node.prop_map(Step::Remove),
            4 => (any::<bool>(), 0u16..7, 0u16..9, 0u16..9, 1usize..4).prop_map(
                |(fullest, place, one, other, looks)| Step::Find(fullest, place, one, other, looks)
            ),
        ]
    }

    fn outline(one: u16, other: u16) -> Outline {
        let mut shares = [0; KINDS];
        (shares[0], shares[KINDS - 1]) = (one, other);
        Outline::of(shares)
    }

    /// What every agent is asked: one in three would not do, and ranks repeat.
    fn rank(node: u32) -> Option<u64> {
        (!node.is_multiple_of(3)).then_some(u64::from(node % 5))
    }

    /// Looks at one agent after another.
    fn plain(agents: &BTreeMap<u32, (u16, Outline)>, query: Query) -> Option<u32> {
        let mut order: Vec<(u16, u32)> = agents
            .iter()
            .filter(|(_, (place, outline))| *place >= query.place && outline.covers(query.need))
            .map(|(node, (place, _))| (*place, *node))
            .collect();
        let emptiest_first = query.order == Order::EmptiestFirst;
        order.sort_by_key(|(place, node)| {
            (if emptiest_first { u16::MAX - place } else { *place }, *node)
        });
        let ranked = order.iter().filter_map(|(_, node)| Some((rank(*node)?, *node)));
        ranked.take(query.looks).min_by_key(|(rank, _)| *rank).map(|(_, node)| node)
    }

    proptest! {
        #[test]
        fn a_search_finds_what_looking_at_every_agent_finds(
            steps in prop::collection::vec(any_step(), 1..400),
        ) {
            let mut index = Index::default();
            let mut agents: BTreeMap<u32, (u16, Outline)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Put(node, place, one, other) => {
                        let outline = outline(one, other);
                        match agents.insert(node, (place, outline)) {
                            Some((before, _)) => index.relocate(before, place, node, outline),
                            None => index.insert(place, node, outline),
                        }
                    }
                    Step::Remove(node) => {
                        let place = agents.remove(&node).map_or(0, |(place, _)| place);
                        index.remove(place, node);
                    }
                    Step::Find(fullest, place, one, other, looks) => {
                        let order =
                            if fullest { Order::FullestFirst } else { Order::EmptiestFirst };
                        let query = Query { order, need: outline(one, other), place, looks };
                        prop_assert_eq!(index.find(query, rank), plain(&agents, query));
                    }
                }
            }
        }
    }
}
