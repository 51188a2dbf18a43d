//! The schemas against the views of the engine: no member that is not described.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use shiftwork_engine::ids::{AgentId, AppName, ExecutorId, JobName, OfferId, RunId, TaskId};
use shiftwork_engine::view::{
    AgentView, ExecutorState, ExecutorView, FailoverView, OfferView, RunningView, ShardState,
    TaskView,
};
use shiftwork_schedule::Timestamp;

use super::all;

/// Compares the members of an answer with its schema: all that are required, none it does not know.
#[track_caller]
pub(in crate::api) fn check_members(schema: &str, answer: &Value) {
    let schemas = all();
    let properties = schemas[schema]["properties"].as_object().unwrap();
    let members = answer.as_object().unwrap();
    for name in members.keys() {
        assert!(properties.contains_key(name), "schema {schema} does not describe {name}");
    }
    for required in schemas[schema]["required"].as_array().unwrap() {
        let name = required.as_str().unwrap();
        assert!(members.contains_key(name), "schema {schema} requires {name}: {answer}");
    }
}

#[track_caller]
fn check(schema: &str, view: impl Serialize) {
    check_members(schema, &serde_json::to_value(view).unwrap());
}

#[test]
fn what_runs_is_described() {
    let (run, item) = (RunId::parse("job@k").unwrap(), 0);
    let id = TaskId::new("job@-@0@-@READY@-@S0@-@u");
    let (agent, since) = (AgentId::new("S0"), Timestamp::from_millis(0));
    let state = ShardState::Running;
    let (app, job) = (AppName::parse("app").unwrap(), JobName::parse("job").unwrap());
    check(
        "Running",
        RunningView {
            task_id: id.clone(),
            run: run.clone(),
            item,
            state,
            agent: agent.clone(),
            since,
            idle: None,
        },
    );
    let original_task_id = Some(id.clone());
    let (due, reason) = (since, None);
    check("Failover", FailoverView { run: run.clone(), item, original_task_id, due, reason });
    let (attempt, since) = (1, Some(since));
    let (idle, exit_code, message, agent) = (None, None, None, Some(agent));
    check(
        "Task",
        TaskView {
            id,
            run,
            job,
            app,
            item,
            state,
            agent,
            attempt,
            since,
            idle,
            exit_code,
            message,
        },
    );
}

#[test]
fn where_it_runs_is_described() {
    let (id, app) = (AgentId::new("S0"), AppName::parse("app").unwrap());
    let resources = BTreeMap::from([("cpus", 1.0)]);
    let hostname = "h".to_owned();
    check(
        "Offer",
        OfferView {
            id: OfferId::new("O1"),
            agent: id.clone(),
            hostname: hostname.clone(),
            resources: resources.clone(),
            since: Timestamp::from_millis(0),
        },
    );
    check(
        "Executor",
        ExecutorView {
            id: ExecutorId::of(&app, &id),
            app,
            agent: id.clone(),
            state: ExecutorState::Running,
            tasks: 1,
            resources: Some(resources.clone()),
        },
    );
    let (attributes, offered) = (BTreeMap::new(), resources);
    let executors = Vec::new();
    let unavailable_from = Some(Timestamp::from_millis(0));
    check(
        "Agent",
        AgentView { id, hostname, attributes, unavailable_from, offered, executors, tasks: 0 },
    );
}
