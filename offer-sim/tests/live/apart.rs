//! Agents in a process of their own: they find their master, and outlive it.

use std::net::SocketAddr;

use offer_sim::world::{Distribution, Workload};
use offer_sim::{Config, MasterAddress, Running, SimulatedAgentsConfig};
use shiftwork_proto::mesos::v1::{CommandInfo, TaskInfo, TaskState, task_status};
use tokio_util::sync::CancellationToken;

use super::client::{Framework, PROTOBUF, task};

async fn start(config: Config) -> (Running, CancellationToken) {
    let shutdown = CancellationToken::new();
    (offer_sim::start(config, shutdown.clone()).await.unwrap(), shutdown)
}

async fn master(port: u16) -> (Running, CancellationToken) {
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    start(Config { listen, ..Config::default() }).await
}

#[tokio::test]
async fn tasks_outlive_their_master() {
    let (first, stop_first) = master(0).await;
    let workload = Workload { task_duration: Distribution::Forever, ..Workload::default() };
    let (agents, stop_agents) = start(Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        master: Some(MasterAddress::Fixed(first.addr.to_string())),
        simulated: Some(SimulatedAgentsConfig { workload, ..SimulatedAgentsConfig::default() }),
        ..Config::default()
    })
    .await;
    let mut framework = Framework::subscribe(first.addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let command = Some(CommandInfo { value: Some("work".to_owned()), ..CommandInfo::default() });
    let launched = TaskInfo { command, ..task(&offer, "t", None) };
    framework.launch(&offer, vec![launched.clone()]).await;
    framework.expect("t", TaskState::TaskStarting).await;
    framework.expect("t", TaskState::TaskRunning).await;
    let port = first.addr.port();
    stop_first.cancel();
    first.wait().await;

    let (second, stop_second) = master(port).await;
    let id = framework.id.clone();
    let mut framework = Framework::subscribe(second.addr, PROTOBUF, Some(id)).await;
    let again = framework.offer().await;
    assert_eq!(again.agent_id, launched.agent_id, "the agent kept its name");
    let status = framework.reconcile("t", &launched.agent_id).await;
    assert_eq!(status.state(), TaskState::TaskRunning);
    assert_eq!(status.reason(), task_status::Reason::Reconciliation);
    framework.kill("t").await;
    framework.expect("t", TaskState::TaskKilling).await;
    framework.expect("t", TaskState::TaskKilled).await;
    for (running, stop) in [(second, stop_second), (agents, stop_agents)] {
        stop.cancel();
        running.wait().await;
    }
}
