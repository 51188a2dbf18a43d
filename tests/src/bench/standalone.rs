//! A standalone scheduler as a process of its own, with jobs that fire every second and jobs that wait,
//! for benchmarks of what serves users beside them. Absent: what is measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::executor::beside;
use crate::processes::Usage;

/// Jobs that fire every second.
pub(super) const FIRING_JOBS: u32 = 4;
/// How long the scheduler may take to start.
const START_MAX: Duration = Duration::from_mins(1);
/// Between two looks at a scheduler that starts.
const POLL: Duration = Duration::from_millis(20);
/// Rows of a page, the most the API gives.
const PAGE_ROWS: usize = 1000;

/// The process; it ends with this.
pub(super) struct Standalone {
    child: Child,
    directory: std::path::PathBuf,
    /// Where REST is, without a slash at the end.
    pub(super) rest: String,
    /// Where gRPC is, `host:port`.
    pub(super) grpc: String,
    /// Asks it.
    pub(super) client: reqwest::Client,
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        let _left = fs::remove_dir_all(&self.directory);
    }
}

// === impl Standalone ===

impl Standalone {
    /// Starts one on a directory of its own, and waits until it is ready.
    pub(super) async fn start(name: &str) -> Result<Self> {
        let program = beside("shiftwork")?;
        let directory =
            std::env::temp_dir().join(format!("shiftwork-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let mut child = launch(&program, &directory)?;
        let stdout = child.stdout.take().context("its output is not to be had")?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (rest, grpc) = (String::new(), String::new());
        let mut standalone = Self { child, directory, rest, grpc, client };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(address) = line.strip_prefix("API ") {
                address.trim().trim_end_matches("/api/v1").clone_into(&mut standalone.rest);
            } else if let Some(address) = line.strip_prefix("gRPC ") {
                address.trim().clone_into(&mut standalone.grpc);
                standalone.ready().await?;
                return Ok(standalone);
            }
        }
        anyhow::bail!("the scheduler ended before it said its addresses")
    }

    async fn ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Ok(answer) = self.client.get(format!("{}/readyz", self.rest)).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            ensure!(begun.elapsed() < START_MAX, "the scheduler is not ready after {START_MAX:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Registers an app, jobs that wait, and some that fire every second.
    pub(super) async fn fill(&self, jobs: u32) -> Result<()> {
        let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
        self.register("apps", app).await?;
        for number in 0..jobs {
            self.register("jobs", job(&format!("idle-{number}"), "0 0 2 1 1 ?")).await?;
        }
        for number in 0..FIRING_JOBS {
            self.register("jobs", job(&format!("busy-{number}"), "* * * * * ?")).await?;
        }
        Ok(())
    }

    async fn register(&self, path: &str, body: Value) -> Result<()> {
        let address = format!("{}/api/v1/{path}", self.rest);
        let answer = self.client.post(address).json(&body).send().await?;
        ensure!(answer.status() == 201, "{path}: {}", answer.text().await?);
        Ok(())
    }

    /// Firings that got a run so far.
    pub(super) async fn fired(&self) -> Result<u64> {
        let status = self.get("status").await?;
        status["firings"]["fired"].as_u64().context("the status counts no firings")
    }

    /// What it uses.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id())
    }

    /// How long the runs of the busy jobs took from the moment they were due to their first task that
    /// ran, milliseconds; of those that were due between two moments and have run.
    pub(super) async fn launch_delays(
        &self,
        from: jiff::Timestamp,
        to: jiff::Timestamp,
    ) -> Result<Vec<Duration>> {
        let mut delays = Vec::new();
        for number in 0..FIRING_JOBS {
            let path =
                format!("runs?job=busy-{number}&limit={PAGE_ROWS}&fields=logicalTime,startedAt");
            let page = self.get(&path).await?;
            for run in page["items"].as_array().into_iter().flatten() {
                let moment = |name: &str| run[name].as_str()?.parse::<jiff::Timestamp>().ok();
                let (Some(due), Some(began)) = (moment("logicalTime"), moment("startedAt")) else {
                    continue;
                };
                if (from..to).contains(&due) {
                    delays.push(Duration::try_from(began.duration_since(due)).unwrap_or_default());
                }
            }
        }
        delays.sort_unstable();
        Ok(delays)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(format!("{}/api/v1/{path}", self.rest)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

fn launch(program: &Path, directory: &Path) -> Result<Child> {
    let child = Command::new(program)
        .args(["standalone", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .args(["--mesos", "127.0.0.1:0", "--resources", "cpus:8;mem:4096", "--data-dir"])
        .arg(directory.join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

/// A job of one shard that does nothing.
pub(super) fn job(name: &str, cron: &str) -> Value {
    json!({
        "jobName": name, "appName": "app", "jobExecutionType": "TRANSIENT", "cron": cron,
        "scriptCommandLine": "true;", "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 8,
    })
}

/// The value below which a share of them lies, milliseconds; of what is sorted.
pub(super) fn share(sorted: &[Duration], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    let value = sorted.get(place.min(sorted.len().saturating_sub(1)));
    value.copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// How launches went, for people.
pub(super) fn print_launches(when: &str, delays: &[Duration]) {
    println!(
        "{when}: {} firings from due to running: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
        delays.len(),
        share(delays, 0.5),
        share(delays, 0.99),
        share(delays, 1.0),
    );
}
