//! The REST resources: the table of routes, and what their handlers share. A file a resource.

mod agents;
mod apps;
mod calendars;
mod health;
mod jobs;
mod logs;
mod queues;
mod runs;
mod schedules;
mod status;
mod tasks;

use axum::Json;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::ApiState;
use super::problem::Problem;

/// Where the API begins. A change that would break a client moves to the next number.
pub(super) const BASE: &str = "/api/v1";

/// What every handler answers.
type Answer = Result<Response, Problem>;

/// The table of routes.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .nest(BASE, resources())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
}

fn resources() -> Router<ApiState> {
    Router::new()
        .route("/apps", get(apps::list).post(apps::create))
        .route("/apps/{app}", get(apps::get).put(apps::update).delete(apps::delete))
        .route("/apps/{app}/enable", post(apps::enable))
        .route("/apps/{app}/disable", post(apps::disable))
        .route("/calendars", get(calendars::list).post(calendars::create))
        .route(
            "/calendars/{calendar}",
            get(calendars::get).put(calendars::update).delete(calendars::delete),
        )
        .route("/jobs", get(jobs::list).post(jobs::create))
        .route("/jobs/{job}", get(jobs::get).put(jobs::update).delete(jobs::delete))
        .route("/jobs/{job}/enable", post(jobs::enable))
        .route("/jobs/{job}/disable", post(jobs::disable))
        .route("/jobs/{job}/trigger", post(runs::trigger))
        .route("/jobs/{job}/next", get(schedules::next))
        .route("/jobs/{job}/why", get(jobs::why))
        .route("/schedules/preview", get(schedules::preview))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::get))
        .route("/runs/{run}/cancel", post(runs::cancel))
        .route("/runs/{run}/rerun", post(runs::rerun))
        .route("/runs/{run}/events", get(runs::events))
        .route("/tasks/{task}/kill", post(tasks::kill))
        .route("/tasks/{task}/logs", get(logs::read))
        .route("/queues/ready", get(queues::ready))
        .route("/queues/failover", get(queues::failover))
        .route("/queues/running", get(queues::running))
        .route("/agents", get(agents::list))
        .route("/status", get(status::get))
        .route("/reconcile", post(status::reconcile))
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
