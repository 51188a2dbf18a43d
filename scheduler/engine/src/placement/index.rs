//! Agents by what is left of them, so that the best fit is found without looking at those that are
//! too full, nor at groups of which none is large enough. What an agent is, is not known here.

use super::amounts::{Amounts, PLACES};

/// Which end is looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The fullest agents first: best fit.
    FullestFirst,
    /// The emptiest agents first.
    EmptiestFirst,
}

/// Buckets of one page: as many as a word has bits.
const PAGE: usize = 64;
/// Pages that hold a bucket for every place.
const PAGES: usize = PLACES.div_ceil(PAGE);

/// Agents in buckets of equal place, buckets in pages. However many agents there are, there is a
/// fixed number of pages, and one comparison rules out a bucket or a whole page.
#[derive(Debug)]
pub(super) struct Index {
    pages: [Option<Box<Page>>; PAGES],
}

#[derive(Debug, Default)]
struct Page {
    /// A bit for each bucket that has agents.
    occupied: u64,
    /// No agent of the page has more of any kind: an upper bound.
    most: Amounts,
    /// Those that have agents, in their order.
    buckets: Vec<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// In descending order: among equals the first agent is taken, and taking it is cheap.
    nodes: Vec<u32>,
    /// No agent of the bucket has more of any kind. An upper bound: made exact again whenever
    /// the bucket was searched to its end.
    most: Amounts,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) order: Order,
    /// What must be there.
    pub(super) need: &'a Amounts,
    /// The lowest place of an agent that can cover it.
    pub(super) score: u16,
    /// How many agents that would do are compared before the best of them is taken.
    pub(super) looks: usize,
}

/// The best agent so far and how many were compared.
#[derive(Debug, Default)]
struct Best {
    found: Option<(u64, u32)>,
    looks: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { pages: [const { None }; PAGES] }
    }
}

impl Index {
    /// Adds an agent. Adding them in descending order costs least.
    pub(super) fn insert(&mut self, score: u16, node: u32, free: &Amounts) {
        let (page, bucket) = place(score);
        let page = self.pages[page].get_or_insert_default();
        page.most.raise(free);
        let slot = page.slot(bucket);
        if page.occupied & (1 << bucket) == 0 {
            page.occupied |= 1 << bucket;
            page.buckets.insert(slot, Bucket::default());
        }
        let bucket = &mut page.buckets[slot];
        bucket.most.raise(free);
        let at = bucket.nodes.partition_point(|other| *other > node);
        bucket.nodes.insert(at, node);
    }

    pub(super) fn remove(&mut self, score: u16, node: u32) {
        let (page, at) = place(score);
        let Some(page) = &mut self.pages[page] else {
            return;
        };
        let slot = page.slot(at);
        if page.occupied & (1 << at) == 0 {
            return;
        }
        let bucket = &mut page.buckets[slot];
        let index = bucket.nodes.partition_point(|other| *other > node);
        if bucket.nodes.get(index) == Some(&node) {
            bucket.nodes.remove(index);
        }
        if bucket.nodes.is_empty() {
            page.buckets.remove(slot);
            page.occupied &= !(1 << at);
        }
    }

    /// An agent stays in its bucket but has other amounts now.
    pub(super) fn refresh(&mut self, score: u16, free: &Amounts) {
        let (page, bucket) = place(score);
        if let Some(page) = &mut self.pages[page] {
            page.most.raise(free);
            let slot = page.slot(bucket);
            if let Some(bucket) = page.buckets.get_mut(slot) {
                bucket.most.raise(free);
            }
        }
    }

    /// The agent with the lowest rank among the first in order that cover the need and are
    /// accepted; among equals the first.
    pub(super) fn find(
        &mut self,
        query: Query<'_>,
        free: &[Amounts],
        mut accept: impl FnMut(u32) -> bool,
        rank: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        let (first_page, first_bucket) = place(query.score);
        let mut best = Best::default();
        for step in first_page..PAGES {
            let (number, from) = match query.order {
                Order::FullestFirst => (step, if step == first_page { first_bucket } else { 0 }),
                Order::EmptiestFirst => {
                    let number = PAGES - 1 - (step - first_page);
                    (number, if number == first_page { first_bucket } else { 0 })
                }
            };
            let Some(page) = &mut self.pages[number] else {
                continue;
            };
            if page.occupied != 0 && page.most.covers(query.need) {
                page.find(query, from, free, &mut accept, &rank, &mut best);
            }
            if best.looks >= query.looks {
                break;
            }
        }
        best.found.map(|(_, node)| node)
    }
}

/// Page and bucket of a place.
fn place(score: u16) -> (usize, usize) {
    let score = usize::from(score).min(PLACES - 1);
    (score / PAGE, score % PAGE)
}

impl Page {
    /// Where a bucket stands among those that have agents.
    fn slot(&self, bucket: usize) -> usize {
        (self.occupied & ((1 << bucket) - 1)).count_ones() as usize
    }

    fn find(
        &mut self,
        query: Query<'_>,
        from: usize,
        free: &[Amounts],
        accept: &mut impl FnMut(u32) -> bool,
        rank: &impl Fn(u32) -> u64,
        best: &mut Best,
    ) {
        let mut left = self.occupied & (u64::MAX << from);
        let mut most = Amounts::default();
        while left != 0 {
            let at = match query.order {
                Order::FullestFirst => left.trailing_zeros(),
                Order::EmptiestFirst => u64::BITS - 1 - left.leading_zeros(),
            } as usize;
            left &= !(1 << at);
            let slot = self.slot(at);
            let bucket = &mut self.buckets[slot];
            if bucket.most.covers(query.need) {
                bucket.find(query, free, accept, rank, best);
                if best.looks >= query.looks {
                    return;
                }
            }
            most.raise(&bucket.most);
        }
        if from == 0 {
            self.most = most;
        }
    }
}

impl Bucket {
    fn find(
        &mut self,
        query: Query<'_>,
        free: &[Amounts],
        accept: &mut impl FnMut(u32) -> bool,
        rank: &impl Fn(u32) -> u64,
        best: &mut Best,
    ) {
        let mut most = Amounts::default();
        for node in self.nodes.iter().rev() {
            let has = &free[*node as usize];
            if has.covers(query.need) && accept(*node) {
                let rank = rank(*node);
                if best.found.is_none_or(|(lowest, _)| rank < lowest) {
                    best.found = Some((rank, *node));
                }
                best.looks += 1;
                if best.looks >= query.looks {
                    return;
                }
            }
            most.raise(has);
        }
        self.most = most;
    }
}
