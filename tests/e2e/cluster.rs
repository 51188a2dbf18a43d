//! Schedulers as processes, and what they share: one ZooKeeper, one Mesos master with a local agent.
//! Absent: what is done to them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{block_on, program, signal};
use crate::zookeeper_server::{Server, free_port};

/// Seconds: short, so that the test is.
pub(crate) const SESSION_TIMEOUT: &str = "2";

/// A process that says where it serves, and is ended with the test.
pub(crate) struct Process {
    pub(crate) process: Child,
    pub(crate) address: String,
}

/// The schedulers and what they share.
pub(crate) struct Cluster {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) zookeeper: Server,
    pub(crate) master: Process,
}

// === impl Process ===

impl Process {
    /// Starts a scheduler and waits until it has said where its API is.
    pub(crate) fn start(command: &mut Command) -> Self {
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

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// A request; redirects are followed.
    pub(crate) fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
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

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, None)
    }

    pub(crate) fn leads(&self) -> bool {
        self.get("/readyz").0 == 200
    }

    /// Whether it stands by and names `leader`.
    pub(crate) fn follows(&self, leader: &Self) -> bool {
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
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let zookeeper = Server::start();
        let programs = program("shiftwork-executor");
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program("offer-sim"))
            .args(["--local", "--listen", &address])
            .args(["--resources", "cpus:64;mem:65536;disk:1024;ports:[31000-31100]"])
            .arg("--extra-path")
            .arg(programs.parent().expect("a directory"))
            .arg("--work-dir")
            .arg(directory.path().join("agent"))
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { directory, zookeeper, master: Process { process, address } }
    }

    pub(crate) fn registry(&self) -> String {
        format!("zk://{}/e2e", self.zookeeper.address())
    }

    pub(crate) fn scheduler(&self, name: &str) -> Process {
        self.scheduler_by(name, &self.registry(), &self.master.address, &[])
    }

    /// A scheduler that reaches the registry and the master as it is told.
    pub(crate) fn scheduler_by(
        &self,
        name: &str,
        registry: &str,
        master: &str,
        extra: &[&str],
    ) -> Process {
        let mut command = Command::new(program("shiftwork"));
        command
            .args(["scheduler", "--http", "127.0.0.1:0", "--mesos", master])
            .args(["--zk-session-timeout", SESSION_TIMEOUT, "--registry", registry])
            .args(extra)
            .arg("--data-dir")
            .arg(self.directory.path().join(name));
        Process::start(&mut command)
    }
}
