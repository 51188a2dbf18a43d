//! `/audit`: what was due against what ran. `/changes`: who changed which document, and when.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use serde_json::Value;

use super::format::{self, grouped, segment};
use super::forms::QueryFields;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::ApiState;
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::RawParams;
use crate::api::run_lookup::no_history;
use crate::audit::Report;
use crate::trace::{ChangeRow, EventKey};

/// Findings on the page.
const FINDINGS: usize = 200;
/// Changes on a page.
const CHANGES: usize = 50;

/// How far back one may look.
const BACK: [(&str, &str); 4] = [
    ("1h", "the last hour"),
    ("24h", "the last 24 hours"),
    ("72h", "the last 3 days"),
    ("168h", "the last 7 days"),
];

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/audit", get(audit)).route("/changes", get(changes))
}

/// `GET /audit?since=`
async fn audit(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    let asked = query.given("since").unwrap_or("24h");
    // Looking back takes a while: it is done when it is asked for, and not by passing by.
    let report = match query.given("since") {
        Some(since) => Some(crate::api::audited(&state, Some(since)).await),
        None => None,
    };
    let body = html! {
        (parts::heading("Firing audit", html! {}))
        p { "Computes anew what was due, from the documents as they stood, and compares it with what ran. A firing may not be missing, nor have run twice." }
        form.filter method="get" action="/audit" {
            (parts::choice("since", "Judge", asked, &BACK))
            button.primary { "Audit now" }
        }
        @match &report {
            None => {},
            Some(Err(problem)) => p.notice { (problem.detail()) },
            Some(Ok(report)) => (judged(&visitor, report)),
        }
    };
    Ok(Page::new("Firing audit", Section::Audit).show(&visitor, body))
}

fn judged(visitor: &Visitor, report: &Report) -> Markup {
    html! {
        div.sheet.figures {
            (parts::figure("Due", grouped(report.due), Some(html! { "firings" })))
            (parts::figure("Got their run", grouped(report.fired), None))
            (parts::figure("Left out by a rule", grouped(report.left_out), None))
            (parts::figure("Amiss", grouped(report.findings_total), Some(html! { @if report.findings_total == 0 { "as it should be" } @else { "see below" } })))
            (parts::figure("Not judged", grouped(report.jobs_unknown), Some(html! { "jobs whose documents are not all known" })))
        }
        p.more { "Judged from " (format::time(&visitor.zone, report.since)) " to " (format::time(&visitor.zone, report.until)) }
        @if report.history_incomplete { p.notice { "The history lost records since this process began: what seems to be missing may be what was lost." } }
        @if report.findings.is_empty() { div.sheet { (parts::empty("Every firing that was due got its run, or was left out by a rule of its job.")) } }
        @else {
            div.sheet {
                (parts::table("What is amiss", &["What", "Job", "Firing", "Run", "More"], html! {
                    @for finding in report.findings.iter().take(FINDINGS) {
                        tr {
                            td.tight { (parts::state(finding.kind.name())) }
                            td.name { (parts::job_link(&finding.job)) }
                            td.tight { (format::time(&visitor.zone, finding.firing)) }
                            td.name { (parts::run_link(&finding.run)) }
                            td.text { (finding.detail) }
                        }
                    }
                }))
            }
        }
    }
}

/// `GET /changes?kind=&name=&limit=&cursor=`
async fn changes(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params = RawParams::parse(&uri).only(&["kind", "name", "limit", "cursor", "said"])?;
    let mut at = PageAt::read(List("console-changes"), &params)?;
    if params.text("limit").is_none() {
        at.limit = CHANGES;
    }
    let behind = at.read_after(str::parse::<EventKey>)?;
    let text = |name: &str| params.text(name).unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let rows =
        state.history.latest_changes(kind, name, behind, at.fetch()).await.map_err(no_history)?;
    let page = Rows::cut(rows, &at, |row| {
        EventKey { epoch: row.epoch, sequence: row.sequence }.to_string()
    });
    let filters = [("kind", kind), ("name", name), ("limit", text("limit"))];
    let kinds = [
        ("", "any"),
        ("job", "jobs"),
        ("app", "apps"),
        ("calendar", "calendars"),
        ("job-flag", "jobs disabled"),
        ("app-flag", "apps disabled"),
    ];
    let body = html! {
        (parts::heading("Changes", html! {}))
        form.filter method="get" action="/changes" role="search" {
            (parts::choice("kind", "Of", kind, &kinds))
            (parts::search("name", "Name", name, "of the job, app or calendar  ( / )"))
            button { "Show" }
        }
        div.sheet {
            (parts::table("Changes of documents, latest first", &["When", "What", "Name", "Who", "As it was then"], html! {
                @for row in &page.items { (change(&visitor, row)) }
            }))
            @if page.items.is_empty() { (parts::empty("No change is recorded.")) }
        }
        (parts::pager("/changes", &filters, page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Changes", Section::Changes).show(&visitor, body))
}

fn change(visitor: &Visitor, row: &ChangeRow) -> Markup {
    let at = shiftwork_schedule::Timestamp::from_millis(row.at_ms);
    let address = match row.kind.as_str() {
        "app" | "app-flag" => format!("/apps/{}", segment(&row.name)),
        "calendar" => format!("/calendars/{}", segment(&row.name)),
        _ => format!("/jobs/{}", segment(&row.name)),
    };
    let what = match (row.kind.as_str(), row.content.is_some()) {
        ("app-flag" | "job-flag", true) => "disabled",
        ("app-flag" | "job-flag", false) => "enabled",
        (_, true) => "written",
        (_, false) => "removed",
    };
    html! {
        tr {
            td.tight { (format::time(&visitor.zone, at)) }
            td.tight { (row.kind.trim_end_matches("-flag")) " " (what) }
            td.name { a href=(address) { (row.name) } }
            td.tight { (row.changed_by) }
            td.text {
                @match (&row.content, row.kind.ends_with("-flag")) {
                    (Some(content), true) => (reason(content)),
                    (Some(content), false) => details { summary { "document" } (parts::document(content)) },
                    (None, _) => {},
                }
            }
        }
    }
}

fn reason(content: &str) -> String {
    let record: Value = serde_json::from_str(content).unwrap_or_default();
    record["reason"].as_str().unwrap_or_default().to_owned()
}
