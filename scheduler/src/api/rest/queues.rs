//! `/queues`: what is ready, what waits to be launched again, what runs.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::view::FailoverView;

use super::Answer;
use crate::api::ApiState;
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;

const READY: List = List("ready");
const FAILOVER: List = List("failover");
const RUNNING: List = List("running");

/// `GET /queues/ready`
pub(super) async fn ready(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(READY, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.ready(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |row| row.job.to_string())).into_response())
}

/// `GET /queues/failover`
pub(super) async fn failover(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(FAILOVER, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.failover(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, FailoverView::cursor)).into_response())
}

/// `GET /queues/running`
pub(super) async fn running(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(RUNNING, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.running(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |row| row.task_id.to_string())).into_response())
}
