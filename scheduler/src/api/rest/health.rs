//! `/healthz` and `/readyz`, for whatever watches the process.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shiftwork_engine::Engine;

use super::Answer;
use crate::api::ApiState;
use crate::api::operation::Operation;
use crate::api::problem::Problem;
use crate::api::table::Table;

/// The routes of health.
pub(super) fn routes(table: Table) -> Table {
    table
        .route(
            Operation::get("/healthz", "healthz", "Whether the process answers.")
                .open()
                .one("Health"),
            alive,
        )
        .route(
            Operation::get("/readyz", "readyz", "Whether it leads and is connected to the master.")
                .open()
                .one("Health"),
            ready,
        )
}

/// `GET /healthz`: the process answers. Nothing else is looked at: a scheduler that stands by, or
/// whose master is away, must not be restarted for it.
async fn alive() -> Response {
    Json(json!({"status": "alive"})).into_response()
}

/// `GET /readyz`: this scheduler leads and the master's stream is open.
async fn ready(State(state): State<ApiState>) -> Answer {
    let status = state.query(Engine::status).await?;
    if !status.connected {
        return Err(Problem::unavailable(
            "this scheduler leads, but has no connection to the Mesos master: see its log",
        ));
    }
    Ok(Json(json!({"status": "ready"})).into_response())
}
