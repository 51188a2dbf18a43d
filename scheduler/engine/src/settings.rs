//! What an operator may set, with the defaults. Durations are milliseconds.

use shiftwork_schedule::Zone;

use crate::resources::Demand;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Placement is tried at least this often.
    pub launch_interval_ms: u64,
    /// No two launch cycles are closer together than this: what comes in between is placed at once.
    pub launch_debounce_ms: u64,
    /// Jobs whose schedules are looked at in one turn: of more that are due, the first are stored while
    /// the others are looked at.
    pub firings_per_turn_max: usize,
    /// Shards launched in one cycle, unless a run has more: the first are on their way while the others
    /// are placed. What an agent has left then comes back with its next offer, so that this must not be
    /// less than what is launched between two offers.
    pub launches_per_cycle_max: usize,
    /// Offers are asked for, and those that will be needed are kept, this long ahead of work that is
    /// known to come: a master makes offers about once a second.
    pub offer_lookahead_ms: u64,
    /// Offers of at least this much are kept at all times, for runs that nobody knows of before.
    pub warm_reserve: Option<Demand>,
    /// While nothing waits, an offer is given back after this long.
    pub offer_hold_ms: u64,
    /// A task that does not report RUNNING in this time is killed and placed elsewhere.
    pub launch_timeout_ms: u64,
    /// A task on an unreachable agent counts as lost after this long.
    pub unreachable_timeout_ms: u64,
    /// A task the master never answers about counts as lost after this long.
    pub reconcile_grace_ms: u64,
    /// The master is asked about every task this often.
    pub reconcile_interval_ms: u64,
    /// A KILL is repeated this long after the task should have ended.
    pub kill_retry_ms: u64,
    /// A run that has waited this long for agents gets leases kept back for it.
    pub reserve_after_ms: u64,
    /// So long before an agent goes away for maintenance it gets only what will have ended by then.
    pub maintenance_horizon_ms: u64,
    /// Zone of jobs that name none.
    pub default_zone: Zone,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            launch_interval_ms: 10_000,
            launch_debounce_ms: 10,
            firings_per_turn_max: 1_000,
            launches_per_cycle_max: 5_000,
            offer_lookahead_ms: 2_000,
            warm_reserve: None,
            offer_hold_ms: 5_000,
            launch_timeout_ms: 5 * 60_000,
            unreachable_timeout_ms: 60_000,
            reconcile_grace_ms: 5 * 60_000,
            reconcile_interval_ms: 10 * 60_000,
            kill_retry_ms: 10_000,
            reserve_after_ms: 30_000,
            maintenance_horizon_ms: 60 * 60_000,
            default_zone: Zone::utc(),
        }
    }
}
