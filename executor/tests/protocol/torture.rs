//! Torture of the whole executor under an agent that dies in the middle: whatever tasks do, each ends
//! in the right state, once, and nothing is left. Absent: mercy.
//!
//! Small by itself; `SHIFTWORK_TORTURE=full` makes it as large as the requirement says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{DurationInfo, KillPolicy, TaskState, TaskStatus};

use crate::agent::{Agent, Setting};
use crate::common::{children, payload, task_info};
use crate::outcome;

/// How much of each torment.
struct Scale {
    stubborn: usize,
    bombs: usize,
    children: usize,
    double_forks: usize,
    output_bytes: u64,
}

const SMALL: Scale =
    Scale { stubborn: 10, bombs: 1, children: 30, double_forks: 2, output_bytes: 20_000_000 };
const FULL: Scale =
    Scale { stubborn: 200, bombs: 5, children: 100, double_forks: 20, output_bytes: 1_000_000_000 };

/// Signals that end a process by default.
const SIGNALS: [i32; 23] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31];

/// How much the executor may have grown when all is over, bytes: what the allocator keeps.
const GROWTH_MAX: u64 = 8 * 1024 * 1024;

/// A task and the end it must come to.
struct Victim {
    id: String,
    line: String,
    state: TaskState,
    exit_code: Option<i32>,
    signal: Option<i32>,
}

fn victims(scale: &Scale) -> Vec<Victim> {
    let mut all = Vec::new();
    let mut add = |id: String, line: String, state, exit_code, signal| {
        all.push(Victim { id, line, state, exit_code, signal });
    };
    let (failed, killed) = (TaskState::TaskFailed, TaskState::TaskKilled);
    for number in 0..scale.stubborn {
        let line = "trap '' TERM HUP INT; while :; do sleep 1000; done;".to_owned();
        add(format!("stubborn-{number}"), line, killed, None, Some(9));
    }
    for number in 0..scale.bombs {
        let line = format!(
            "for i in $(seq {}); do (trap '' TERM; sleep 1000) & done; exit 4;",
            scale.children
        );
        add(format!("bomb-{number}"), line, failed, Some(4), None);
    }
    for number in 0..scale.double_forks {
        let line = "setsid env -i sh -c '(cd / && sleep 1000 >/dev/null 2>&1 &) &'; exit 0;";
        add(format!("fork-{number}"), line.to_owned(), TaskState::TaskFinished, Some(0), None);
    }
    let noise = format!("head -c {} /dev/zero | tr '\\0' 'x'; exit 6;", scale.output_bytes);
    add("noise".to_owned(), noise, failed, Some(6), None);
    let binary = "head -c 3000000 /dev/urandom; head -c 9000 /dev/urandom >&2; exit 7;";
    add("binary".to_owned(), binary.to_owned(), failed, Some(7), None);
    add("silent".to_owned(), "exec >&- 2>&-; exit 8;".to_owned(), failed, Some(8), None);
    for signal in SIGNALS {
        let line = format!("ulimit -c 0; kill -{signal} $$; sleep 1000;");
        add(format!("signal-{signal}"), line, failed, None, Some(signal));
    }
    all
}

/// What was told of the tasks so far, each update once.
#[derive(Default)]
struct Told {
    seen: BTreeSet<Bytes>,
    running: usize,
    ends: BTreeMap<String, Vec<TaskStatus>>,
}

impl Told {
    fn hear(&mut self, status: &TaskStatus) {
        // What an agent did not acknowledge before it died is told again.
        if !self.seen.insert(status.uuid.clone().expect("an id")) {
            return;
        }
        if status.state() == TaskState::TaskRunning {
            self.running += 1;
        } else {
            self.ends.entry(status.task_id.value.clone()).or_default().push(status.clone());
        }
    }
}

#[tokio::test]
async fn whatever_tasks_do_each_ends_once_and_nothing_is_left() {
    let full = std::env::var("SHIFTWORK_TORTURE").is_ok_and(|text| text == "full");
    let victims = victims(if full { &FULL } else { &SMALL });
    let begun = Instant::now();
    let mut agent = Agent::subscribed(Setting::default()).await;
    let memory_before = memory(&agent, "VmRSS");
    let mut told = Told::default();
    for victim in &victims {
        agent.launch(task_info(&victim.id, &payload(&victim.line))).await;
    }
    while told.seen.len() < victims.len() / 2 {
        told.hear(&agent.update_acknowledged().await);
    }
    agent.vanish().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    agent.come_back().await;
    let again = agent.accept(0).await.unacknowledged_updates;
    for update in again {
        told.hear(&update.status);
        agent.acknowledge(&update.status).await;
    }
    while told.running < victims.len() {
        told.hear(&agent.update_acknowledged().await);
    }
    let grace_period = Some(DurationInfo { nanoseconds: 500_000_000 });
    for victim in victims.iter().filter(|victim| victim.state == TaskState::TaskKilled) {
        agent.kill(&victim.id, Some(KillPolicy { grace_period })).await;
    }
    while told.ends.len() < victims.len() {
        told.hear(&agent.update_acknowledged().await);
    }
    for victim in &victims {
        let [end] = &told.ends[&victim.id][..] else { panic!("{} ended twice", victim.id) };
        let how = outcome(end);
        let expected = (victim.state, victim.exit_code, victim.signal);
        assert_eq!((end.state(), how.exit_code, how.signal), expected, "{}", victim.id);
    }
    let left = children(agent.executor.id());
    assert_eq!(left, Vec::new(), "left in the process table");
    let (memory_after, peak) = (memory(&agent, "VmRSS"), memory(&agent, "VmHWM"));
    println!(
        "{} tasks in {:.1} s; resident {} KB before, {} KB after, {} KB at most",
        victims.len(),
        begun.elapsed().as_secs_f64(),
        memory_before / 1024,
        memory_after / 1024,
        peak / 1024
    );
    assert!(memory_after < memory_before + GROWTH_MAX, "{memory_before} -> {memory_after}");
    agent.shut_down().await;
    assert_eq!(agent.exit_code().await, Some(0));
}

/// A line of the executor's status, bytes.
fn memory(agent: &Agent, name: &str) -> u64 {
    let path = format!("/proc/{}/status", agent.executor.id());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    let kilobytes = line.trim_matches(|c: char| !c.is_ascii_digit());
    kilobytes.parse::<u64>().expect("a number") * 1024
}
