//! What the registry in ZooKeeper costs, against a real server that this program starts: commits, round
//! trips of launches, take-over, memory. Absent: a Mesos master; launches are answered at once.

mod commits;
mod launches;
mod takeover;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use shiftwork_engine::record::Write;
use shiftwork_schedule::Timestamp;
use shiftwork_scheduler::registry::{
    LeaderInfo, Registry, Tenure, ZooKeeperConfig, ZooKeeperRegistry, keys,
};
use tokio::sync::watch;

use crate::processes::ZooKeeper;

/// What ZooKeeper may use; a million nodes fit.
const ZOOKEEPER_MEMORY_MB: u32 = 3_000;

/// What is measured, and for how long.
#[derive(Debug, Args)]
pub struct RegistryArguments {
    /// Seconds of each measurement of commits and launches
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Jobs that fire every second while launches are measured
    #[arg(long, default_value_t = 500)]
    firing: usize,
    /// Numbers of jobs with which a take-over is measured
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    jobs: Vec<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Be the process that takes over, from the registry at this address
    #[arg(long, hide = true)]
    standby: Option<String>,
}

/// Measures and prints.
///
/// # Errors
/// When ZooKeeper cannot be started or refuses.
pub fn run(arguments: &RegistryArguments) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("threads")?;
    if let Some(address) = &arguments.standby {
        return runtime.block_on(takeover::stand_by(address));
    }
    let directory = tempfile::tempdir()?;
    let server = ZooKeeper::start(directory.path().join("zookeeper"), ZOOKEEPER_MEMORY_MB)?;
    let address = |namespace: &str| format!("zk://{}/{namespace}", server.address());
    let time = Duration::from_secs(arguments.seconds);
    let mut figures = json!({});
    let mut tell = |name: &str, figure: serde_json::Value| {
        if !arguments.json {
            println!("{name:<44} {figure}");
        }
        if let Some(figures) = figures.as_object_mut() {
            figures.insert(name.to_owned(), figure);
        }
    };
    runtime.block_on(async {
        commits::measure(&server, &address("commits"), time, &mut tell).await?;
        launches::measure(&server, &address("launches"), time, arguments.firing, &mut tell).await?;
        for jobs in &arguments.jobs {
            takeover::measure(&address(&format!("jobs{jobs}")), *jobs, &mut tell).await?;
        }
        anyhow::Ok(())
    })?;
    if arguments.json {
        println!("{figures}");
    }
    Ok(())
}

/// A figure and its name.
type Tell<'a> = &'a mut dyn FnMut(&str, serde_json::Value);

/// Leads the registry at an address.
async fn lead(address: &str) -> Result<(Box<dyn Registry>, Tenure)> {
    let config = ZooKeeperConfig::new(address, "", None)?;
    let (standing, _) = watch::channel(shiftwork_scheduler::registry::Standing::Starting);
    let mut registry: Box<dyn Registry> = Box::new(ZooKeeperRegistry::new(config, standing));
    let leader = LeaderInfo {
        id: format!("bench-{}", std::process::id()),
        addresses: Vec::new(),
        since: jiff::Timestamp::now(),
    };
    let tenure = registry.take_over(leader).await?;
    Ok((registry, tenure))
}

/// Where a record stands, and what.
fn change(write: Write) -> Result<shiftwork_scheduler::registry::Change> {
    keys::change_of(write).context("a record has no place")
}

/// Requests the server has had, of all clients: each is a round trip of its client.
fn requests(server: &ZooKeeper) -> Result<u64> {
    let status = server.status().context("the server's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Received: "));
    line.and_then(|number| number.trim().parse().ok()).context("the number of requests")
}

/// The wall clock, as a scheduler sees it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One decimal is as much as such a figure says.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
