//! A scheduler, its registry and a master with simulated agents as real processes, for benchmarks of
//! the whole. Absent: what is measured.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::processes::{Client, Process, ZooKeeper, beside, free_port};

/// What ZooKeeper may use; a million nodes fit.
const ZOOKEEPER_MEMORY_MB: u32 = 3_000;
/// Where all schedulers of one benchmark meet.
const NAMESPACE: &str = "bench";
/// A scheduler that loads a large registry on a busy machine leads by then.
const LEADER_PATIENCE: Duration = Duration::from_mins(5);
/// A request that takes longer has failed.
const ANSWER_PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a scheduler that starts.
const POLL: Duration = Duration::from_millis(5);
/// Registrations on their way at once.
const REGISTRATIONS_MAX: usize = 64;

/// The processes. They end in the order of their fields, schedulers first.
pub(super) struct Service {
    pub(super) schedulers: Vec<Scheduler>,
    _master: Process,
    zookeeper: Option<ZooKeeper>,
    directory: tempfile::TempDir,
    master_port: u16,
}

/// One scheduler.
pub(super) struct Scheduler {
    pub(super) process: Process,
    pub(super) client: Client,
}

// === impl Service ===

impl Service {
    /// A master with what `master` says, and no scheduler yet; with ZooKeeper, or for one scheduler
    /// with its own store.
    pub(super) fn start(with_zookeeper: bool, master: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let zookeeper = with_zookeeper
            .then(|| ZooKeeper::start(directory.path().join("zookeeper"), ZOOKEEPER_MEMORY_MB))
            .transpose()?;
        let master_port = free_port()?;
        let mut command = Command::new(beside("offer-sim")?);
        command
            .args(["--listen", &format!("127.0.0.1:{master_port}"), "--work-dir"])
            .arg(directory.path().join("master"))
            .args(master)
            .env("RUST_LOG", "warn");
        let master = Process::start(&mut command, &directory.path().join("master.log"))?;
        Ok(Self { schedulers: Vec::new(), _master: master, zookeeper, directory, master_port })
    }

    /// One more scheduler, ready to lead or to stand by.
    pub(super) async fn add_scheduler(&mut self, session_timeout_s: u32) -> Result<()> {
        let (number, port) = (self.schedulers.len(), free_port()?);
        let mut command = Command::new(beside("shiftwork")?);
        command
            .args(["scheduler", "--http", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(self.directory.path().join(format!("scheduler-{number}")))
            .args(["--mesos", &format!("127.0.0.1:{}", self.master_port)])
            .env("RUST_LOG", "warn");
        if let Some(zookeeper) = &self.zookeeper {
            command
                .args(["--registry", &format!("zk://{}/{NAMESPACE}", zookeeper.address())])
                .args(["--zk-session-timeout", &session_timeout_s.to_string()]);
        }
        let log = self.path().join(format!("scheduler-{number}.log"));
        let process = Process::start(&mut command, &log)?;
        let client = Client::new(format!("http://127.0.0.1:{port}"), ANSWER_PATIENCE)?;
        self.schedulers.push(Scheduler { process, client });
        self.wait_until_ready(number).await
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The first leads when it is ready; the others say so by standing by.
    async fn wait_until_ready(&mut self, number: usize) -> Result<()> {
        let begun = Instant::now();
        let scheduler = self.schedulers.get_mut(number).context("no such scheduler")?;
        loop {
            let answer = scheduler.client.call(reqwest::Method::GET, "/readyz", None).await;
            match answer {
                Ok((200, _)) => return Ok(()),
                Ok((503, _)) if number > 0 => return Ok(()),
                _ => {}
            }
            ensure!(scheduler.process.is_alive(), "scheduler {number} ended: see its log");
            ensure!(begun.elapsed() < LEADER_PATIENCE, "scheduler {number} is not ready");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Of the first scheduler.
    pub(super) fn client(&self) -> Result<&Client> {
        Ok(&self.schedulers.first().context("no scheduler was started")?.client)
    }

    /// Registers an app and jobs, many at once.
    pub(super) async fn register(&self, jobs: impl Iterator<Item = Value>) -> Result<()> {
        let client = self.client()?;
        let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
        let (status, answer) =
            client.call(reqwest::Method::POST, "/api/v1/apps", Some(&app)).await?;
        ensure!(matches!(status, 201 | 409), "the app is refused: {answer}");
        let mut on_their_way = JoinSet::new();
        for job in jobs {
            if on_their_way.len() >= REGISTRATIONS_MAX
                && let Some(done) = on_their_way.join_next().await
            {
                done??;
            }
            let client = client.clone();
            on_their_way.spawn(async move { client.post("/api/v1/jobs", &job).await });
        }
        while let Some(done) = on_their_way.join_next().await {
            done??;
        }
        Ok(())
    }
}

/// A job of a script that never runs really: executors are simulated.
pub(super) fn job(name: &str, shards: u32, extra: &Value) -> Value {
    let mut job = json!({
        "jobName": name, "appName": "app", "jobExecutionType": "TRANSIENT",
        "shardingTotalCount": shards, "cpuCount": 0.01, "memoryMB": 8, "scriptCommandLine": "true",
    });
    if let (Some(fields), Some(extra)) = (job.as_object_mut(), extra.as_object()) {
        fields.extend(extra.clone());
    }
    job
}

/// The sum of a metric over its labels that contain `label`.
pub(super) async fn metric(client: &Client, name: &str, label: &str) -> Result<f64> {
    let text = client.text("/metrics").await?;
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}
