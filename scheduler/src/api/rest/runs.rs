//! `/runs`: list, read, trigger, rerun and cancel runs, and what happened to them. Absent: where a run is
//! found; `run_lookup.rs` knows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Serialize;
use shiftwork_engine::command::{Command, Done};
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_schedule::Timestamp;

use super::{Answer, BASE, accepted, made};
use crate::api::ApiState;
use crate::api::extract::{Caller, Named, OptionalJsonBody};
use crate::api::fields;
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;
use crate::api::problem::Problem;
use crate::api::run_lookup::{Wanted, find, find_ended, no_history, page};
use crate::trace::{EventKey, EventRow};

/// The header that makes a trigger repeatable.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

const EVENTS: List = List("events");

/// `GET /runs?job=&app=&state=`
pub(super) async fn list(State(state): State<ApiState>, params: RawParams) -> Answer {
    let wanted = Wanted::read(params)?;
    Ok(Json(page(&state, wanted).await?).into_response())
}

/// `GET /runs/{run}`
pub(super) async fn get(
    State(state): State<ApiState>,
    params: RawParams,
    Named(id): Named<RunId>,
) -> Answer {
    params.none()?;
    Ok(Json(find(&state, &id).await?).into_response())
}

/// Something that happened to a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventView {
    at: Timestamp,
    kind: String,
    item: Option<u32>,
    task_id: Option<String>,
    state: Option<String>,
    message: Option<String>,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            at: Timestamp::from_millis(row.at_ms),
            kind: row.kind,
            item: row.item,
            task_id: row.task_id,
            state: row.state,
            message: row.message,
        }
    }
}

/// `GET /runs/{run}/events`
pub(super) async fn events(
    State(state): State<ApiState>,
    params: RawParams,
    Named(id): Named<RunId>,
) -> Answer {
    let at = PageAt::read(EVENTS, &params.only(&[LIMIT, CURSOR])?)?;
    let behind = at.after.as_deref().map(read_event_key).transpose()?;
    let rows = state.history.run_events(id.as_str(), behind, at.limit).await;
    let rows = rows.map_err(no_history)?;
    if rows.is_empty() {
        find(&state, &id).await?;
    }
    // The history gives no row beyond the limit: a full page may be followed by an empty one.
    let last = rows.last().filter(|_| rows.len() >= at.limit).map(EventRow::key);
    let next = last.map(|key| EVENTS.encode(&format!("{}.{}", key.epoch, key.sequence)));
    let items: Vec<EventView> = rows.into_iter().map(EventView::from).collect();
    Ok(Json(Page { items, next }).into_response())
}

fn read_event_key(text: &str) -> Result<EventKey, Problem> {
    let read = |text: &str| {
        let (epoch, sequence) = text.split_once('.')?;
        Some(EventKey { epoch: epoch.parse().ok()?, sequence: sequence.parse().ok()? })
    };
    read(text)
        .ok_or_else(|| Problem::parameter(CURSOR, "is not a cursor of this list: leave it out"))
}

/// The run that a trigger led to.
#[derive(Debug, Serialize)]
struct Triggered {
    id: RunId,
    job: JobName,
}

/// `POST /jobs/{job}/trigger`
pub(super) async fn trigger(
    State(state): State<ApiState>,
    params: RawParams,
    Named(job): Named<JobName>,
    Caller(by): Caller,
    headers: HeaderMap,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    let key = idempotency_key(&headers, &job)?;
    let overrides = body.map(|body| fields::overrides(body.value)).transpose()?.unwrap_or_default();
    make(&state, by, Command::Trigger { job, key, overrides }).await
}

/// `POST /runs/{run}/rerun`
pub(super) async fn rerun(
    State(state): State<ApiState>,
    params: RawParams,
    Named(run): Named<RunId>,
    Caller(by): Caller,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    let failed_only =
        body.map(|body| fields::failed_only(body.value)).transpose()?.unwrap_or_default();
    let ended = find_ended(&state, &run).await?;
    make(&state, by, Command::Rerun { ended, failed_only }).await
}

/// Carries out a command that makes a run.
async fn make(state: &ApiState, by: String, command: Command) -> Answer {
    let (new, id) = match state.command(by, command).await? {
        Done::RunCreated(id) => (true, id),
        Done::RunExists(id) => (false, id),
        other => {
            tracing::error!(?other, "the engine was asked for a run and answered without one");
            return Err(Problem::internal("the request was taken but named no run: list the runs"));
        }
    };
    let job = id.job();
    Ok(made(new, format!("{BASE}/runs/{id}"), Triggered { id, job }))
}

/// The key as the header gives it, with or without the quotes of a structured field.
fn idempotency_key(headers: &HeaderMap, job: &JobName) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("\u{fffd}").trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match RunId::triggered(job, key) {
        Ok(_) => Ok(Some(key.to_owned())),
        Err(error) => Err(Problem::parameter("Idempotency-Key", error.to_string())),
    }
}

/// `POST /runs/{run}/cancel`
pub(super) async fn cancel(
    State(state): State<ApiState>,
    params: RawParams,
    Named(run): Named<RunId>,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::CancelRun { run: run.clone() }).await?;
    Ok(accepted(Some(run.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_a_name_with_or_without_quotes() {
        let job = JobName::parse("foo").unwrap();
        let key = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IDEMPOTENCY_KEY, text.parse().unwrap());
            idempotency_key(&headers, &job)
        };
        assert_eq!(key("order-17"), Ok(Some("order-17".to_owned())));
        assert_eq!(key("\"order-17\""), Ok(Some("order-17".to_owned())));
        assert_eq!(idempotency_key(&HeaderMap::new(), &job), Ok(None));
        for bad in ["", "a b", "a/b", "\"\"", "\"", "é"] {
            let problem = key(bad).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400, "{bad:?}");
        }
    }

    #[test]
    fn an_event_key_survives_its_cursor() {
        let key = read_event_key("3.250").unwrap();
        assert_eq!((key.epoch, key.sequence), (3, 250));
        for bad in ["3", "3.x", "-1.2", ""] {
            assert!(read_event_key(bad).is_err(), "{bad}");
        }
    }
}
