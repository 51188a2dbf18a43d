//! Which shard goes where: a pure function of one candidate and the leases, with a true reason
//! where it does not fit.

use std::fmt;

use crate::document::Placement;
use crate::fleet::{Fleet, Lease, Presence};
use crate::ids::{AgentId, AppName};
use crate::resources::{Demand, Kind, Lack, Milli, Resources};

/// Shards that are placed together or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    /// Their app.
    pub app: &'a AppName,
    /// What the app's executor costs on an agent that does not run it yet.
    pub executor: &'a Demand,
    /// What each shard needs.
    pub shard: &'a Demand,
    /// How many.
    pub count: usize,
    /// Where they are put among agents that fit.
    pub placement: Placement,
    /// An agent to stay away from while there is another: the shard was just lost there.
    pub avoid: Option<&'a AgentId>,
}

/// Where one shard goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    /// The agent.
    pub agent: AgentId,
    /// What the task gets.
    pub resources: Resources,
    /// What the executor gets, if it starts with this task.
    pub executor: Option<Resources>,
}

/// Why a candidate was not placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// There is no offer at all.
    NoOffers,
    /// No lease is large enough for one shard and, where it must start, the executor.
    Insufficient {
        /// Of the lease that came closest.
        lack: Lack,
        /// Leases looked at.
        agents: usize,
    },
    /// Some shards of the gang fit, not all.
    Gang {
        /// How many would fit.
        fits: usize,
        /// How many there are.
        count: usize,
    },
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOffers => write!(f, "no offers: waiting for the master to offer resources"),
            Self::Insufficient { lack: Lack { what, needs, has }, agents } => {
                write!(
                    f,
                    "insufficient {what}: needs {needs}, largest of {agents} leases has {has}"
                )
            }
            Self::Gang { fits, count } => write!(
                f,
                "only {fits} of {count} shards fit on the leases; all shards start together"
            ),
        }
    }
}

/// Places all shards of a candidate and takes their resources out of the leases, or places none
/// and leaves the leases as they were.
///
/// # Errors
/// Why it was not placed.
pub(crate) fn place(candidate: &Candidate<'_>, fleet: &mut Fleet) -> Result<Vec<Slot>, Unplaced> {
    let mut slots: Vec<Slot> = Vec::with_capacity(candidate.count);
    while slots.len() < candidate.count {
        match place_one(candidate, fleet, &slots) {
            Ok(slot) => slots.push(slot),
            Err(unplaced) => {
                let fits = slots.len();
                undo(slots, fleet);
                return Err(if fits == 0 {
                    unplaced
                } else {
                    Unplaced::Gang { fits, count: candidate.count }
                });
            }
        }
    }
    Ok(slots)
}

/// Gives back what slots took.
pub(crate) fn undo(slots: Vec<Slot>, fleet: &mut Fleet) {
    for slot in slots {
        if let Some(lease) = fleet.leases.get_mut(&slot.agent) {
            lease.free.put_back(slot.resources);
            if let Some(executor) = slot.executor {
                lease.free.put_back(executor);
            }
        }
    }
}

fn place_one(
    candidate: &Candidate<'_>,
    fleet: &mut Fleet,
    slots: &[Slot],
) -> Result<Slot, Unplaced> {
    let largest = largest(fleet);
    let mut best: Option<(Score, AgentId, bool)> = None;
    let mut closest: Option<Lack> = None;
    for (agent, lease) in &fleet.leases {
        let paid = lease.paid.contains(candidate.app) || slots.iter().any(|s| s.agent == *agent);
        let runs = match fleet.executor(agent, candidate.app) {
            Some(executor) if executor.presence == Presence::Seen && executor.retired => continue,
            Some(executor) => paid || executor.presence == Presence::Seen,
            None => paid,
        };
        let demand = if runs { *candidate.shard } else { sum(candidate.shard, candidate.executor) };
        if let Some(lack) = lease.free.lacks(&demand) {
            let closer = closest.is_none_or(|old| old.what != lack.what || old.has < lack.has);
            if closer {
                closest = Some(lack);
            }
            continue;
        }
        let score = Score::of(candidate, agent, lease, &demand, &largest, slots, runs);
        if best.as_ref().is_none_or(|(old, ..)| score < *old) {
            best = Some((score, agent.clone(), runs));
        }
    }
    let Some((_, agent, runs)) = best else {
        return Err(match closest {
            Some(lack) => Unplaced::Insufficient { lack, agents: fleet.leases.len() },
            None => Unplaced::NoOffers,
        });
    };
    let free = fleet.leases.get_mut(&agent).map(|lease| &mut lease.free);
    let taken = free.and_then(|free| {
        let executor = if runs { None } else { Some(free.take(candidate.executor)?) };
        Some((free.take(candidate.shard)?, executor))
    });
    // The demand was checked as a sum just above, so both parts are there.
    let (resources, executor) = taken.ok_or(Unplaced::NoOffers)?;
    Ok(Slot { agent, resources, executor })
}

/// Lower is better; compared from the first field on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// The shard was just lost here.
    avoided: bool,
    /// Shards of the same candidate already here, when they are to be spread.
    siblings: usize,
    /// The executor would have to be started.
    starts_executor: bool,
    /// Uses an agent with GPUs for work without.
    wastes_gpu: bool,
    /// Dominant share of what would be left: small when packing, large when spreading.
    left_per_million: i64,
}

impl Score {
    fn of(
        candidate: &Candidate<'_>,
        agent: &AgentId,
        lease: &Lease,
        demand: &Demand,
        largest: &Demand,
        slots: &[Slot],
        runs: bool,
    ) -> Self {
        let spread = candidate.placement == Placement::Spread;
        let left = [Kind::Cpus, Kind::Mem]
            .into_iter()
            .map(|kind| {
                let left = lease.free.total(kind).0 - demand.of(kind).0;
                left.saturating_mul(1_000_000) / largest.of(kind).0.max(1)
            })
            .max()
            .unwrap_or(0);
        Self {
            avoided: candidate.avoid == Some(agent),
            siblings: if spread {
                slots.iter().filter(|slot| slot.agent == *agent).count()
            } else {
                0
            },
            starts_executor: !runs && !spread,
            wastes_gpu: candidate.shard.gpus == Milli::ZERO
                && lease.free.total(Kind::Gpus) > Milli::ZERO,
            left_per_million: if spread { -left } else { left },
        }
    }
}

/// The largest lease by kind: what shares are shares of.
fn largest(fleet: &Fleet) -> Demand {
    let max =
        |kind| fleet.leases.values().map(|lease| lease.free.total(kind)).max().unwrap_or_default();
    Demand {
        cpus: max(Kind::Cpus),
        mem: max(Kind::Mem),
        disk: Milli::ZERO,
        gpus: Milli::ZERO,
        ports: 0,
    }
}

fn sum(a: &Demand, b: &Demand) -> Demand {
    Demand {
        cpus: Milli(a.cpus.0 + b.cpus.0),
        mem: Milli(a.mem.0 + b.mem.0),
        disk: Milli(a.disk.0 + b.disk.0),
        gpus: Milli(a.gpus.0 + b.gpus.0),
        ports: a.ports + b.ports,
    }
}
