//! One candidate while it is being placed: what it needs, what its constraints remember, and why an
//! agent is refused. Which agent comes first is not decided here.

use std::collections::BTreeMap;

use shiftwork_schedule::Timestamp;

use super::Candidate;
use super::amounts::{Amounts, KINDS};
use super::nodes::{Nodes, Peek};
use super::refusal::{Lacking, Refusals, Unplaced};
use super::rules::{Cluster, Rules};

/// A candidate in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) app: u32,
    /// When its tasks will have ended; [`Timestamp::MAX`] where that is not known.
    pub(super) ends: Timestamp,
    pub(super) shard: Amounts,
    pub(super) executor: Amounts,
    /// A shard where the executor must start.
    pub(super) with_executor: Amounts,
    pub(super) count: usize,
    pub(super) spread: bool,
    pub(super) avoid: Option<u32>,
}

/// A candidate while it is being placed.
pub(super) struct Attempt<'a> {
    pub(super) need: &'a Need,
    pub(super) rules: Rules,
    pub(super) cluster: Option<Cluster>,
    /// Shards by agent, those of siblings included: for spreading.
    pub(super) used: BTreeMap<u32, usize>,
}

impl Attempt<'_> {
    /// True if constraints and executors let a shard go to an agent that is large enough.
    pub(super) fn accepts(&mut self, peek: &Peek<'_>, node: u32, left: usize) -> bool {
        if !peek.is_open(node) || self.rules.room(node) == 0 {
            return false;
        }
        let Self { need, rules, cluster, .. } = self;
        match cluster {
            Some(cluster) if left == need.count => cluster.admits(node, left, |node| {
                if peek.is_open(node) { room(need, peek, node).min(rules.room(node)) } else { 0 }
            }),
            _ => true,
        }
    }

    /// Why no agent takes one more shard now.
    pub(super) fn refusals(&self, candidate: &Candidate<'_>, nodes: &Nodes) -> Refusals {
        let need = self.need;
        let mut refusals = Refusals {
            constraints: candidate.constraints.iter().map(|row| (row.clone(), 0)).collect(),
            ..Refusals::default()
        };
        let mut lacks: [Lacking; KINDS] = std::array::from_fn(Lacking::of);
        let peek = nodes.peek(need.app, need.ends);
        for node in 0..nodes.len() {
            let row = self.rules.refusing(node);
            if let Some((_, agents)) = row.and_then(|row| refusals.constraints.get_mut(row)) {
                *agents += 1;
                continue;
            }
            if nodes.is_hidden(node) {
                refusals.held += 1;
                continue;
            }
            if !peek.is_open(node) {
                refusals.leaving += 1;
                continue;
            }
            let wanted = if peek.runs(node) { &need.shard } else { &need.with_executor };
            let pairs = wanted.as_array().iter().zip(peek.free(node).as_array());
            let lack = pairs.zip(&mut lacks).find(|((needs, has), _)| needs > has);
            if let Some(((needs, has), lacking)) = lack {
                lacking.count(*needs, *has);
            }
        }
        refusals.lacks = lacks.into_iter().filter(|lacking| lacking.agents > 0).collect();
        refusals
    }
}

/// How many shards fit on an agent.
pub(super) fn room(need: &Need, peek: &Peek<'_>, node: u32) -> usize {
    let once = if peek.runs(node) { Amounts::default() } else { need.executor };
    peek.free(node).copies(&need.shard, &once, need.count)
}

pub(super) fn refused(fits: usize, count: usize, refusals: Refusals) -> Unplaced {
    if fits == 0 { Unplaced::Unfit(refusals) } else { Unplaced::Gang { fits, count, refusals } }
}
