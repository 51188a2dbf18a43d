//! `bench latency`: from the moment a firing is due to its ACCEPT at the master, while many other jobs
//! wait. Real processes; the ACCEPT is seen on the wire.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use shiftwork_schedule::Timestamp;

use super::machine::{self, rounded};
use super::percentiles::percentiles;
use super::service::{Service, Store, job};
use super::tap::{Accepted, Tap};

/// What waits, and what fires.
#[derive(Debug, Args)]
pub struct LatencyArguments {
    /// Jobs, none of which fires meanwhile.
    #[arg(long, default_value_t = 1_000_000)]
    idle: usize,
    /// Firings in each second, evenly spread.
    #[arg(long, default_value_t = 10)]
    per_second: u32,
    /// Simulated agents.
    #[arg(long, default_value_t = 100)]
    agents: u32,
    /// How long is measured, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Where it is recorded.
    #[arg(long, value_enum, default_value_t = Store::Embedded)]
    registry: Store,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// Each of the jobs that fire does so once in this time: no firing is taken for the next.
const PERIOD: Duration = Duration::from_secs(10);
/// Executors have started and every job has fired once by then.
const WARM_UP: Duration = Duration::from_secs(20);
/// The names of the jobs that fire begin so.
const TICKING: &str = "tick-";
/// Distinct schedules of the jobs that wait, one for each minute of a day.
const SCHEDULES: usize = 24 * 60;

/// Lets jobs fire and looks at the wire.
///
/// # Errors
/// What could not be started, or a firing that was not launched.
pub async fn run(arguments: &LatencyArguments) -> Result<()> {
    let agents = arguments.agents.to_string();
    let master = ["--agents", &agents, "--task-duration", "100ms"];
    let mut service = Service::start(arguments.registry, &master)?;
    let mut tap = Tap::start(service.mesos().to_owned()).await?;
    service.redirect(tap.address());
    let cron = |minute: usize| format!("0 {} {} 1 1 ?", minute % 60, minute / 60);
    let idle = (0..arguments.idle).map(|number| {
        job(&format!("idle-{number}"), 1, &json!({"cron": cron(number % SCHEDULES)}))
    });
    let preloading = Instant::now();
    service.preload(idle).await?;
    let preloaded = preloading.elapsed();
    let loading = Instant::now();
    service.add_scheduler(10).await?;
    let loaded = loading.elapsed();

    let count = arguments.per_second * PERIOD.as_secs() as u32;
    let step_ms = 1_000 / i64::from(arguments.per_second.max(1));
    // On its own grid whatever the time is: that of the period, and a step further for each.
    let first = |number: u32| Timestamp::from_millis(i64::from(number) * step_ms);
    let every = format!("{}s", PERIOD.as_secs());
    let ticking = (0..count).map(|number| {
        let start_at = first(number).to_string();
        job(&format!("{TICKING}{number}"), 1, &json!({"every": every, "startAt": start_at}))
    });
    service.register(ticking).await?;
    tokio::time::sleep(WARM_UP).await;
    tap.take()?;
    let before = service.cpu()?;
    tokio::time::sleep(Duration::from_secs(arguments.seconds.into())).await;
    let after = service.cpu()?;
    let delays = delays(&tap.take()?, step_ms);
    let due = arguments.per_second * arguments.seconds;
    // Those of the last moments may be under way.
    ensure!(delays.len() as u32 + arguments.per_second >= due, "{} of {due} firings", delays.len());
    let load = format!(
        "{} idle jobs in {}, {} firings/s of a task each, {agents} simulated agents over HTTP, {} s",
        arguments.idle,
        arguments.registry.name(),
        arguments.per_second,
        arguments.seconds
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "firings": delays.len(),
            "dueToAcceptMs": percentiles(delays),
            "preloadSeconds": rounded(preloaded.as_secs_f64()),
            "startToLeadingSeconds": rounded(loaded.as_secs_f64()),
            "schedulerCpuPercentOfACore":
                rounded(100.0 * (after[0] - before[0]) / f64::from(arguments.seconds)),
        }),
    );
    Ok(())
}

/// From due to accepted, milliseconds.
fn delays(accepted: &[Accepted], step_ms: i64) -> Vec<f64> {
    let period = PERIOD.as_secs_f64() * 1e3;
    let delay = |accepted: &Accepted| {
        let number: i64 = accepted.job.strip_prefix(TICKING)?.parse().ok()?;
        Some((millis(accepted.at) - (number * step_ms) as f64).rem_euclid(period))
    };
    accepted.iter().filter_map(delay).collect()
}

/// Since 1970.
pub(super) fn millis(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_counted_from_the_firing_before() {
        let accepted = |at_ms, job: &str| Accepted {
            at: UNIX_EPOCH + Duration::from_millis(at_ms),
            job: job.to_owned(),
        };
        let all = [accepted(20_007, "tick-0"), accepted(20_305, "tick-3"), accepted(1, "other")];
        let delays: Vec<f64> = delays(&all, 100).into_iter().map(f64::round).collect();
        assert_eq!(delays, [7.0, 5.0]);
    }
}
