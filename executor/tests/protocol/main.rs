//! The real executor under a scripted agent: the v1 executor API, reconnection, shutdown, loss, and
//! what becomes of the processes. Absent: a real Mesos agent.

mod agent;
#[path = "../common/mod.rs"]
mod common;
mod http;
mod recorded;
mod tls;
mod torture;
mod word_app;

use agent::{Agent, Setting};
use common::{daemon_payload, is_alive, payload, pids, task_info};
use prost::Message as _;
use shiftwork_proto::mesos::v1::{DurationInfo, KillPolicy, TaskState, TaskStatus};
use shiftwork_proto::shiftwork::v1::{TaskOutcome, TaskPayload};

fn outcome(status: &TaskStatus) -> TaskOutcome {
    TaskOutcome::decode(status.data.clone().expect("an outcome")).expect("an outcome")
}

#[tokio::test]
async fn a_task_from_launch_to_its_last_acknowledgement() {
    let mut agent = Agent::new(Setting { token: "s3cret", ..Setting::default() }).await;
    agent.accept(0).await;
    agent.launch(task_info("t", &payload("echo oh no >&2; exit 3;"))).await;
    let running = agent.next().await;
    let head = running.head.to_ascii_lowercase();
    assert!(head.starts_with("post /api/v1/executor http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains("\r\naccept: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer s3cret\r\n"), "{head}");
    assert_eq!(running.call.executor_id.value, "app@-@S0");
    assert_eq!(running.call.framework_id.value, "framework-1");
    let running = running.call.update.expect("an update").status;
    assert_eq!(running.state(), TaskState::TaskRunning);
    let failed = agent.update().await;
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert_eq!(failed.message(), "exited with code 3: oh no");
    assert_eq!(outcome(&failed).exit_code, Some(3));
    assert_eq!(agent.checkpoint(), [running.clone(), failed.clone()]);
    agent.acknowledge(&running).await;
    agent.acknowledge(&failed).await;
    agent.shut_down().await;
    assert_eq!(agent.exit_code().await, Some(0));
    assert_eq!(agent.checkpoint(), []);
    assert!(!agent.log().contains("s3cret"));
}

#[tokio::test]
async fn work_goes_on_while_the_agent_is_away_and_is_told_when_it_is_back() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.launch(task_info("t", &payload("until [ -e go ]; do sleep 0.01; done;"))).await;
    let running = agent.update().await;
    agent.vanish().await;
    let dir = agent.sandbox.path().join("tasks/t");
    std::fs::write(dir.join("go"), "").expect("written");
    while agent.checkpoint().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    agent.come_back().await;
    agent.refuse().await;
    let subscribe = agent.accept(0).await;
    let tasks: Vec<&str> =
        subscribe.unacknowledged_tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(tasks, ["t"]);
    let updates: Vec<TaskStatus> =
        subscribe.unacknowledged_updates.into_iter().map(|update| update.status).collect();
    assert_eq!(updates[0], running);
    assert_eq!(updates[1].state(), TaskState::TaskFinished);
    assert_eq!(updates.len(), 2);
    for update in &updates {
        agent.acknowledge(update).await;
    }
    agent.hang_up();
    let subscribe = agent.accept(0).await;
    assert_eq!(subscribe.unacknowledged_updates, []);
    assert_eq!(subscribe.unacknowledged_tasks, []);
}

#[tokio::test]
async fn an_update_that_is_refused_comes_again_with_a_new_subscription() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.refuse_an_update();
    agent.launch(task_info("t", &payload("sleep 1000;"))).await;
    let running = agent.update().await;
    let subscribe = agent.accept(0).await;
    let again: Vec<TaskStatus> =
        subscribe.unacknowledged_updates.into_iter().map(|update| update.status).collect();
    assert_eq!(again, [running]);
    agent.kill("t", None).await;
    assert_eq!(agent.update().await.state(), TaskState::TaskKilled);
}

