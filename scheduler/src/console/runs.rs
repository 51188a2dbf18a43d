//! `/runs`: runs, newest first, those that live and those of the history in one list. Absent: one run
//! (`run.rs`).

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use shiftwork_engine::view::RunView;

use super::format::{self, duration};
use super::job::took_ms;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::ApiState;
use crate::api::params::RawParams;
use crate::api::run_lookup::{self, Wanted};
use crate::api::run_page::Row;

/// Rows of a page.
const ROWS: usize = 50;

/// States in the choice.
const STATES: [(&str, &str); 10] = [
    ("", "any"),
    ("PENDING", "pending"),
    ("LAUNCHING", "launching"),
    ("RUNNING", "running"),
    ("SUCCEEDED", "succeeded"),
    ("FAILED", "failed"),
    ("CANCELLED", "cancelled"),
    ("TIMED_OUT", "timed out"),
    ("EXPIRED", "expired"),
    ("SKIPPED", "skipped"),
];

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/runs", get(list))
}

/// `GET /runs?job=&app=&state=&limit=&cursor=`
async fn list(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params =
        RawParams::parse(&uri).only(&["job", "app", "state", "limit", "cursor", "said"])?;
    let mut wanted = Wanted::read(&params)?.within(&visitor.scope());
    if params.text("limit").is_none() {
        wanted.limit(ROWS);
    }
    let page = run_lookup::page(&state, wanted).await?;
    let runs: Vec<RunView> = page.items.iter().filter_map(Row::view).collect();
    let text = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let (job, app, chosen, limit) = (text("job"), text("app"), text("state"), text("limit"));
    let filters = [("job", &*job), ("app", &*app), ("state", &*chosen), ("limit", &*limit)];
    let is_first = params.text("cursor").is_none();
    let body = html! {
        (parts::heading("Runs", html! {}))
        form.filter method="get" action="/runs" role="search" {
            (parts::search("job", "Job", &job, "name of a job  ( / )"))
            (parts::search("app", "App", &app, "name of an app"))
            (parts::choice("state", "State", &chosen, &STATES))
            button { "Show" }
        }
        (table(&visitor, &runs))
        (parts::pager("/runs", &filters, page.next.as_deref(), is_first))
    };
    let page = Page::new("Runs", Section::Runs);
    // Who looks back is not to be moved on by what happens now.
    let page = if is_first { page.live(events(&job), 15) } else { page };
    Ok(page.show(&visitor, body))
}

fn events(job: &str) -> String {
    format::query(&[("kind", "RUN"), ("job", job)])
}

fn table(visitor: &Visitor, runs: &[RunView]) -> Markup {
    let columns =
        ["Run", "Job", "State", "Logical time", "Started", "Took", "Shards", "What is said"];
    html! {
        div.sheet {
            (parts::table("Runs", &columns, html! {
                @for run in runs {
                    tr {
                        td.name { (parts::run_link(run.id.as_str())) }
                        td.name { (parts::job_link(run.job.as_str())) }
                        td.tight { (parts::state(run.state.name())) }
                        td.tight { (format::time(&visitor.zone, run.logical_time)) }
                        td.tight { (format::maybe_time(&visitor.zone, run.started_at)) }
                        td.tight { @if let Some(took) = took_ms(visitor, run) { (duration(took)) } }
                        td.tight { (format::grouped(run.sharding_total_count)) }
                        td.text { (format::cut(run.reason.as_deref().unwrap_or_default(), 160)) }
                    }
                }
            }))
            @if runs.is_empty() { (parts::empty("No run is like that.")) }
        }
    }
}
