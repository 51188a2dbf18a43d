//! `/status` and `/reconcile`: the scheduler as a whole.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::Engine;
use shiftwork_engine::command::Command;

use super::{Answer, accepted};
use crate::api::ApiState;
use crate::api::extract::Caller;
use crate::api::params::RawParams;

/// `GET /status`
pub(super) async fn get(State(state): State<ApiState>, params: RawParams) -> Answer {
    params.none()?;
    Ok(Json(state.query(Engine::status).await?).into_response())
}

/// `POST /reconcile`
pub(super) async fn reconcile(
    State(state): State<ApiState>,
    params: RawParams,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::Reconcile).await?;
    Ok(accepted(None))
}
