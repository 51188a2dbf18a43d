//! `/calendars`: the days on which jobs do not fire, and their documents as forms.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use maud::html;
use serde_json::Value;
use shiftwork_engine::Order;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::CalendarName;
use shiftwork_engine::view::CalendarView;

use super::document_form::{Field, Form, Group, Kind, document, field, fill, guarded};
use super::format::{self, segment};
use super::forms::{Fields, Sent};
use super::job::confirm;
use super::jobs::plain;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, done, parts};
use crate::api::access::Caller;
use crate::api::extract::{InPath, Named, document_name};
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::RawParams;
use crate::api::{ApiState, Problem};

const CALENDARS: List = List("console-calendars");

const FIELDS: [Field; 5] = [
    field(
        "calendarName",
        "Name",
        "1 to 100 letters, digits, dots, hyphens and underscores.",
        Kind::Text,
    )
    .required(),
    field("timeZone", "Time zone", "Whose days they are, as Europe/Berlin.", Kind::Text),
    field("weekdays", "Days of the week", "As SAT, SUN.", Kind::Words),
    field("dates", "Dates", "As 2026-12-25, 2026-12-26. Ranges stand below, as JSON.", Kind::Words),
    field("description", "Description", "For people.", Kind::Text),
];

const GROUPS: &[Group] =
    &[Group { title: "Days on which jobs that name it do not fire", fields: &FIELDS }];

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/calendars", get(list))
        .route("/new/calendar", get(ask_new).post(create))
        .route("/calendars/{calendar}", get(show))
        .route("/calendars/{calendar}/edit", get(ask_edit).post(update))
        .route("/calendars/{calendar}/delete", get(ask_delete).post(delete))
}

fn address(calendar: &CalendarName) -> String {
    format!("/calendars/{}", segment(calendar.as_str()))
}

async fn find(state: &ApiState, name: &CalendarName) -> Result<CalendarView, Problem> {
    let asked = name.clone();
    let calendar = state.query(move |engine| engine.calendar(&asked)).await?;
    calendar.ok_or_else(|| Problem::not_found(&format!("calendar {name}")))
}

