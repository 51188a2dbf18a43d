//! `/statistics`: what became of tasks over time, counted in the history. An interval in which
//! nothing happened is not in the list.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use shiftwork_schedule::Timestamp;

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::operation::Operation;
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::run_lookup::no_history;
use crate::api::table::Table;
use crate::turn::now;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Most intervals of one answer: a day of minutes, and with hours and days more than is kept.
const INTERVALS_MAX: i64 = 1_440;

/// How long an interval is.
static INTERVAL: Param = Param {
    name: "interval",
    about: "How long an interval is; hour unless given.",
    kind: Kind::OneOf(&["minute", "hour", "day"]),
};

/// From when on.
static SINCE: Param = Param {
    name: "since",
    about: "Only what happened since; a day ago unless given.",
    kind: Kind::Instant,
};

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::api) enum Interval {
    Minute,
    #[default]
    Hour,
    Day,
}

/// Counts over time.
#[derive(Debug, Serialize)]
pub(in crate::api) struct StatisticsView {
    pub(in crate::api) since: Timestamp,
    pub(in crate::api) until: Timestamp,
    /// Milliseconds.
    #[serde(rename = "intervalMs")]
    pub(in crate::api) interval_ms: i64,
    pub(in crate::api) tasks: Vec<TaskCountsView>,
}

/// What became of tasks within one interval.
#[derive(Debug, Serialize)]
pub(in crate::api) struct TaskCountsView {
    pub(in crate::api) from: Timestamp,
    pub(in crate::api) started: u64,
    pub(in crate::api) succeeded: u64,
    pub(in crate::api) failed: u64,
}

/// The route of statistics.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(format!("{BASE}/statistics"), "getStatistics", "Counts tasks over time.")
            .query(&[&SINCE, &INTERVAL])
            .one("Statistics"),
        get,
    )
}

/// `GET /statistics?since=&interval=`
async fn get(State(state): State<ApiState>, params: Params) -> Answer {
    let interval = params.read(INTERVAL.name, |text| match text {
        "minute" => Ok(Interval::Minute),
        "hour" => Ok(Interval::Hour),
        "day" => Ok(Interval::Day),
        _ => Err("must be minute, hour or day"),
    })?;
    let since = params.read(SINCE.name, str::parse::<Timestamp>)?;
    Ok(Json(counted(&state, since, interval.unwrap_or_default()).await?).into_response())
}

/// Counts tasks over time, since a day ago unless it is said.
///
/// # Errors
/// Names `since` if that is too many intervals ago, 503 without a history.
pub(in crate::api) async fn counted(
    state: &ApiState,
    since: Option<Timestamp>,
    interval: Interval,
) -> Result<StatisticsView, Problem> {
    let interval_ms = match interval {
        Interval::Minute => MINUTE_MS,
        Interval::Hour => HOUR_MS,
        Interval::Day => DAY_MS,
    };
    let until = now();
    let since = since.unwrap_or_else(|| Timestamp::from_millis(until.as_millis() - DAY_MS));
    if until.as_millis().saturating_sub(since.as_millis()) > interval_ms * INTERVALS_MAX {
        let message = format!("must be at most {INTERVALS_MAX} intervals ago: ask for longer ones");
        return Err(Problem::parameter(SINCE.name, message));
    }
    let counts = state.history.task_counts(since.as_millis(), interval_ms).await;
    let tasks = counts.map_err(no_history)?.into_iter().map(|counts| TaskCountsView {
        from: Timestamp::from_millis(counts.from_ms),
        started: counts.started,
        succeeded: counts.succeeded,
        failed: counts.failed,
    });
    let tasks = tasks.collect();
    Ok(StatisticsView { since, until, interval_ms, tasks })
}
