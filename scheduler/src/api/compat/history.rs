//! `/api/job/events`: searches of what happened, in Elastic-Job-Cloud's words. Absent: how the history
//! is kept; without one that can be read nothing is found, as ever.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use shiftwork_engine::ids::{AgentId, ID_DELIMITER};

use super::Compat;
use super::dialect::{Answer, Dialect, Refused};
use crate::trace::{
    EventFilter, EventPage, EventRow, EventSort, FAILED_STATES, OFFSET_MAX, PAGE_ROWS_MAX,
    SUCCEEDED_STATES,
};

/// Rows of a page unless the client says otherwise.
const PER_PAGE: usize = 10;
/// How Gson writes a date.
const DATE_FORMAT: &str = "%b %-d, %Y %-I:%M:%S %p";
/// What wrote the rows we have: the scheduler, on word of the executor.
const SOURCE: &str = "CLOUD_SCHEDULER";
/// What made executions in the cloud, always.
const EXECUTION_SOURCE: &str = "NORMAL_TRIGGER";

/// The query of a search.
struct Search {
    dialect: Dialect,
    given: BTreeMap<String, String>,
}

// === impl Search ===

impl Search {
    fn text(&self, name: &str) -> Option<String> {
        self.given.get(name).filter(|text| !text.is_empty()).cloned()
    }

    fn wrong(&self, message: String) -> Refused {
        Refused::Message(self.dialect, message)
    }

    fn count(&self, name: &str, default: usize) -> Result<usize, Refused> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number >= 1 => Ok(number),
                _ => Err(self.wrong(format!("For input string: \"{text}\""))),
            },
        }
    }

    fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse_time(&text)
            .map(Some)
            .ok_or_else(|| self.wrong(format!("Unparseable date: \"{text}\"")))
    }

    /// The page asked for. Fields that are no column are ignored, as ever.
    fn page(&self, time_field: &str) -> Result<EventPage, Refused> {
        let limit = self.count("per_page", PER_PAGE)?.min(PAGE_ROWS_MAX);
        let before = self.count("page", 1)?.saturating_sub(1);
        let sort = match self.text("sort").as_deref() {
            Some("jobName") => EventSort::Job,
            Some("taskId" | "originalTaskId" | "slaveId" | "executionType") => EventSort::Task,
            Some("shardingItem") => EventSort::Item,
            Some("state" | "isSuccess") => EventSort::State,
            Some(field) if field == time_field || field == "completeTime" => EventSort::Time,
            _ => EventSort::Recorded,
        };
        let descending = self.text("order").is_some_and(|order| order.eq_ignore_ascii_case("desc"));
        let offset = before.saturating_mul(limit).min(OFFSET_MAX);
        Ok(EventPage { sort, descending, offset, limit })
    }

    fn filter(&self) -> Result<EventFilter, Refused> {
        Ok(EventFilter {
            kind: Some("TASK".to_owned()),
            job: self.text("jobName"),
            task: self.text("taskId"),
            // The end of that second.
            to_ms: self.time("endTime")?.map(|at_ms| at_ms.saturating_add(999)),
            from_ms: self.time("startTime")?,
            ..EventFilter::default()
        })
    }
}

/// Reads `yyyy-MM-dd HH:mm:ss` in the zone of this machine.
fn parse_time(text: &str) -> Option<i64> {
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text.trim()).ok()?;
    Some(civil.to_zoned(TimeZone::system()).ok()?.timestamp().as_millisecond())
}

/// A time as Gson writes it.
pub(super) fn date(at_ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(at_ms)
        .map(|at| Value::from(at.to_zoned(TimeZone::system()).strftime(DATE_FORMAT).to_string()))
        .unwrap_or_default()
}

fn part(task: &str, number: usize) -> &str {
    task.split(ID_DELIMITER).nth(number).unwrap_or_default()
}

fn id(row: &EventRow) -> String {
    format!("{}.{}", row.epoch, row.sequence)
}

