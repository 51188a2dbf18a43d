//! Two schedulers, one ZooKeeper, one Mesos master: whoever leads, and however the lead changes,
//! each firing happens once. Absent: what one scheduler does; the other tests show that.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{block_on, program, signal, wait_for};
use crate::zookeeper_server::{Server, free_port};

/// Seconds: short, so that the test is.
const SESSION_TIMEOUT: &str = "2";

/// Leaders that are killed.
const KILLS: u64 = 3;

/// The last thing a shard does is one appended line: a line more than once is a finished shard
/// that ran again.
const SCRIPT: &str = r#"sleep 0.3; echo "$SHIFTWORK_RUN_ID" >> "$DONE";"#;

/// A process that says where it serves, and is ended with the test.
struct Process {
    process: Child,
    address: String,
}

/// The schedulers and what they share.
struct Cluster {
    directory: tempfile::TempDir,
    zookeeper: Server,
    master: Process,
}

// === impl Process ===

impl Process {
    /// Starts a scheduler and waits until it has said where its API is.
    fn start(command: &mut Command) -> Self {
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(process.stdout.take().expect("its stdout is piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            Some(line.strip_prefix("API")?.trim().trim_end_matches("/api/v1").to_owned())
        });
        // What it prints later must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: address.expect("it says where it serves") }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// A request; redirects are followed.
    fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.address);
        block_on(async move {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let mut request = client.request(method, url).timeout(Duration::from_secs(10));
            if let Some(body) = body {
                request = request.json(&body);
            }
            let Ok(answer) = request.send().await else { return (0, Value::Null) };
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, None)
    }

    fn leads(&self) -> bool {
        self.get("/readyz").0 == 200
    }

    /// Whether it stands by and names `leader`.
    fn follows(&self, leader: &Self) -> bool {
        let (status, answer) = self.get("/readyz");
        status == 503 && answer["detail"].as_str().is_some_and(|it| it.contains(&leader.address))
    }
}

/// The polite way first: a master that is told to stop clears its executors away.
impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        signal(&self.process, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill();
    }
}

// === impl Cluster ===

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let zookeeper = Server::start();
        let programs = program("shiftwork-executor");
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program("offer-sim"))
            .args(["--local", "--listen", &address])
            .args(["--resources", "cpus:8;mem:4096;disk:1024;ports:[31000-31100]"])
            .arg("--extra-path")
            .arg(programs.parent().expect("a directory"))
            .arg("--work-dir")
            .arg(directory.path().join("agent"))
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { directory, zookeeper, master: Process { process, address } }
    }

    fn registry(&self) -> String {
        format!("zk://{}/e2e", self.zookeeper.address())
    }

    fn scheduler(&self, name: &str) -> Process {
        let mut command = Command::new(program("shiftwork"));
        command
            .args(["scheduler", "--http", "127.0.0.1:0", "--mesos", &self.master.address])
            .args(["--zk-session-timeout", SESSION_TIMEOUT, "--registry", &self.registry()])
            .arg("--data-dir")
            .arg(self.directory.path().join(name));
        Process::start(&mut command)
    }
}

/// The runs that were done, each with how often.
fn runs_done(file: &Path) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for line in std::fs::read_to_string(file).expect("something was done").lines() {
        *times.entry(line.to_owned()).or_default() += 1;
    }
    times
}

/// Registers an app and a job that fires every second.
fn register(scheduler: &Process, done: &Path) -> Value {
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/apps", Some(app));
    assert_eq!(status, 201, "{answer}");
    let job = json!({
        "jobName": "tick", "appName": "app", "jobType": "SCRIPT", "cron": "* * * * * ?",
        "jobExecutionType": "TRANSIENT", "scriptCommandLine": SCRIPT, "misfire": true,
        "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16, "failover": true,
        "env": {"DONE": done},
    });
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/jobs", Some(job.clone()));
    assert_eq!(status, 201, "{answer}");
    job
}

fn second_of(run: &str) -> i64 {
    let (_, time) = run.split_once('@').expect("a run id");
    let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default().to_owned();
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    let time: shiftwork_schedule::Timestamp = text.parse().expect("a logical time");
    time.as_millis() / 1000
}

#[test]
fn each_firing_happens_once_however_the_lead_changes() {
    let mut cluster = Cluster::start();
    let done = cluster.directory.path().join("done");
    let mut first = cluster.scheduler("first");
    wait_for("the first leads", || first.leads());
    let mut second = cluster.scheduler("second");
    wait_for("the second stands by", || second.follows(&first));
    // Through the one that stands by: its answer leads to the leader.
    let mut job = register(&second, &done);
    wait_for("it fires", || done.exists());

    for life in 0..KILLS {
        // At another phase of a run in each life.
        std::thread::sleep(Duration::from_millis(1_100 + 270 * life));
        first.kill();
        wait_for("the second leads after a kill", || second.leads());
        first = cluster.scheduler("first");
        wait_for("the first stands by", || first.follows(&second));
        std::mem::swap(&mut first, &mut second);
    }
    std::mem::swap(&mut first, &mut second);

    signal(&second.process, Signal::STOP);
    wait_for("the first leads while the second is frozen", || first.leads());
    std::thread::sleep(Duration::from_secs(2));
    signal(&second.process, Signal::CONT);
    wait_for("the second finds that it does not lead", || second.follows(&first));
    assert!(first.leads(), "the one that woke up took nothing away");
    std::thread::sleep(Duration::from_secs(2));

    cluster.zookeeper = cluster.zookeeper.restart();
    wait_for("one leads after ZooKeeper was away", || first.leads() || second.leads());

    // Slowed down first: what has been due meanwhile is worked off.
    job["cron"] = json!("0 0 0 1 1 ?");
    wait_for("the job is slowed down", || {
        first.call(reqwest::Method::PUT, "/api/v1/jobs/tick", Some(job.clone())).0 == 200
    });
    let is_empty = |queue: &str| {
        let (status, answer) = first.get(&format!("/api/v1/queues/{queue}"));
        status == 200 && answer["items"].as_array().is_some_and(Vec::is_empty)
    };
    wait_for("nothing waits or runs", || {
        ["ready", "failover", "running"].into_iter().all(is_empty)
    });

    let times = runs_done(&done);
    let repeated: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "finished runs that ran again: {repeated:?}");
    let seconds: Vec<i64> = times.keys().map(|run| second_of(run)).collect();
    for pair in seconds.windows(2) {
        assert_eq!(pair[1] - pair[0], 1, "a firing is missing: {times:?}");
    }
    println!("{} firings under a handful of leaders, each once", seconds.len());

    let output = Command::new(program("shiftwork"))
        .args(["registry", "get", "config/job/tick", "--registry", &cluster.registry()])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 0 0 1 1 ?"), "{output:?}");
}
