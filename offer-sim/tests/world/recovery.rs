//! An agent that comes back with updates of a former life.

use offer_sim::world::{
    AgentId, ContainerId, Event, ExecutorId, FrameworkId, RecoveredUpdates, TaskId, WorldConfig,
};
use shiftwork_proto::mesos::v1::{self, FrameworkInfo, TaskState};

use super::bench::{Bench, info, status};

const FRAMEWORK: &str = "former-0000";

fn recovered(task: &str, states: &[(TaskState, u8)]) -> RecoveredUpdates {
    RecoveredUpdates {
        framework: FrameworkId::from(FRAMEWORK),
        executor: ExecutorId::from("e"),
        container: ContainerId::from("c"),
        task: TaskId::from(task),
        statuses: states.iter().map(|(state, uuid)| status(task, *state, *uuid)).collect(),
    }
}

fn former() -> FrameworkInfo {
    let id = v1::FrameworkId { value: FRAMEWORK.to_owned() };
    FrameworkInfo { id: Some(id), ..info() }
}

fn call(bench: &mut Bench, call: v1::scheduler::Call) -> Vec<String> {
    let framework = FrameworkId::from(FRAMEWORK);
    bench.step(Event::SchedulerCall { framework, call: Box::new(call) })
}

fn reconcile(bench: &mut Bench, task: &str) -> Vec<String> {
    use v1::scheduler::call::{Reconcile, Type, reconcile::Task};
    let task = Task {
        task_id: v1::TaskId { value: task.to_owned() },
        agent_id: Some(v1::AgentId { value: "former-S0".to_owned() }),
    };
    let reconcile = Some(Reconcile { tasks: vec![task] });
    let r#type = Some(Type::Reconcile.into());
    call(bench, v1::scheduler::Call { r#type, reconcile, ..Default::default() })
}

fn acknowledge(bench: &mut Bench, task: &str, uuid: u8) -> Vec<String> {
    use v1::scheduler::call::{Acknowledge, Type};
    let acknowledge = Some(Acknowledge {
        agent_id: v1::AgentId { value: "former-S0".to_owned() },
        task_id: v1::TaskId { value: task.to_owned() },
        uuid: bytes::Bytes::copy_from_slice(&[uuid; 16]),
    });
    let r#type = Some(Type::Acknowledge.into());
    call(bench, v1::scheduler::Call { r#type, acknowledge, ..Default::default() })
}

#[test]
fn recovered_updates_come_in_order_once_the_framework_is_there() {
    let mut bench = Bench::without_agents(WorldConfig::default());
    let updates = recovered("t", &[(TaskState::TaskRunning, 1), (TaskState::TaskFinished, 2)]);
    let told = bench.register(AgentId::from("former-S0"), "cpus:1", vec![updates]);
    assert!(told.is_empty(), "nobody is there to hear");
    assert_eq!(
        bench.subscribe_as("s", former()),
        [
            "s SUBSCRIBED former-0000",
            "s HEARTBEAT",
            "s UPDATE t TASK_RUNNING",
            "s OFFERS O0 former-S0 cpus=1",
        ]
    );
    let latest =
        "s UPDATE t TASK_FINISHED REASON_RECONCILIATION: Reconciliation: Latest task state";
    assert_eq!(reconcile(&mut bench, "t"), [latest], "not GONE, and not what was sent last");
    assert_eq!(acknowledge(&mut bench, "t", 1), ["forget c 1", "s UPDATE t TASK_FINISHED"]);
    assert_eq!(acknowledge(&mut bench, "t", 2), ["forget c 2"]);
    assert!(reconcile(&mut bench, "t")[0].starts_with("s UPDATE t TASK_GONE"));
}

#[test]
fn a_task_whose_executor_is_gone_has_ended() {
    let mut bench = Bench::without_agents(WorldConfig::default());
    bench.subscribe_as("s", former());
    let updates = recovered("t", &[(TaskState::TaskRunning, 1)]);
    let told = bench.register(AgentId::from("former-S0"), "cpus:1", vec![updates]);
    assert_eq!(told[..2], ["keep c t TASK_FAILED", "s UPDATE t TASK_RUNNING"]);
    assert_eq!(
        acknowledge(&mut bench, "t", 1),
        ["forget c 1", "s UPDATE t TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated"]
    );
}

#[test]
fn nothing_is_said_of_an_agent_that_is_expected() {
    let mut bench = Bench::without_agents(WorldConfig::default());
    bench.subscribe_as("s", former());
    bench.step(Event::AgentExpected { agent: AgentId::from("former-S0") });
    assert!(reconcile(&mut bench, "t").is_empty());
    bench.register(AgentId::from("former-S0"), "cpus:1", Vec::new());
    assert!(reconcile(&mut bench, "t")[0].starts_with("s UPDATE t TASK_GONE"));
}
