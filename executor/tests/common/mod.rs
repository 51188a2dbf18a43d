//! What the tests with real processes share: payloads, and a look at who is still alive. Absent:
//! anything of the executor itself.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use shiftwork_proto::mesos::v1::{AgentId, TaskId, TaskInfo};
use shiftwork_proto::shiftwork::v1::{
    ExecutionType, Schedule, Script, TaskPayload, task_payload::Work,
};

/// No test waits longer for anything; a machine this slow is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A TRANSIENT payload.
pub(crate) fn payload(command_line: &str) -> TaskPayload {
    TaskPayload {
        version: 1,
        app: "app".into(),
        job: "job".into(),
        run_id: "job@20261120T020000Z".into(),
        logical_time_ms: 1_795_140_000_000,
        attempt: 1,
        item: 0,
        sharding_total_count: 1,
        execution_type: ExecutionType::Transient.into(),
        work: Some(Work::Script(Script { command_line: command_line.into(), ..Script::default() })),
        env: BTreeMap::new(),
        kill_grace_period_ms: 5_000,
        ..TaskPayload::default()
    }
}

/// A DAEMON payload that fires every second.
pub(crate) fn daemon_payload(command_line: &str) -> TaskPayload {
    TaskPayload {
        execution_type: ExecutionType::Daemon.into(),
        schedule: Some(Schedule { every_ms: 1_000, ..Schedule::default() }),
        ..payload(command_line)
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

/// The numbers a script wrote into `file`, one a line, once there are `count` of them.
pub(crate) async fn pids(file: &Path, count: usize) -> Vec<i32> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let pids: Vec<i32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
        if pids.len() >= count && text.ends_with('\n') {
            return pids;
        }
        assert!(begun.elapsed() < PATIENCE, "{} holds {text:?}", file.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the process exists and has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, tail)| tail.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The children of a process by their numbers, ended ones too: those that nobody else owns are an
/// executor's.
pub(crate) fn children(of: u32) -> Vec<(i32, String)> {
    let stats = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let parent = fields.split(' ').nth(1)?.to_owned();
        let pid = head.split(' ').next()?.parse().ok()?;
        (parent == of.to_string()).then(|| (pid, stat.clone()))
    });
    stats.collect()
}