#[tokio::test]
async fn a_kill_ends_what_escaped_before_it_is_reported() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    let line = "trap '' TERM; setsid sh -c 'sleep 1000 & echo $! >pids; echo $$ >>pids; wait' & \
                wait; sleep 1000;";
    agent.launch(task_info("t", &payload(line))).await;
    agent.update_acknowledged().await;
    let pids = pids(&agent.sandbox.path().join("tasks/t/pids"), 2).await;
    let grace_period = Some(DurationInfo { nanoseconds: 200_000_000 });
    agent.kill("t", Some(KillPolicy { grace_period })).await;
    let killed = agent.update_acknowledged().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    assert_eq!(outcome(&killed).signal, Some(9));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn one_tasks_misfortune_does_not_touch_another() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.launch(task_info("good", &payload("until [ -e go ]; do sleep 0.01; done;"))).await;
    agent.update_acknowledged().await;
    let mut garbage = task_info("garbage", &payload("true"));
    garbage.data = Some(b"\xff\xff".as_slice().into());
    agent.launch(garbage).await;
    assert_eq!(agent.update_acknowledged().await.state(), TaskState::TaskFailed);
    let slow = TaskPayload { timeout_ms: 100, ..payload("sleep 1000;") };
    agent.launch(task_info("slow", &slow)).await;
    agent.update_acknowledged().await;
    let failed = agent.update_acknowledged().await;
    assert!(failed.message().starts_with("timed out after 100 ms"), "{}", failed.message());
    agent.kill("unknown", None).await;
    std::fs::write(agent.sandbox.path().join("tasks/good/go"), "").expect("written");
    let finished = agent.update_acknowledged().await;
    assert_eq!(
        (finished.task_id.value.as_str(), finished.state()),
        ("good", TaskState::TaskFinished)
    );
}

#[tokio::test]
async fn a_daemon_fires_by_its_own_clock_until_it_is_killed() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.launch(task_info("d", &daemon_payload("echo $SHIFTWORK_LOGICAL_TIME;"))).await;
    let running = agent.update_acknowledged().await;
    assert_eq!((running.state(), running.message.as_deref()), (TaskState::TaskRunning, None));
    let mut moments = Vec::new();
    for _ in 0..2 {
        assert_eq!(agent.update_acknowledged().await.message(), "BEGIN");
        let complete = agent.update_acknowledged().await;
        assert_eq!(complete.message(), "COMPLETE");
        assert_eq!(complete.state(), TaskState::TaskRunning);
        assert_eq!(outcome(&complete).exit_code, Some(0));
        moments.push(outcome(&complete).firing_time_ms);
    }
    // On a busy machine a firing may last over the next moment, which is then skipped.
    assert!(moments[0] < moments[1], "{moments:?}");
    assert!(moments.iter().all(|moment| moment % 1_000 == 0), "{moments:?}");
    agent.kill("d", None).await;
    let killed = loop {
        let status = agent.update_acknowledged().await;
        if status.state() != TaskState::TaskRunning {
            break status;
        }
    };
    assert_eq!(killed.state(), TaskState::TaskKilled);
    let out = std::fs::read_to_string(agent.sandbox.path().join("tasks/d/stdout")).expect("text");
    assert!(out.lines().count() >= 2 && out.lines().all(|line| line.ends_with('Z')), "{out}");
}

/// A task that ignores SIGTERM, and the numbers of its processes.
async fn stubborn(agent: &mut Agent) -> Vec<i32> {
    let line = "trap '' TERM; sleep 1000 & echo $! >pids; echo $$ >>pids; wait; sleep 1000;";
    agent.launch(task_info("t", &payload(line))).await;
    agent.update_acknowledged().await;
    pids(&agent.sandbox.path().join("tasks/t/pids"), 2).await
}

#[tokio::test]
async fn a_shutdown_leaves_nobody_behind_and_says_nothing() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    let pids = stubborn(&mut agent).await;
    agent.shut_down().await;
    assert_eq!(agent.exit_code().await, Some(0));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(agent.checkpoint(), []);
}

