//! `/audit`: what was due against what ran. Absent: the judgement.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_schedule::{Timestamp, parse_duration};

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::operation::Operation;
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::run_lookup::no_history;
use crate::api::table::Table;
use crate::audit::{AuditError, Report};
use crate::turn;

/// How far back, or from when on.
static SINCE: Param = Param {
    name: "since",
    about: "How far to look back, such as 24h, or from which moment on (RFC 3339). By default 24h.",
    kind: Kind::Text,
};

/// How far back unless it is said.
const SINCE_DEFAULT_MS: u64 = 24 * 60 * 60 * 1000;

/// The route of the audit.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(
            format!("{BASE}/audit"),
            "audit",
            "Compares the firings that were due with those that ran.",
        )
        .query(&[&SINCE])
        .one("Audit"),
        get,
    )
}

/// `GET /audit?since=24h`
async fn get(State(state): State<ApiState>, params: Params) -> Answer {
    Ok(Json(audited(&state, params.text(SINCE.name)).await?).into_response())
}

/// Judges the firings since then; see [`SINCE`].
///
/// # Errors
/// 400 for what is no such moment, 503 without a leader or a history that is up to date.
pub(crate) async fn audited(state: &ApiState, from: Option<&str>) -> Result<Report, Problem> {
    let read = |text| since(text).map_err(|message| Problem::parameter(SINCE.name, message));
    audited_since(state, from.map(read).transpose()?).await
}

/// The same with a moment that has been read, a day ago unless there is one.
///
/// # Errors
/// 503 without a leader or a history that is up to date.
pub(in crate::api) async fn audited_since(
    state: &ApiState,
    from: Option<Timestamp>,
) -> Result<Report, Problem> {
    let from = from.unwrap_or_else(|| before_now(SINCE_DEFAULT_MS));
    state.auditor.audit(from).await.map_err(|error| match error {
        AuditError::Unavailable(error) => error.into(),
        AuditError::Store(error) => no_history(error),
        error @ (AuditError::Behind { .. } | AuditError::NoTenure) => {
            Problem::unavailable(error.to_string())
        }
    })
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let back = parse_duration(text);
    back.map(before_now).map_err(|_| {
        "must be how far to look back, such as 24h, or a moment, such as 2026-11-20T02:00:00Z"
            .to_owned()
    })
}

fn before_now(millis: u64) -> Timestamp {
    turn::now().saturating_sub(millis)
}