/// `GET /calendars?limit=&cursor=`
async fn list(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params = RawParams::parse(&uri).only(&["limit", "cursor", "said"])?;
    let at = PageAt::read(CALENDARS, &params)?;
    let (after, fetch) = (at.read_after(CalendarName::read)?, at.fetch());
    let rows = state
        .query(move |engine| engine.calendars(after.as_ref(), Order::Ascending, fetch))
        .await?;
    let page = Rows::cut(rows, &at, |calendar| calendar.name.clone());
    let body = html! {
        (parts::heading("Calendars", html! { @if visitor.may_change(None) { a.button.primary href="/new/calendar" { "New calendar" } } }))
        div.sheet {
            (parts::table("Calendars", &["Calendar", "Zone", "Excludes", "Named by"], html! {
                @for calendar in &page.items {
                    @let document: Value = serde_json::from_str(calendar.document.get()).unwrap_or_default();
                    tr {
                        td.name { a href=(format!("/calendars/{}", segment(&calendar.name))) { (calendar.name) } @if calendar.problem.is_some() { " " (parts::state("BROKEN")) } }
                        td.tight { (plain(&document["timeZone"])) }
                        td.text { (excluded(&document)) }
                        td.tight { (format::counted(calendar.jobs, "job")) }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("No calendar is registered: jobs fire on every day of their schedules.")) }
        }
        (parts::pager("/calendars", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Calendars", Section::Calendars).show(&visitor, body))
}

/// The days in some words.
fn excluded(document: &Value) -> String {
    let number = |name: &str| document[name].as_array().map_or(0, Vec::len);
    let weekdays = document["weekdays"].as_array().into_iter().flatten().map(plain);
    let mut words: Vec<String> = weekdays.collect();
    for (name, one) in [("dates", "date"), ("ranges", "range")] {
        if number(name) > 0 {
            words.push(format::counted(number(name), one));
        }
    }
    words.join(", ")
}

/// `GET /calendars/{calendar}`
async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<CalendarName>,
) -> Answer {
    let calendar = find(&state, &name).await?;
    let document: Value = serde_json::from_str(calendar.document.get()).unwrap_or_default();
    let at = address(&name);
    let body = html! {
        p.crumbs { a href="/calendars" { "Calendars" } }
        (parts::heading(&calendar.name, html! {
            @if visitor.may_change(None) {
                a.button href=(format!("{at}/edit")) { "Edit" }
                a.button.danger href=(format!("{at}/delete")) { "Delete…" }
            }
        }))
        @if let Some(problem) = &calendar.problem { p.notice { (problem) } }
        section.sheet {
            (parts::facts(&[
                ("Excludes", html! { (excluded(&document)) }),
                ("Zone", html! { (plain(&document["timeZone"])) }),
                ("Named by", html! { (format::counted(calendar.jobs, "job")) }),
            ]))
        }
        section.sheet { h2 { "Document" } (parts::document(calendar.document.get())) }
    };
    Ok(Page::new(&calendar.name, Section::Calendars).show(&visitor, body))
}

fn form(
    visitor: &Visitor,
    name: Option<&CalendarName>,
    filled: &Fields,
    problem: Option<&Problem>,
) -> Response {
    let back = name.map_or_else(|| "/calendars".to_owned(), address);
    let action = name.map_or_else(|| "/new/calendar".to_owned(), |_| format!("{back}/edit"));
    let form = Form {
        title: &name.map_or_else(|| "New calendar".to_owned(), |name| format!("Edit {name}")),
        section: Section::Calendars,
        action: &action,
        back: &back,
        button: if name.is_some() { "Save" } else { "Register" },
        groups: GROUPS,
        filled,
        fixed: name.map(|_| "calendarName"),
        problem,
        beside: None,
        scripts: &[],
    };
    form.show(visitor)
}

/// `GET /new/calendar`
async fn ask_new(visitor: Visitor) -> Response {
    form(&visitor, None, &Fields::default(), None)
}

/// `POST /new/calendar`
async fn create(
    State(state): State<ApiState>,
    visitor: Visitor,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let created = match document(&sent, GROUPS) {
        Ok(document) => {
            let name = document_name::<CalendarName>(&document, "calendarName");
            let document = document.to_string().into_bytes();
            state.command(by, Command::CreateCalendar { document }).await.and(name)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(name) => Ok(done(&address(&name), "created")),
        Err(problem) => Ok(form(&visitor, None, &sent, Some(&problem))),
    }
}

/// `GET /calendars/{calendar}/edit`
async fn ask_edit(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<CalendarName>,
) -> Answer {
    let calendar = find(&state, &name).await?;
    Ok(form(&visitor, Some(&name), &fill(calendar.document.get(), GROUPS), None))
}

/// `POST /calendars/{calendar}/edit`
async fn update(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(calendar): Named<CalendarName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let saved = match document(&sent, GROUPS) {
        Ok(document) => {
            let document = document.to_string().into_bytes();
            let change = Command::UpdateCalendar { calendar: calendar.clone(), document };
            state.command(by, guarded(&sent, change)).await
        }
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(_) => Ok(done(&address(&calendar), "saved")),
        Err(problem) => Ok(form(&visitor, Some(&calendar), &sent, Some(&problem))),
    }
}

/// `GET /calendars/{calendar}/delete`
async fn ask_delete(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<CalendarName>,
) -> Answer {
    let calendar = find(&state, &name).await?;
    let more = html! {
        @if calendar.jobs > 0 { p.notice { (format::counted(calendar.jobs, "job")) " still name it: a calendar is removed only when none does." } }
        @else { p { "The calendar is removed. No job names it." } }
    };
    Ok(confirm(
        &visitor,
        &format!("Delete {name}?"),
        &address(&name),
        "delete",
        "Delete",
        more,
        Section::Calendars,
    ))
}

/// `POST /calendars/{calendar}/delete`
async fn delete(
    State(state): State<ApiState>,
    Named(calendar): Named<CalendarName>,
    Caller(by): Caller,
) -> Answer {
    state.command(by, Command::DeleteCalendar { calendar }).await?;
    Ok(done("/calendars", "deleted"))
}
