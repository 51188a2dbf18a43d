//! `/agents`: the agents as the offers held show them.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::Answer;
use crate::api::ApiState;
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;

const AGENTS: List = List("agents");

/// `GET /agents`
pub(super) async fn list(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(AGENTS, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.agents(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |agent| agent.id.to_string())).into_response())
}
