//! `/status` and `/reconcile`: the scheduler as a whole.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::Engine;
use shiftwork_engine::command::Command;
use shiftwork_engine::view::StatusView;

use super::{Answer, BASE, accepted};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::operation::{Answered, Operation};
use crate::api::problem::Problem;
use crate::api::table::Table;

/// The routes of the scheduler as a whole.
pub(super) fn routes(table: Table) -> Table {
    table
        .route(
            Operation::get(format!("{BASE}/status"), "getStatus", "The scheduler as a whole.")
                .shared()
                .one("Status"),
            get,
        )
        .route(
            Operation::post(
                format!("{BASE}/reconcile"),
                "reconcile",
                "Asks the master about every task now.",
            )
            .answers(202, Answered::One("Accepted"))
            .refuses(&[409]),
            reconcile,
        )
}

/// `GET /status`
async fn get(State(state): State<ApiState>) -> Answer {
    Ok(Json(status(&state).await?).into_response())
}

/// The scheduler as a whole.
///
/// # Errors
/// 503.
pub(in crate::api) async fn status(state: &ApiState) -> Result<StatusView, Problem> {
    let mut status = state.query(Engine::status).await?;
    status.problems.extend(state.history.lag().problems());
    Ok(status)
}

/// `POST /reconcile`
async fn reconcile(State(state): State<ApiState>, Caller(by): Caller) -> Answer {
    state.command(by, Command::Reconcile).await?;
    Ok(accepted(None))
}
