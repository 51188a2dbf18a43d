//! `/runs`: list, read, trigger, rerun and cancel runs, and what happened to them. Absent: where a run is
//! found; `run_lookup.rs` knows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use shiftwork_engine::command::{Command, Done};
use shiftwork_engine::ids::{JobName, RunId};

use super::{APP, Answer, BASE, JOB, accepted, made};
use crate::api::ApiState;
use crate::api::access::{Caller, Sight};
use crate::api::event_view::EventView;
use crate::api::extract::{Named, OptionalJsonBody};
use crate::api::fields;
use crate::api::idempotency::{self, Keyed};
use crate::api::operation::{Answered, IDEMPOTENCY_KEY, Operation};
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::run_lookup::{STATE, Wanted, find, find_ended, no_history, page};
use crate::api::table::Table;
use crate::auth::Actor;
use crate::trace::{EventKey, EventRow};

pub(in crate::api) const EVENTS: List = List("run-events");

/// The routes of runs.
pub(super) fn routes(table: Table) -> Table {
    let one = format!("{BASE}/runs/{{run}}");
    let makes_run = |operation: Operation| {
        operation
            .tag("runs")
            .header(&IDEMPOTENCY_KEY)
            .answers(201, Answered::One("Triggered"))
            .answers(200, Answered::One("Triggered"))
            .refuses(&[404, 409])
    };
    table
        .route(
            Operation::get(format!("{BASE}/runs"), "listRuns", "Lists runs, newest first.")
                .tag("runs")
                .filtered()
                .query(&[&JOB, &APP, &STATE])
                .page("Run"),
            list,
        )
        .route(
            Operation::get(&one, "getRun", "Reads a run.").tag("runs").one("Run").refuses(&[404]),
            get,
        )
        .route(
            Operation::get(format!("{one}/events"), "listRunEvents", "What happened to a run.")
                .tag("runs")
                .page("Event")
                .refuses(&[404]),
            events,
        )
        .route(
            makes_run(Operation::post(
                format!("{BASE}/jobs/{{job}}/trigger"),
                "triggerJob",
                "Makes a run now.",
            ))
            .optional_body("Trigger"),
            trigger,
        )
        .route(
            makes_run(Operation::post(
                format!("{one}/rerun"),
                "rerunRun",
                "Makes a run that has ended once more.",
            ))
            .optional_body("Rerun"),
            rerun,
        )
        .route(
            Operation::post(format!("{one}/cancel"), "cancelRun", "Ends a run.")
                .tag("runs")
                .answers(202, Answered::One("Accepted"))
                .refuses(&[404, 409]),
            cancel,
        )
}

/// `GET /runs?job=&app=&state=`
async fn list(State(state): State<ApiState>, Sight(scope): Sight, params: Params) -> Answer {
    let wanted = Wanted::read(&params)?.within(&scope);
    Ok(Json(page(&state, wanted).await?).into_response())
}

/// `GET /runs/{run}`
async fn get(State(state): State<ApiState>, Named(id): Named<RunId>) -> Answer {
    Ok(Json(find(&state, &id).await?).into_response())
}

/// `GET /runs/{run}/events`
async fn events(State(state): State<ApiState>, params: Params, Named(id): Named<RunId>) -> Answer {
    let at = PageAt::read(EVENTS, &params)?;
    let Page { items, next } = run_events(&state, &id, &at).await?;
    let items: Vec<EventView> = items.iter().map(EventView::from).collect();
    Ok(Json(Page { items, next }).into_response())
}

/// What happened to a run.
///
/// # Errors
/// 404 if it is nowhere, 503 without a leader or a history.
pub(in crate::api) async fn run_events(
    state: &ApiState,
    id: &RunId,
    at: &PageAt,
) -> Result<Page<EventRow>, Problem> {
    let behind = at.read_after(str::parse::<EventKey>)?;
    let items = state.history.run_events(id.as_str(), behind, at.limit).await;
    let items = items.map_err(no_history)?;
    if items.is_empty() {
        find(state, id).await?;
    }
    // The history gives no row beyond the limit: a full page may be followed by an empty one.
    let last = items.last().filter(|_| items.len() >= at.limit).map(EventRow::key);
    let next = last.map(|key| EVENTS.encode(&key.to_string()));
    Ok(Page { items, next })
}

