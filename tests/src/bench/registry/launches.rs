//! Jobs that fire every second, in the scheduler's own owner loop: how many round trips a launched task
//! costs, with everything around it. Absent: the network to a master; tasks run and end by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shiftwork_engine::command::Command;
use shiftwork_engine::event::TaskState;
use shiftwork_engine::ids::FrameworkId;
use shiftwork_engine::{Effects, Engine, Event, Settings};
use tokio::sync::mpsc;

use super::{Tell, lead, now, requests, rounded};
use crate::bench::agents::Agents;
use crate::bench::owner::{Master, Owner};
use crate::processes::ZooKeeper;

/// Agents that offer.
const AGENTS: u32 = 100;
/// The first runs are through by then.
const WARM_UP: Duration = Duration::from_secs(3);
/// Calls taken in at once.
const ACTIONS_MAX: usize = 1_000;

/// Changes of nodes in all commits.
const OPERATIONS: &str = "shiftwork_commit_operations_sum ";

/// A document of a job with one shard.
pub(super) fn job(name: &str, cron: &str) -> Vec<u8> {
    let document = json!({
        "jobName": name, "appName": "app", "jobExecutionType": "TRANSIENT",
        "scriptCommandLine": "bin/work --of nightly;", "cron": cron, "misfire": true,
        "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16,
    });
    document.to_string().into_bytes()
}

/// A document of the app they belong to.
pub(super) const APP: &[u8] = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#;

/// What is measured while jobs fire.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) launched: AtomicU64,
    acknowledged: AtomicU64,
}

/// The master takes the subscription and agents offer all they have; tasks run for up to a second, and
/// tell of their ends evenly over it. Ends with the owner.
pub(super) async fn serve(master: Master, counts: Arc<Counts>) {
    let Master { mut actions, events } = master;
    let mut agents = Agents::new();
    let framework = FrameworkId::new("bench");
    let mut waiting = vec![Event::Subscribed { framework }, agents.offer_all(AGENTS)];
    let (mut taken, mut told) = (Vec::new(), 0);
    loop {
        for event in waiting.drain(..) {
            told += 1;
            if let Some(after) = life(&event, told) {
                tokio::spawn(tell_after(after, events.clone(), event));
            } else if events.send(event).await.is_err() {
                return;
            }
        }
        if actions.recv_many(&mut taken, ACTIONS_MAX).await == 0 {
            return;
        }
        for action in taken.drain(..) {
            agents.take(action, &mut waiting);
        }
        counts.launched.store(agents.launched, Ordering::Relaxed);
        counts.acknowledged.store(agents.acknowledged, Ordering::Relaxed);
    }
}

/// How long after its launch a task tells this; nothing else waits.
fn life(event: &Event, told: u64) -> Option<Duration> {
    let Event::Status(update) = event else { return None };
    let spread = told.wrapping_mul(7_919);
    // Of a task's two, which follow each other, the second comes 5 ms after the first or later.
    Some(Duration::from_millis(match update.state {
        TaskState::Running => 2 + spread % 40,
        _ => 47 + spread % 900,
    }))
}

async fn tell_after(after: Duration, events: mpsc::Sender<Event>, event: Event) {
    tokio::time::sleep(after).await;
    // Who no longer listens has ended.
    let _ = events.send(event).await;
}

pub(super) async fn measure(
    server: &ZooKeeper,
    address: &str,
    time: Duration,
    firing: usize,
    tell: Tell<'_>,
) -> Result<()> {
    let (registry, tenure) = lead(address).await?;
    let mut restored = Effects::default();
    let engine = Engine::restore(Settings::default(), 1, now(), Vec::new(), &mut restored);
    let directory = tempfile::tempdir()?;
    let (owner, master) = Owner::start(engine, restored, registry, &tenure, directory.path())?;
    let counts = Arc::<Counts>::default();
    let serving = tokio::spawn(serve(master, Arc::clone(&counts)));
    owner.command(Command::CreateApp { document: APP.to_vec() }).await?;
    for number in 0..firing {
        let document = job(&format!("job-{number:05}"), "* * * * * ?");
        owner.command(Command::CreateJob { document }).await?;
    }
    tokio::time::sleep(WARM_UP).await;

    let read = || {
        let [launched, ended] =
            [&counts.launched, &counts.acknowledged].map(|count| count.load(Ordering::Relaxed));
        let round_trips = requests(server)?;
        anyhow::Ok(([launched, ended, round_trips].map(|count| count as f64), operations(&owner)?))
    };
    let (begun, (before, operations_before)) = (Instant::now(), read()?);
    tokio::time::sleep(time).await;
    let (seconds, (after, operations)) = (begun.elapsed().as_secs_f64(), read()?);
    owner.end().await?;
    serving.abort();
    let [launched, ended, round_trips] = std::array::from_fn(|i| after[i] - before[i]);
    ensure!(launched > 0.0, "nothing was launched");
    tell("launches per second", json!((launched / seconds).round()));
    tell("ends acknowledged per second", json!((ended / seconds).round()));
    tell("round trips per launched task", json!(rounded(round_trips / launched)));
    let operations = operations - operations_before;
    tell("operations per round trip", json!(rounded(operations / round_trips)));
    Ok(())
}

/// Changes of nodes that were committed.
fn operations(owner: &Owner) -> Result<f64> {
    let metrics = owner.metrics();
    let sum = metrics.lines().find_map(|line| line.strip_prefix(OPERATIONS));
    Ok(sum.context("a scheduler counts operations")?.trim().parse()?)
}
