//! `bench burst`: many jobs due at the same moment. How long until the last ACCEPT is at the master,
//! seen on the wire, and until the firings are recorded, as the scheduler's metrics say.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::latency::millis;
use super::machine::{self, rounded};
use super::percentiles::percentiles;
use super::service::{Service, Store, histogram, job};
use super::tap::Tap;

/// What is due on what.
#[derive(Debug, Args)]
pub struct BurstArguments {
    /// Jobs of one task each, all due at once.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000)]
    agents: u32,
    /// From the scheduler's start to the moment they are due, seconds: it has read them by then.
    #[arg(long, default_value_t = 20)]
    ahead: i64,
    /// Where it is recorded.
    #[arg(long, value_enum, default_value_t = Store::Zookeeper)]
    registry: Store,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// On a busy machine everything has happened by then.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks; they cost the scheduler nothing.
const POLL: Duration = Duration::from_millis(100);
/// From the moment a schedule named to the durable record of the run.
const RECORDED: &str = "shiftwork_firing_record_delay_seconds";

/// Waits for the moment and looks at the wire.
///
/// # Errors
/// What could not be started, or a firing that was not launched.
pub async fn run(arguments: &BurstArguments) -> Result<()> {
    let agents = arguments.agents.to_string();
    let mut service =
        Service::start(arguments.registry, &["--agents", &agents, "--start-delay", "0s"])?;
    let mut tap = Tap::start(service.mesos().to_owned()).await?;
    service.redirect(tap.address());
    // Storing them takes time of its own, so that the moment is named generously.
    let per_document = Duration::from_micros(100);
    let stored_in = per_document * u32::try_from(arguments.jobs)?;
    let due = jiff::Timestamp::now() + stored_in + jiff::SignedDuration::from_secs(arguments.ahead);
    let due = jiff::Timestamp::from_second(due.as_second())?;
    let at = json!({"at": due.to_string()});
    let jobs = (0..arguments.jobs).map(|number| job(&format!("job-{number}"), 1, &at));
    service.preload(jobs).await?;
    service.add_scheduler(10).await?;
    ensure!(jiff::Timestamp::now() < due, "not ready in time: give more with --ahead");
    let before = service.cpu()?;
    let due_ms = due.as_millisecond() as f64;
    let mut delays = Vec::with_capacity(arguments.jobs);
    let begun = Instant::now();
    while delays.len() < arguments.jobs {
        ensure!(begun.elapsed() < PATIENCE, "{} launched after {PATIENCE:?}", delays.len());
        tokio::time::sleep(POLL).await;
        let accepted = tap.take()?;
        delays.extend(accepted.iter().map(|accepted| (millis(accepted.at) - due_ms) / 1e3));
    }
    let after = service.cpu()?;
    let recorded = histogram(service.client()?, RECORDED).await?;
    ensure!(recorded.count() >= arguments.jobs as f64, "not every firing was recorded");
    let load = format!(
        "{} jobs of a task each due at the same moment, {agents} simulated agents over HTTP, {}",
        arguments.jobs,
        arguments.registry.name()
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "firings": delays.len(),
            "dueToAcceptSeconds": percentiles(delays),
            "dueToRecordedP50Seconds": rounded(recorded.at(0.5).context("no firings")?),
            "dueToRecordedP99Seconds": rounded(recorded.at(0.99).context("no firings")?),
            "recordedWithinASecond": rounded(recorded.within(1.0)),
            "schedulerCpuSeconds": rounded(after[0] - before[0]),
            "masterCpuSeconds": rounded(after[1] - before[1]),
            "zookeeperCpuSeconds": rounded(after[2] - before[2]),
        }),
    );
    Ok(())
}
