//! `/api/job/statistics` in Elastic-Job-Cloud's words, counted in the history and not sampled into
//! tables of their own. An interval in which nothing happened is a row of zeros, and never a copy of
//! the one before.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use shiftwork_engine::Engine;

use super::Compat;
use super::dialect::{Answer, Dialect};
use super::history::date;
use super::job_document::{object, text};
use super::jobs::each_page;
use crate::trace::TaskCounts;
use crate::turn::now;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Samples of what ran are this far apart: a week of them is a page and not a book.
const SAMPLE_MS: i64 = 10 * MINUTE_MS;

/// The one period for which each list is asked.
fn is_since(query: &BTreeMap<String, String>, period: &str) -> bool {
    query.get("since").is_some_and(|since| since == period)
}

/// What a row of results says.
fn result(at_ms: i64, interval: &str, counts: TaskCounts) -> Value {
    json!({
        "id": at_ms,
        "successCount": counts.succeeded,
        "failedCount": counts.failed,
        "statisticInterval": interval,
        "statisticsTime": date(at_ms),
        "creationTime": date(at_ms),
    })
}

fn sum(counts: &[TaskCounts]) -> TaskCounts {
    counts.iter().fold(TaskCounts::default(), |sum, it| TaskCounts {
        from_ms: 0,
        started: sum.started + it.started,
        succeeded: sum.succeeded + it.succeeded,
        failed: sum.failed + it.failed,
    })
}

impl Compat {
    /// What became of tasks since a time; nothing where the history cannot be read.
    async fn counts(&self, from_ms: i64, interval_ms: i64) -> Vec<TaskCounts> {
        match self.api.history.task_counts(from_ms, interval_ms).await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the history cannot be counted"
                );
                Vec::new()
            }
        }
    }
}

/// The last midnight of this machine's zone.
fn midnight(at_ms: i64) -> i64 {
    jiff::Timestamp::from_millisecond(at_ms)
        .and_then(|at| at.to_zoned(TimeZone::system()).start_of_day())
        .map_or_else(|_| at_ms - at_ms.rem_euclid(DAY_MS), |day| day.timestamp().as_millisecond())
}

/// `GET /api/job/statistics/tasks/results?since=last24hours`
pub(super) async fn results_since(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    if !is_since(&query, "last24hours") {
        return Ok(dialect.json(&json!([])));
    }
    let now_ms = now().as_millis();
    let from_ms = now_ms - now_ms.rem_euclid(HOUR_MS) - 24 * HOUR_MS;
    let counted: BTreeMap<i64, TaskCounts> = state
        .counts(from_ms, MINUTE_MS)
        .await
        .into_iter()
        .map(|counts| (counts.from_ms, counts))
        .collect();
    // A row tells of the minute before its time; the minute under way has none as yet.
    let rows: Vec<Value> = (from_ms..now_ms - now_ms.rem_euclid(MINUTE_MS))
        .step_by(MINUTE_MS as usize)
        .map(|minute| {
            let counts = counted.get(&minute).copied().unwrap_or_default();
            result(minute + MINUTE_MS, "MINUTE", counts)
        })
        .collect();
    Ok(dialect.json(&rows))
}

/// `GET /api/job/statistics/tasks/results/{period}`
pub(super) async fn results(
    State(state): State<Compat>,
    dialect: Dialect,
    Path(period): Path<String>,
) -> Answer {
    let now_ms = now().as_millis();
    let today = midnight(now_ms);
    let start_of = |interval_ms: i64| now_ms - now_ms.rem_euclid(interval_ms);
    let within = |counts: Vec<TaskCounts>, to_ms: i64| -> Vec<TaskCounts> {
        counts.into_iter().filter(|it| it.from_ms < to_ms).collect()
    };
    let (at_ms, interval, counts) = match period.as_str() {
        "online" => (now_ms, "DAY", state.counts(0, DAY_MS).await),
        "lastWeek" => {
            let counts = state.counts(today - 7 * DAY_MS, HOUR_MS).await;
            (today, "DAY", within(counts, today))
        }
        "lastHour" => {
            let hour = start_of(HOUR_MS);
            (hour, "HOUR", within(state.counts(hour - HOUR_MS, HOUR_MS).await, hour))
        }
        "lastMinute" => {
            let minute = start_of(MINUTE_MS);
            (minute, "MINUTE", within(state.counts(minute - MINUTE_MS, MINUTE_MS).await, minute))
        }
        _ => (today, "DAY", Vec::new()),
    };
    Ok(dialect.json(&result(at_ms, interval, sum(&counts))))
}

/// What ran at a time.
fn running(at_ms: i64, count: i64) -> Value {
    json!({
        "id": at_ms,
        "runningCount": count,
        "statisticsTime": date(at_ms),
        "creationTime": date(at_ms),
    })
}

/// `GET /api/job/statistics/tasks/running?since=lastWeek`: from what runs now back through what
/// began and ended.
pub(super) async fn running_tasks(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    if !is_since(&query, "lastWeek") {
        return Ok(dialect.json(&json!([])));
    }
    let now_ms = now().as_millis();
    let live = state.api.query(|engine| engine.status().tasks).await?;
    let counted = state.counts(midnight(now_ms) - 7 * DAY_MS, SAMPLE_MS).await;
    let mut count = i64::try_from(live).unwrap_or(i64::MAX);
    let mut rows = vec![running(now_ms, count)];
    for it in counted.iter().rev() {
        let (started, ended) = (it.started, it.succeeded + it.failed);
        count = count.saturating_add_unsigned(ended).saturating_sub_unsigned(started).max(0);
        rows.push(running(it.from_ms, count));
    }
    rows.reverse();
    Ok(dialect.json(&rows))
}

/// `GET /api/job/statistics/jobs/running?since=lastWeek`: what is known is the number now.
pub(super) async fn running_jobs(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    if !is_since(&query, "lastWeek") {
        return Ok(dialect.json(&json!([])));
    }
    let count = state.api.query(Engine::running_jobs).await?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok(dialect.json(&[running(now().as_millis(), count)]))
}

/// `GET /api/job/statistics/jobs/register`: what is known is the number today.
pub(super) async fn registered_jobs(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let today = midnight(now().as_millis());
    let count = state.api.query(|engine| engine.status().jobs).await?;
    Ok(dialect.json(&[json!({
        "id": today,
        "registeredCount": count,
        "statisticsTime": date(today),
        "creationTime": date(today),
    })]))
}

/// Counts the jobs by a field of their documents.
async fn by_field(
    state: &Compat,
    name: &str,
) -> Result<BTreeMap<String, u64>, super::dialect::Refused> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    each_page(state, |page| {
        for view in page {
            *counts.entry(text(&object(view.document.get()), name)).or_default() += 1;
        }
    })
    .await?;
    Ok(counts)
}

/// `GET /api/job/statistics/jobs/type`
pub(super) async fn job_types(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let counts = by_field(&state, "jobType").await?;
    let count = |name: &str| counts.get(name).copied().unwrap_or_default();
    Ok(dialect.json(&json!({
        // A document that names no type is a script's.
        "scriptJobCount": count("SCRIPT") + count(""),
        "simpleJobCount": count("SIMPLE"),
        "dataflowJobCount": count("DATAFLOW"),
    })))
}

/// `GET /api/job/statistics/jobs/executionType`
pub(super) async fn execution_types(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let counts = by_field(&state, "jobExecutionType").await?;
    let count = |name: &str| counts.get(name).copied().unwrap_or_default();
    Ok(dialect.json(&json!({
        "transientJobCount": count("TRANSIENT"),
        "daemonJobCount": count("DAEMON"),
    })))
}
