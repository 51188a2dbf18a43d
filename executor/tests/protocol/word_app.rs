//! Jobs in Rust through the example app, a real executor of its own. Absent: a scheduler.

use std::path::PathBuf;

use shiftwork_proto::mesos::v1::{DurationInfo, KillPolicy, TaskState, TaskStatus};
use shiftwork_proto::shiftwork::v1::{JobClass, TaskPayload, task_payload::Work};

use crate::agent::{Agent, Setting};
use crate::common::{daemon_payload, payload, task_info};
use crate::outcome;

async fn word_app() -> Agent {
    // Cargo builds examples with the tests of a package, beside its programs.
    let executor = PathBuf::from(env!("CARGO_BIN_EXE_shiftwork-executor"));
    let program = executor.with_file_name("examples").join("word-app");
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    let mut agent = Agent::of_program(&program, Setting::default()).await;
    agent.accept(0).await;
    agent
}

fn of(class: JobClass, job_parameter: &str) -> TaskPayload {
    let job_parameter = job_parameter.to_owned();
    TaskPayload { work: Some(Work::JobClass(class)), job_parameter, ..payload("") }
}

fn simple(name: &str) -> JobClass {
    JobClass { name: name.into(), ..JobClass::default() }
}

fn stdout(agent: &Agent, task: &str) -> String {
    let file = agent.sandbox.path().join("tasks").join(task).join("stdout");
    std::fs::read_to_string(file).expect("an output file")
}

/// Launches a task that ends by itself; its last update.
async fn run(agent: &mut Agent, task: &str, payload: &TaskPayload) -> TaskStatus {
    agent.launch(task_info(task, payload)).await;
    let mut status = agent.update_acknowledged().await;
    while status.state() == TaskState::TaskRunning {
        status = agent.update_acknowledged().await;
    }
    assert_eq!(status.task_id.value, task);
    status
}

#[tokio::test]
async fn a_simple_job_knows_its_shard_and_writes_its_own_output() {
    let mut agent = word_app().await;
    let payload = TaskPayload { sharding_parameter: "a b  c".into(), ..of(simple("words"), "") };
    let finished = run(&mut agent, "t", &payload).await;
    assert_eq!((finished.state(), finished.message()), (TaskState::TaskFinished, ""));
    assert_eq!(stdout(&agent, "t"), "3 words in shard 0 of job@20261120T020000Z\n");
}

#[tokio::test]
async fn a_dataflow_goes_on_until_nothing_is_left_when_it_streams() {
    let mut agent = word_app().await;
    let once = JobClass { dataflow: true, ..simple("lines") };
    run(&mut agent, "once", &of(once.clone(), "x y z")).await;
    assert_eq!(stdout(&agent, "once"), "x\n");
    let streaming = JobClass { streaming: true, ..once };
    run(&mut agent, "streaming", &of(streaming, "x y z")).await;
    assert_eq!(stdout(&agent, "streaming"), "x\ny\nz\n");
}

#[tokio::test]
async fn errors_and_panics_fail_their_shard_and_touch_no_sibling() {
    let mut agent = word_app().await;
    agent.launch(task_info("sibling", &of(simple("trouble"), "wait"))).await;
    agent.update_acknowledged().await;
    let failed = run(&mut agent, "e", &of(simple("trouble"), "error")).await;
    assert_eq!(failed.message(), "the table is locked");
    let failed = run(&mut agent, "p", &of(simple("trouble"), "panic")).await;
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert!(failed.message().starts_with("panicked: shard 0 fell over"), "{}", failed.message());
    let tail = outcome(&failed).stderr_tail;
    assert_eq!(tail, "panicked: shard 0 fell over\n");
    let unknown = run(&mut agent, "u", &of(simple("nosuch"), "")).await;
    let known = "registered are: lines, trouble, words";
    assert!(unknown.message().contains(known), "{}", unknown.message());
    let other = JobClass { dataflow: true, ..simple("words") };
    let other = run(&mut agent, "o", &of(other, "")).await;
    assert!(other.message().contains("registered as SIMPLE"), "{}", other.message());

    agent.kill("sibling", None).await;
    let killed = agent.update_acknowledged().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    assert_eq!(stdout(&agent, "sibling"), "told to end\n");
}

#[tokio::test]
async fn a_job_that_does_not_heed_its_kill_ends_with_the_executor_and_nobody_else_does() {
    let mut agent = word_app().await;
    agent.launch(task_info("stubborn", &of(simple("trouble"), "deaf"))).await;
    assert_eq!(agent.update_acknowledged().await.state(), TaskState::TaskRunning);
    let now = KillPolicy { grace_period: Some(DurationInfo { nanoseconds: 0 }) };
    agent.kill("stubborn", Some(now)).await;
    // Others are run and end as ever; with the last of them it is alone.
    let sibling = run(&mut agent, "s", &payload("sleep 0.5; exit 4;")).await;
    assert_eq!(outcome(&sibling).exit_code, Some(4));
    assert_eq!(agent.exit_code().await, Some(1));
    assert!(agent.log().contains("does not heed its kill"), "{}", agent.log());
}

#[tokio::test]
async fn a_process_that_a_job_starts_is_the_jobs_to_wait_for() {
    let mut agent = word_app().await;
    let finished = run(&mut agent, "c", &of(simple("trouble"), "command")).await;
    assert_eq!((finished.state(), finished.message()), (TaskState::TaskFinished, ""));
    assert_eq!(stdout(&agent, "c"), "it ended with exit status: 0\n");
}

#[tokio::test]
async fn scripts_and_daemons_run_in_it_as_well() {
    let mut agent = word_app().await;
    let script = run(&mut agent, "s", &payload("exit 3;")).await;
    assert_eq!(outcome(&script).exit_code, Some(3));
    let daemon = of(simple("words"), "");
    let daemon = TaskPayload {
        execution_type: daemon_payload("").execution_type,
        schedule: daemon_payload("").schedule,
        ..daemon
    };
    agent.launch(task_info("d", &daemon)).await;
    agent.update_acknowledged().await;
    for expected in ["BEGIN", "COMPLETE", "BEGIN", "COMPLETE"] {
        assert_eq!(agent.update_acknowledged().await.message(), expected);
    }
    assert_eq!(stdout(&agent, "d").lines().count(), 2);
}
