//! A Mesos client that nobody here wrote: pymesos registers with offer-sim and runs tasks, with its
//! own executor and with ours. Absent: Shiftwork's scheduler.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use prost::Message as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use shiftwork_proto::json::to_json;
use shiftwork_proto::mesos::v1::TaskStatus;
use shiftwork_proto::shiftwork::v1::{
    ExecutionType, ExecutorPayload, Script, TaskPayload, task_payload,
};

use crate::harness::{PATIENCE, program, signal, wait_for};
use crate::zookeeper_server::free_port;

/// Names a Python that has pymesos; `tests/run` sets it.
const PYTHON: &str = "SHIFTWORK_TEST_PYMESOS";

/// A master with a local agent.
struct Master {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

// === impl Master ===

impl Master {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = format!("127.0.0.1:{}", free_port());
        let programs = program("shiftwork-executor");
        let process = Command::new(program("offer-sim"))
            .args(["--local", "--listen", &address])
            .args(["--resources", "cpus:4;mem:1024;disk:1024;ports:[31000-31100]"])
            .arg("--extra-path")
            .arg(programs.parent().expect("a directory"))
            .arg("--work-dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let master = Self { process, address, _directory: directory };
        wait_for("the master listens", || std::net::TcpStream::connect(&master.address).is_ok());
        master
    }

    /// What a pymesos scheduler was told while it carried out a plan.
    fn run(&self, plan: &Value) -> Vec<Value> {
        let mut scheduler = Command::new(python())
            .arg(script("scheduler.py"))
            .arg(&self.address)
            .arg(plan.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(scheduler.try_wait(), Ok(None)) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = scheduler.kill();
        let output = scheduler.wait_with_output().expect("it can be waited for");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {text}", output.status);
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            signal(&self.process, Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os(PYTHON).map(PathBuf::from);
    python.unwrap_or_else(|| panic!("{PYTHON} is not set: run tests/run, which installs pymesos"))
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/pymesos").join(name)
}

fn resources(cpus: f64, mem: f64) -> Value {
    json!([
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}},
    ])
}

/// Bytes as the JSON flavour writes them.
fn base64(bytes: &[u8]) -> Value {
    let status = TaskStatus { data: Some(bytes.to_vec().into()), ..TaskStatus::default() };
    let text = to_json("mesos.v1.TaskStatus", &status).expect("it can be written");
    let status: Value = serde_json::from_str(&text).expect("it is JSON");
    status["data"].clone()
}

fn task(id: &str, data: &[u8]) -> Value {
    json!({"name": id, "task_id": {"value": id}, "data": base64(data),
           "resources": resources(0.5, 32.0)})
}

/// The states of one task, in the order in which they were told.
fn states(told: &[Value], task: &str) -> Vec<String> {
    let of_task = told.iter().filter(|line| line["event"] == "update" && line["task"] == task);
    of_task.map(|line| line["state"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_stranger_runs_tasks_with_an_executor_of_its_own() {
    let master = Master::start();
    let command = format!("{} {}", python().display(), script("executor.py").display());
    let told = master.run(&json!({
        "executor": {
            "executor_id": {"value": "sleeper"},
            "command": {"value": command, "shell": true},
            "resources": resources(0.1, 32.0),
        },
        "tasks": [task("short", b"0.1"), task("other", b"0.3"), task("long", b"600")],
        "messages": ["hello"],
        "kill": ["long"],
    }));
    assert_eq!(told[0]["event"], "registered", "{told:?}");
    assert_eq!(told[0]["version"], "1.12.0");
    assert_eq!(states(&told, "short"), ["TASK_RUNNING", "TASK_FINISHED"], "{told:?}");
    assert_eq!(states(&told, "other"), ["TASK_RUNNING", "TASK_FINISHED"], "{told:?}");
    assert_eq!(states(&told, "long"), ["TASK_RUNNING", "TASK_KILLED"], "{told:?}");
    let answered = |line: &&Value| line["event"] == "message" && line["text"] == "HELLO";
    assert_eq!(told.iter().filter(answered).count(), 1, "{told:?}");
}

#[test]
fn a_stranger_runs_tasks_with_our_executor() {
    let master = Master::start();
    let payload = |item: u32, command_line: &str| TaskPayload {
        version: 1,
        app: "app".to_owned(),
        job: "job".to_owned(),
        run_id: "job@20261120T000000Z".to_owned(),
        attempt: 1,
        item,
        sharding_total_count: 2,
        execution_type: ExecutionType::Transient.into(),
        work: Some(task_payload::Work::Script(Script {
            command_line: command_line.to_owned(),
            ..Script::default()
        })),
        ..TaskPayload::default()
    };
    let executor = ExecutorPayload { version: 1, app: "app".to_owned(), idle_timeout_ms: 0 };
    let told = master.run(&json!({
        "executor": {
            "executor_id": {"value": "app"},
            "command": {"value": "shiftwork-executor", "shell": true},
            "data": base64(&executor.encode_to_vec()),
            "resources": resources(0.1, 32.0),
        },
        "tasks": [
            task("good", &payload(0, "test \"$SHIFTWORK_ITEM\" = 0;").encode_to_vec()),
            task("bad", &payload(1, "exit 3;").encode_to_vec()),
        ],
    }));
    let last = |task: &str| states(&told, task).last().cloned().unwrap_or_default();
    assert_eq!(last("good"), "TASK_FINISHED", "{told:?}");
    assert_eq!(last("bad"), "TASK_FAILED", "{told:?}");
}
