//! The processes of a small cluster: ZooKeeper, one master with a local agent, some schedulers. Each
//! can be killed and started again on what it had written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::processes::{Client, Process, ZooKeeper, beside, free_port};

/// Schedulers: one leads, and there is one more than needed while another is dead.
pub(super) const SCHEDULERS: usize = 3;
/// Seconds: short, so that much happens in little time.
const SESSION_TIMEOUT: &str = "2";
/// What the agent offers: enough for all that the jobs may want at once.
const RESOURCES: &str = "cpus:8;mem:4096;disk:1024;ports:[31000-31100]";
/// Enough for these few nodes.
const ZOOKEEPER_MEMORY_MB: u32 = 256;
/// After all faults are gone somebody leads by then.
const LEADER_PATIENCE: Duration = Duration::from_mins(2);
/// A request that is not answered by then is asked again.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// The processes and what they share.
pub(super) struct Cluster {
    directory: PathBuf,
    pub(super) zookeeper: ZooKeeper,
    pub(super) master: Process,
    master_port: u16,
    pub(super) schedulers: Vec<Scheduler>,
    client: Client,
}

/// A scheduler, alive or not.
pub(super) struct Scheduler {
    pub(super) process: Process,
    pub(super) client: Client,
    port: u16,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let zookeeper = ZooKeeper::start(directory.join("zookeeper"), ZOOKEEPER_MEMORY_MB)?;
        let master_port = free_port()?;
        let master = start_master(directory, master_port)?;
        let mut cluster = Self {
            directory: directory.to_owned(),
            zookeeper,
            master,
            master_port,
            schedulers: Vec::new(),
            client: client_of(0)?,
        };
        for number in 0..SCHEDULERS {
            let port = free_port()?;
            let process = cluster.start_scheduler(number, port)?;
            let client = client_of(port)?;
            if number == 0 {
                cluster.client = client.clone();
            }
            cluster.schedulers.push(Scheduler { process, client, port });
        }
        Ok(cluster)
    }

    fn start_scheduler(&self, number: usize, port: u16) -> Result<Process> {
        let mut command = Command::new(beside("shiftwork")?);
        command
            .args(["scheduler", "--http", &format!("127.0.0.1:{port}")])
            .args(["--mesos", &format!("127.0.0.1:{}", self.master_port)])
            .args(["--zk-session-timeout", SESSION_TIMEOUT])
            .args(["--registry", &format!("zk://{}/chaos", self.zookeeper.address())])
            .arg("--data-dir")
            .arg(self.directory.join(format!("scheduler-{number}")));
        Process::start(&mut command, &self.directory.join(format!("scheduler-{number}.log")))
    }

    /// What shards write when they are done.
    pub(super) fn done(&self) -> PathBuf {
        self.directory.join(super::jobs::DONE)
    }

    /// Of some scheduler; whichever it is leads to the leader.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Which scheduler leads, if one does and says so.
    pub(super) async fn leader(&self) -> Option<usize> {
        for (number, scheduler) in self.schedulers.iter().enumerate() {
            if scheduler.client.leads().await {
                return Some(number);
            }
        }
        None
    }

    pub(super) async fn wait_for_leader(&self) -> Result<()> {
        let begun = Instant::now();
        while self.leader().await.is_none() {
            ensure!(begun.elapsed() < LEADER_PATIENCE, "nobody leads after {LEADER_PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills a scheduler and starts it again on its data.
    pub(super) fn restart_scheduler(&mut self, number: usize) -> Result<()> {
        let scheduler = self.schedulers.get_mut(number).context("no such scheduler")?;
        scheduler.process.kill();
        let port = scheduler.port;
        let process = self.start_scheduler(number, port)?;
        if let Some(scheduler) = self.schedulers.get_mut(number) {
            scheduler.process = process;
        }
        Ok(())
    }

    pub(super) fn restart_zookeeper(&mut self) -> Result<()> {
        self.zookeeper.restart(ZOOKEEPER_MEMORY_MB)
    }

    /// Kills master and agent; the agent's next life delivers what the former had not.
    pub(super) fn restart_master(&mut self) -> Result<()> {
        self.master.kill();
        self.master = start_master(&self.directory, self.master_port)?;
        Ok(())
    }

    /// The executors that run now.
    pub(super) fn executors(&self) -> Vec<u32> {
        let is_executor = |command: &str| {
            let program = command.split(' ').next().unwrap_or_default();
            program.ends_with("shiftwork-executor")
        };
        let processes = processes_of(&self.directory);
        processes
            .into_iter()
            .filter(|(_, command)| is_executor(command))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// Ends all of it, the schedulers first.
    pub(super) fn end(mut self) {
        for scheduler in &mut self.schedulers {
            scheduler.process.end();
        }
        self.master.end();
    }
}

fn client_of(port: u16) -> Result<Client> {
    Client::new(format!("http://127.0.0.1:{port}"), ANSWER_PATIENCE)
}

fn start_master(directory: &Path, port: u16) -> Result<Process> {
    let program = beside("offer-sim")?;
    let executor = beside("shiftwork-executor")?;
    let mut command = Command::new(program);
    command
        .args(["--local", "--listen", &format!("127.0.0.1:{port}"), "--resources", RESOURCES])
        .arg("--extra-path")
        .arg(executor.parent().context("a program stands in a directory")?)
        .arg("--work-dir")
        .arg(directory.join("agent"));
    Process::start(&mut command, &directory.join("master.log"))
}

/// Processes of a cluster's tasks: they carry its directory in their environment.
pub(super) fn processes_of(directory: &Path) -> Vec<(u32, String)> {
    let mark = directory.to_string_lossy();
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return found };
    for entry in entries.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Either is gone if the process is.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let sandboxed = String::from_utf8_lossy(&environment)
            .split('\0')
            .any(|variable| variable.starts_with("MESOS_") && variable.contains(&*mark));
        if sandboxed && !command.is_empty() {
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}
