//! `bench launch`: tasks from due to finished, recorded and acknowledged, with real HTTP to a master
//! with simulated agents, and a real registry. More is due than can be done; what is done counts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::in_process;
use super::machine::{self, rounded};
use super::service::{Service, Store, job, metric};

/// What is launched on what.
#[derive(Debug, Args)]
pub struct LaunchArguments {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000)]
    pub(super) agents: u32,
    /// Tasks due in each second.
    #[arg(long, default_value_t = 12_000)]
    pub(super) due_per_second: u32,
    /// Tasks of one run.
    #[arg(long, default_value_t = 100)]
    pub(super) shards: u32,
    /// How long is counted, seconds.
    #[arg(long, default_value_t = 60)]
    pub(super) seconds: u64,
    /// Where it is recorded.
    #[arg(long, value_enum, default_value_t = Store::Zookeeper)]
    pub(super) registry: Store,
    /// Without HTTP and without a master: offers and statuses are fed to the turn loop in this process.
    #[arg(long)]
    in_process: bool,
    /// JSON instead of lines.
    #[arg(long)]
    pub(super) json: bool,
}

/// Executors have started and the first runs are through by then.
const WARM_UP: Duration = Duration::from_secs(10);
/// Tasks that have finished, each once.
const UPDATES: &str = "shiftwork_task_updates_total";
/// What the history has taken, what waits for it, what it never gets.
const WRITTEN: &str = "shiftwork_history_records_written_total";
const SPOOLED: &str = "shiftwork_history_spool_records";
const DROPPED: &str = "shiftwork_history_records_dropped_total";

/// Lets jobs fire and counts what finishes.
///
/// # Errors
/// What could not be started or asked, or nothing finished.
pub fn run(arguments: &LaunchArguments) -> Result<()> {
    if arguments.in_process {
        // As many threads as the scheduler itself has.
        return tokio::runtime::Runtime::new()?.block_on(in_process::run(arguments));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(over_http(arguments))
}

async fn over_http(arguments: &LaunchArguments) -> Result<()> {
    let agents = arguments.agents.to_string();
    let master = ["--agents", &agents, "--task-duration", "0s", "--start-delay", "0s"];
    let mut service = Service::start(arguments.registry, &master)?;
    service.add_scheduler(10).await?;
    service.register(arguments.jobs()).await?;
    tokio::time::sleep(WARM_UP).await;
    let client = service.client()?;
    let (begun, before) = (Instant::now(), metric(client, UPDATES, "TASK_FINISHED").await?);
    let (cpu_before, written) = (service.cpu()?, metric(client, WRITTEN, "").await?);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (took, after) = (begun.elapsed(), metric(client, UPDATES, "TASK_FINISHED").await?);
    let cpu = service.cpu()?;
    ensure!(after > before, "no task finished");
    let finished = after - before;
    let micros = |which: usize| rounded((cpu[which] - cpu_before[which]) * 1e6 / finished);
    let load = format!(
        "{}, {agents} simulated agents over HTTP, tasks of 0 s, {}",
        arguments.told(),
        arguments.registry.name()
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "tasksFinishedPerSecond": rounded(finished / took.as_secs_f64()),
            "seconds": rounded(took.as_secs_f64()),
            "schedulerCpuMicrosPerTask": micros(0),
            "masterCpuMicrosPerTask": micros(1),
            "zookeeperCpuMicrosPerTask": micros(2),
            "historyRecordsPerSecond":
                rounded((metric(client, WRITTEN, "").await? - written) / took.as_secs_f64()),
            "historyRecordsWaiting": metric(client, SPOOLED, "").await?,
            "historyRecordsDropped": metric(client, DROPPED, "").await?,
        }),
    );
    Ok(())
}

// === impl LaunchArguments ===

impl LaunchArguments {
    /// The jobs that fire every second.
    pub(super) fn jobs(&self) -> impl Iterator<Item = Value> {
        let (runs, shards) = (self.runs(), self.shards);
        let extra = json!({"every": "1s", "concurrency": {"policy": "allow", "max": 10}});
        (0..runs).map(move |number| job(&format!("job-{number}"), shards, &extra))
    }

    fn runs(&self) -> u32 {
        self.due_per_second.div_ceil(self.shards.max(1))
    }

    /// What is due, in words.
    pub(super) fn told(&self) -> String {
        format!("{} runs of {} tasks due each second", self.runs(), self.shards)
    }
}
