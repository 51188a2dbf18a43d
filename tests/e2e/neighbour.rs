//! A second framework on the cluster gets what it needs, whatever Shiftwork is up to: nothing, more
//! work than there is room for, or a gang for which it holds offers back.

use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::Process;
use crate::harness::{program, wait_for};
use crate::pymesos::{python, script};
use crate::zookeeper_server::free_port;

/// Agents of the cluster, of four CPUs each.
const AGENTS: u32 = 8;
/// Tasks the other framework runs, of three CPUs each, one after the other.
const TASKS: usize = 3;
/// Longest wait for any of them. A master allocates once a second, and an offer that nobody answers is
/// held for seconds; beyond that somebody starves.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// A master of simulated agents, and a scheduler.
struct Shared {
    master: Process,
    scheduler: Process,
    _directory: tempfile::TempDir,
}

// === impl Shared ===

impl Shared {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program("offer-sim"))
            .args(["--listen", &address, "--agents", &AGENTS.to_string(), "--seed", "1"])
            .args(["--agent-resources", "cpus:4;mem:4096;disk:1024", "--task-duration", "1s"])
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let master = Process { process, address };
        wait_for("the master listens", || std::net::TcpStream::connect(&master.address).is_ok());
        let mut command = Command::new(program("shiftwork"));
        command
            .args(["scheduler", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
            .args(["--mesos", &master.address, "--reserve-after", "1s", "--data-dir"])
            .arg(directory.path());
        let scheduler = Process::start(&mut command);
        wait_for("the scheduler leads", || scheduler.leads());
        let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
        let shared = Self { master, scheduler, _directory: directory };
        shared.post("/api/v1/apps", &app);
        shared
    }

    fn post(&self, path: &str, body: &Value) {
        let (status, answer) = self.scheduler.call(Method::POST, path, Some(body.clone()));
        assert_eq!(status, 201, "{answer}");
    }

    /// A job that fires every second.
    fn register(&self, job: &str, shards: u32, cpus: f64) {
        self.post(
            "/api/v1/jobs",
            &json!({
                "jobName": job, "appName": "app", "jobExecutionType": "TRANSIENT",
                "scriptCommandLine": "true;", "every": "1s", "misfire": true,
                "shardingTotalCount": shards, "cpuCount": cpus, "memoryMB": 32,
            }),
        );
    }

    /// How many runs have ended well.
    fn succeeded(&self, job: &str) -> usize {
        let (_, answer) = self.scheduler.get(&format!("/api/v1/runs?job={job}&state=SUCCEEDED"));
        answer["items"].as_array().map_or(0, Vec::len)
    }

    /// The longest that the other framework waited for an offer, while it ran its tasks.
    fn neighbours_longest_wait(&self) -> Duration {
        let mut command = Command::new(python());
        command.arg(script("neighbour.py")).args([&self.master.address, &TASKS.to_string(), "3"]);
        let output = command.stdin(Stdio::null()).output().expect("Python starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let waits: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
            .map(|line| line["waited_ms"].as_u64().unwrap_or_else(|| panic!("{line}")))
            .collect();
        assert_eq!(waits.len(), TASKS, "{text}");
        println!("the other framework waited {waits:?} ms");
        Duration::from_millis(waits.into_iter().max().unwrap_or_default())
    }
}

#[test]
fn another_framework_gets_offers_while_nothing_and_too_much_is_to_be_done() {
    let shared = Shared::start();
    let idle = shared.neighbours_longest_wait();
    assert!(idle < WAIT_MAX, "with nothing to do: {idle:?}");

    // Each second as much as the whole cluster can do in two.
    for number in 0..4 {
        shared.register(&format!("busy-{number}"), 16, 1.0);
    }
    wait_for("work piles up", || shared.succeeded("busy-0") > 1);
    let before = shared.succeeded("busy-0");
    let busy = shared.neighbours_longest_wait();
    assert!(busy < WAIT_MAX, "with too much to do: {busy:?}");
    assert!(shared.succeeded("busy-0") > before, "and work goes on beside it");
}

#[test]
fn another_framework_gets_offers_while_a_gang_waits_for_the_whole_cluster() {
    let shared = Shared::start();
    // Fits only while nobody else runs anything.
    shared.register("gang", AGENTS, 3.5);
    wait_for("it runs", || shared.succeeded("gang") > 0);
    let before = shared.succeeded("gang");
    let wait = shared.neighbours_longest_wait();
    assert!(wait < WAIT_MAX, "{wait:?}");
    wait_for("the gang runs again", || shared.succeeded("gang") > before);
}
