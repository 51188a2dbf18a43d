//! Every metric there is, in one table: name, kind, labels, help. The table in the documentation is
//! tested against it. Absent: values.
//!
//! Names follow Prometheus' conventions: base units, `_total` for what only grows. Labels have few
//! values, known beforehand: never the name of a job, app, agent or user.

/// What kind of metric it is, as Prometheus understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name in full.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The label it is split by, if any.
    pub label: Option<&'static str>,
    /// What it says, for people.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Definition {
    Definition { name, kind: Kind::Counter, label: None, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Definition {
    Definition { name, kind: Kind::Gauge, label: None, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Definition {
    Definition { name, kind: Kind::Histogram, label: None, help }
}

const fn by(label: &'static str, definition: Definition) -> Definition {
    Definition { label: Some(label), ..definition }
}

macro_rules! definitions {
    ($($id:ident = $definition:expr;)*) => {
        $(pub(super) const $id: Definition = $definition;)*
        /// All of them, in the order in which the documentation lists them.
        pub const ALL: &[Definition] = &[$($id),*];
    };
}

definitions! {
    FIRINGS = by("decision", counter("shiftwork_firings_total",
        "Firings that came due, by what became of them: fired, missed (the job could not fire), \
         skipped or coalesced by a rule of the job. Their sum is all that came due"));
    RUNS = by("state", counter("shiftwork_runs_ended_total", "Runs that ended, by outcome"));
    FIRING_RECORD_DELAY = histogram("shiftwork_firing_record_delay_seconds",
        "From the moment the schedule named to the durable record of the firing's run");
    RUN_START_DELAY = histogram("shiftwork_run_start_delay_seconds",
        "From the moment the schedule named to the first running task of a run");
    RUN_DURATION = histogram("shiftwork_run_duration_seconds",
        "From a run's first running task to its end");
    LAUNCHES = counter("shiftwork_task_launches_total", "Tasks sent to the master to be launched");
    TASKS = by("state", counter("shiftwork_task_updates_total",
        "Task states recorded, by state as Mesos names it; TASK_STAGING is our own launch"));
    QUEUE_DEPTH = by("queue", gauge("shiftwork_queue_depth",
        "Entries of a queue: pending counts all runs not launched, ready those that lack only room, \
         failover shards to be launched again that lack only room"));
    QUEUE_OLDEST = by("queue", gauge("shiftwork_queue_oldest_wait_seconds",
        "How long the oldest entry of a queue has been there"));
    CYCLES = counter("shiftwork_launch_cycles_total", "Launch cycles");
    CYCLE_DURATION = histogram("shiftwork_launch_cycle_duration_seconds",
        "Time one launch cycle took: choosing among what waits and placing it");
    TURN_DURATION = histogram("shiftwork_turn_duration_seconds",
        "Time one turn of the owner loop took without its commit");
    PLACEMENT_FAILURES = by("cause", counter("shiftwork_placement_failures_total",
        "Runs and shards a launch cycle could not place, by main cause; counted in each cycle"));
    COMMITS = by("outcome", counter("shiftwork_commits_total", "Commits of the registry, by outcome"));
    COMMIT_DURATION = histogram("shiftwork_commit_duration_seconds",
        "From handing a commit to the registry until it was durable");
    COMMIT_OPERATIONS = histogram("shiftwork_commit_operations", "Changes of nodes in one commit");
    LEADER = gauge("shiftwork_leader", "1 while this scheduler leads, else 0");
    EPOCH = gauge("shiftwork_leader_epoch", "The epoch of this scheduler's latest tenure");
    TENURES = counter("shiftwork_tenures_total", "Tenures this process began");
    APPS = gauge("shiftwork_apps", "Registered apps");
    JOBS = gauge("shiftwork_jobs", "Registered jobs");
    OFFERS = gauge("shiftwork_offers", "Offers held");
    AGENTS = gauge("shiftwork_agents",
        "Agents of which offers are held or which run our executors");
    EXECUTORS = gauge("shiftwork_executors", "Executors of this framework");
    LIVE_TASKS = gauge("shiftwork_tasks", "Tasks launched that have not ended");
    DRIVER_STATE = by("state", gauge("shiftwork_mesos_driver_state",
        "1 for the state the Mesos driver is in, 0 for the others"));
    SUBSCRIPTIONS = counter("shiftwork_mesos_subscriptions_total",
        "Subscriptions a master took; all but the first are reconnects");
    HEARTBEATS = counter("shiftwork_mesos_heartbeats_total", "Heartbeats of the master");
    CALLS = by("outcome", counter("shiftwork_mesos_calls_total",
        "Calls to the master, by outcome: accepted, refused, or dropped with their subscription"));
    CALLS_QUEUED = gauge("shiftwork_mesos_calls_queued", "Calls to the master that wait");
    BAD_MESSAGES = counter("shiftwork_mesos_bad_messages_total",
        "Messages of the master that made no sense and were left out");
    SPOOL_RECORDS = gauge("shiftwork_history_spool_records",
        "Records that wait in the spool for the history database");
    SPOOL_BYTES = gauge("shiftwork_history_spool_bytes", "What they measure");
    HISTORY_WRITTEN = counter("shiftwork_history_records_written_total",
        "Records the history database took");
    HISTORY_DROPPED = counter("shiftwork_history_records_dropped_total",
        "Records lost before the database took them: the spool was full, damaged or not writable");
    HISTORY_ERRORS = counter("shiftwork_history_errors_total",
        "Attempts to write to the history database that failed and are repeated");
    AUDITED = by("decision", counter("shiftwork_audit_firings_total",
        "Firings the audit judged: fired, or left out by a rule of their job; what is neither is a \
         finding"));
    AUDIT_FINDINGS = by("kind", counter("shiftwork_audit_findings_total",
        "What the audit found: firings missed, wrongly left out, unexpected, doubled, or forgotten \
         before their end"));
    AUDIT_FAILURES = counter("shiftwork_audit_failures_total",
        "Audits that could not look, because the history could not be read or was behind");
    AUDIT_LAST = gauge("shiftwork_audit_until_timestamp_seconds",
        "Firings up to this moment have been judged, since 1970");
    DENIED = by("cause", counter("shiftwork_authentication_denied_total",
        "Requests whose sender was not let in: nobody showed nothing, wrong something unknown or \
         expired, wait tried too often"));
    CERTIFICATE_EXPIRY = gauge("shiftwork_certificate_expiry_timestamp_seconds",
        "When the certificate this scheduler serves with expires, since 1970; 0 without TLS");
    BUILD = by("version", gauge("shiftwork_build_info", "Always 1; says which version runs"));
    PROCESS_CPU = counter("process_cpu_seconds_total", "User and system CPU time spent");
    PROCESS_MEMORY = gauge("process_resident_memory_bytes", "Resident memory size");
    PROCESS_START = gauge("process_start_time_seconds", "Start of the process since 1970");
    PROCESS_OPEN_FDS = gauge("process_open_fds", "Open file descriptors");
    PROCESS_MAX_FDS = gauge("process_max_fds", "The most file descriptors it may open");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let names: BTreeSet<_> = ALL.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Definition { name, kind, label, help } in ALL {
            assert!(name.starts_with("shiftwork_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(!help.ends_with('.') && help.len() > 10, "{name}");
            assert!(!matches!(label, Some("job" | "app" | "agent" | "user")), "{name}");
        }
    }
}
