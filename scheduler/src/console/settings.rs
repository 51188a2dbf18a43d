//! `/settings`: what this scheduler was started with, to be read. It is changed where it was said: on
//! the command line, in the environment.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::html;
use shiftwork_engine::{Engine, Settings};
use shiftwork_schedule::tzdb;

use super::format::duration;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::ApiState;
use crate::registry::Standing;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/settings", get(show))
}

/// `GET /settings`
async fn show(State(state): State<ApiState>, visitor: Visitor) -> Answer {
    let (settings, status) =
        state.query(|engine: &Engine| (engine.settings().clone(), engine.status())).await?;
    let own = state.leadership.own.borrow().clone();
    let standing = match *state.leadership.standing.borrow() {
        Standing::Leading => "leads",
        Standing::Standby { .. } => "stands by",
        Standing::Starting => "is starting",
        Standing::Hindered { .. } => "cannot take the lead",
    };
    let rows = rows(&settings);
    let body = html! {
        (parts::heading("Settings", html! { a.button href="/docs" { "Try the API" } a.button href="/openapi.json" { "openapi.json" } a.button href="/metrics" { "Metrics" } }))
        section.sheet {
            h2 { "This scheduler" }
            (parts::facts(&[
                ("Version", html! { (env!("CARGO_PKG_VERSION")) }),
                ("Standing", html! { "it " (standing) }),
                ("Process", html! { @if let Some(own) = &own { span.id { (own.id) } } }),
                ("Address", html! { @if let Some(own) = &own { (own.addresses.join(", ")) } }),
                ("Framework", html! { @if let Some(id) = &status.framework_id { span.id { (id) } } }),
                ("Time zone data", html! { (tzdb()) }),
            ]))
        }
        section.sheet {
            h2 { "Settings" }
            p.more { "Read-only here: they are given on the command line or in the environment, and hold from the next start on." }
            (parts::table("Settings of the engine", &["Setting", "Value", "What it does"], html! {
                @for (name, value, about) in &rows { tr { td.tight { code { (name) } } td.tight { (value) } td.text { (about) } } }
            }))
        }
    };
    Ok(Page::new("Settings", Section::Settings).show(&visitor, body))
}

fn rows(settings: &Settings) -> Vec<(&'static str, String, &'static str)> {
    let time = |ms: u64| duration(ms as i64);
    vec![
        (
            "default time zone",
            settings.default_zone.name().to_owned(),
            "Zone of jobs that name none.",
        ),
        (
            "launch interval",
            time(settings.launch_interval_ms),
            "Placement is tried at least this often.",
        ),
        (
            "launch debounce",
            time(settings.launch_debounce_ms),
            "No two launch cycles are closer together.",
        ),
        (
            "offer lookahead",
            time(settings.offer_lookahead_ms),
            "Offers are asked for so long ahead of work that is known to come.",
        ),
        (
            "offer hold",
            time(settings.offer_hold_ms),
            "While nothing waits, an offer is given back after this long.",
        ),
        (
            "reserve after",
            time(settings.reserve_after_ms),
            "A run that has waited so long gets offers kept back for it.",
        ),
        (
            "launch timeout",
            time(settings.launch_timeout_ms),
            "A task that does not report running in this time is killed and placed elsewhere.",
        ),
        (
            "unreachable timeout",
            time(settings.unreachable_timeout_ms),
            "A task on an unreachable agent counts as lost after this long.",
        ),
        (
            "reconcile interval",
            time(settings.reconcile_interval_ms),
            "The master is asked about every task this often.",
        ),
        (
            "reconcile grace",
            time(settings.reconcile_grace_ms),
            "A task the master never answers about counts as lost after this long.",
        ),
        (
            "kill retry",
            time(settings.kill_retry_ms),
            "A kill is repeated so long after the task should have ended.",
        ),
        (
            "maintenance horizon",
            time(settings.maintenance_horizon_ms),
            "So long before an agent goes away it gets only what will have ended by then.",
        ),
    ]
}
