//! REST under load: mixed requests at a fixed rate against a scheduler that runs jobs, and how long
//! each takes from the moment it was due; and whether launches are as punctual as without it. Real
//! processes: a standalone scheduler beside this program. Absent: judging the figures.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::standalone::{FIRING_JOBS, Standalone, job, print_launches, share};

/// What is asked, how often, how long.
#[derive(Debug, Args)]
pub struct RestArguments {
    /// Requests per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For how long, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// For how long jobs run undisturbed before, to compare with, seconds.
    #[arg(long, default_value_t = 20)]
    quiet_seconds: u32,
    /// Jobs that are registered and do not run.
    #[arg(long, default_value_t = 2_000)]
    jobs: u32,
}

/// Requests on their way at once: beyond it the server does not keep up, and later ones wait here.
const IN_FLIGHT_MAX: usize = 512;
/// Requests due at once: timers are no finer than a millisecond.
const TICK: Duration = Duration::from_millis(2);
/// What was due at the end of the load has run by then.
const SETTLING: Duration = Duration::from_secs(3);

/// Runs the benchmark and prints its figures.
///
/// # Errors
/// What could not be started, or a request that was refused.
pub fn run(arguments: &RestArguments) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(arguments))
}

async fn measure(arguments: &RestArguments) -> Result<()> {
    let scheduler = Standalone::start("rest").await?;
    scheduler.fill(arguments.jobs).await?;
    let began = jiff::Timestamp::now();
    tokio::time::sleep(Duration::from_secs(arguments.quiet_seconds.into())).await;
    let (before, loaded) = (scheduler.fired().await?, jiff::Timestamp::now());
    let (latencies, failed) = load(&scheduler, arguments).await?;
    let (after, ended) = (scheduler.fired().await?, jiff::Timestamp::now());
    tokio::time::sleep(SETTLING).await;
    print(arguments, latencies, failed, after.saturating_sub(before));
    print_launches("without requests", &scheduler.launch_delays(began, loaded).await?);
    print_launches("with requests   ", &scheduler.launch_delays(loaded, ended).await?);
    Ok(())
}

/// The n-th request: of twenty, thirteen reads of one thing, four of lists, three changes.
fn request(number: u64, jobs: u32) -> (Method, String, Option<Value>) {
    let some = number.wrapping_mul(7_919) % u64::from(jobs.max(1));
    let get = |path: String| (Method::GET, path, None);
    match number % 20 {
        0..=5 => get(format!("jobs/idle-{some}")),
        6..=8 => get(format!("jobs/busy-{}/why", some % u64::from(FIRING_JOBS))),
        9 | 10 => get("status".to_owned()),
        11 => get("apps/app".to_owned()),
        12 => get(format!("jobs/idle-{some}/next")),
        13 | 14 => get("jobs?limit=20".to_owned()),
        15 => get("queues/running?limit=20".to_owned()),
        16 => get("executors".to_owned()),
        17 => (
            Method::PUT,
            format!("jobs/idle-{some}"),
            Some(job(&format!("idle-{some}"), &format!("0 0 {} 1 1 ?", number % 24))),
        ),
        18 => (Method::POST, format!("jobs/idle-{some}/disable"), None),
        _ => (Method::POST, format!("jobs/idle-{some}/enable"), None),
    }
}

/// Sends at the rate, whatever the server does, and times each from when it was due.
async fn load(scheduler: &Standalone, arguments: &RestArguments) -> Result<(Vec<Duration>, usize)> {
    let total = u64::from(arguments.rate) * u64::from(arguments.seconds);
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(IN_FLIGHT_MAX));
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let begun = Instant::now();
    for number in 0..total {
        let due = begun + Duration::from_secs_f64(number as f64 / f64::from(arguments.rate));
        while Instant::now() < due {
            tokio::time::sleep(TICK).await;
        }
        let permit = std::sync::Arc::clone(&permits).acquire_owned().await?;
        let (method, path, body) = request(number, arguments.jobs);
        let mut request =
            scheduler.client.request(method, format!("{}/api/v1/{path}", scheduler.rest));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let done = done.clone();
        tokio::spawn(async move {
            let answer = async { request.send().await?.error_for_status()?.bytes().await }.await;
            // Nobody counts any more if the receiver is gone.
            let _counted = done.send((due.elapsed(), answer.is_ok()));
            drop(permit);
        });
    }
    drop(done);
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while let Some((latency, good)) = finished.recv().await {
        latencies.push(latency);
        failed += usize::from(!good);
    }
    Ok((latencies, failed))
}

fn print(arguments: &RestArguments, mut latencies: Vec<Duration>, failed: usize, fired: u64) {
    latencies.sort_unstable();
    println!(
        "{} requests, {}/s for {} s, {failed} failed; from due to answered: p50 {:.1} ms, \
         p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, longest {:.1} ms",
        latencies.len(),
        arguments.rate,
        arguments.seconds,
        share(&latencies, 0.5),
        share(&latencies, 0.9),
        share(&latencies, 0.99),
        share(&latencies, 0.999),
        share(&latencies, 1.0),
    );
    println!("meanwhile {fired} firings got their runs; {FIRING_JOBS} jobs were due every second");
}
