//! Metrics: what is counted where it happens, what is read when somebody asks, and the text that
//! says both. Absent: the names (`definitions.rs`), and serving them (the API).
//!
//! Counting on the owner's way is one atomic; everything that must be gathered is gathered when a
//! scraper asks.

mod definitions;
mod exposition;
mod family;
mod process;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use shiftwork_engine::view::{RunState, RunView};
use shiftwork_engine::{Action, Trace};
use shiftwork_schedule::Timestamp;

use crate::audit::{FindingKind, Report};
use crate::auth::Denied;
pub use definitions::{ALL, Definition, Kind};
pub use exposition::CONTENT_TYPE;
use family::{ByLabel, bare_name, counter, gauge};
use sources::Seen;
pub use sources::{EngineCounts, EngineReading, Reading};

type Counter = prometheus_client::metrics::counter::Counter<u64, AtomicU64>;
type FloatCounter = prometheus_client::metrics::counter::Counter<f64, AtomicU64>;
type Gauge = prometheus_client::metrics::gauge::Gauge<f64, AtomicU64>;

/// The outcomes of a commit.
const COMMIT_OUTCOMES: [&str; 2] = ["committed", "failed"];

/// All metrics of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    firings: ByLabel<Counter>,
    runs: ByLabel<Counter>,
    firing_record_delay: Histogram,
    run_start_delay: Histogram,
    run_duration: Histogram,
    launches: Counter,
    tasks: ByLabel<Counter>,
    queue_depth: ByLabel<Gauge>,
    queue_oldest: ByLabel<Gauge>,
    cycles: Counter,
    cycle_duration: Histogram,
    turn_duration: Histogram,
    placement_failures: ByLabel<Counter>,
    commits: ByLabel<Counter>,
    commit_duration: Histogram,
    commit_operations: Histogram,
    leader: Gauge,
    epoch: Gauge,
    tenures: Counter,
    apps: Gauge,
    jobs: Gauge,
    offers: Gauge,
    agents: Gauge,
    executors: Gauge,
    live_tasks: Gauge,
    driver_state: ByLabel<Gauge>,
    subscriptions: Counter,
    heartbeats: Counter,
    calls: ByLabel<Counter>,
    calls_queued: Gauge,
    bad_messages: Counter,
    spool_records: Gauge,
    spool_bytes: Gauge,
    history_written: Counter,
    history_dropped: Counter,
    history_errors: Counter,
    audited: ByLabel<Counter>,
    audit_findings: ByLabel<Counter>,
    audit_failures: Counter,
    audit_last: Gauge,
    denied: ByLabel<Counter>,
    certificate_expiry: Gauge,
    process_cpu: FloatCounter,
    process_memory: Gauge,
    process_start: Gauge,
    process_open_fds: Gauge,
    process_max_fds: Gauge,
    /// What this tenure's own counts stood at when they were last read.
    seen: Mutex<Seen>,
}

/// Every state of a task that may be recorded.
const TASK_STATES: [&str; 14] = [
    "TASK_STAGING",
    "TASK_STARTING",
    "TASK_RUNNING",
    "TASK_KILLING",
    "TASK_FINISHED",
    "TASK_FAILED",
    "TASK_KILLED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_UNREACHABLE",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
    "TASK_UNKNOWN",
];

/// Every final state of a run.
const FINAL_STATES: [RunState; 6] = [
    RunState::Succeeded,
    RunState::Failed,
    RunState::Cancelled,
    RunState::TimedOut,
    RunState::Expired,
    RunState::Skipped,
];

/// Every cause that [`shiftwork_engine::placement::Unplaced::cause`] may name.
const PLACEMENT_CAUSES: [&str; 10] = [
    "no_offers",
    "too_large",
    "cpus",
    "mem",
    "disk",
    "gpus",
    "ports",
    "constraints",
    "held",
    "maintenance",
];

/// Bounds of the delay with which firings are recorded, seconds: round ones, so that an objective
/// like a second can be read off.
const RECORD_DELAY_BOUNDS_S: [f64; 16] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0,
];

/// From a hundred microseconds to almost two minutes, each twice the one before.
fn short_times() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

