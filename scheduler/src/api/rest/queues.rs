//! `/queues`: what is ready, what waits to be launched again, what runs.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::ids::{RunId, TaskId};

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::extract::InPath;
use crate::api::operation::Operation;
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::table::Table;

const READY: List = List("ready");
const FAILOVER: List = List("failover");
const RUNNING: List = List("running");

/// The routes of the queues.
pub(super) fn routes(table: Table) -> Table {
    let list = |queue: &str, id: &str, summary: &str| {
        Operation::get(format!("{BASE}/queues/{queue}"), id, summary).tag("queues")
    };
    table
        .route(list("ready", "listReady", "Jobs with pending runs.").page("Ready"), ready)
        .route(
            list("failover", "listFailover", "Shards that wait to be launched again.")
                .page("Failover"),
            failover,
        )
        .route(list("running", "listRunning", "Live tasks.").page("Running"), running)
}

/// `GET /queues/ready`
async fn ready(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(READY, &params)?;
    let (after, fetch) = (at.read_after(InPath::read)?, at.fetch());
    let rows = state.query(move |engine| engine.ready(after.as_ref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |row| row.job.to_string())).into_response())
}

/// `GET /queues/failover`
async fn failover(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(FAILOVER, &params)?;
    let after = at.read_after(|text| {
        let (run, item) = text.rsplit_once('/').ok_or(())?;
        Ok::<_, ()>((RunId::parse(run).map_err(drop)?, item.parse::<u32>().map_err(drop)?))
    })?;
    let fetch = at.fetch();
    let rows = state.query(move |engine| engine.failover(after.as_ref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |row| format!("{}/{}", row.run, row.item))).into_response())
}

/// `GET /queues/running`
async fn running(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(RUNNING, &params)?;
    let (after, fetch) = (at.after.as_deref().map(TaskId::new), at.fetch());
    let rows = state.query(move |engine| engine.running(after.as_ref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |row| row.task_id.to_string())).into_response())
}
