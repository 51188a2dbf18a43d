//! The command itself, killed and started again over the same work directory.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use prost::Message;
use shiftwork_proto::mesos::v1::TaskState;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_proto::recordio::encode;

use super::client::{Framework, PROTOBUF, task};
use super::executor::{self, Executor, status};
use super::local::{content, is_alive};

/// Leaves a process of another group behind, and goes when its agent is gone.
const SCRIPT: &str = "setsid sleep 1000 & echo $! > left; \
     while [ -d /proc/$PPID ]; do sleep 0.02; done";

/// A running command; killed when dropped.
struct Process {
    child: Child,
    addr: SocketAddr,
}

// === impl Process ===

impl Process {
    fn start(work_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_offer-sim"))
            .args(["--listen", "127.0.0.1:0", "--local", "--resources", "cpus:2;mem:512"])
            .arg("--work-dir")
            .arg(work_dir)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("address=") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it says where it listens");
        }
        let (_, addr) = line.trim().split_once("address=").unwrap();
        Self { child, addr: addr.parse().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Finds the only file of this name below a directory.
fn find(dir: &Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with(name) {
                return path;
            }
        }
    }
    panic!("no {name}");
}

#[tokio::test]
async fn updates_nobody_acknowledged_outlive_the_agent() {
    let work_dir = tempfile::tempdir().unwrap();
    let first = Process::start(work_dir.path());
    let mut framework = Framework::subscribe(first.addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let info = executor::info("e", SCRIPT);
    let tasks = ["taken", "own", "lost"].map(|id| task(&offer, id, Some(info.clone())));
    framework.launch(&offer, tasks.to_vec()).await;
    let mut executor = Executor::subscribe(first.addr, &framework.id, "e").await;
    // Launched in the order of their names.
    for id in ["lost", "own", "taken"] {
        executor.expect_launch(id).await;
    }
    for (id, uuid) in [("taken", 1), ("own", 2), ("lost", 3)] {
        executor.report(status(id, TaskState::TaskRunning, uuid)).await;
        framework.expect(id, TaskState::TaskRunning).await;
    }
    // One end was taken by the agent, but not acknowledged by the scheduler ...
    executor.report(status("taken", TaskState::TaskFinished, 4)).await;
    framework.update().await;
    // ... one was only written down by the executor, and a third while it was killed.
    let sandbox = find(work_dir.path(), "stdout").parent().unwrap().to_owned();
    let own = Update { status: status("own", TaskState::TaskFinished, 5) };
    let mut file = std::fs::File::create(sandbox.join("unacknowledged-updates")).unwrap();
    file.write_all(&encode(&own.encode_to_vec())).unwrap();
    file.write_all(b"400\ntorn").unwrap();
    let left = content(&sandbox.join("left")).await;
    drop(first);

    let second = Process::start(work_dir.path());
    let id = framework.id.clone();
    let mut framework = Framework::subscribe(second.addr, PROTOBUF, Some(id.clone())).await;
    assert_eq!(framework.id, id, "an id the new master has never seen is taken");
    let mut seen = Vec::new();
    let updates = [framework.update().await, framework.update().await];
    for update in updates {
        assert_eq!(update.state(), TaskState::TaskFinished);
        seen.push((update.task_id.value.clone(), update.uuid.clone().unwrap()[0]));
        let agent = update.agent_id.clone().unwrap();
        assert_eq!(agent, offer.agent_id, "the agent kept its id");
        let told = framework.reconcile(&update.task_id.value, &agent).await;
        assert_eq!(told.state(), TaskState::TaskFinished);
        framework.acknowledge(&update).await;
        let told = framework.reconcile(&update.task_id.value, &agent).await;
        assert_eq!(told.state(), TaskState::TaskGone);
    }
    seen.sort();
    assert_eq!(seen, [("own".to_owned(), 5), ("taken".to_owned(), 4)]);
    let told = framework.reconcile("lost", &offer.agent_id).await;
    assert_eq!(told.state(), TaskState::TaskGone);
    assert!(!is_alive(&left), "what the executor left behind is gone");
    let records = work_dir.path().join("meta/executors");
    assert_eq!(std::fs::read_dir(records).unwrap().count(), 0, "nothing is left to remember");
    assert!(!sandbox.join("unacknowledged-updates").exists());
}
