//! The local agent with real processes, in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use offer_sim::{Config, LocalAgentConfig, Running};
use shiftwork_proto::mesos::v1::executor::event as executor_event;
use shiftwork_proto::mesos::v1::scheduler::event;
use shiftwork_proto::mesos::v1::{
    CommandInfo, TaskState, TaskStatus, command_info::Uri, task_status,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::client::{Framework, PROTOBUF, task};
use super::executor::{self, Executor, status};

/// Says who it is, leaves a process of another group behind, and waits for a file named `stop`.
const SCRIPT: &str = "echo $$ > pid; env > environment; echo hello; setsid sleep 1000 & echo $! > left; \
     while [ ! -e stop ]; do sleep 0.02; done; exit 7";

pub(crate) struct Agent {
    pub(crate) running: Running,
    pub(crate) shutdown: CancellationToken,
    work_dir: TempDir,
}

pub(crate) async fn agent() -> Agent {
    let work_dir = tempfile::tempdir().unwrap();
    let local = LocalAgentConfig {
        resources: Some("cpus:4;mem:1024;disk:1024".to_owned()),
        extra_path: vec![PathBuf::from("/extra")],
        ..LocalAgentConfig::default()
    };
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        work_dir: work_dir.path().to_owned(),
        agent: Some(local),
        executor_shutdown_grace: Duration::from_millis(300),
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    let running = offer_sim::start(config, shutdown.clone()).await.unwrap();
    Agent { running, shutdown, work_dir }
}

/// The sandbox of a run, once it is known which.
fn sandbox(work_dir: &Path, framework: &Framework, executor: &str, status: &TaskStatus) -> PathBuf {
    let container = status.container_status.as_ref().unwrap().container_id.as_ref().unwrap();
    work_dir
        .canonicalize()
        .unwrap()
        .join("slaves")
        .join(&status.agent_id.as_ref().unwrap().value)
        .join("frameworks")
        .join(&framework.id.value)
        .join("executors")
        .join(executor)
        .join("runs")
        .join(&container.value)
}

/// Waits until a file has something in it.
pub(crate) async fn content(path: &Path) -> String {
    let filled = async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), filled).await.expect("the file is written")
}

pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn an_executor_lives_and_leaves_nothing_behind() {
    let agent = agent().await;
    let addr = agent.running.addr;
    let mut framework = Framework::subscribe(addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let info = executor::info("e", SCRIPT);
    framework.launch(&offer, vec![task(&offer, "t", Some(info))]).await;
    let mut executor = Executor::subscribe(addr, &framework.id, "e").await;
    executor.expect_launch("t").await;
    executor.report(status("t", TaskState::TaskRunning, 1)).await;
    let running = framework.expect("t", TaskState::TaskRunning).await;

    let sandbox = sandbox(agent.work_dir.path(), &framework, "e", &running);
    let left = content(&sandbox.join("left")).await;
    assert!(is_alive(&left));
    let environment = std::fs::read_to_string(sandbox.join("environment")).unwrap();
    for line in [
        format!("MESOS_SANDBOX={}", sandbox.display()),
        format!("MESOS_AGENT_ENDPOINT={addr}"),
        format!("MESOS_FRAMEWORK_ID={}", framework.id.value),
        "MESOS_CHECKPOINT=0".to_owned(),
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=300ms".to_owned(),
    ] {
        assert!(environment.lines().any(|had| had == line), "{line} in {environment}");
    }
    assert!(environment.lines().any(|line| line.starts_with("PATH=/extra:")), "{environment}");

    let url = format!("http://{addr}/files/read?path={}/stdout&offset=0", sandbox.display());
    let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"data":"hello\n","offset":0}"#);
    let url = format!("http://{addr}/files/read?path={}/../../../../x&offset=0", sandbox.display());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);

    std::fs::write(sandbox.join("stop"), "").unwrap();
    let failure = framework.next_of(event::Type::Failure).await.failure.unwrap();
    assert_eq!(failure.status, Some(7 << 8), "a wait status");
    let failed = framework.expect("t", TaskState::TaskFailed).await;
    assert_eq!(failed.reason(), task_status::Reason::ExecutorTerminated);
    assert!(executor.next().await.is_none(), "its stream is closed");
    assert!(!is_alive(&left), "what it left behind is gone");
    agent.shutdown.cancel();
    agent.running.wait().await;
}

#[tokio::test]
async fn shutting_down_asks_then_kills_and_leaves_no_process() {
    let agent = agent().await;
    let addr = agent.running.addr;
    let mut framework = Framework::subscribe(addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let info = executor::info("e", SCRIPT);
    framework.launch(&offer, vec![task(&offer, "t", Some(info))]).await;
    let mut executor = Executor::subscribe(addr, &framework.id, "e").await;
    executor.expect_launch("t").await;
    executor.report(status("t", TaskState::TaskRunning, 1)).await;
    let running = framework.expect("t", TaskState::TaskRunning).await;
    let sandbox = sandbox(agent.work_dir.path(), &framework, "e", &running);
    let left = content(&sandbox.join("left")).await;
    let pid = content(&sandbox.join("pid")).await;

    agent.shutdown.cancel();
    let asked = executor.next().await.unwrap();
    assert_eq!(asked.r#type(), executor_event::Type::Shutdown);
    assert!(is_alive(&pid), "it has its grace");
    agent.running.wait().await;
    assert!(!is_alive(&pid) && !is_alive(&left), "nothing is left");
}

#[tokio::test]
async fn a_task_with_a_command_of_its_own_runs_and_is_killed() {
    let agent = agent().await;
    let mut framework = Framework::subscribe(agent.running.addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let command =
        |value: &str| CommandInfo { value: Some(value.to_owned()), ..CommandInfo::default() };
    let mut fails = task(&offer, "fails", None);
    fails.command = Some(command("exit 3"));
    framework.launch(&offer, vec![fails]).await;
    framework.expect("fails", TaskState::TaskStarting).await;
    framework.expect("fails", TaskState::TaskRunning).await;
    let failed = framework.expect("fails", TaskState::TaskFailed).await;
    assert_eq!(failed.message(), "Command exited with status 3");

    let offer = framework.offer().await;
    let mut stays = task(&offer, "stays", None);
    stays.command = Some(command("sleep 1000"));
    framework.launch(&offer, vec![stays]).await;
    framework.expect("stays", TaskState::TaskStarting).await;
    framework.expect("stays", TaskState::TaskRunning).await;
    framework.kill("stays").await;
    framework.expect("stays", TaskState::TaskKilling).await;
    let killed = framework.expect("stays", TaskState::TaskKilled).await;
    assert_eq!(killed.message(), "Command terminated with signal Terminated");
    agent.shutdown.cancel();
    agent.running.wait().await;
}

#[tokio::test]
async fn an_executor_that_cannot_be_started_fails_its_tasks() {
    let agent = agent().await;
    let mut framework = Framework::subscribe(agent.running.addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let mut info = executor::info("e", "true");
    let value = "https://example.org/executor.tar.gz".to_owned();
    info.command.as_mut().unwrap().uris = vec![Uri { value, ..Uri::default() }];
    framework.launch(&offer, vec![task(&offer, "t", Some(info))]).await;
    let failed = framework.expect("t", TaskState::TaskFailed).await;
    assert_eq!(failed.reason(), task_status::Reason::ContainerLaunchFailed);
    assert!(failed.message().contains("only local paths and file://"), "{}", failed.message());
    agent.shutdown.cancel();
    agent.running.wait().await;
}
