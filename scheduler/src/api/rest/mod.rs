//! The REST resources: the table of routes, and what their handlers share. A file a resource.

pub(super) mod apps;
pub(super) mod audit;
pub(super) mod audit_log;
pub(super) mod calendars;
pub(super) mod documents;
pub(super) mod events;
pub(super) mod executors;
mod health;
pub(super) mod jobs;
pub(super) mod leader;
mod log_download;
pub(super) mod log_follow;
pub(super) mod logs;
mod metrics;
mod oidc;
pub(super) mod queues;
pub(super) mod runs;
pub(super) mod schedules;
mod secrets;
mod session;
pub(super) mod statistics;
pub(super) mod status;
pub(super) mod tasks;
mod tokens;
mod users;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::params::{Kind, Param};
use super::problem::Problem;
use super::table::Table;
pub(crate) use audit::audited;
pub(crate) use jobs::read_state as read_job_state;
pub(crate) use session::{cookie as session_cookie, gone as session_gone};

/// Where the API begins. A change that would break a client moves to the next number.
pub(super) const BASE: &str = "/api/v1";

/// Who leads; also standbys answer this themselves.
pub(super) const LEADER_PATH: &str = "/api/v1/leader";

/// What is counted; also standbys answer this themselves.
pub(super) const METRICS_PATH: &str = "/metrics";

/// What every handler answers.
type Answer = Result<Response, Problem>;

/// The states of a shard and its task.
pub(super) const SHARD_STATES: [&str; 10] = [
    "PENDING",
    "LAUNCHING",
    "RUNNING",
    "UNREACHABLE",
    "KILLING",
    "WAITING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "TIMED_OUT",
];

/// Filters a list by app.
pub(super) static APP: Param = Param { name: "app", about: "Only of this app.", kind: Kind::Name };

/// Filters a list by job.
pub(super) static JOB: Param = Param { name: "job", about: "Only of this job.", kind: Kind::Name };

/// Filters a list by agent.
static AGENT: Param = Param { name: "agent", about: "Only of this agent.", kind: Kind::Text };

/// The table of routes.
pub(super) fn table() -> Table {
    Table::new()
        .with(apps::routes)
        .with(calendars::routes)
        .with(jobs::routes)
        .with(schedules::routes)
        .with(runs::routes)
        .with(tasks::routes)
        .with(logs::routes)
        .with(log_download::routes)
        .with(queues::routes)
        .with(executors::routes)
        .with(events::routes)
        .with(statistics::routes)
        .with(leader::routes)
        .with(status::routes)
        .with(audit::routes)
        .with(session::routes)
        .with(oidc::routes)
        .with(users::routes)
        .with(secrets::routes)
        .with(tokens::routes)
        .with(audit_log::routes)
        .with(health::routes)
        .with(metrics::routes)
}

/// 200 with the resource, 404 without.
fn found<T: Serialize>(what: &str, resource: Option<T>) -> Answer {
    match resource {
        Some(resource) => Ok(Json(resource).into_response()),
        None => Err(Problem::not_found(what)),
    }
}

/// 201, or 200 if it had been made before, with where it is and what it is.
fn made(new: bool, location: String, body: impl Serialize) -> Response {
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    (status, [(header::LOCATION, location)], Json(body)).into_response()
}

/// 202: begun, its end will be seen at the resource.
fn accepted(id: Option<&str>) -> Response {
    #[derive(Serialize)]
    struct Accepted<'a> {
        accepted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    }
    (StatusCode::ACCEPTED, Json(Accepted { accepted: true, id })).into_response()
}

/// 204.
fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
