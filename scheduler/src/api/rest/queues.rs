//! `/queues`: what is ready, what waits to be launched again, what runs.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::Engine;
use shiftwork_engine::ids::{JobName, RunId, TaskId};
use shiftwork_engine::view::{FailoverView, ReadyView, RunningView};

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::access::Sight;
use crate::api::extract::InPath;
use crate::api::operation::Operation;
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::visible;
use crate::auth::AppScope;

pub(in crate::api) const READY: List = List("ready");
pub(in crate::api) const FAILOVER: List = List("failover");
pub(in crate::api) const RUNNING: List = List("running");

/// The routes of the queues.
pub(super) fn routes(table: Table) -> Table {
    let list = |queue: &str, id: &str, summary: &str| {
        Operation::get(format!("{BASE}/queues/{queue}"), id, summary).tag("queues").filtered()
    };
    table
        .route(list("ready", "listReady", "Jobs with pending runs.").page("Ready"), get_ready)
        .route(
            list("failover", "listFailover", "Shards that wait to be launched again.")
                .page("Failover"),
            get_failover,
        )
        .route(list("running", "listRunning", "Live tasks.").page("Running"), get_running)
}

/// `GET /queues/ready`
async fn get_ready(State(state): State<ApiState>, Sight(scope): Sight, params: Params) -> Answer {
    let at = PageAt::read(READY, &params)?;
    Ok(Json(ready(&state, &scope, &at).await?).into_response())
}

/// Jobs with pending runs.
///
/// # Errors
/// What is wrong with the cursor, or 503.
pub(in crate::api) async fn ready(
    state: &ApiState,
    scope: &AppScope,
    at: &PageAt,
) -> Result<Page<ReadyView>, Problem> {
    let after = at.read_after(InPath::read)?;
    let listing = (
        Engine::ready,
        |row: &ReadyView| row.job.clone(),
        |engine: &Engine, row: &ReadyView| app_of(engine, &row.job),
    );
    let rows = visible::rows(state, scope, at, after, listing).await?;
    Ok(Page::cut(rows, at, |row| row.job.to_string()))
}

/// `GET /queues/failover`
async fn get_failover(
    State(state): State<ApiState>,
    Sight(scope): Sight,
    params: Params,
) -> Answer {
    let at = PageAt::read(FAILOVER, &params)?;
    Ok(Json(failover(&state, &scope, &at).await?).into_response())
}

/// Shards that wait to be launched again.
///
/// # Errors
/// What is wrong with the cursor, or 503.
pub(in crate::api) async fn failover(
    state: &ApiState,
    scope: &AppScope,
    at: &PageAt,
) -> Result<Page<FailoverView>, Problem> {
    let after = at.read_after(|text| {
        let (run, item) = text.rsplit_once('/').ok_or(())?;
        Ok::<_, ()>((RunId::parse(run).map_err(drop)?, item.parse::<u32>().map_err(drop)?))
    })?;
    let listing = (
        Engine::failover,
        |row: &FailoverView| (row.run.clone(), row.item),
        |engine: &Engine, row: &FailoverView| app_of_run(engine, &row.run),
    );
    let rows = visible::rows(state, scope, at, after, listing).await?;
    Ok(Page::cut(rows, at, |row| format!("{}/{}", row.run, row.item)))
}

/// `GET /queues/running`
async fn get_running(State(state): State<ApiState>, Sight(scope): Sight, params: Params) -> Answer {
    let at = PageAt::read(RUNNING, &params)?;
    Ok(Json(running(&state, &scope, &at).await?).into_response())
}

/// Live tasks.
///
/// # Errors
/// 503.
pub(in crate::api) async fn running(
    state: &ApiState,
    scope: &AppScope,
    at: &PageAt,
) -> Result<Page<RunningView>, Problem> {
    let after = at.after.as_deref().map(TaskId::new);
    let listing = (
        Engine::running,
        |row: &RunningView| row.task_id.clone(),
        |engine: &Engine, row: &RunningView| app_of_run(engine, &row.run),
    );
    let rows = visible::rows(state, scope, at, after, listing).await?;
    Ok(Page::cut(rows, at, |row| row.task_id.to_string()))
}

fn app_of(engine: &Engine, job: &JobName) -> Option<String> {
    engine.job(job)?.app.map(|app| app.to_string())
}

fn app_of_run(engine: &Engine, run: &RunId) -> Option<String> {
    Some(engine.run(run)?.app.to_string())
}
