//! `/state` and `/slaves`: what operators and their tools ask master and agents. One listener may serve
//! both: what is asked without the name of either is answered with all that both would say.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::Shared;
use super::respond::not_found;
use crate::hub::Input;

/// The states of what is served here.
#[derive(Debug, Default)]
pub(crate) struct States {
    pub(crate) master: Option<Value>,
    pub(crate) agent: Option<Value>,
}

/// `/state`: the master's, with where its executors run when their agent is here; else the agent's.
pub(super) async fn state(State(shared): State<Shared>) -> Response {
    let States { master, agent } = ask(&shared).await;
    answer(match (master, agent) {
        (Some(master), Some(agent)) => Some(together(master, agent)),
        (master, agent) => master.or(agent),
    })
}

/// `/master/state`.
pub(super) async fn master(State(shared): State<Shared>) -> Response {
    answer(ask(&shared).await.master)
}

/// `/slave(1)/state`.
pub(super) async fn agent(State(shared): State<Shared>) -> Response {
    answer(ask(&shared).await.agent)
}

/// `/slaves`: the agents alone.
pub(super) async fn slaves(State(shared): State<Shared>) -> Response {
    let mut master = ask(&shared).await.master;
    let slaves = master.as_mut().and_then(|master| master.get_mut("slaves")).map(Value::take);
    answer(slaves.map(|slaves| Value::Object(Map::from_iter([("slaves".to_owned(), slaves)]))))
}

async fn ask(shared: &Shared) -> States {
    shared.hub.ask(|reply| Input::State { reply }).await.unwrap_or_default()
}

fn answer(state: Option<Value>) -> Response {
    state.map_or_else(not_found, |state| Json(state).into_response())
}

/// The master's state with what the agent adds to it: its flags, and of each executor what only the agent
/// knows, under the names that the agent uses.
fn together(mut master: Value, agent: Value) -> Value {
    let of_agent = |framework: &Value, executor: &Value| {
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let frameworks = list(&agent, "frameworks").into_iter();
        let mut same = frameworks.filter(|other| other["id"] == framework["id"]);
        let executors = same.next().map(|found| list(&found, "executors")).unwrap_or_default();
        executors.into_iter().find(|other| other["id"] == executor["executor_id"])
    };
    let frameworks = master["frameworks"].as_array().cloned().unwrap_or_default();
    for (at, framework) in frameworks.iter().enumerate() {
        let executors = framework["executors"].as_array().into_iter().flatten().enumerate();
        for (number, executor) in executors {
            if let Some(found) = of_agent(framework, executor) {
                for name in ["id", "container", "directory"] {
                    master["frameworks"][at]["executors"][number][name] = found[name].clone();
                }
            }
        }
    }
    master["flags"] = agent["flags"].clone();
    master
}
