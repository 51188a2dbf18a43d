//! Where the leading master is, and what a master that does not lead answers. No election.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::watch;

use super::Shared;
use super::respond::rejected;
use crate::cluster::Leadership;
use crate::world::{MESOS_VERSION, Rejection};

/// What `/version` answers; clients decide by it which form of the API they speak.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    version: &'static str,
}

pub(super) async fn version() -> Json<Version> {
    Json(Version { version: MESOS_VERSION })
}

/// `/redirect`: to the leader, also when that is this one.
pub(super) async fn redirect(State(shared): State<Shared>) -> Response {
    let leadership = shared.leads.borrow().clone();
    match leadership {
        Leadership::Leading => {
            let to = shared.own_address.as_str();
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("//{to}"))]).into_response()
        }
        Leadership::Following(leader) => to_leader(&leader.hostname, leader.port, ""),
        Leadership::Unknown => nobody(),
    }
}

/// The answer of a master that does not lead; none from one that does.
pub(super) fn elsewhere(leads: &watch::Receiver<Leadership>) -> Option<Response> {
    match &*leads.borrow() {
        Leadership::Leading => None,
        Leadership::Following(leader) => {
            Some(to_leader(&leader.hostname, leader.port, "/master/api/v1/scheduler"))
        }
        Leadership::Unknown => Some(nobody()),
    }
}

fn to_leader(hostname: &str, port: u16, path: &str) -> Response {
    let location = format!("//{hostname}:{port}{path}");
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
}

fn nobody() -> Response {
    rejected(&Rejection::unavailable("No leader elected"))
}
