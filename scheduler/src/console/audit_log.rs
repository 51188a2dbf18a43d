//! `/audit-log`: who changed what, from where, what it was before and what it is after.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use shiftwork_schedule::Timestamp;

use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, format, parts};
use crate::api::ApiState;
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::RawParams;
use crate::api::run_lookup::no_history;
use crate::trace::{AuditLogFilter, AuditLogRow, EventKey};

/// Rows of a page.
const ROWS: usize = 50;

/// Things that are changed, as the log names them.
const KINDS: [(&str, &str); 11] = [
    ("", "anything"),
    ("job", "jobs"),
    ("app", "apps"),
    ("calendar", "calendars"),
    ("run", "runs"),
    ("task", "tasks"),
    ("user", "users"),
    ("token", "tokens"),
    ("session", "sessions"),
    ("secret", "secrets"),
    ("scheduler", "the scheduler"),
];

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/audit-log", get(show))
}

/// `GET /audit-log?actor=&action=&kind=&name=&limit=&cursor=`
async fn show(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let known = ["actor", "action", "kind", "name", "limit", "cursor", "said"];
    let params = RawParams::parse(&uri).only(&known)?;
    let mut at = PageAt::read(List("console-audit-log"), &params)?;
    if params.text("limit").is_none() {
        at.limit = ROWS;
    }
    let given = |name: &str| params.text(name).map(str::to_owned);
    let filter = AuditLogFilter {
        actor: given("actor"),
        action: given("action"),
        kind: given("kind"),
        name: given("name"),
        ..AuditLogFilter::default()
    };
    let behind = at.read_after(str::parse::<EventKey>)?;
    let rows = state.history.audit_log(&filter, behind, at.fetch()).await.map_err(no_history)?;
    let key = |row: &AuditLogRow| EventKey { epoch: row.epoch, sequence: row.sequence }.to_string();
    let page = Rows::cut(rows, &at, key);
    let text = |name: &str| params.text(name).unwrap_or_default();
    let filters = ["actor", "action", "kind", "name", "limit"].map(|name| (name, text(name)));
    let columns = ["When", "Who", "From", "What was done", "To what", "Before and after"];
    let body = html! {
        (parts::heading("Audit log", html! {}))
        form.filter method="get" action="/audit-log" role="search" {
            (parts::search("actor", "Who", text("actor"), "name  ( / )"))
            (parts::search("action", "Action", text("action"), "as disable"))
            (parts::choice("kind", "To", text("kind"), &KINDS))
            (parts::search("name", "Name", text("name"), "of what was changed"))
            button { "Show" }
        }
        div.sheet {
            (parts::table("Who changed what, latest first", &columns, html! {
                @for row in &page.items { (entry(&visitor, row)) }
            }))
            @if page.items.is_empty() { (parts::empty("Nothing in the log is like that.")) }
        }
        (parts::pager("/audit-log", &filters, page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Audit log", Section::AuditLog).show(&visitor, body))
}

fn entry(visitor: &Visitor, row: &AuditLogRow) -> Markup {
    html! {
        tr {
            td.tight { (format::time(&visitor.zone, Timestamp::from_millis(row.at_ms))) }
            td.name { (row.actor.as_deref().unwrap_or("anybody")) @if let Some(role) = &row.role { " " span.more { (role) } } }
            td.tight { (row.door) @if let Some(origin) = &row.origin { " " span.more { (origin) } } }
            td.tight { (row.action) }
            td.name { (row.kind) " " span.id { (row.name) } }
            td.text {
                @for (label, state) in [("before", &row.before), ("after", &row.after)] {
                    @if let Some(state) = state { details { summary { (label) } (parts::document(state)) } }
                }
            }
        }
    }
}
