//! `/metrics`, for Prometheus. Absent: what is measured.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::METRICS_PATH;
use crate::api::ApiState;
use crate::api::operation::{Answered, Operation};
use crate::api::table::Table;
use crate::metrics::{CONTENT_TYPE, EngineReading, Reading};

/// How long the owner may take to answer: a scraper must hear what else there is to say, and most of
/// all of a scheduler that hangs.
const ENGINE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The route of the metrics.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(METRICS_PATH, "getMetrics", "What is counted, as Prometheus reads it.")
            .shared()
            .answers(200, Answered::Text("text/plain")),
        get,
    )
}

/// `GET /metrics`: also where another process leads.
async fn get(State(state): State<ApiState>) -> Response {
    let engine = state.handle.query(EngineReading::of);
    let engine = tokio::time::timeout(ENGINE_WAIT_MAX, engine).await;
    let reading = Reading { engine: engine.ok().and_then(Result::ok), lag: state.history.lag() };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics.text(&reading)).into_response()
}
