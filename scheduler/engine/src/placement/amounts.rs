//! Five sums an agent is compared by, as plain integers. Origins of the pieces are not known here.

use super::outline::{Outline, SHARE_MAX};
use crate::resources::{Demand, Kind, Resources};

/// Kinds compared: the four scalars in thousandths and the number of ports.
pub(super) const KINDS: usize = 5;

/// Names of the kinds, for people.
pub(super) const NAMES: [&str; KINDS] = ["cpus", "mem", "disk", "gpus", "ports"];

/// Where each stands among the kinds.
const CPUS: usize = 0;
const MEM: usize = 1;
const GPUS: usize = 3;

/// An amount of each kind: what is free somewhere, or what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Amounts([i64; KINDS]);

impl Amounts {
    pub(super) fn of_demand(demand: &Demand) -> Self {
        Self([demand.cpus.0, demand.mem.0, demand.disk.0, demand.gpus.0, i64::from(demand.ports)])
    }

    pub(super) fn of_resources(resources: &Resources) -> Self {
        let mut sums = [0i64; KINDS];
        for piece in &resources.pieces {
            let kind = match piece.kind {
                Kind::Cpus => CPUS,
                Kind::Mem => MEM,
                Kind::Disk => 2,
                Kind::Gpus => GPUS,
            };
            sums[kind] = sums[kind].saturating_add(piece.amount.0);
        }
        sums[4] = i64::from(resources.port_count());
        Self(sums)
    }

    pub(super) fn as_array(&self) -> &[i64; KINDS] {
        &self.0
    }

    /// [`PLAIN`] or the class of agents and work with GPUs.
    pub(super) fn class(&self) -> usize {
        if self.0[GPUS] > 0 { PLAIN + 1 } else { PLAIN }
    }

    /// What these amounts are multiplied with to give one, in fixed point: shares are needed often,
    /// and a division costs as much as all else in a comparison of two agents.
    pub(super) fn inverse(&self) -> Self {
        Self(self.0.map(|amount| if amount > 0 { (1 << ONE_BITS) / amount } else { 0 }))
    }

    /// True if nothing of `need` is missing.
    pub(super) fn covers(&self, need: &Self) -> bool {
        self.0.iter().zip(&need.0).all(|(has, needs)| has >= needs)
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.give(other, 1);
        sum
    }

    /// Adds `other` so many times.
    pub(super) fn give(&mut self, other: &Self, times: usize) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = own.saturating_add(other.saturating_mul(times as i64));
        }
    }

    /// Takes `other` away so many times. The caller has made sure that it is there.
    pub(super) fn take(&mut self, other: &Self, times: usize) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = own.saturating_sub(other.saturating_mul(times as i64));
        }
    }

    /// Becomes at least `other` in every kind.
    pub(super) fn raise(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = (*own).max(*other);
        }
    }

    /// How many of `each` there are room for besides `once`, `most` at the most.
    pub(super) fn copies(&self, each: &Self, once: &Self, most: usize) -> usize {
        let mut copies = most as i64;
        for kind in 0..KINDS {
            let left = self.0[kind] - once.0[kind];
            if left < 0 {
                return 0;
            }
            if each.0[kind] > 0 {
                copies = copies.min(left / each.0[kind]);
            }
        }
        copies.max(0) as usize
    }
}

/// What shares are shares of: the largest agent, kind by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scale {
    largest: Amounts,
    inverse: Amounts,
}

impl Scale {
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Amounts>) -> Self {
        let mut largest = Amounts::default();
        for amounts in all {
            largest.raise(amounts);
        }
        Self { largest, inverse: largest.inverse() }
    }

    /// The dominant share, per mille: where there are GPUs, their share, since they are what others
    /// lack; else that of cpus or memory, of which it is more. What covers a demand has no smaller
    /// one among agents of its class than the demand itself.
    fn dominant(&self, class: usize, amounts: &Amounts) -> u16 {
        if class == PLAIN {
            self.share(CPUS, amounts).max(self.share(MEM, amounts))
        } else {
            self.share(GPUS, amounts)
        }
    }

    /// Where an agent stands in an index: by its dominant share, and among equals without GPUs by
    /// the lesser share of cpus and memory, in steps that double. So agents that have run out of one
    /// thing do not stand among those that have both.
    pub(super) fn place(&self, class: usize, amounts: &Amounts) -> u16 {
        let lowest = self.lowest_place(class, amounts);
        if class != PLAIN {
            return lowest;
        }
        let lesser = self.share(CPUS, amounts).min(self.share(MEM, amounts)) / STEP_FIRST;
        let step = (u16::BITS - lesser.leading_zeros()) as u16;
        lowest + step.min(STEPS - 1)
    }

    fn share(&self, kind: usize, amounts: &Amounts) -> u16 {
        self.part(kind, amounts, PER_MILLE)
    }

    /// The share of one kind where all of it is `whole`.
    fn part(&self, kind: usize, amounts: &Amounts, whole: i64) -> u16 {
        let own = amounts.0[kind].clamp(0, self.largest.0[kind]);
        ((own * self.inverse.0[kind] * whole) >> ONE_BITS) as u16
    }

    /// Amounts for a first comparison.
    pub(super) fn outline(&self, amounts: &Amounts) -> Outline {
        Outline::of(std::array::from_fn(|kind| self.part(kind, amounts, SHARE_MAX)))
    }

    /// False if no agent had so much even when the cycle began.
    pub(super) fn reaches(&self, need: &Amounts) -> bool {
        self.largest.covers(need)
    }

    /// The lowest place of an agent that can cover a need.
    pub(super) fn lowest_place(&self, class: usize, need: &Amounts) -> u16 {
        self.dominant(class, need) * if class == PLAIN { STEPS } else { 1 }
    }
}

/// Agents by class: without free GPUs, and with. Work without GPUs takes the former first.
pub(super) const CLASSES: usize = 2;

/// The class of agents without free GPUs, and of work without.
pub(super) const PLAIN: usize = 0;

/// How far apart the shares would be that are left of an agent if `need` went there, where of its
/// whole so much is still `free`: an agent with much of one and little of the other serves nobody.
/// Compared are cpus with GPUs for work with GPUs, else cpus with memory.
pub(super) fn skew(inverse_of_whole: &Amounts, free: &Amounts, need: &Amounts) -> u64 {
    let left = |kind: usize| {
        let left = free.0[kind].saturating_sub(need.0[kind]).max(0);
        left.saturating_mul(inverse_of_whole.0[kind])
    };
    let other = if need.class() == PLAIN { MEM } else { GPUS };
    left(CPUS).abs_diff(left(other))
}

/// Steps of the lesser share.
const STEPS: u16 = 8;

/// The first step of the lesser share, per mille: what is below is as good as nothing.
const STEP_FIRST: u16 = 4;

/// Bits behind the point of an inverse: a whole amount times its inverse times the most shares are
/// counted to is below 2^63.
const ONE_BITS: u32 = 50;

/// Shares are whole thousandths.
const PER_MILLE: i64 = 1000;
