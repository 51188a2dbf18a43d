//! `/tasks/{task}/log`: what a task writes, as it is written; to be searched and downloaded. Absent:
//! reading it; a script does, from the API.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::html;
use shiftwork_engine::ids::TaskId;

use super::format::segment;
use super::forms::QueryFields;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::extract::Named;
use crate::api::{ApiState, run_lookup};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/tasks/{task}/log", get(show))
}

/// `GET /tasks/{task}/log?stream=`
async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(task): Named<TaskId>,
    QueryFields(query): QueryFields,
) -> Answer {
    let stream = if query.text("stream") == "stderr" { "stderr" } else { "stdout" };
    let asked = task.clone();
    let view = match state.query(move |engine| engine.task(&asked)).await? {
        Some(view) => Some(view),
        // An earlier attempt is known by its output alone.
        None => run_lookup::find_task(&state, &task).await.ok(),
    };
    let title = match &view {
        Some(view) => format!("{stream} of shard {}", view.item),
        None => format!("{stream} of a task"),
    };
    let tabs: Vec<(String, String, bool)> = ["stdout", "stderr"]
        .into_iter()
        .map(|name| (parts::log_address(task.as_str(), name), name.to_owned(), name == stream))
        .collect();
    let download =
        format!("/api/v1/tasks/{}/logs/download?stream={stream}", segment(task.as_str()));
    let body = html! {
        @if let Some(view) = &view { p.crumbs { a href="/runs" { "Runs" } " / " (parts::run_link(view.run.as_str())) } }
        (parts::heading(&title, html! { @if let Some(view) = &view { (parts::state(&parts::shard_state(view.state))) } a.button href=(download) download { "Download" } }))
        p.more { "Task " span.id { (task) } }
        (parts::tabs("Outputs", &tabs))
        div.logbar data-keep {
            label { input #log-follow type="checkbox" checked; "Follow" }
            label { input #log-wrap type="checkbox"; "Wrap lines" }
            input #log-search type="search" placeholder="Search  ( / )" aria-label="Search in the output" autocomplete="off" spellcheck="false";
            button #log-previous type="button" { "Previous" }
            button #log-next type="button" { "Next" }
            output #log-found for="log-search" {}
        }
        pre #log data-keep tabindex="0" role="log" aria-label=(title) data-task=(task) data-stream=(stream) {}
        p.more #log-state data-keep role="status" { "Reading…" }
        noscript { p.notice { "Without scripts the output is not shown here: download it." } }
    };
    Ok(Page::new(&title, Section::Runs).scripts(&["log.js"]).show(&visitor, body))
}