/// `GET /api/job/events/statusTraces`
pub(super) async fn status_traces(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(given): Query<BTreeMap<String, String>>,
) -> Answer {
    let search = Search { dialect, given };
    let mut filter = search.filter()?;
    filter.agent = search.text("slaveId");
    filter.execution = search.text("executionType");
    filter.states = search.text("state").into_iter().collect();
    let page = search.page("creationTime")?;
    if search.text("source").is_some_and(|source| source != SOURCE) {
        return Ok(found(dialect, 0, &[]));
    }
    let Some((total, rows)) = find(&state, &filter, page).await else {
        return Ok(found(dialect, 0, &[]));
    };
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let task = row.task_id.as_deref().unwrap_or_default();
            json!({
                "id": id(row),
                "jobName": row.job,
                "originalTaskId": "",
                "taskId": task,
                "slaveId": part(task, 3),
                "source": SOURCE,
                "executionType": part(task, 2),
                "shardingItems": format!("[{}]", row.item.unwrap_or_default()),
                "state": row.state,
                "message": row.message.as_deref().unwrap_or_default(),
                "creationTime": date(row.at_ms),
            })
        })
        .collect();
    Ok(found(dialect, total, &rows))
}

/// `GET /api/job/events/executions`: those that have ended.
pub(super) async fn executions(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(given): Query<BTreeMap<String, String>>,
) -> Answer {
    let search = Search { dialect, given };
    let mut filter = search.filter()?;
    let states: Vec<&str> = match search.text("isSuccess").as_deref() {
        Some("1" | "true") => SUCCEEDED_STATES.to_vec(),
        Some("0" | "false") => FAILED_STATES.to_vec(),
        _ => [&SUCCEEDED_STATES[..], &FAILED_STATES[..]].concat(),
    };
    filter.states = states.into_iter().map(str::to_owned).collect();
    let page = search.page("startTime")?;
    let Some((total, rows)) = find(&state, &filter, page).await else {
        return Ok(found(dialect, 0, &[]));
    };
    let runs: Vec<String> = rows.iter().map(|row| row.run_id.clone()).collect();
    let starts = state.api.history.task_starts(&runs).await.unwrap_or_default();
    let hosts = hosts(&state, &rows).await?;
    let rows: Vec<Value> =
        rows.iter().map(|row| execution(dialect, row, &starts, &hosts)).collect();
    Ok(found(dialect, total, &rows))
}

fn execution(
    dialect: Dialect,
    row: &EventRow,
    starts: &BTreeMap<String, i64>,
    hosts: &BTreeMap<String, String>,
) -> Value {
    let task = row.task_id.as_deref().unwrap_or_default();
    let success = row.state.as_deref().is_some_and(|state| SUCCEEDED_STATES.contains(&state));
    let cause = row.message.as_deref().filter(|_| !success);
    let failure_cause = match (dialect, cause) {
        (_, None) => Value::Null,
        (Dialect::V2, Some(cause)) => json!({"plainText": cause}),
        (Dialect::V3, Some(cause)) => Value::from(cause),
    };
    let host = hosts.get(part(task, 3)).cloned().unwrap_or_default();
    json!({
        "id": id(row),
        "hostname": host,
        "ip": host,
        "taskId": task,
        "jobName": row.job,
        "source": EXECUTION_SOURCE,
        "shardingItem": row.item,
        "startTime": date(starts.get(task).copied().unwrap_or(row.at_ms)),
        "completeTime": date(row.at_ms),
        "success": success,
        "failureCause": failure_cause,
    })
}

/// The host names of the agents in these rows, as far as they are known by now.
async fn hosts(state: &Compat, rows: &[EventRow]) -> Result<BTreeMap<String, String>, Refused> {
    let mut agents: Vec<String> =
        rows.iter().filter_map(|row| Some(part(row.task_id.as_deref()?, 3).to_owned())).collect();
    agents.sort_unstable();
    agents.dedup();
    let ask = move |engine: &shiftwork_engine::Engine| {
        let host = |agent: String| {
            let view = engine.agent(&AgentId::new(agent.as_str()))?;
            Some((agent, view.hostname))
        };
        agents.into_iter().filter_map(host).collect()
    };
    Ok(state.api.query(ask).await?)
}

/// A history that cannot be read is as good as none.
async fn find(
    state: &Compat,
    filter: &EventFilter,
    page: EventPage,
) -> Option<(u64, Vec<EventRow>)> {
    match state.api.history.search_events(filter, page).await {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the history cannot be searched"
            );
            None
        }
    }
}

fn found(dialect: Dialect, total: u64, rows: &[Value]) -> axum::response::Response {
    dialect.json(&json!({"total": total, "rows": rows}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_ever() {
        let at_ms = parse_time("2017-07-05 15:04:05").unwrap();
        assert_eq!(date(at_ms), "Jul 5, 2017 3:04:05 PM");
        for bad in ["yesterday", "2017-07-05", "2017-13-05 15:04:05"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
