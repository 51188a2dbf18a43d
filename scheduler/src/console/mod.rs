//! The web console: pages that are made on the server from the same questions the API asks, and forms
//! that send the same commands. Scripts only show a page anew and spare a click; what they may load is
//! said by a policy without anything inline. Absent: state of its own, and any rule; the engine has
//! those.

mod agents;
mod apps;
mod assets;
mod audit;
mod audit_log;
mod calendars;
mod charts;
mod document_form;
mod format;
mod forms;
mod gate;
mod history;
mod job;
mod job_form;
mod jobs;
mod layout;
mod log;
mod login;
mod oops;
mod overview;
mod parts;
mod preferences;
mod queues;
mod run;
mod run_timeline;
mod runs;
mod settings;
mod trigger;
mod visitor;

use axum::response::{IntoResponse, Redirect, Response};
use axum::{Router, middleware};

use crate::api::ApiState;
use oops::Oops;

/// What every page answers.
type Answer = Result<Response, Oops>;

/// The routes of the console.
pub(crate) fn routes(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .merge(overview::routes())
        .merge(jobs::routes())
        .merge(job::routes())
        .merge(job_form::routes())
        .merge(trigger::routes())
        .merge(apps::routes())
        .merge(calendars::routes())
        .merge(runs::routes())
        .merge(run::routes())
        .merge(log::routes())
        .merge(queues::routes())
        .merge(agents::routes())
        .merge(history::routes())
        .merge(audit::routes())
        .merge(audit_log::routes())
        .merge(settings::routes())
        .merge(login::routes())
        .merge(preferences::routes())
        .route_layer(middleware::from_fn_with_state(state.clone(), oops::dress))
        .merge(assets::routes())
}

/// Back to a page after something was done there.
fn done(address: &str, word: &str) -> Response {
    Redirect::to(&visitor::saying(address, word)).into_response()
}
