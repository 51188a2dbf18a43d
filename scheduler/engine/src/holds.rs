//! Holds: leases kept back for a gang that has waited long, so that small work, which fits
//! wherever something ends, cannot starve it.
//!
//! There is one hold at a time, for the best ranked run that may have one: two gangs that each
//! hold what the other needs cannot exist. A hold ends with its run's start or end, or at its
//! deadline; then others have their turn first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use shiftwork_schedule::Timestamp;

use crate::document::Rule;
use crate::engine::{Engine, ReadyKey};
use crate::fleet::Fleet;
use crate::ids::{AgentId, RunId};
use crate::placement::{Candidate, Capacity, Placer, Unplaced, room_on_empty};
use crate::resources::{Demand, Kind};

/// Longest time leases are kept back for one run, and shortest until it may have them again,
/// milliseconds. Batch work mostly ends in minutes; what does not must not idle the agents.
pub(crate) const HOLD_MS: u64 = 5 * 60_000;

/// At most this share of what all agents seen offer together is kept back: the rest keeps small
/// work moving. Per mille.
const HOLD_SHARE_MAX: i64 = 750;

/// The hold, and who must wait for another one.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    current: Option<Hold>,
    /// The best ranked waiting run that another was placed before.
    overtaken: Option<RunId>,
    /// Runs whose hold came to nothing, until they may have another.
    rested: BTreeMap<RunId, Timestamp>,
}

/// Leases kept back for a run.
#[derive(Debug)]
struct Hold {
    run: ReadyKey,
    agents: BTreeSet<AgentId>,
    until: Timestamp,
}

impl Holds {
    /// A run could not be placed, but one that ranks after it could.
    pub(crate) fn note_overtaken(&mut self, run: RunId) {
        self.overtaken = Some(run);
    }

    /// Agents whose leases are kept back.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.current.iter().flat_map(|hold| &hold.agents)
    }

    /// True if an agent's leases are kept back.
    pub(crate) fn keeps(&self, agent: &AgentId) -> bool {
        self.current.as_ref().is_some_and(|hold| hold.agents.contains(agent))
    }
}

impl Engine {
    /// Ends a hold whose run no longer waits or whose time is over.
    pub(crate) fn end_overdue_hold(&mut self) {
        let (now, ready) = (self.now, &self.ready);
        let Holds { current, rested, .. } = &mut self.holds;
        let Some(hold) = current else { return };
        let waits = ready.contains(&hold.run);
        if waits && now < hold.until {
            return;
        }
        if waits {
            let runs = &self.runs;
            rested.retain(|run, until| *until > now && runs.contains_key(run));
            rested.insert(hold.run.2.clone(), now.saturating_add(HOLD_MS));
        }
        *current = None;
        self.place_needed = true;
    }

    /// A run was not placed: if it has waited long enough and is the best ranked such run, agents
    /// are kept back for it. Whoever comes after it in this cycle does not see them.
    pub(crate) fn hold_back(
        &mut self,
        id: &RunId,
        candidate: &Candidate<'_>,
        unplaced: &Unplaced,
        placer: &mut Placer,
    ) {
        let Some(run) = self.runs.get(id).map(Self::ready_key) else {
            return;
        };
        let owner = self.holds.current.as_ref().map(|hold| hold.run.cmp(&run));
        let owned = owner.is_some_and(std::cmp::Ordering::is_eq);
        if !owned {
            let outranked = owner.is_some_and(std::cmp::Ordering::is_lt);
            if outranked
                || !self.may_hold(id, candidate.count)
                || matches!(unplaced, Unplaced::TooLarge { .. })
            {
                return;
            }
            let Some(agents) = self.agents_for(candidate, placer) else {
                return;
            };
            let until = self.now.saturating_add(HOLD_MS);
            self.holds.current = Some(Hold { run, agents, until });
        }
        for agent in self.holds.current.iter().flat_map(|hold| &hold.agents) {
            placer.hide(agent);
        }
    }

    /// A gang needs much at once, so that time alone tells; a single shard is next when something
    /// ends, unless it is large and what ends is small.
    fn may_hold(&self, id: &RunId, shards: usize) -> bool {
        let Some(run) = self.runs.get(id) else {
            return false;
        };
        let since = run.created_at.saturating_add(self.settings.reserve_after_ms);
        let rested = self.holds.rested.get(id).is_none_or(|until| *until <= self.now);
        let starves = shards > 1 || self.holds.overtaken.as_ref() == Some(id);
        since <= self.now && rested && starves
    }