/// The run that a trigger led to.
#[derive(Debug, Serialize)]
struct Triggered {
    id: RunId,
    job: JobName,
}

/// `POST /jobs/{job}/trigger`
async fn trigger(
    State(state): State<ApiState>,
    Named(job): Named<JobName>,
    Caller(by): Caller,
    headers: HeaderMap,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    let key = idempotency_key(&headers, &job)?;
    let asked = body.map(|body| fields::trigger(body.value)).transpose()?.unwrap_or_default();
    let (overrides, submitter) = asked;
    let command = Command::Trigger { job, key, overrides, submitter };
    let (new, id) = run_made(&state, by, command).await?;
    Ok(answer(new, id))
}

/// `POST /runs/{run}/rerun`
async fn rerun(
    State(state): State<ApiState>,
    Named(run): Named<RunId>,
    Caller(by): Caller,
    headers: HeaderMap,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    let failed_only =
        body.map(|body| fields::failed_only(body.value)).transpose()?.unwrap_or_default();
    let asked = Value::Bool(failed_only);
    let keyed = Keyed::read(&headers, &by.identity.name, format!("rerun {run}"), &asked)?;
    if let Some(keyed) = &keyed
        && let Some(before) = state.keys.made(keyed)?
        && let Ok(id) = RunId::parse(&before)
    {
        return Ok(answer(false, id));
    }
    let ended = find_ended(&state, &run).await?;
    let command = Command::Rerun { ended: Box::new(ended), failed_only };
    let (new, id) = run_made(&state, by, command).await?;
    if let Some(keyed) = keyed {
        state.keys.remember(keyed, id.as_str());
    }
    Ok(answer(new, id))
}

/// The run that was made.
fn answer(new: bool, id: RunId) -> Response {
    let job = id.job();
    made(new, format!("{BASE}/runs/{id}"), Triggered { id, job })
}

/// Carries out a command that makes a run: whether it was made now, and which it is.
///
/// # Errors
/// What stands in the way.
pub(in crate::api) async fn run_made(
    state: &ApiState,
    by: Actor,
    command: Command,
) -> Result<(bool, RunId), Problem> {
    match state.command(by, command).await? {
        Done::RunCreated(id) => Ok((true, id)),
        Done::RunExists(id) => Ok((false, id)),
        other => {
            tracing::error!(?other, "the engine was asked for a run and answered without one");
            Err(Problem::internal("the request was taken but named no run: list the runs"))
        }
    }
}

/// The key, which is to be a part of the run's id.
fn idempotency_key(headers: &HeaderMap, job: &JobName) -> Result<Option<String>, Problem> {
    let Some(key) = idempotency::key(headers)? else { return Ok(None) };
    match RunId::triggered(job, key) {
        Ok(_) => Ok(Some(key.to_owned())),
        Err(error) => Err(Problem::parameter(IDEMPOTENCY_KEY.name, error.to_string())),
    }
}

/// `POST /runs/{run}/cancel`
async fn cancel(
    State(state): State<ApiState>,
    Named(run): Named<RunId>,
    Caller(by): Caller,
) -> Answer {
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
            headers.insert("idempotency-key", text.parse().unwrap());
            idempotency_key(&headers, &job)
        };
        assert_eq!(key("order-17"), Ok(Some("order-17".to_owned())));
        assert_eq!(key("\"order-17\""), Ok(Some("order-17".to_owned())));
        assert_eq!(idempotency_key(&HeaderMap::new(), &job), Ok(None));
        for bad in ["", "a b", "a/b", "\"\"", "\"", "é"] {
            let problem = key(bad).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400, "{bad:?}");
        }
        let mut two = HeaderMap::new();
        two.append("idempotency-key", "a".parse().unwrap());
        two.append("idempotency-key", "a".parse().unwrap());
        assert_eq!(idempotency_key(&two, &job).unwrap_err().status().as_u16(), 400);
    }
}
