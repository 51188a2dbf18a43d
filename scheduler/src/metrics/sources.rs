//! What is gathered when a scraper asks: the engine's state, the driver's counts, the history's lag,
//! the process. Absent: asking for it.

use std::sync::PoisonError;

use shiftwork_engine::Engine;
use shiftwork_engine::statistics::{Backlog, FiringCounts, FleetSize, LaunchCounts, QueueBacklog};
use shiftwork_engine::view::StatusView;

use super::{Counter, Metrics, process};
use crate::mesos::{DriverHandle, DriverState, DriverStats};
use crate::trace::Lag;

/// The queues there are.
pub(super) const QUEUES: [&str; 3] = ["pending", "ready", "failover"];

/// What becomes of a firing.
pub(super) const DECISIONS: [&str; 4] = ["fired", "missed", "skipped", "coalesced"];

/// The states of the Mesos driver.
pub(super) const DRIVER_STATES: [&str; 5] =
    ["connecting", "subscribed", "removed", "failed_over", "stopped"];

/// What becomes of a call to the master.
pub(super) const CALL_OUTCOMES: [&str; 3] = ["accepted", "refused", "dropped"];

/// What the engine counted since its tenure began.
#[derive(Debug, Clone, Default)]
pub struct EngineCounts {
    firings: FiringCounts,
    launches: LaunchCounts,
}

/// What one look at the engine and its driver gives.
#[derive(Debug, Clone)]
pub struct EngineReading {
    status: StatusView,
    counts: EngineCounts,
    backlog: Backlog,
    fleet: FleetSize,
}

/// What is gathered for one scrape.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// None while this process does not lead, or the owner does not answer in time.
    pub engine: Option<EngineReading>,
    /// How far the history is behind.
    pub lag: Lag,
}

/// What the counts of a tenure stood at when they were last read; see [`Metrics::take_in`].
#[derive(Debug, Default)]
pub(super) struct Seen {
    counts: EngineCounts,
    driver_stats: DriverStats,
    driver: Option<DriverHandle>,
}

// === impl EngineCounts ===

impl EngineCounts {
    /// As they stand.
    pub fn of(engine: &Engine) -> Self {
        Self { firings: engine.firing_counts(), launches: engine.launch_counts().clone() }
    }
}

// === impl EngineReading ===

impl EngineReading {
    /// Looks at the engine.
    pub fn of(engine: &Engine) -> Self {
        Self {
            status: engine.status(),
            counts: EngineCounts::of(engine),
            backlog: engine.backlog(),
            fleet: engine.fleet_size(),
        }
    }
}

impl Metrics {
    /// A driver of this tenure has been started.
    pub fn follow_driver(&self, driver: DriverHandle) {
        let mut seen = self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.driver = Some(driver);
        seen.driver_stats = DriverStats::default();
    }

    pub(super) fn forget_seen(&self) {
        self.follow_tenure(None);
        *self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }

    /// Brings the metrics up to what was gathered.
    pub(super) fn take_in(&self, reading: &Reading) {
        let inner = &self.inner;
        self.follow_tenure(reading.engine.as_ref().map(|engine| &engine.counts));
        if let Some(engine) = &reading.engine {
            inner.apps.set(engine.status.apps as f64);
            inner.jobs.set(engine.status.jobs as f64);
            inner.offers.set(engine.status.offers as f64);
            inner.agents.set(engine.fleet.agents as f64);
            inner.executors.set(engine.fleet.executors as f64);
            inner.live_tasks.set(engine.status.tasks as f64);
            let Backlog { pending, ready, failover } = engine.backlog;
            for (name, queue) in QUEUES.into_iter().zip([pending, ready, failover]) {
                let QueueBacklog { depth, oldest_wait_ms } = queue;
                inner.queue_depth.set(name, depth as f64);
                inner.queue_oldest.set(name, oldest_wait_ms as f64 / 1000.0);
            }
        }
        let Lag { spool, refused_records, written_records, errors, .. } = &reading.lag;
        inner.spool_records.set(spool.records as f64);
        inner.spool_bytes.set(spool.bytes as f64);
        raise(&inner.history_dropped, spool.dropped_records + refused_records);
        raise(&inner.history_written, *written_records);
        raise(&inner.history_errors, *errors);
        self.take_in_process();
    }

    /// Counts what this tenure's engine and driver counted since the last look.
    pub(crate) fn follow_tenure(&self, counts: Option<&EngineCounts>) {
        let inner = &self.inner;
        let mut seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = counts {
            let before = std::mem::replace(&mut seen.counts, now.clone());
            let grown = |count: fn(&FiringCounts) -> u64| {
                count(&now.firings).saturating_sub(count(&before.firings))
            };
            inner.firings.count("fired", grown(|firings| firings.fired));
            inner.firings.count("missed", grown(|firings| firings.missed));
            inner.firings.count("skipped", grown(|firings| firings.skipped));
            inner.firings.count("coalesced", grown(|firings| firings.coalesced));
            let (now, before) = (&now.launches, &before.launches);
            inner.cycles.inc_by(now.cycles.saturating_sub(before.cycles));
            for (cause, count) in &now.placement_failures {
                let counted = before.placement_failures.get(cause).copied().unwrap_or_default();
                inner.placement_failures.count(cause, count.saturating_sub(counted));
            }
        }
        if let Some(driver) = seen.driver.clone() {
            let now = driver.stats();
            let before = std::mem::replace(&mut seen.driver_stats, now);
            let grown = |count: fn(&DriverStats) -> u64| count(&now).saturating_sub(count(&before));
            inner.subscriptions.inc_by(grown(|stats| stats.subscriptions));
            inner.heartbeats.inc_by(grown(|stats| stats.heartbeats));
            inner.bad_messages.inc_by(grown(|stats| stats.bad_messages));
            inner.calls.count("accepted", grown(|stats| stats.calls));
            inner.calls.count("refused", grown(|stats| stats.calls_refused));
            inner.calls.count("dropped", grown(|stats| stats.calls_dropped));
            inner.calls_queued.set(now.calls_queued as f64);
            let state = state_name(&driver.state().borrow());
            for (name, gauge) in inner.driver_state.iter() {
                gauge.set(if name == state { 1.0 } else { 0.0 });
            }
        }
    }

    fn take_in_process(&self) {
        let (inner, process) = (&self.inner, process::read());
        let spent = process.cpu_seconds - inner.process_cpu.get();
        if spent > 0.0 {
            inner.process_cpu.inc_by(spent);
        }
        inner.process_memory.set(process.resident_bytes as f64);
        inner.process_start.set(process.start_seconds);
        inner.process_open_fds.set(process.open_fds as f64);
        inner.process_max_fds.set(process.max_fds as f64);
    }
}

fn state_name(state: &DriverState) -> &'static str {
    match state {
        DriverState::Connecting => "connecting",
        DriverState::Subscribed { .. } => "subscribed",
        DriverState::Removed => "removed",
        DriverState::FailedOver => "failed_over",
        DriverState::Stopped => "stopped",
    }
}

/// Brings a counter up to a total that is kept elsewhere for the life of the process.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
