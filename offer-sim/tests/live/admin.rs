//! The admin API over gRPC, and a scenario: faults reach simulated agents, and a scheduler sees
//! what follows.

use std::net::SocketAddr;
use std::time::Duration;

use offer_sim::world::{Distribution, Workload};
use offer_sim::{Config, Running, Scenario, SimulatedAgentsConfig};
use shiftwork_proto::mesos::v1::scheduler::event;
use shiftwork_proto::mesos::v1::{CommandInfo, TaskInfo, TaskState, task_status};
use shiftwork_proto::offersim::v1 as wire;
use shiftwork_proto::offersim::v1::admin_client::AdminClient;
use shiftwork_proto::offersim::v1::fault::Fault;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::client::{Framework, PROTOBUF, task};

/// Two agents on different racks whose health checks fail after half a second.
async fn start(scenario: Scenario) -> (Running, CancellationToken) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let workload = Workload { task_duration: Distribution::Forever, ..Workload::default() };
    let simulated = SimulatedAgentsConfig {
        count: 2,
        attributes: "rack:r{0..2}".to_owned(),
        workload,
        ..SimulatedAgentsConfig::default()
    };
    let config = Config {
        listen: any,
        admin: Some(any),
        simulated: Some(simulated),
        agent_ping_timeout: Duration::from_millis(100),
        scenario,
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    (offer_sim::start(config, shutdown.clone()).await.unwrap(), shutdown)
}

async fn admin(running: &Running) -> AdminClient<Channel> {
    AdminClient::connect(format!("http://{}", running.admin.unwrap())).await.unwrap()
}

fn agents(selector: &str) -> wire::Agents {
    wire::Agents { agents: vec![selector.to_owned()] }
}

/// A framework with one task that runs, and the agent it is on.
async fn with_task(running: &Running) -> (Framework, TaskInfo) {
    let mut framework = Framework::subscribe(running.addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let command = Some(CommandInfo { value: Some("work".to_owned()), ..CommandInfo::default() });
    let task = TaskInfo { command, ..task(&offer, "t", None) };
    framework.launch(&offer, vec![task.clone()]).await;
    framework.expect("t", TaskState::TaskStarting).await;
    framework.expect("t", TaskState::TaskRunning).await;
    (framework, task)
}

#[tokio::test]
async fn an_agent_is_cut_off_and_brought_back() {
    let (running, shutdown) = start(Scenario::default()).await;
    let (mut framework, task) = with_task(&running).await;
    let mut admin = admin(&running).await;
    let inject = |fault| wire::Fault { fault: Some(fault) };

    let on = task.agent_id.value.as_str();
    let answer = admin.inject(inject(Fault::CutOff(agents(on)))).await.unwrap();
    assert_eq!(answer.into_inner().agent_ids, [on]);
    let lost = framework.update().await;
    assert_eq!(lost.state(), TaskState::TaskUnreachable);
    assert_eq!(lost.reason(), task_status::Reason::AgentRemoved);
    let listed = admin.list_agents(wire::ListAgentsRequest::default()).await.unwrap().into_inner();
    let states: Vec<_> = listed.agents.iter().map(|agent| agent.state.as_str()).collect();
    let mut sorted = states.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["ACTIVE", "UNREACHABLE"], "{states:?}");

    admin.inject(inject(Fault::Reconnect(agents("*")))).await.unwrap();
    let back = framework.update().await;
    assert_eq!(back.reason(), task_status::Reason::AgentReregistered);
    assert_eq!(back.state(), TaskState::TaskRunning);

    for mistake in [
        wire::Fault { fault: None },
        inject(Fault::Kill(agents("nobody"))),
        inject(Fault::Kill(wire::Agents::default())),
        inject(Fault::Updates(wire::UpdateFault::default())),
        inject(Fault::RefuseCalls(wire::RefuseCalls { probability: Some(2.0), for_ms: 1 })),
    ] {
        let refused = admin.inject(mistake.clone()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{mistake:?}");
    }
    shutdown.cancel();
    running.wait().await;
}

#[tokio::test]
async fn a_scenario_plays_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scenario.json");
    let text =
        r#"{"steps": [{"at_ms": 700, "fault": {"kill": {"agents": ["rack:r0", "agent-1"]}}}]}"#;
    std::fs::write(&path, text).unwrap();
    let (running, shutdown) = start(Scenario::read(&path).unwrap()).await;
    let (mut framework, _) = with_task(&running).await;
    assert_eq!(framework.update().await.state(), TaskState::TaskUnreachable);
    let failure = framework.next_of(event::Type::Failure).await.failure.unwrap();
    assert!(failure.executor_id.is_none(), "an agent is lost, not an executor: {failure:?}");
    shutdown.cancel();
    running.wait().await;
}
