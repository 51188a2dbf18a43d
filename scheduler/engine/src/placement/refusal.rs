//! Why a candidate was not placed: counted by cause over all agents, put into words only when
//! asked. Every number is what was found when the last shard that did not fit was tried.

use std::fmt;

use super::amounts::NAMES;
use crate::document::Constraint;

/// Why a candidate was not placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplaced {
    /// There is no offer at all.
    NoOffers,
    /// No agent takes a single shard.
    Unfit(Refusals),
    /// Some shards of the gang fit, not all.
    Gang {
        /// How many would fit.
        fits: usize,
        /// How many there are.
        count: usize,
        /// Why no agent takes one more.
        refusals: Refusals,
    },
    /// Even on empty agents there is no room for all shards.
    TooLarge {
        /// How many would fit on empty agents.
        fits: usize,
        /// How many there are.
        count: usize,
        /// Agents that ever offered resources and are not known to be gone.
        agents: usize,
    },
}

/// Agents by the first cause for which each refuses a shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// By constraint, in the order of the document.
    pub constraints: Vec<(Constraint, usize)>,
    /// By resource, in the order cpus, mem, disk, gpus, ports.
    pub lacks: Vec<Lacking>,
    /// Agents that go away for maintenance before the task will have ended.
    pub leaving: usize,
    /// Agents kept for a gang that has waited longer.
    pub held: usize,
}

/// Agents with too little of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Of which resource; its place among [`NAMES`].
    pub(super) kind: usize,
    /// How many agents.
    pub agents: usize,
    /// What is needed on the agent that has most; with the executor where it must start.
    pub needs: i64,
    /// What that agent has.
    pub has: i64,
}

impl Lacking {
    /// No agent yet.
    pub(super) fn of(kind: usize) -> Self {
        Self { kind, agents: 0, needs: 0, has: 0 }
    }

    /// Counts an agent that has too little.
    pub(super) fn count(&mut self, needs: i64, has: i64) {
        if self.agents == 0 || (has, -needs) > (self.has, -self.needs) {
            (self.needs, self.has) = (needs, has);
        }
        self.agents += 1;
    }

    /// The resource as Mesos names it.
    pub fn what(&self) -> &'static str {
        NAMES.get(self.kind).copied().unwrap_or("resources")
    }

    /// An amount in whole units.
    fn units(&self, amount: i64) -> f64 {
        let is_scalar = self.what() != "ports";
        if is_scalar { amount as f64 / 1000.0 } else { amount as f64 }
    }
}

impl Refusals {
    /// Agents counted.
    pub fn agents(&self) -> usize {
        let constraints: usize = self.constraints.iter().map(|(_, agents)| agents).sum();
        let lacks: usize = self.lacks.iter().map(|lacking| lacking.agents).sum();
        constraints + lacks + self.leaving + self.held
    }
}

impl Refusals {
    /// The cause most agents refuse for.
    fn main_cause(&self) -> &'static str {
        let constraints = self.constraints.iter().map(|(_, agents)| agents).sum();
        let lacks = self.lacks.iter().map(|lacking| (lacking.agents, lacking.what()));
        let others =
            [(constraints, "constraints"), (self.held, "held"), (self.leaving, "maintenance")];
        let most = lacks.chain(others).max_by_key(|(agents, _)| *agents);
        most.filter(|(agents, _)| *agents > 0).map_or("no_offers", |(_, cause)| cause)
    }
}

impl Unplaced {
    /// The main cause in one word, of a fixed set: `no_offers`, a resource, `constraints`, `held`,
    /// `maintenance`, `too_large`.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::NoOffers => "no_offers",
            Self::Unfit(refusals) | Self::Gang { refusals, .. } => refusals.main_cause(),
            Self::TooLarge { .. } => "too_large",
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut head = |f: &mut fmt::Formatter<'_>, agents: usize| {
            let word = match (first, agents) {
                (true, 1) => " agent",
                (true, _) => " agents",
                (false, _) => "",
            };
            let comma = if first { "" } else { ", " };
            first = false;
            write!(f, "{comma}{agents}{word}: ")
        };
        let mut lacks: Vec<&Lacking> = self.lacks.iter().collect();
        lacks.sort_by_key(|lacking| lacking.kind);
        for lacking in lacks {
            head(f, lacking.agents)?;
            let (needs, has) = (lacking.units(lacking.needs), lacking.units(lacking.has));
            write!(f, "insufficient {} (needs {needs}, largest has {has})", lacking.what())?;
        }
        for (constraint, agents) in self.constraints.iter().filter(|(_, agents)| *agents > 0) {
            head(f, *agents)?;
            write!(f, "constraint {constraint}")?;
        }
        if self.held > 0 {
            head(f, self.held)?;
            write!(f, "kept for a gang that has waited longer")?;
        }
        if self.leaving > 0 {
            head(f, self.leaving)?;
            write!(f, "due for maintenance before the task ends for certain")?;
        }
        Ok(())
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOffers => write!(f, "no offers: waiting for the master to offer resources"),
            Self::Unfit(refusals) => refusals.fmt(f),
            Self::Gang { fits, count, refusals } => write!(
                f,
                "only {fits} of {count} shards fit, all start together; for one more, {refusals}"
            ),
            Self::TooLarge { fits, count, agents } => write!(
                f,
                "needs {count} shards at once, more than all agents seen offer together: \
                 {agents} empty agents hold {fits}"
            ),
        }
    }
}
