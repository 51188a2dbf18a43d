//! Numbers for operators: what became of firings, and what waits. Absent: how they are exported,
//! and anything that takes a clock; the shell measures how long a cycle takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shiftwork_schedule::Timestamp;

use crate::engine::Engine;
use crate::ids::JobName;
use crate::placement::Unplaced;

/// What became of a firing that got no run of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Misfire {
    /// Left out by the policy `skip`, of misfires or of concurrency.
    Skipped,
    /// Another run stands for it: the policy `coalesce`.
    Coalesced,
    /// It could not be made: job or app disabled where the policy `skip` lets nothing wait for that, a
    /// calendar missing, older than the misfire window, or `maxPending` runs waiting already.
    Missed,
}

/// Firings since this leader began, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FiringCounts {
    /// Got a run.
    pub fired: u64,
    /// See [`Misfire::Skipped`].
    pub skipped: u64,
    /// See [`Misfire::Coalesced`].
    pub coalesced: u64,
    /// See [`Misfire::Missed`].
    pub missed: u64,
}

/// What launch cycles came to since this leader began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchCounts {
    /// Launch cycles.
    pub cycles: u64,
    /// Runs and shards that a cycle could not place, by [`Unplaced::cause`]; counted again in each
    /// cycle that tries.
    pub placement_failures: BTreeMap<&'static str, u64>,
}

/// How much of the cluster is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetSize {
    /// Agents of which offers are held or which run our executors.
    pub agents: usize,
    /// Executors of this framework.
    pub executors: usize,
}

/// One queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueBacklog {
    /// How many wait.
    pub depth: usize,
    /// How long the one that has waited longest has, milliseconds; 0 if none waits.
    pub oldest_wait_ms: u64,
}

/// What waits, by queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Runs not launched yet, those held up by their job's concurrency rule or jitter included.
    pub pending: QueueBacklog,
    /// Runs that would start if there were room for them.
    pub ready: QueueBacklog,
    /// Shards of active runs that would be launched again if there were room for them.
    pub failover: QueueBacklog,
}

// === impl FiringCounts ===

impl FiringCounts {
    /// All firings that came due.
    pub fn due(&self) -> u64 {
        [self.fired, self.skipped, self.coalesced, self.missed]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn count_fired(&mut self) {
        self.fired = self.fired.saturating_add(1);
    }

    pub(crate) fn count(&mut self, misfire: Misfire, firings: u64) {
        let count = match misfire {
            Misfire::Skipped => &mut self.skipped,
            Misfire::Coalesced => &mut self.coalesced,
            Misfire::Missed => &mut self.missed,
        };
        *count = count.saturating_add(firings);
    }
}

// === impl LaunchCounts ===

impl LaunchCounts {
    pub(crate) fn count_unplaced(&mut self, unplaced: &Unplaced) {
        *self.placement_failures.entry(unplaced.cause()).or_default() += 1;
    }
}

// === impl Engine ===

impl Engine {
    /// What became of firings since this leader began.
    pub fn firing_counts(&self) -> FiringCounts {
        self.firings
    }

    /// What launch cycles came to since this leader began.
    pub fn launch_counts(&self) -> &LaunchCounts {
        &self.launches
    }

    /// How much of the cluster is known.
    pub fn fleet_size(&self) -> FleetSize {
        let (leases, executors) = (&self.fleet.leases, &self.fleet.executors);
        let unoffered = executors.keys().filter(|agent| !leases.contains_key(*agent)).count();
        FleetSize {
            agents: leases.len() + unoffered,
            executors: executors.values().map(BTreeMap::len).sum(),
        }
    }

    /// What waits now. Costs as much as there are active runs and ready ones: ask now and then, not
    /// once a turn.
    pub fn backlog(&self) -> Backlog {
        let pending = self.by_age.iter().find(|(_, run)| {
            // Active runs older than the oldest pending one are few.
            self.runs.get(run).is_some_and(crate::run::Run::is_pending)
        });
        let ready = self.ready.iter().filter_map(|(_, _, run)| self.runs.get(run));
        let due = self.due.iter().filter_map(|((_, _, run), item)| {
            let shard = self.runs.get(run)?.shard(*item)?;
            match shard.phase {
                crate::record::Phase::Waiting { due, .. } => Some(due),
                _ => None,
            }
        });
        let active: usize = self.active.values().map(std::collections::BTreeSet::len).sum();
        Backlog {
            pending: self
                .queue_backlog(self.runs.len() - active, pending.map(|(created, _)| *created)),
            ready: self.queue_backlog(self.ready.len(), ready.map(|run| run.created_at).min()),
            failover: self.queue_backlog(self.due.len(), due.min()),
        }
    }

    fn queue_backlog(&self, depth: usize, oldest: Option<Timestamp>) -> QueueBacklog {
        let waited = oldest.map_or(0, |since| self.now.since(since).max(0).unsigned_abs());
        // A shard that need not wait at all has no moment since when it does.
        let oldest_wait_ms = if oldest == Some(Timestamp::MIN) { 0 } else { waited };
        QueueBacklog { depth, oldest_wait_ms }
    }

    /// Counts a firing that got a run.
    pub(crate) fn count_fired(&mut self, job: &JobName) {
        self.firings.count_fired();
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.firings.get_or_insert_default().count_fired();
        }
    }

    /// Counts firings that got none.
    pub(crate) fn count_misfires(&mut self, job: &JobName, misfire: Misfire, firings: u64) {
        self.firings.count(misfire, firings);
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.firings.get_or_insert_default().count(misfire, firings);
        }
    }
}
