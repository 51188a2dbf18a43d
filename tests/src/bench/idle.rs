//! `bench idle`: what a scheduler costs while nothing is due. A real process with its own store.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::machine::{self, rounded};
use super::service::{Service, Store, job};
use crate::processes::Usage;

/// How many jobs, and for how long.
#[derive(Debug, Args)]
pub struct IdleArguments {
    /// Jobs, none of which fires meanwhile.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How long the process is watched, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What registering has left to be done is done by then.
const REST: Duration = Duration::from_secs(20);

/// Registers the jobs, rests, watches, and prints.
///
/// # Errors
/// What could not be started, registered or read.
pub async fn run(arguments: &IdleArguments) -> Result<()> {
    let mut service = Service::start(Store::Embedded, &[])?;
    service.add_scheduler(0).await?;
    let begun = Instant::now();
    // Spread over all minutes of a day that is far.
    let cron = |number: usize| format!("0 {} {} 1 1 ?", number % 60, number / 60 % 24);
    let jobs = (0..arguments.jobs)
        .map(|number| job(&format!("job-{number}"), 1, &json!({"cron": cron(number)})));
    service.register(jobs).await?;
    let registered = begun.elapsed();
    tokio::time::sleep(REST).await;
    let pid = service.schedulers.first().context("a scheduler")?.process.id();
    let before = Usage::of(pid)?;
    let watched = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (after, watched) = (Usage::of(pid)?, watched.elapsed());
    let cpu = after.cpu.saturating_sub(before.cpu);
    let load = format!(
        "{} jobs registered over REST, none due, {} s, {}",
        arguments.jobs,
        arguments.seconds,
        Store::Embedded.name()
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "cpuPercentOfACore": rounded(100.0 * cpu.as_secs_f64() / watched.as_secs_f64()),
            "residentMB": rounded(after.resident as f64 / 1e6),
            "registrationsPerSecond": rounded(arguments.jobs as f64 / registered.as_secs_f64()),
        }),
    );
    Ok(())
}
