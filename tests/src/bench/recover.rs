//! `bench recover`: the leader is killed with many jobs registered and many tasks running; how long
//! until another one launches something new. Real processes, real ZooKeeper.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::machine::{self, rounded};
use super::service::{Service, Store, job, metric};

/// How much the leader holds when it dies.
#[derive(Debug, Args)]
pub struct RecoverArguments {
    /// Jobs registered.
    #[arg(long, default_value_t = 10_000)]
    jobs: usize,
    /// Tasks running.
    #[arg(long, default_value_t = 5_000)]
    tasks: u32,
    /// Until a dead leader's session ends, seconds.
    #[arg(long, default_value_t = 2)]
    session_timeout: u32,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// Tasks of one of the runs that go on.
const SHARDS: u32 = 100;
/// Simulated tasks of this job run until they are killed.
const LASTING: &str = "lasting";
/// On a busy machine everything has happened by then.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// Kills a leader and waits for what its successor launches.
///
/// # Errors
/// What could not be started or asked, or nobody took over.
pub async fn run(arguments: &RecoverArguments) -> Result<()> {
    let master = ["--agents", "200", "--task-duration", "100ms", "--run-forever", LASTING];
    let mut service = Service::start(Store::Zookeeper, &master)?;
    service.add_scheduler(arguments.session_timeout).await?;
    service.add_scheduler(arguments.session_timeout).await?;
    let idle = json!({"cron": "0 0 0 1 1 ?"});
    let runs = arguments.tasks.div_ceil(SHARDS);
    let waiting = (0..arguments.jobs).map(|n| job(&format!("idle-{n}"), 1, &idle));
    let lasting = (0..runs).map(|n| job(&format!("{LASTING}-{n}"), SHARDS, &json!({})));
    let ticking = std::iter::once(job("tick", 1, &json!({"every": "200ms"})));
    service.register(waiting.chain(lasting).chain(ticking)).await?;
    for number in 0..runs {
        let path = format!("/api/v1/jobs/{LASTING}-{number}/trigger");
        service.client()?.post(&path, &json!({})).await?;
    }
    let running = f64::from(runs * SHARDS);
    wait_for("all tasks run", async || {
        Ok(metric(service.client()?, "shiftwork_tasks ", "").await? >= running)
    })
    .await?;
    let [leader, successor] = service.schedulers.as_mut_slice() else {
        anyhow::bail!("two schedulers were started");
    };
    let killed = Instant::now();
    leader.process.kill();
    let successor = successor.client.clone();
    let leads = async || Ok(successor.leads().await);
    wait_for("another one leads", leads).await?;
    let led = killed.elapsed();
    let launches = async || {
        Ok(metric(&successor, "shiftwork_task_launches_total", "").await.unwrap_or(0.0) > 0.0)
    };
    wait_for("another one launches", launches).await?;
    let launched = killed.elapsed();
    let session = Duration::from_secs(arguments.session_timeout.into());
    let load = format!(
        "{} jobs, {running} tasks running, {}, sessions of {} s, the leader killed",
        arguments.jobs,
        Store::Zookeeper.name(),
        arguments.session_timeout
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "killToLeadingSeconds": rounded(led.as_secs_f64()),
            "killToFirstLaunchSeconds": rounded(launched.as_secs_f64()),
            "sessionEndToFirstLaunchSeconds":
                rounded(launched.saturating_sub(session).as_secs_f64()),
        }),
    );
    Ok(())
}

async fn wait_for(what: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition().await.with_context(|| what.to_owned())? {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
