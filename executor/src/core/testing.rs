//! What tests of this crate share: payloads, clocks and ids that can be foreseen. Absent: anything
//! that asserts.

use bytes::Bytes;
use prost::Message as _;
use shiftwork_proto::mesos::v1::{AgentId, TaskId, TaskInfo};
use shiftwork_proto::shiftwork::v1::{
    ExecutionType, Schedule, Script, TaskPayload, task_payload::Work,
};

use super::Ids;

/// The logical time of test payloads, 2026-11-20T02:00:00Z, in milliseconds.
pub(crate) const EPOCH_MS: i64 = 1_795_140_000_000;

/// A TRANSIENT payload that runs `command_line`.
pub(crate) fn payload(command_line: &str) -> TaskPayload {
    TaskPayload {
        version: 1,
        app: "a".into(),
        job: "j".into(),
        run_id: "j@20261120T020000Z".into(),
        logical_time_ms: EPOCH_MS,
        attempt: 1,
        item: 1,
        sharding_total_count: 2,
        job_parameter: "p".into(),
        execution_type: ExecutionType::Transient.into(),
        work: Some(Work::Script(Script { command_line: command_line.into(), ..Script::default() })),
        kill_grace_period_ms: 5_000,
        ..TaskPayload::default()
    }
}

/// A DAEMON payload that fires every minute.
pub(crate) fn daemon_payload(misfire: bool, event_sampling_count: u32) -> TaskPayload {
    let schedule = Schedule { cron: "0 * * * * ?".into(), misfire, ..Schedule::default() };
    TaskPayload {
        execution_type: ExecutionType::Daemon.into(),
        schedule: Some(schedule),
        event_sampling_count,
        ..payload("./fire.sh")
    }
}

/// The task that carries `payload`.
pub(crate) fn task_info(id: &str, payload: &TaskPayload) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: AgentId { value: "S0".into() },
        data: Some(Bytes::from(payload.encode_to_vec())),
        ..TaskInfo::default()
    }
}

/// Ids that count: 1, 2, 3 ...
pub(crate) struct CountingIds(pub(crate) u8);

impl Ids for CountingIds {
    fn fresh(&mut self) -> [u8; 16] {
        self.0 = self.0.wrapping_add(1);
        [self.0; 16]
    }
}
