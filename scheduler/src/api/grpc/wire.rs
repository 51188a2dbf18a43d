//! From what the engine and the history show to messages. Absent: deciding anything.

use std::collections::BTreeMap;

use shiftwork_engine::record::{DisabledRecord, Origin};
use shiftwork_engine::view::{
    AgentView, AppView, CalendarView, ExecutorState, ExecutorView, FailoverView, JobView,
    OfferView, ReadyView, RunState, RunView, RunningView, ShardState, ShardView, StatusView,
    TaskView,
};
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_schedule::Timestamp;

use crate::api::etag::etag_text;
use crate::api::why::Why;
use crate::trace::EventRow;

/// What has a message of its own.
pub(super) trait ToWire {
    /// The message.
    type Wire;

    /// Makes it.
    fn to_wire(self) -> Self::Wire;
}

/// An instant on the wire.
pub(super) fn instant(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    let nanos = millis.rem_euclid(1_000) * 1_000_000;
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// The pairs of states.
macro_rules! states {
    ($to_wire:ident, $from_wire:ident, $ours:ident, $wire:ident, [$($state:ident),*]) => {
        fn $to_wire(state: $ours) -> wire::$wire {
            match state {
                $($ours::$state => wire::$wire::$state,)*
            }
        }

        /// Reads a state; `None` for one that is not given.
        ///
        /// # Errors
        /// In words, for a number that is none.
        pub(super) fn $from_wire(number: i32) -> Result<Option<$ours>, &'static str> {
            match wire::$wire::try_from(number) {
                Ok(wire::$wire::Unspecified) => Ok(None),
                $(Ok(wire::$wire::$state) => Ok(Some($ours::$state)),)*
                Err(_) => Err("is none that this version knows"),
            }
        }
    };
}

states!(
    of_run,
    run_state,
    RunState,
    RunState,
    [Pending, Launching, Running, Succeeded, Failed, Cancelled, TimedOut, Expired, Skipped]
);
states!(
    of_shard,
    shard_state,
    ShardState,
    ShardState,
    [
        Pending,
        Launching,
        Running,
        Unreachable,
        Killing,
        Waiting,
        Succeeded,
        Failed,
        Cancelled,
        TimedOut
    ]
);

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Schedule => "SCHEDULE",
        Origin::Trigger => "TRIGGER",
        Origin::Rerun => "RERUN",
        Origin::Daemon => "DAEMON",
    }
}

impl ToWire for DisabledRecord {
    type Wire = wire::Disabled;

    fn to_wire(self) -> wire::Disabled {
        let record = self;
        wire::Disabled { by: record.by, reason: record.reason, at: Some(instant(record.at)) }
    }
}

impl ToWire for AppView {
    type Wire = wire::App;

    fn to_wire(self) -> wire::App {
        let app = self;
        wire::App {
            name: app.name,
            enabled: app.enabled,
            disabled: app.disabled.map(ToWire::to_wire),
            jobs: app.jobs as u64,
            problem: app.problem,
            document: app.document.get().to_owned(),
            etag: etag_text(app.document.get()),
        }
    }
}

impl ToWire for JobView {
    type Wire = wire::Job;

    fn to_wire(self) -> wire::Job {
        let job = self;
        wire::Job {
            name: job.name,
            app: job.app.map(|app| app.to_string()).unwrap_or_default(),
            enabled: job.enabled,
            disabled: job.disabled.map(ToWire::to_wire),
            pending: job.pending as u64,
            running: job.running.map(|run| run.to_string()),
            next_firing: job.next_firing.map(instant),
            problem: job.problem,
            document: job.document.get().to_owned(),
            etag: etag_text(job.document.get()),
        }
    }
}

impl ToWire for CalendarView {
    type Wire = wire::Calendar;

    fn to_wire(self) -> wire::Calendar {
        let calendar = self;
        wire::Calendar {
            name: calendar.name,
            jobs: calendar.jobs as u64,
            problem: calendar.problem,
            document: calendar.document.get().to_owned(),
            etag: etag_text(calendar.document.get()),
        }
    }
}

impl ToWire for Why {
    type Wire = wire::WhyJobResponse;

