//! `bench launch`: tasks from due to finished, recorded and acknowledged, with real HTTP to a master
//! with simulated agents, and a real registry. More is due than can be done; what is done counts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::machine;
use super::service::{Service, job, metric};

/// What is launched on what.
#[derive(Debug, Args)]
pub struct LaunchArguments {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000)]
    agents: u32,
    /// Tasks due in each second.
    #[arg(long, default_value_t = 12_000)]
    due_per_second: u32,
    /// Tasks of one run.
    #[arg(long, default_value_t = 100)]
    shards: u32,
    /// How long is counted, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where it is recorded.
    #[arg(long, value_enum, default_value_t = Store::Zookeeper)]
    registry: Store,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// A registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// A ZooKeeper server of its own.
    Zookeeper,
    /// The scheduler's own file.
    Embedded,
}

/// Executors have started and the first runs are through by then.
const WARM_UP: Duration = Duration::from_secs(10);
/// Tasks that have finished, each once.
const UPDATES: &str = "shiftwork_task_updates_total";

/// Lets jobs fire and counts what finishes.
///
/// # Errors
/// What could not be started or asked, or nothing finished.
pub async fn run(arguments: &LaunchArguments) -> Result<()> {
    let agents = arguments.agents.to_string();
    let master = ["--agents", &agents, "--task-duration", "0s", "--start-delay", "0s"];
    let mut service = Service::start(arguments.registry == Store::Zookeeper, &master)?;
    service.add_scheduler(10).await?;
    let extra = json!({"every": "1s", "concurrency": {"policy": "allow", "max": 10}});
    let runs = arguments.due_per_second.div_ceil(arguments.shards.max(1));
    let jobs = (0..runs).map(|number| job(&format!("job-{number}"), arguments.shards, &extra));
    service.register(jobs).await?;
    tokio::time::sleep(WARM_UP).await;
    let client = service.client()?;
    let (begun, before) = (Instant::now(), metric(client, UPDATES, "TASK_FINISHED").await?);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (took, after) = (begun.elapsed(), metric(client, UPDATES, "TASK_FINISHED").await?);
    ensure!(after > before, "no task finished");
    machine::tell(
        arguments.json,
        &json!({
            "registry": format!("{:?}", arguments.registry),
            "agents": arguments.agents,
            "duePerSecond": runs * arguments.shards,
            "tasksFinishedPerSecond": (after - before) / took.as_secs_f64(),
            "seconds": took.as_secs_f64(),
        }),
    );
    Ok(())
}
