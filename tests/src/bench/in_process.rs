//! `bench launch --in-process`: the engine in the scheduler's own turn loop, with its registry and its
//! history, in this process. Offers and statuses come from a few lines instead of a master. Absent:
//! HTTP, the wire format, the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::FrameworkId;
use shiftwork_engine::{Effects, Engine, Event, Settings};
use shiftwork_scheduler::registry::{
    EmbeddedRegistry, LeaderInfo, Registry, Standing, ZooKeeperConfig, ZooKeeperRegistry,
};
use shiftwork_scheduler::turn;
use tokio::sync::watch;

use super::agents::Agents;
use super::launch::LaunchArguments;
use super::machine::{self, rounded};
use super::owner::{Master, Owner};
use super::service::{Store, app};
use super::timing::process_cpu_time;
use crate::processes::{Usage, ZooKeeper};

/// What ZooKeeper may use.
const ZOOKEEPER_MEMORY_MB: u32 = 2_000;
/// The first runs are through by then.
const WARM_UP: Duration = Duration::from_secs(5);
/// Calls taken in at once.
const ACTIONS_MAX: usize = 1_000;

/// Lets jobs fire and counts whose end was recorded and acknowledged.
pub(super) async fn run(arguments: &LaunchArguments) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let zookeeper = (arguments.registry == Store::Zookeeper)
        .then(|| ZooKeeper::start(directory.path().join("zookeeper"), ZOOKEEPER_MEMORY_MB))
        .transpose()?;
    let mut registry: Box<dyn Registry> = match &zookeeper {
        Some(server) => {
            let address = format!("zk://{}/bench", server.address());
            let config = ZooKeeperConfig::new(&address, "", None)?;
            Box::new(ZooKeeperRegistry::new(config, watch::channel(Standing::Starting).0))
        }
        None => Box::new(EmbeddedRegistry::open(directory.path()).await?),
    };
    let since = jiff::Timestamp::now();
    let leader = LeaderInfo { id: "bench".to_owned(), addresses: Vec::new(), since };
    let tenure = registry.take_over(leader).await?;
    let mut restored = Effects::default();
    let engine = Engine::restore(Settings::default(), 1, turn::now(), Vec::new(), &mut restored);
    let (owner, master) = Owner::start(engine, restored, registry, &tenure, directory.path())?;
    let finished = Arc::<AtomicU64>::default();
    let serving = tokio::spawn(serve(master, arguments.agents, Arc::clone(&finished)));

    let bytes = |document: Value| document.to_string().into_bytes();
    owner.command(Command::CreateApp { document: bytes(app()) }).await?;
    for job in arguments.jobs() {
        owner.command(Command::CreateJob { document: bytes(job) }).await?;
    }
    tokio::time::sleep(WARM_UP).await;
    let cpu = || -> Result<[f64; 2]> {
        let server = zookeeper.as_ref().map(|server| Usage::of(server.process().id()));
        let server = server.transpose()?.map_or(0.0, |usage| usage.cpu.as_secs_f64());
        Ok([process_cpu_time()?.as_secs_f64(), server])
    };
    let (begun, before, cpu_before) = (Instant::now(), finished.load(Ordering::Relaxed), cpu()?);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (took, after, cpu) = (begun.elapsed(), finished.load(Ordering::Relaxed), cpu()?);
    ensure!(after > before, "no task finished");
    let lag = owner.history.lag();
    owner.end().await?;
    serving.abort();
    let finished = (after - before) as f64;
    let load = format!(
        "{}, {} agents in this process, {}",
        arguments.told(),
        arguments.agents,
        arguments.registry.name()
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "tasksFinishedPerSecond": rounded(finished / took.as_secs_f64()),
            "seconds": rounded(took.as_secs_f64()),
            "schedulerCpuMicrosPerTask": rounded((cpu[0] - cpu_before[0]) * 1e6 / finished),
            "zookeeperCpuMicrosPerTask": rounded((cpu[1] - cpu_before[1]) * 1e6 / finished),
            "historyRecordsWaiting": lag.spool.records,
            "historyRecordsDropped": lag.spool.dropped_records,
        }),
    );
    Ok(())
}

/// Takes calls and answers as a master with agents does.
async fn serve(master: Master, count: u32, finished: Arc<AtomicU64>) {
    let Master { mut actions, events } = master;
    let mut agents = Agents::new();
    let framework = FrameworkId::new("bench");
    let mut waiting = vec![Event::Subscribed { framework }, agents.offer_all(count)];
    let mut taken = Vec::new();
    loop {
        for event in waiting.drain(..) {
            if events.send(event).await.is_err() {
                return;
            }
        }
        if actions.recv_many(&mut taken, ACTIONS_MAX).await == 0 {
            return;
        }
        for action in taken.drain(..) {
            agents.take(action, &mut waiting);
        }
        finished.store(agents.acknowledged, Ordering::Relaxed);
    }
}