    fn to_wire(self) -> wire::WhyJobResponse {
        let why = self;
        wire::WhyJobResponse {
            answer: why.answer,
            enabled: why.enabled,
            running: why.running.map(|run| run.run.to_string()),
            pending: why.pending.map(|run| run.run.to_string()),
            pending_runs: why.pending_runs as u64,
            next_firing: why.next_firing.map(instant),
        }
    }
}

impl ToWire for RunView {
    type Wire = wire::Run;

    fn to_wire(self) -> wire::Run {
        let run = self;
        wire::Run {
            id: run.id.to_string(),
            job: run.job.to_string(),
            app: run.app.to_string(),
            origin: origin(run.origin).to_owned(),
            logical_time: Some(instant(run.logical_time)),
            state: of_run(run.state).into(),
            reason: run.reason,
            attempt: run.attempt,
            submitter: run.submitter,
            sharding_total_count: run.sharding_total_count,
            shards: run.shards.into_iter().map(ToWire::to_wire).collect(),
            created_at: Some(instant(run.created_at)),
            started_at: run.started_at.map(instant),
            finished_at: run.finished_at.map(instant),
        }
    }
}

impl ToWire for ShardView {
    type Wire = wire::Shard;

    fn to_wire(self) -> wire::Shard {
        let shard = self;
        wire::Shard {
            item: shard.item,
            state: of_shard(shard.state).into(),
            task_id: shard.task_id.map(|task| task.to_string()),
            agent: shard.agent.map(|agent| agent.to_string()),
            attempt: shard.attempt,
            exit_code: shard.exit_code,
            signal: shard.signal,
            http_status: shard.http_status.map(u32::from),
            message: shard.message,
            stdout_tail: shard.stdout_tail,
            stderr_tail: shard.stderr_tail,
        }
    }
}

impl ToWire for TaskView {
    type Wire = wire::Task;

    fn to_wire(self) -> wire::Task {
        let task = self;
        wire::Task {
            id: task.id.to_string(),
            run: task.run.to_string(),
            job: task.job.to_string(),
            app: task.app.to_string(),
            item: task.item,
            state: of_shard(task.state).into(),
            agent: task.agent.map(|agent| agent.to_string()),
            attempt: task.attempt,
            since: task.since.map(instant),
            idle: task.idle,
            exit_code: task.exit_code,
            message: task.message,
        }
    }
}

impl ToWire for ReadyView {
    type Wire = wire::Ready;

    fn to_wire(self) -> wire::Ready {
        let ready = self;
        wire::Ready {
            job: ready.job.to_string(),
            times: ready.times as u64,
            next: ready.next.to_string(),
            reason: ready.reason,
        }
    }
}

impl ToWire for RunningView {
    type Wire = wire::Running;

    fn to_wire(self) -> wire::Running {
        let running = self;
        wire::Running {
            task_id: running.task_id.to_string(),
            run: running.run.to_string(),
            item: running.item,
            state: of_shard(running.state).into(),
            agent: running.agent.to_string(),
            since: Some(instant(running.since)),
            idle: running.idle,
        }
    }
}

impl ToWire for FailoverView {
    type Wire = wire::Failover;

    fn to_wire(self) -> wire::Failover {
        let failover = self;
        wire::Failover {
            run: failover.run.to_string(),
            item: failover.item,
            original_task_id: failover.original_task_id.map(|task| task.to_string()),
            due: Some(instant(failover.due)),
            reason: failover.reason,
        }
    }
}

impl ToWire for AgentView {
    type Wire = wire::Agent;

    fn to_wire(self) -> wire::Agent {
        let agent = self;
        wire::Agent {
            id: agent.id.to_string(),
            hostname: agent.hostname,
            attributes: agent.attributes,
            offered: amounts(agent.offered),
            executors: agent.executors,
            tasks: agent.tasks as u64,
            unavailable_from: agent.unavailable_from.map(instant),
        }
    }
}

/// Resources by kind.
fn amounts(amounts: BTreeMap<&'static str, f64>) -> BTreeMap<String, f64> {
    amounts.into_iter().map(|(kind, amount)| (kind.to_owned(), amount)).collect()
}

impl ToWire for OfferView {
    type Wire = wire::Offer;

    fn to_wire(self) -> wire::Offer {
        let offer = self;
        wire::Offer {
            id: offer.id.to_string(),
            agent: offer.agent.to_string(),
            hostname: offer.hostname,
            resources: amounts(offer.resources),
            since: Some(instant(offer.since)),
        }
    }
}