    /// Agents that together hold the candidate when they are empty, as far as the limit allows:
    /// first those where most of it fits already. `None` if all agents would not suffice.
    fn agents_for(
        &self,
        candidate: &Candidate<'_>,
        placer: &mut Placer,
    ) -> Option<BTreeSet<AgentId>> {
        let rooms: BTreeMap<AgentId, usize> = placer.rooms(candidate).into_iter().collect();
        let daemons = self.daemon_usage();
        let mut agents = self.fleet.rooms_on_empty(candidate, &daemons);
        if agents.iter().map(|(_, room)| room).sum::<usize>() < candidate.count {
            return None;
        }
        agents.sort_by_key(|(agent, room)| {
            let now = rooms.get(agent).copied().unwrap_or(0);
            (Reverse(now), Reverse(*room), agent.clone())
        });
        let all = self.fleet.seen().fold(Demand::default(), |sum, seen| sum.plus(&seen.most));
        let mut chosen = BTreeSet::new();
        let (mut missing, mut held) = (candidate.count, Demand::default());
        for (agent, room) in agents {
            if missing == 0 {
                break;
            }
            let with = held.plus(&self.fleet.most(&agent));
            if exceeds_share(&with, &all) {
                continue;
            }
            held = with;
            missing = missing.saturating_sub(room);
            chosen.insert(agent);
        }
        Some(chosen)
    }

    /// What daemons use on each agent: they do not end, so that nothing is to be hoped for there.
    fn daemon_usage(&self) -> BTreeMap<AgentId, Demand> {
        let mut usage: BTreeMap<AgentId, Demand> = BTreeMap::new();
        for run in self.runs.values().filter(|run| run.is_daemon()) {
            for agent in run.shards.iter().filter_map(|shard| shard.phase.agent()) {
                let used = usage.entry(agent.clone()).or_default();
                *used = used.plus(&run.job.rules.demand);
            }
        }
        usage
    }
}

fn exceeds_share(held: &Demand, all: &Demand) -> bool {
    let too_much = |kind| {
        let (held, all) = (held.of(kind).0, all.of(kind).0);
        held.saturating_mul(1000) > all.saturating_mul(HOLD_SHARE_MAX)
    };
    [Kind::Cpus, Kind::Mem].into_iter().any(too_much)
}

impl Fleet {
    /// What all agents seen hold of a candidate's shards, were they empty.
    pub(crate) fn capacity(&self, candidate: &Candidate<'_>) -> Capacity {
        let rooms = self.rooms_on_empty(candidate, &BTreeMap::new());
        Capacity { shards: rooms.iter().map(|(_, room)| room).sum(), agents: self.seen().count() }
    }

    /// Agents seen that would take a shard of a candidate, were they empty.
    pub(crate) fn agents_that_admit(&self, candidate: &Candidate<'_>) -> Vec<AgentId> {
        let admit = |seen: &&crate::fleet::Seen| {
            let site = &seen.site;
            let admits = candidate
                .constraints
                .iter()
                .all(|row| row.admits(row.value_of(&site.hostname, &site.attributes)));
            admits && room_on_empty(candidate, &seen.most) > 0
        };
        self.seen().filter(admit).map(|seen| seen.site.agent.clone()).collect()
    }

    /// How many shards of a candidate each agent seen would take without what ends some day, where
    /// any; `lasting` is what does not end. With a constraint that wants all on one value only the
    /// agents of the roomiest value.
    fn rooms_on_empty(
        &self,
        candidate: &Candidate<'_>,
        lasting: &BTreeMap<AgentId, Demand>,
    ) -> Vec<(AgentId, usize)> {
        let mut by_value: BTreeMap<Option<&str>, Vec<(AgentId, usize)>> = BTreeMap::new();
        for seen in self.seen() {
            let site = &seen.site;
            let value_of = |row: &crate::document::Constraint| {
                row.value_of(&site.hostname, &site.attributes).map(str::to_owned)
            };
            if !candidate.constraints.iter().all(|row| row.admits(value_of(row).as_deref())) {
                continue;
            }
            let most = match lasting.get(&site.agent) {
                Some(lasting) => seen.most.minus(lasting),
                None => seen.most,
            };
            let room = candidate
                .constraints
                .iter()
                .fold(room_on_empty(candidate, &most), |room, row| room.min(most_per(&row.rule)));
            if room > 0 {
                let cluster = candidate
                    .constraints
                    .iter()
                    .find(|row| matches!(row.rule, Rule::Cluster(None)));
                let value = cluster.and_then(|row| row.value_of(&site.hostname, &site.attributes));
                by_value.entry(value).or_default().push((site.agent.clone(), room));
            }
        }
        let sum = |rooms: &Vec<(AgentId, usize)>| rooms.iter().map(|(_, room)| room).sum::<usize>();
        by_value.into_values().max_by_key(sum).unwrap_or_default()
    }
}

/// How many shards a constraint allows on one agent at the most.
fn most_per(rule: &Rule) -> usize {
    match rule {
        Rule::Unique => 1,
        Rule::MaxPer(most) => *most as usize,
        _ => usize::MAX,
    }
}
