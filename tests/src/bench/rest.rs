//! REST under load: mixed requests at a fixed rate against a scheduler that runs jobs, and how long
//! each takes from the moment it was due. Real processes: a standalone scheduler beside this program.
//! Absent: judging the figures.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::executor::beside;

/// What is asked, how often, how long.
#[derive(Debug, Args)]
pub struct RestArguments {
    /// Requests per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For how long, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Jobs that are registered and do not run.
    #[arg(long, default_value_t = 2_000)]
    jobs: u32,
}

/// Jobs that fire every second meanwhile.
const FIRING_JOBS: u32 = 4;
/// Requests on their way at once: beyond it the server does not keep up, and later ones wait here.
const IN_FLIGHT_MAX: usize = 512;
/// How long the scheduler may take to start.
const START_MAX: Duration = Duration::from_mins(1);
/// Requests due at once: timers are no finer than a millisecond.
const TICK: Duration = Duration::from_millis(2);

/// Ends the process it stands for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs the benchmark and prints its figures.
///
/// # Errors
/// What could not be started, or a request that was refused.
pub fn run(arguments: &RestArguments) -> Result<()> {
    let program = beside("shiftwork")?;
    let dir = std::env::temp_dir().join(format!("shiftwork-bench-rest-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(measure(arguments, &program, &dir));
    fs::remove_dir_all(&dir)?;
    measured
}

async fn measure(arguments: &RestArguments, program: &Path, dir: &Path) -> Result<()> {
    let mut child = Command::new(program)
        .args(["standalone", "--http", "127.0.0.1:0", "--mesos", "127.0.0.1:0"])
        .args(["--resources", "cpus:8;mem:4096", "--data-dir"])
        .arg(dir.join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().context("its output is not to be had")?;
    let _running = Running(child);
    let mut lines = BufReader::new(stdout).lines();
    let base = loop {
        let line = lines.next().context("the scheduler ended before it said its address")??;
        if let Some(address) = line.strip_prefix("API ") {
            break address.trim().trim_end_matches("/api/v1").to_owned();
        }
    };
    let client = reqwest::Client::builder().no_proxy().build()?;
    ready(&client, &base).await?;
    fill(&client, &base, arguments.jobs).await?;
    let before = runs(&client, &base).await?;
    let (latencies, failed) = load(&client, &base, arguments).await?;
    let after = runs(&client, &base).await?;
    print(arguments, latencies, failed, after.saturating_sub(before));
    Ok(())
}

async fn ready(client: &reqwest::Client, base: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Ok(answer) = client.get(format!("{base}/readyz")).send().await
            && answer.status().is_success()
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < START_MAX, "the scheduler is not ready after {START_MAX:?}");
        tokio::time::sleep(TICK * 10).await;
    }
}

/// Registers an app, jobs that wait, and some that fire every second.
async fn fill(client: &reqwest::Client, base: &str, jobs: u32) -> Result<()> {
    let post = async |path: &str, body: Value| -> Result<()> {
        let answer = client.post(format!("{base}/api/v1/{path}")).json(&body).send().await?;
        ensure!(answer.status() == 201, "{path}: {}", answer.text().await?);
        Ok(())
    };
    post("apps", json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32})).await?;
    for number in 0..jobs {
        post("jobs", job(&format!("idle-{number}"), "0 0 2 1 1 ?")).await?;
    }
    for number in 0..FIRING_JOBS {
        post("jobs", job(&format!("busy-{number}"), "* * * * * ?")).await?;
    }
    Ok(())
}

fn job(name: &str, cron: &str) -> Value {
    json!({
        "jobName": name, "appName": "app", "jobExecutionType": "TRANSIENT", "cron": cron,
        "scriptCommandLine": "true;", "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 8,
    })
}

/// Firings that got a run so far.
async fn runs(client: &reqwest::Client, base: &str) -> Result<u64> {
    let status: Value = client.get(format!("{base}/api/v1/status")).send().await?.json().await?;
    status["firings"]["fired"].as_u64().context("the status counts no firings")
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
async fn load(
    client: &reqwest::Client,
    base: &str,
    arguments: &RestArguments,
) -> Result<(Vec<Duration>, usize)> {
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
        let mut request = client.request(method, format!("{base}/api/v1/{path}"));
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
    let share = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        let latency = latencies.get(place.min(latencies.len().saturating_sub(1)));
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "{} requests, {}/s for {} s, {failed} failed; from due to answered: p50 {:.1} ms, \
         p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, longest {:.1} ms",
        latencies.len(),
        arguments.rate,
        arguments.seconds,
        share(0.5),
        share(0.9),
        share(0.99),
        share(0.999),
        share(1.0),
    );
    println!("meanwhile {fired} firings got their runs; {FIRING_JOBS} jobs were due every second");
}
