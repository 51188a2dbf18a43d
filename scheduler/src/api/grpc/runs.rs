//! Runs and tasks: made, ended, read, listed.

use shiftwork_engine::command::{Command, Overrides};
use shiftwork_engine::ids::{AgentId, AppName, JobName, RunId};
use shiftwork_engine::view::{RunView, TaskView};
use shiftwork_engine::{RunFilter, TaskFilter};
use shiftwork_proto::shiftwork::v1 as wire;

use super::request;
use super::wire::{self as convert, ToWire};
use crate::api::ApiState;
use crate::api::access::Named;
use crate::api::page::Page;
use crate::api::problem::Problem;
use crate::api::rest::runs::{EVENTS, run_events, run_made};
use crate::api::rest::tasks::{self, TASKS};
use crate::api::run_lookup::{Wanted, find, find_ended, page};
use crate::api::run_page::{RUNS, Row};
use crate::auth::{Actor, Identity};

/// Makes a run now.
///
/// # Errors
/// What stands in the way.
pub(super) async fn trigger(
    state: &ApiState,
    by: Actor,
    request: wire::TriggerRequest,
) -> Result<wire::RunMade, Problem> {
    let job: JobName = request::name("job", &request.job)?;
    let key = request::given(request.key);
    if let Some(key) = &key {
        RunId::triggered(&job, key)
            .map_err(|error| Problem::parameter("key", error.to_string()))?;
    }
    let overrides = Overrides {
        job_parameter: request.job_parameter,
        env: request.env,
        items: request.items.into_iter().collect(),
        sharding_item_parameters: request.sharding_item_parameters,
    };
    let submitter = request::given(request.submitter);
    make(state, by, Command::Trigger { job, key, overrides, submitter }).await
}

/// Makes a run that has ended once more.
///
/// # Errors
/// What stands in the way.
pub(super) async fn rerun(
    state: &ApiState,
    by: Actor,
    request: wire::RerunRequest,
) -> Result<wire::RunMade, Problem> {
    let run: RunId = request::name("run", &request.run)?;
    Named::Run(run.clone()).admit(state, &by.identity).await?;
    let ended = find_ended(state, &run).await?;
    make(state, by, Command::Rerun { ended: Box::new(ended), failed_only: request.failed_only })
        .await
}

async fn make(state: &ApiState, by: Actor, command: Command) -> Result<wire::RunMade, Problem> {
    let (created, run) = run_made(state, by, command).await?;
    Ok(wire::RunMade { run: run.to_string(), created })
}

/// Ends a run.
///
/// # Errors
/// 404 or 409.
pub(super) async fn cancel(state: &ApiState, by: Actor, run: &str) -> Result<(), Problem> {
    let run = request::name("run", run)?;
    state.command(by, Command::CancelRun { run }).await.map(drop)
}

/// One run, wherever it is.
///
/// # Errors
/// 403 for another app's, 404 if it is nowhere, 503 without a leader or a history.
pub(super) async fn get(
    state: &ApiState,
    identity: &Identity,
    run: &str,
) -> Result<wire::Run, Problem> {
    let id: RunId = request::name("run", run)?;
    Named::Run(id.clone()).admit(state, identity).await?;
    let row = find(state, &id).await?;
    read(row).ok_or_else(|| Problem::unavailable(format!("the history of run {id} is damaged")))
}

/// Runs, newest first.
///
/// # Errors
/// What is wrong with the request, or 503.
pub(super) async fn list(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListRunsRequest,
) -> Result<wire::ListRunsResponse, Problem> {
    let filter = RunFilter {
        job: request::filter("job", &request.job)?,
        app: request::filter("app", &request.app)?,
        state: convert::run_state(request.state)
            .map_err(|message| Problem::parameter("state", message))?,
        app_prefixes: Vec::new(),
    };
    let wanted = Wanted::new(filter, request::page(RUNS, request.page)?)?;
    let wanted = wanted.within(&identity.apps);
    let Page { items, next } = page(state, wanted).await?;
    let runs = items.into_iter().filter_map(read).collect();
    Ok(wire::ListRunsResponse { runs, next_page_token: next.unwrap_or_default() })
}

/// A run as it goes over the wire. One that is damaged in the history is left out, for the others'
/// sake.
fn read(row: Row) -> Option<wire::Run> {
    match row {
        Row::Live(run) => Some((*run).to_wire()),
        Row::Stored { id, run, .. } => match serde_json::from_str::<RunView>(run.get()) {
            Ok(run) => Some(run.to_wire()),
            Err(error) => {
                tracing::warn!(run = id, %error, "the history holds a run that cannot be read");
                None
            }
        },
    }
}

/// What happened to a run.
///
/// # Errors
/// 403 for another app's, 404 if it is nowhere, 503 without a leader or a history.
pub(super) async fn events(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListRunEventsRequest,
) -> Result<wire::ListRunEventsResponse, Problem> {
    let id: RunId = request::name("run", &request.run)?;
    Named::Run(id.clone()).admit(state, identity).await?;
    let at = request::page(EVENTS, request.page)?;
    let Page { items, next } = run_events(state, &id, &at).await?;
    let events = items.iter().map(ToWire::to_wire).collect();
    Ok(wire::ListRunEventsResponse { events, next_page_token: next.unwrap_or_default() })
}

/// A task, whether it lives or not.
///
/// # Errors
/// 403 for another app's, 404 if it is nowhere, 503 without a leader or a history.
pub(super) async fn task(
    state: &ApiState,
    identity: &Identity,
    task: &str,
) -> Result<TaskView, Problem> {
    let task = tasks::task(state, &request::name("task", task)?).await?;
    identity.require_app(task.app.as_str())?;
    Ok(task)
}

/// The tasks that live.
///
/// # Errors
/// What is wrong with the request, or 503.
pub(super) async fn tasks(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListTasksRequest,
) -> Result<wire::ListTasksResponse, Problem> {
    let filter = TaskFilter {
        job: request::filter::<JobName>("job", &request.job)?,
        app: request::filter::<AppName>("app", &request.app)?,
        agent: request::given(request.agent).map(AgentId::new),
        state: convert::shard_state(request.state)
            .map_err(|message| Problem::parameter("state", message))?,
    };
    let at = request::page(TASKS, request.page)?;
    let page = tasks::tasks(state, &identity.apps, filter, &at).await?;
    let (tasks, next_page_token) = request::rows(page);
    Ok(wire::ListTasksResponse { tasks, next_page_token })
}

/// Ends a task.
///
/// # Errors
/// 404 or 409.
pub(super) async fn kill(state: &ApiState, by: Actor, task: &str) -> Result<(), Problem> {
    let task = request::name("task", task)?;
    state.command(by, Command::KillTask { task }).await.map(drop)
}
