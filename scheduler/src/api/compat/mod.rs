//! Elastic-Job-Cloud's REST, both generations, so that its console and its users' scripts go on
//! working: a thin translation to the commands and questions of our own API. Absent: its defects,
//! except where a client depends on an answer; anything the native API can do and it could not.
//!
//! Both generations share their paths. Which one a request is of follows from what only one of them
//! sends (`dialect.rs`), else from the configuration.

mod apps;
mod dialect;
mod history;
mod job_answer;
mod job_document;
mod jobs;
mod login;
mod operations;
mod queues;
mod statistics;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{delete, get, post};

use super::ApiState;
pub use dialect::Dialect;
pub use login::Credentials;
use operations::Throttle;

/// How Elastic-Job-Cloud's REST is served.
#[derive(Debug, Clone, Default)]
pub struct ElasticJobConfig {
    /// The generation of requests that do not show theirs.
    pub dialect: Dialect,
    /// One who may use it beside those who may use the native API; without, and without
    /// authentication there, everybody may who reaches it.
    pub credentials: Option<Credentials>,
}

/// What the handlers share.
#[derive(Clone)]
struct Compat {
    api: ApiState,
    dialect: Dialect,
    throttle: Arc<Throttle>,
}

/// The routes.
pub(super) fn routes(api: ApiState, config: ElasticJobConfig) -> Router {
    let state = Compat { api, dialect: config.dialect, throttle: Arc::new(Throttle::default()) };
    let routes = Router::new()
        .route("/api/login", post(login::login))
        .route("/api/app", post(apps::register).put(apps::update))
        .route("/api/app/list", get(apps::list))
        .route("/api/app/{app}", get(apps::get).delete(apps::deregister))
        .route(
            "/api/app/{app}/disable",
            get(apps::is_disabled).post(apps::disable).delete(apps::enable),
        )
        .route("/api/app/{app}/enable", post(apps::enable))
        .merge(jobs())
        .merge(search());
    routes
        .route_layer(middleware::from_fn_with_state(state.clone(), login::admit))
        .with_state(state)
}

fn jobs() -> Router<Compat> {
    Router::new()
        .route("/api/job/register", post(jobs::register))
        .route("/api/job/update", axum::routing::put(jobs::update))
        .route("/api/job/deregister", delete(jobs::deregister_by_body))
        .route("/api/job/{job}/deregister", delete(jobs::deregister))
        .route(
            "/api/job/{job}/disable",
            get(jobs::is_disabled).post(jobs::disable).delete(jobs::enable),
        )
        .route("/api/job/{job}/enable", post(jobs::enable))
        .route("/api/job/trigger", post(jobs::trigger))
        .route("/api/job/jobs", get(jobs::list))
        .route("/api/job/jobs/{job}", get(jobs::get))
        .route("/api/job/tasks/running", get(queues::running))
        .route("/api/job/tasks/ready", get(queues::ready))
        .route("/api/job/tasks/failover", get(queues::failover))
}

fn search() -> Router<Compat> {
    const STATISTICS: &str = "/api/job/statistics";
    Router::new()
        .route("/api/job/events/executions", get(history::executions))
        .route("/api/job/events/statusTraces", get(history::status_traces))
        .route(&format!("{STATISTICS}/tasks/results"), get(statistics::results_since))
        .route(&format!("{STATISTICS}/tasks/results/{{period}}"), get(statistics::results))
        .route(&format!("{STATISTICS}/tasks/running"), get(statistics::running_tasks))
        .route(&format!("{STATISTICS}/jobs/running"), get(statistics::running_jobs))
        .route(&format!("{STATISTICS}/jobs/type"), get(statistics::job_types))
        .route(&format!("{STATISTICS}/jobs/executionType"), get(statistics::execution_types))
        .route(&format!("{STATISTICS}/jobs/register"), get(statistics::registered_jobs))
        .route("/api/operate/reconcile/explicit", post(operations::reconcile))
        .route("/api/operate/reconcile/implicit", post(operations::reconcile))
        .route("/api/operate/sandbox", get(operations::sandbox))
}
