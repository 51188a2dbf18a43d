//! A scheduler, its registry and a master with simulated agents as real processes, for benchmarks of
//! the whole. Absent: what is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use shiftwork_scheduler::registry::{
    EmbeddedRegistry, NAMESPACE_DEFAULT, Registry, Standing, ZooKeeperConfig, ZooKeeperRegistry,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::histogram::Histogram;
use super::preload::preload;
use crate::processes::{Client, Process, Usage, ZooKeeper, beside, free_port};

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

/// Where a scheduler records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Store {
    /// A ZooKeeper server of its own.
    Zookeeper,
    /// The scheduler's own file.
    Embedded,
}

/// The processes. They end in the order of their fields, schedulers first.
pub(super) struct Service {
    pub(super) schedulers: Vec<Scheduler>,
    master: Process,
    zookeeper: Option<ZooKeeper>,
    directory: tempfile::TempDir,
    /// Where schedulers find their master.
    mesos: String,
}

/// One scheduler.
pub(super) struct Scheduler {
    pub(super) process: Process,
    pub(super) client: Client,
}

// === impl Store ===

impl Store {
    /// As people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zookeeper => "ZooKeeper",
            Self::Embedded => "the embedded store",
        }
    }
}

// === impl Service ===

impl Service {
    /// A master with what `master` says, and no scheduler yet; with ZooKeeper, or for one scheduler
    /// with its own store.
    pub(super) fn start(store: Store, master: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let zookeeper = (store == Store::Zookeeper)
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
        let mesos = format!("127.0.0.1:{master_port}");
        Ok(Self { schedulers: Vec::new(), master, zookeeper, directory, mesos })
    }

    /// Where the master is, for schedulers that are still to be added.
    pub(super) fn mesos(&self) -> &str {
        &self.mesos
    }

    /// Has schedulers that are still to be added take another address for their master.
    pub(super) fn redirect(&mut self, mesos: &str) {
        mesos.clone_into(&mut self.mesos);
    }

    /// Stores the app and jobs before the first scheduler starts.
    pub(super) async fn preload(&self, jobs: impl Iterator<Item = Value>) -> Result<()> {
        let registry: Box<dyn Registry> = match self.registry() {
            Some(address) => {
                let config = ZooKeeperConfig::new(&address, NAMESPACE_DEFAULT, None)?;
                Box::new(ZooKeeperRegistry::new(config, watch::channel(Standing::Starting).0))
            }
            None => Box::new(EmbeddedRegistry::open(&self.data_dir(0)).await?),
        };
        preload(registry, &app(), jobs).await
    }

    /// The address of the registry that schedulers share, if they do.
    fn registry(&self) -> Option<String> {
        let zookeeper = self.zookeeper.as_ref()?;
        Some(format!("zk://{}/{NAMESPACE}", zookeeper.address()))
    }

    fn data_dir(&self, scheduler: usize) -> PathBuf {
        self.path().join(format!("scheduler-{scheduler}"))
    }

    /// CPU time so far of the first scheduler, the master and ZooKeeper, seconds.
    pub(super) fn cpu(&self) -> Result<[f64; 3]> {
        let scheduler = self.schedulers.first().map(|scheduler| scheduler.process.id());
        let zookeeper = self.zookeeper.as_ref().map(|zookeeper| zookeeper.process().id());
        let mut cpu = [0.0; 3];
        for (cpu, pid) in cpu.iter_mut().zip([scheduler, Some(self.master.id()), zookeeper]) {
            *cpu = pid.map(Usage::of).transpose()?.map_or(0.0, |usage| usage.cpu.as_secs_f64());
        }
        Ok(cpu)
    }

    /// One more scheduler, ready to lead or to stand by.
    pub(super) async fn add_scheduler(&mut self, session_timeout_s: u32) -> Result<()> {
        let (number, port) = (self.schedulers.len(), free_port()?);
        let mut command = Command::new(beside("shiftwork")?);
        command
            .args(["scheduler", "--http", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(self.data_dir(number))
            .args(["--mesos", &self.mesos])
            .env("RUST_LOG", "warn");
        if let Some(registry) = self.registry() {
            command
                .args(["--registry", &registry])
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
        let (status, answer) =
            client.call(reqwest::Method::POST, "/api/v1/apps", Some(&app())).await?;
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

/// The app of all jobs.
pub(super) fn app() -> Value {
    json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32})
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

/// A histogram without labels.
pub(super) async fn histogram(client: &Client, name: &str) -> Result<Histogram> {
    Ok(Histogram::parse(&client.text("/metrics").await?, name))
}