#[tokio::test]
async fn sigterm_is_a_shutdown() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.launch(task_info("t", &payload("echo $$ >pids; sleep 1000;"))).await;
    agent.update_acknowledged().await;
    let pids = pids(&agent.sandbox.path().join("tasks/t/pids"), 1).await;
    let executor = rustix::process::Pid::from_child(&agent.executor);
    rustix::process::kill_process(executor, rustix::process::Signal::TERM).expect("a child");
    assert_eq!(agent.exit_code().await, Some(0));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn without_checkpointing_a_lost_agent_ends_everything() {
    let setting = Setting { checkpoint: "0", ..Setting::default() };
    let mut agent = Agent::subscribed(setting).await;
    let pids = stubborn(&mut agent).await;
    agent.hang_up();
    assert_eq!(agent.exit_code().await, Some(1));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(agent.checkpoint(), []);
}

#[tokio::test]
async fn an_agent_lost_for_longer_than_the_recovery_timeout_ends_everything() {
    let setting = Setting { recovery_timeout: "300ms", ..Setting::default() };
    let mut agent = Agent::subscribed(setting).await;
    let pids = stubborn(&mut agent).await;
    agent.vanish().await;
    assert_eq!(agent.exit_code().await, Some(1));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn the_last_word_of_a_task_outlives_the_executor() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    agent.launch(task_info("t", &payload("true"))).await;
    let states = [agent.update().await.state(), agent.update().await.state()];
    assert_eq!(states, [TaskState::TaskRunning, TaskState::TaskFinished]);
    agent.executor.kill().expect("a child");
    agent.executor.wait().expect("a child");
    let kept: Vec<TaskState> = agent.checkpoint().iter().map(TaskStatus::state).collect();
    assert_eq!(kept, states);
}

/// Starts an executor whose files can grow to half a kilobyte and no further, as on a full disk.
async fn on_a_full_disk() -> Agent {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("executor");
    let line = format!(
        "#!/bin/sh\ntrap '' XFSZ\nulimit -f 1\nexec {}\n",
        env!("CARGO_BIN_EXE_shiftwork-executor")
    );
    std::fs::write(&program, line).expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("permissions");
    let mut agent = Agent::of_program(&program, Setting::default()).await;
    agent.accept(0).await;
    agent
}

#[tokio::test]
async fn a_full_disk_costs_outputs_and_no_task() {
    let mut agent = on_a_full_disk().await;
    let line = "head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 3;";
    agent.launch(task_info("t", &payload(line))).await;
    assert_eq!(agent.update().await.state(), TaskState::TaskRunning);
    let failed = agent.update().await;
    assert_eq!(outcome(&failed).exit_code, Some(3));
    assert!(outcome(&failed).stdout_tail.ends_with(b"xxxend\n"), "the end is known all the same");
    agent.launch(task_info("u", &payload("true"))).await;
    assert_eq!(agent.update().await.state(), TaskState::TaskRunning);
    assert_eq!(agent.update().await.state(), TaskState::TaskFinished);
    // The update that found no space is not there; what came after it is.
    let kept: Vec<String> =
        agent.checkpoint().into_iter().map(|status| status.task_id.value).collect();
    assert_eq!(kept[..2], ["t", "u"]);
}

#[tokio::test]
async fn an_idle_executor_leaves() {
    let mut agent = Agent::new(Setting::default()).await;
    agent.accept(200).await;
    agent.launch(task_info("t", &payload("sleep 0.5;"))).await;
    agent.update_acknowledged().await;
    agent.update_acknowledged().await;
    assert_eq!(agent.exit_code().await, Some(0));
}

#[tokio::test]
async fn two_hundred_tasks_at_once() {
    let mut agent = Agent::subscribed(Setting::default()).await;
    for number in 0..200 {
        let id = format!("t{number}");
        agent.launch(task_info(&id, &payload("sleep 0.2; exit 0;"))).await;
    }
    let mut finished = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let status = agent.update_acknowledged().await;
        if status.state() == TaskState::TaskFinished {
            assert!(finished.insert(status.task_id.value));
        }
    }
    assert_eq!(finished.len(), 200);
}

#[test]
fn started_by_hand_it_says_in_one_line_what_to_do() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_shiftwork-executor"))
        .env_clear()
        .output()
        .expect("the executor");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("MESOS_AGENT_ENDPOINT") && text.contains("Mesos agent"), "{text}");
}
