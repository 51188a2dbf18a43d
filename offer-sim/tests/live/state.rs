//! What operators and their tools ask: which executors there are and where they run, from the master to
//! the file on the agent, as Elastic-Job-Cloud looks for it; and nothing that was not recorded of real ones.

use std::path::Path;

use serde_json::Value;
use shiftwork_proto::mesos::v1::TaskState;

use super::client::{Framework, PROTOBUF, task};
use super::executor::{self, Executor, status};
use super::local::{agent, content};

/// Members that one document of master and agent has beside a master's own.
const TOGETHER: [&str; 4] = ["flags", "id", "container", "directory"];

async fn get(url: &str) -> Value {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// The recorded answers to `GET /state`, the master's and the agent's.
fn recorded() -> [Value; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../proto/tests/recordings/07-operator-api.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answers = lines.windows(2).filter(|pair| pair[0]["path"] == "/state");
    let bodies: Vec<Value> = answers
        .map(|pair| serde_json::from_str(pair[1]["body_text"].as_str().unwrap()).unwrap())
        .collect();
    bodies.try_into().unwrap()
}

/// Every member of `ours` is one of `theirs`, of the same kind.
fn check(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours.iter().filter(|(name, _)| !TOGETHER.contains(&name.as_str()))
            {
                let place = format!("{place}.{name}");
                check(value, theirs.get(name).unwrap_or_else(|| panic!("{place} is new")), &place);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if let (Some(ours), Some(theirs)) = (ours.first(), theirs.first()) {
                check(ours, theirs, &format!("{place}[0]"));
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(ours),
            std::mem::discriminant(theirs),
            "{place}: {ours} and {theirs}"
        ),
    }
}

#[tokio::test]
async fn an_executor_is_found_from_the_master_to_its_sandbox() {
    let agent = agent().await;
    let addr = agent.running.addr;
    let mut framework = Framework::subscribe(addr, PROTOBUF, None).await;
    let offer = framework.offer().await;
    let info = executor::info("app@-@S0", "echo begun; sleep 1000");
    framework.launch(&offer, vec![task(&offer, "t", Some(info))]).await;
    let mut executor = Executor::subscribe(addr, &framework.id, "app@-@S0").await;
    executor.expect_launch("t").await;
    executor.report(status("t", TaskState::TaskRunning, 1)).await;
    framework.expect("t", TaskState::TaskRunning).await;

    // As Elastic-Job-Cloud asks: the master for executors and agents, then each agent.
    let state = get(&format!("http://{addr}/state")).await;
    let of_framework = &state["frameworks"][0];
    assert_eq!(of_framework["id"], framework.id.value.as_str());
    let found = &of_framework["executors"][0];
    assert_eq!(found["executor_id"], "app@-@S0");
    let slave = &state["slaves"][0];
    assert_eq!(found["slave_id"], slave["id"]);
    let at = slave["pid"].as_str().unwrap().strip_prefix("slave(1)@").unwrap();
    assert_eq!(at, addr.to_string());
    assert_eq!(of_framework["tasks"][0]["state"], "TASK_RUNNING");
    let of_agent = get(&format!("http://{at}/slave(1)/state")).await;
    let directory = of_agent["frameworks"][0]["executors"][0]["directory"].as_str().unwrap();
    assert_eq!(found["directory"], directory, "one listener serves both");
    let work_dir = of_agent["flags"]["work_dir"].as_str().unwrap();
    assert!(directory.starts_with(work_dir), "{directory} below {work_dir}");
    assert_eq!(content(&Path::new(directory).join("stdout")).await, "begun\n");
    assert_eq!(get(&format!("http://{addr}/slaves")).await["slaves"], state["slaves"]);

    let unknown = reqwest::get(format!("http://{addr}/no/such/path")).await.unwrap();
    assert_eq!(unknown.status(), 404);
    let [master, slave] = recorded();
    check(&get(&format!("http://{addr}/master/state")).await, &master, "master");
    check(&of_agent, &slave, "agent");
    agent.shutdown.cancel();
    agent.running.wait().await;
}
