//! Chaos with real processes: schedulers, ZooKeeper, a master with a local agent and its executors
//! are killed and frozen at random while jobs fire; in the end all is put right and audited. Absent:
//! what a simulation sees better; here it is the programs and the kernel that are tried.

mod audit;
mod cluster;
mod jobs;
mod trouble;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub use self::audit::Verdict;
use self::cluster::Cluster;
use self::trouble::Troubles;
use crate::random::Random;

/// Between two troubles, milliseconds, at least and at most.
const PAUSE_MS: (i64, i64) = (300, 4_000);
/// Everything that waits or runs must have ended by then, on a busy machine.
const SETTLE_PATIENCE: Duration = Duration::from_mins(4);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long things go wrong.
    pub lasts: Duration,
    /// What goes wrong when follows from it; how it ends does not, for the processes are real.
    pub seed: u64,
}

/// Runs it and gives the verdict.
///
/// # Errors
/// Something could not be started, or the cluster did not come to rest.
pub async fn run(options: &Options) -> Result<Verdict> {
    let mut random = Random::new(options.seed);
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(directory.path())?;
    cluster.wait_for_leader().await?;
    jobs::register(&cluster).await?;
    let mut troubles = Troubles::default();
    let begun = Instant::now();
    while begun.elapsed() < options.lasts {
        let pause = random.between(PAUSE_MS.0, PAUSE_MS.1).unsigned_abs();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        troubles.one(&mut cluster, &mut random)?;
    }
    troubles.put_right(&mut cluster)?;
    cluster.wait_for_leader().await?;
    let stopped_at = jobs::stop(&cluster).await?;
    settle(&cluster).await?;
    cluster.end();
    let left = cluster::processes_of(directory.path());
    audit::verdict(directory.path(), &troubles, stopped_at, left)
}

/// Waits until nothing waits or runs.
async fn settle(cluster: &Cluster) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut rows = 0;
        for queue in ["ready", "failover", "running"] {
            rows += cluster.client().queued(queue).await.unwrap_or(1);
        }
        if rows == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < SETTLE_PATIENCE,
            "after {SETTLE_PATIENCE:?} {rows} rows are left"
        );
        tokio::time::sleep(POLL).await;
    }
}
