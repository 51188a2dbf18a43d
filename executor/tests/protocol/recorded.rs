//! The recordings of a custom executor under a real agent, played to ours: the recorded environment,
//! the recorded events, and calls in the recorded form. The payloads of tasks and the ids of updates
//! are our own.

use std::path::Path;

use prost::Message as _;
use serde_json::Value;
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1::executor::{Call, Event, event};
use shiftwork_proto::mesos::v1::{TaskState, TaskStatus};

use crate::agent::{Agent, Setting};
use crate::common::payload;

/// The lines of a recording.
fn recording(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/recordings");
    let path = folder.join(format!("{name}.executor-side.jsonl"));
    let text = std::fs::read_to_string(path).expect("a recording");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The environment that the agent gave, but for where the test's own agent and sandbox are.
fn environment(line: &Value) -> Vec<(String, String)> {
    let variables = line["env"].as_object().expect("an environment").iter();
    let own = ["MESOS_AGENT_ENDPOINT", "MESOS_DIRECTORY", "MESOS_SANDBOX", "PATH"];
    variables
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
        .collect()
}

/// All recorded calls of one type.
fn calls(lines: &[Value], kind: &str) -> Vec<Call> {
    let requests = lines.iter().filter(|line| line["dir"] == "request");
    requests
        .filter(|line| line["body"]["type"] == kind)
        .map(|line| json::from_json("mesos.v1.executor.Call", line["body"].to_string().as_bytes()))
        .map(|call| call.expect("a call"))
        .collect()
}

/// What our executor is to do where the recorded one was told something of its own.
fn line_of(data: Option<&[u8]>) -> &'static str {
    match data {
        Some(b"fail") => "exit 1;",
        Some(b"stay") => "sleep 1000;",
        _ => "true;",
    }
}

/// An update without what no two have in common.
fn form(mut status: TaskStatus) -> TaskStatus {
    assert!(status.uuid.as_ref().is_some_and(|uuid| uuid.len() == 16), "{status:?}");
    assert!(status.timestamp.is_some_and(|seconds| seconds > 1.7e9), "{status:?}");
    (status.uuid, status.timestamp) = (None, None);
    status
}

/// Plays a recording; the last state of each task.
async fn play(name: &str) -> Vec<(String, TaskState)> {
    let lines = recording(name);
    let setting = Setting { variables: environment(&lines[0]), ..Setting::default() };
    let mut agent = Agent::new(setting).await;
    let mut ends: Vec<(String, TaskState)> = Vec::new();
    let recorded_updates = calls(&lines, "UPDATE");
    for line in lines.iter().filter(|line| line["dir"] == "event") {
        let text = line["body"].to_string();
        let mut event: Event =
            json::from_json("mesos.v1.executor.Event", text.as_bytes()).expect("an event");
        match event.r#type() {
            event::Type::Subscribed => {
                let call = agent.open().await;
                assert_eq!(call, calls(&lines, "SUBSCRIBE")[0], "SUBSCRIBE as recorded");
                agent.send(event).await;
            }
            event::Type::Launch => {
                let task = &mut event.launch.as_mut().expect("its content").task;
                let (id, command) = (task.task_id.value.clone(), line_of(task.data.as_deref()));
                task.data = Some(payload(command).encode_to_vec().into());
                agent.send(event).await;
                let running = form(agent.update_acknowledged().await);
                let recorded = recorded_updates.iter().find_map(|call| {
                    let status = call.update.as_ref().map(|update| &update.status)?;
                    (status.task_id.value == id).then(|| form(status.clone()))
                });
                assert_eq!(Some(running), recorded, "{id} as recorded");
                if command != line_of(Some(b"stay")) {
                    let end = agent.update_acknowledged().await;
                    ends.push((id, end.state()));
                }
            }
            event::Type::Kill => {
                let id = event.kill.as_ref().expect("its content").task_id.value.clone();
                agent.send(event).await;
                ends.push((id, agent.update_acknowledged().await.state()));
            }
            event::Type::Shutdown => {
                agent.send(event).await;
                assert_eq!(agent.exit_code().await, Some(0), "{name}");
                return ends;
            }
            // Ours were acknowledged as they came.
            event::Type::Acknowledged => {}
            _ => agent.send(event).await,
        }
    }
    ends
}

#[tokio::test]
async fn a_custom_executors_day_goes_as_recorded() {
    let ends = Box::pin(play("03-custom-executor")).await;
    let expected = [
        ("e-1", TaskState::TaskFinished),
        ("e-2", TaskState::TaskFailed),
        ("e-3", TaskState::TaskKilled),
        ("e-5", TaskState::TaskFinished),
    ];
    assert_eq!(ends, expected.map(|(id, state)| (id.to_owned(), state)));
}

#[tokio::test]
async fn a_recorded_shutdown_ends_the_executor_and_its_work() {
    for name in ["07-framework", "12-executor-info"] {
        assert_eq!(Box::pin(play(name)).await, [], "{name}: what stayed was told nothing of");
    }
}