impl ToWire for ExecutorView {
    type Wire = wire::Executor;

    fn to_wire(self) -> wire::Executor {
        let executor = self;
        let state = match executor.state {
            ExecutorState::Launching => wire::ExecutorState::Launching,
            ExecutorState::Running => wire::ExecutorState::Running,
            ExecutorState::Retiring => wire::ExecutorState::Retiring,
            ExecutorState::Lost => wire::ExecutorState::Lost,
        };
        wire::Executor {
            id: executor.id.to_string(),
            app: executor.app.to_string(),
            agent: executor.agent.to_string(),
            state: state.into(),
            tasks: executor.tasks as u64,
            resources: executor.resources.map(amounts).unwrap_or_default(),
        }
    }
}

impl ToWire for StatusView {
    type Wire = wire::Status;

    fn to_wire(self) -> wire::Status {
        let status = self;
        wire::Status {
            connected: status.connected,
            framework_id: status.framework_id.map(|id| id.to_string()),
            watermark: Some(instant(status.watermark)),
            apps: status.apps as u64,
            jobs: status.jobs as u64,
            pending_runs: status.pending_runs as u64,
            active_runs: status.active_runs as u64,
            tasks: status.tasks as u64,
            offers: status.offers as u64,
            problems: status.problems,
        }
    }
}

impl ToWire for &EventRow {
    type Wire = wire::Event;

    fn to_wire(self) -> wire::Event {
        let row = self;
        let kind = if row.kind == "RUN" { wire::EventKind::Run } else { wire::EventKind::Task };
        wire::Event {
            id: row.key().to_string(),
            at: Some(instant(Timestamp::from_millis(row.at_ms))),
            kind: kind.into(),
            run: row.run_id.clone(),
            job: row.job.clone(),
            item: row.item,
            task_id: row.task_id.clone(),
            state: row.state.clone().unwrap_or_default(),
            message: row.message.clone(),
            submitter: row.submitter.clone(),
            app: row.app.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_1970_keep_positive_nanoseconds() {
        let at = instant(Timestamp::from_millis(-1));
        assert_eq!((at.seconds, at.nanos), (-1, 999_000_000));
        let at = instant(Timestamp::from_millis(1_500));
        assert_eq!((at.seconds, at.nanos), (1, 500_000_000));
    }

    #[test]
    fn an_executor_and_an_offer_are_told_whole() {
        use shiftwork_engine::ids::{AgentId, AppName, ExecutorId, OfferId};
        let amounts = BTreeMap::from([("cpus", 0.5), ("mem", 64.0)]);
        let executor = ExecutorView {
            id: ExecutorId::new("e"),
            app: AppName::parse("shop").unwrap(),
            agent: AgentId::new("S0"),
            state: ExecutorState::Retiring,
            tasks: 3,
            resources: Some(amounts.clone()),
        };
        let told = executor.to_wire();
        assert_eq!((told.id.as_str(), told.app.as_str(), told.agent.as_str()), ("e", "shop", "S0"));
        assert_eq!((told.state(), told.tasks), (wire::ExecutorState::Retiring, 3));
        assert_eq!(told.resources, BTreeMap::from([("cpus".into(), 0.5), ("mem".into(), 64.0)]));
        let offer = OfferView {
            id: OfferId::new("o"),
            agent: AgentId::new("S0"),
            hostname: "host".to_owned(),
            resources: amounts,
            since: Timestamp::from_millis(1_000),
        };
        let told = offer.to_wire();
        assert_eq!((told.id.as_str(), told.hostname.as_str()), ("o", "host"));
        assert_eq!((told.resources.len(), told.since.unwrap().seconds), (2, 1));
    }

    #[test]
    fn states_come_back_as_they_were() {
        for state in [RunState::Pending, RunState::TimedOut, RunState::Skipped] {
            assert_eq!(run_state(of_run(state).into()), Ok(Some(state)));
        }
        assert_eq!(
            shard_state(of_shard(ShardState::Waiting).into()),
            Ok(Some(ShardState::Waiting))
        );
        assert_eq!((run_state(0), shard_state(0)), (Ok(None), Ok(None)));
        assert!(run_state(99).is_err());
    }
}