/// From five milliseconds to a day and a half.
fn long_times() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 4.0, 13))
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let timed = |r: &mut Registry, definition: &Definition, histogram: Histogram| {
            r.register(bare_name(definition), definition.help, histogram.clone());
            histogram
        };
        let process_cpu = FloatCounter::default();
        let definition = definitions::PROCESS_CPU;
        r.register(bare_name(&definition), definition.help, process_cpu.clone());
        let build = ByLabel::<Gauge>::new(r, &definitions::BUILD, [env!("CARGO_PKG_VERSION")]);
        build.set(env!("CARGO_PKG_VERSION"), 1.0);
        let queues = || sources::QUEUES.into_iter();
        let inner = Inner {
            firings: ByLabel::new(r, &definitions::FIRINGS, sources::DECISIONS),
            runs: ByLabel::new(r, &definitions::RUNS, FINAL_STATES.map(RunState::name)),
            firing_record_delay: timed(
                r,
                &definitions::FIRING_RECORD_DELAY,
                Histogram::new(RECORD_DELAY_BOUNDS_S),
            ),
            run_start_delay: timed(r, &definitions::RUN_START_DELAY, long_times()),
            run_duration: timed(r, &definitions::RUN_DURATION, long_times()),
            launches: counter(r, &definitions::LAUNCHES),
            tasks: ByLabel::new(r, &definitions::TASKS, TASK_STATES),
            queue_depth: ByLabel::new(r, &definitions::QUEUE_DEPTH, queues()),
            queue_oldest: ByLabel::new(r, &definitions::QUEUE_OLDEST, queues()),
            cycles: counter(r, &definitions::CYCLES),
            cycle_duration: timed(r, &definitions::CYCLE_DURATION, short_times()),
            turn_duration: timed(r, &definitions::TURN_DURATION, short_times()),
            placement_failures: ByLabel::new(r, &definitions::PLACEMENT_FAILURES, PLACEMENT_CAUSES),
            commits: ByLabel::new(r, &definitions::COMMITS, COMMIT_OUTCOMES),
            commit_duration: timed(r, &definitions::COMMIT_DURATION, short_times()),
            commit_operations: timed(
                r,
                &definitions::COMMIT_OPERATIONS,
                // From one change to some thirty thousand.
                Histogram::new(exponential_buckets(1.0, 2.0, 16)),
            ),
            leader: gauge(r, &definitions::LEADER),
            epoch: gauge(r, &definitions::EPOCH),
            tenures: counter(r, &definitions::TENURES),
            apps: gauge(r, &definitions::APPS),
            jobs: gauge(r, &definitions::JOBS),
            offers: gauge(r, &definitions::OFFERS),
            agents: gauge(r, &definitions::AGENTS),
            executors: gauge(r, &definitions::EXECUTORS),
            live_tasks: gauge(r, &definitions::LIVE_TASKS),
            driver_state: ByLabel::new(r, &definitions::DRIVER_STATE, sources::DRIVER_STATES),
            subscriptions: counter(r, &definitions::SUBSCRIPTIONS),
            heartbeats: counter(r, &definitions::HEARTBEATS),
            calls: ByLabel::new(r, &definitions::CALLS, sources::CALL_OUTCOMES),
            calls_queued: gauge(r, &definitions::CALLS_QUEUED),
            bad_messages: counter(r, &definitions::BAD_MESSAGES),
            spool_records: gauge(r, &definitions::SPOOL_RECORDS),
            spool_bytes: gauge(r, &definitions::SPOOL_BYTES),
            history_written: counter(r, &definitions::HISTORY_WRITTEN),
            history_dropped: counter(r, &definitions::HISTORY_DROPPED),
            history_errors: counter(r, &definitions::HISTORY_ERRORS),
            audited: ByLabel::new(r, &definitions::AUDITED, ["fired", "left_out"]),
            audit_findings: ByLabel::new(
                r,
                &definitions::AUDIT_FINDINGS,
                FindingKind::ALL.map(FindingKind::name),
            ),
            audit_failures: counter(r, &definitions::AUDIT_FAILURES),
            audit_last: gauge(r, &definitions::AUDIT_LAST),
            denied: ByLabel::new(r, &definitions::DENIED, ["nobody", "wrong", "wait"]),
            certificate_expiry: gauge(r, &definitions::CERTIFICATE_EXPIRY),
            process_cpu,
            process_memory: gauge(r, &definitions::PROCESS_MEMORY),
            process_start: gauge(r, &definitions::PROCESS_START),
            process_open_fds: gauge(r, &definitions::PROCESS_OPEN_FDS),
            process_max_fds: gauge(r, &definitions::PROCESS_MAX_FDS),
            seen: Mutex::default(),
            registry,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Counts what happened.
    pub fn on_trace(&self, trace: &Trace) {
        match trace {
            Trace::Run(run) => self.on_run(run),
            Trace::Task { state, .. } => self.inner.tasks.count(state, 1),
            // Its firings are counted by the engine, by decision.
            Trace::Missed { .. } => self.inner.runs.count(RunState::Skipped.name(), 1),
            Trace::Changed(_) => {}
        }
    }

    fn on_run(&self, run: &RunView) {
        let seconds = |millis: i64| millis.max(0) as f64 / 1000.0;
        if run.state == RunState::Running
            && let Some(started) = run.started_at
        {
            self.inner.run_start_delay.observe(seconds(started.since(run.logical_time)));
        }
        if run.state.is_final() {
            self.inner.runs.count(run.state.name(), 1);
            if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
                self.inner.run_duration.observe(seconds(finished.since(started)));
            }
        }
    }

    /// Runs that the schedule named for these moments are durable now.
    pub fn on_firings_recorded(&self, due: &[Timestamp], now: Timestamp) {
        for due in due {
            let delay_ms = now.since(*due).max(0);
            self.inner.firing_record_delay.observe(delay_ms as f64 / 1000.0);
        }
    }

    /// Counts the tasks that leave for the master.
    pub fn on_actions(&self, actions: &[Action]) {
        let launches = actions.iter().map(|action| match action {
            Action::Accept { launches, .. } => launches.len() as u64,
            _ => 0,
        });
        self.inner.launches.inc_by(launches.sum());
    }

    /// A turn took so long, `cycle` of it in a launch cycle if there was one.
    pub fn on_turn(&self, turn: Duration, cycle: Option<Duration>) {
        self.inner.turn_duration.observe(turn.as_secs_f64());
        if let Some(cycle) = cycle {
            self.inner.cycle_duration.observe(cycle.as_secs_f64());
        }
    }

    /// A commit of so many changes has ended after so long.
    pub fn on_commit(&self, operations: usize, took: Duration, committed: bool) {
        let outcome = if committed { "committed" } else { "failed" };
        self.inner.commits.count(outcome, 1);
        self.inner.commit_duration.observe(took.as_secs_f64());
        self.inner.commit_operations.observe(operations as f64);
    }

    /// A tenure begins: counts of the former one are gone, those of this one begin at zero.
    pub fn on_tenure_begun(&self, epoch: u64) {
        self.inner.leader.set(1.0);
        self.inner.epoch.set(epoch as f64);
        self.inner.tenures.inc();
        self.forget_seen();
    }

    /// The process does not lead any more: nothing waits here, nothing is held.
    pub fn on_tenure_ended(&self) {
        let inner = &self.inner;
        for gauge in [&inner.leader, &inner.offers, &inner.agents, &inner.executors] {
            gauge.set(0.0);
        }
        for gauge in [&inner.apps, &inner.jobs, &inner.calls_queued, &inner.live_tasks] {
            gauge.set(0.0);
        }
        for (_, gauge) in inner.queue_depth.iter().chain(inner.queue_oldest.iter()) {
            gauge.set(0.0);
        }
        for (_, gauge) in inner.driver_state.iter() {
            gauge.set(0.0);
        }
        self.forget_seen();
    }

    /// An audit has judged. What a history with holes cannot show is not counted as found.
    pub fn on_audit(&self, report: &Report) {
        let inner = &self.inner;
        inner.audited.count("fired", report.fired);
        inner.audited.count("left_out", report.left_out);
        inner.audit_last.set(report.until.as_millis() as f64 / 1000.0);
        if !report.history_incomplete {
            for finding in &report.findings {
                inner.audit_findings.count(finding.kind.name(), 1);
            }
        }
    }

    /// Somebody was not let in.
    pub fn on_denied(&self, denied: Denied) {
        let cause = match denied {
            Denied::Nobody => "nobody",
            Denied::Wrong => "wrong",
            Denied::Wait(_) => "wait",
        };
        self.inner.denied.count(cause, 1);
    }

    /// The certificate that is served with expires then, seconds since 1970.
    pub fn on_certificate(&self, expires_at_s: i64) {
        self.inner.certificate_expiry.set(expires_at_s as f64);
    }

    /// An audit could not look.
    pub fn on_audit_failed(&self) {
        self.inner.audit_failures.inc();
    }

    /// Everything as Prometheus reads it, with what has been gathered just now.
    pub fn text(&self, reading: &Reading) -> String {
        self.take_in(reading);
        let mut open = String::new();
        if let Err(error) =
            prometheus_client::encoding::text::encode(&mut open, &self.inner.registry)
        {
            tracing::error!(%error, "the metrics cannot be written down");
        }
        exposition::classic(&open)
    }
}
