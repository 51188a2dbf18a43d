//! The HTTP face of master and agent on one listener: routes only. What is answered is decided by
//! the world behind the hub.

mod files;
mod leader;
mod negotiate;
mod own_name;
mod respond;
mod state;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use shiftwork_proto::mesos::v1::{executor, scheduler};
use tokio::sync::watch;

use crate::cluster::Leadership;
use crate::hub::{Hub, Input};
use crate::local::Layout;
use negotiate::{accepted_format, parse_call};
pub(crate) use own_name::guard;
pub use own_name::host_is_local;
use respond::{accepted, method_not_allowed, rejected};
pub(crate) use state::States;

/// Largest call that is read. An ACCEPT with a thousand tasks is about a megabyte.
const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    /// Where the sandboxes are, when there is a local agent.
    pub(crate) layout: Option<Arc<Layout>>,
    /// This master as clients are to call it, `host:port`.
    pub(crate) own_address: String,
    /// Whether the master here leads.
    pub(crate) leads: watch::Receiver<Leadership>,
}

/// All routes. Each API is also under the path that its component has in a real cluster.
pub(crate) fn router(shared: Shared) -> Router {
    let scheduler = || post(scheduler_api).fallback(method_not_allowed);
    let executor = || post(executor_api).fallback(method_not_allowed);
    Router::new()
        .route("/api/v1/scheduler", scheduler())
        .route("/master/api/v1/scheduler", scheduler())
        .route("/api/v1/executor", executor())
        .route("/slave(1)/api/v1/executor", executor())
        .route("/health", get(health))
        .route("/master/health", get(health))
        .route("/version", get(leader::version))
        .route("/redirect", get(leader::redirect))
        .route("/master/redirect", get(leader::redirect))
        .route("/state", get(state::state))
        .route("/master/state", get(state::master))
        .route("/slave(1)/state", get(state::agent))
        .route("/slaves", get(state::slaves))
        .route("/master/slaves", get(state::slaves))
        .route("/files/read", get(files::read))
        .route("/files/browse", get(files::browse))
        .fallback(async || respond::not_found())
        .layer(DefaultBodyLimit::max(CALL_BYTES_MAX))
        .with_state(shared)
}

async fn health() -> StatusCode {
    StatusCode::OK
}

async fn scheduler_api(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(answer) = leader::elsewhere(&shared.leads) {
        return answer;
    }
    let call = match parse_call::<scheduler::Call>("mesos.v1.scheduler.Call", &headers, &body) {
        Ok(call) => Box::new(call),
        Err(rejection) => return rejected(&rejection),
    };
    let stream = headers.get(&stream::STREAM_ID).and_then(|value| value.to_str().ok());
    let stream = stream.map(str::to_owned);
    if call.r#type() != scheduler::call::Type::Subscribe {
        let asked = |reply| Input::CallScheduler { call, stream, reply };
        return accepted(shared.hub.ask(asked).await);
    }
    let format = match accepted_format(&headers) {
        Ok(format) => format,
        Err(rejection) => return rejected(&rejection),
    };
    match shared.hub.ask(|reply| Input::SubscribeScheduler { call, stream, reply }).await {
        Ok(opened) => stream::answer(shared.hub, opened, format, "mesos.v1.scheduler.Event", true),
        Err(rejection) => rejected(&rejection),
    }
}

async fn executor_api(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let call = match parse_call::<executor::Call>("mesos.v1.executor.Call", &headers, &body) {
        Ok(call) => Box::new(call),
        Err(rejection) => return rejected(&rejection),
    };
    if call.r#type() != executor::call::Type::Subscribe {
        return accepted(shared.hub.ask(|reply| Input::CallExecutor { call, reply }).await);
    }
    let format = match accepted_format(&headers) {
        Ok(format) => format,
        Err(rejection) => return rejected(&rejection),
    };
    match shared.hub.ask(|reply| Input::SubscribeExecutor { call, reply }).await {
        Ok(opened) => stream::answer(shared.hub, opened, format, "mesos.v1.executor.Event", false),
        Err(rejection) => rejected(&rejection),
    }
}
