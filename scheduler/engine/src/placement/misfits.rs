//! What did not fit in this cycle, by shape: what is left only shrinks while it lasts, so that the
//! same shape in the same number or more need not be tried again.

use std::collections::BTreeMap;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use super::amounts::Amounts;
use super::refusal::Unplaced;
use crate::document::{Constraint, Placement};

/// All that decides whether a candidate fits, but for their number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub(super) app: u32,
    pub(super) executor: Amounts,
    pub(super) shard: Amounts,
    /// When the tasks will have ended, while some agent goes away.
    pub(super) ends: Timestamp,
    pub(super) placement: Placement,
    pub(super) constraints: Arc<[Constraint]>,
}

type Misfit = (usize, Arc<Unplaced>);

/// Shapes with the smallest number of shards that did not fit.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    smallest: BTreeMap<Shape, Misfit>,
    /// What all agents hold when they are empty.
    capacities: BTreeMap<Shape, Capacity>,
    /// What was noted, in order, with what stood there before: for taking it back.
    log: Vec<(Shape, Option<Misfit>)>,
}

/// How many shards of a shape all agents hold when they are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// Shards, whatever their number was asked for.
    pub(crate) shards: usize,
    /// Agents known.
    pub(crate) agents: usize,
}

impl Misfits {
    /// The capacity for a shape, found out once.
    pub(super) fn capacity(&mut self, shape: Shape, find: impl FnOnce() -> Capacity) -> Capacity {
        *self.capacities.entry(shape).or_insert_with(find)
    }

    /// True if everything has fitted so far.
    pub(super) fn is_empty(&self) -> bool {
        self.smallest.is_empty()
    }

    pub(super) fn known(&self, shape: &Shape, count: usize) -> Option<Arc<Unplaced>> {
        let (failed, unplaced) = self.smallest.get(shape)?;
        match unplaced.as_ref() {
            _ if *failed > count => None,
            // As many fit whatever the number; only the number is another one.
            Unplaced::Gang { fits, refusals, .. } if *failed < count => {
                Some(Arc::new(Unplaced::Gang { fits: *fits, count, refusals: refusals.clone() }))
            }
            _ => Some(Arc::clone(unplaced)),
        }
    }

    /// Notes that so many did not fit; they are fewer than any noted before.
    pub(super) fn note(&mut self, shape: Shape, count: usize, unplaced: Arc<Unplaced>) {
        let before = self.smallest.insert(shape.clone(), (count, unplaced));
        self.log.push((shape, before));
    }

    /// A mark to which [`Misfits::take_back`] can return.
    pub(super) fn mark(&self) -> usize {
        self.log.len()
    }

    /// Forgets what was noted since: more is free than was then.
    pub(super) fn take_back(&mut self, mark: usize) {
        while self.log.len() > mark {
            match self.log.pop() {
                Some((shape, Some(before))) => {
                    self.smallest.insert(shape, before);
                }
                Some((shape, None)) => {
                    self.smallest.remove(&shape);
                }
                None => return,
            }
        }
    }
}
