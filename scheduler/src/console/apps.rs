//! `/apps`: apps, one app, and its document as a form.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;
use serde_json::Value;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::AppName;
use shiftwork_engine::view::AppView;
use shiftwork_engine::{Engine, Order};

use super::document_form::{Field, Form, Group, Kind, document, field, fill, guarded};
use super::format::{self, segment};
use super::forms::{Fields, Sent};
use super::job::{confirm, reason_field};
use super::jobs::plain;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, done, parts};
use crate::api::access::Caller;
use crate::api::extract::{InPath, Named, document_name};
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::RawParams;
use crate::api::{ApiState, Problem, fields, visible};

const APPS: List = List("console-apps");

const FIELDS: [Field; 8] = [
    field(
        "appName",
        "Name",
        "1 to 100 letters, digits, dots, hyphens and underscores.",
        Kind::Text,
    )
    .required(),
    field("cpuCount", "CPUs of its executor", "1 unless given.", Kind::Number),
    field("memoryMB", "Memory of its executor, MB", "128 unless given.", Kind::Number),
    field(
        "bootstrapScript",
        "Command of its executor",
        "The executor of this project unless given.",
        Kind::Text,
    ),
    field(
        "appURL",
        "Package",
        "An address or path that the agent fetches into the sandbox.",
        Kind::Text,
    ),
    field(
        "idleTimeout",
        "Idle timeout",
        "Its executor leaves after being idle so long; 10m unless given.",
        Kind::Text,
    ),
    field(
        "eventTraceSamplingCount",
        "Daemon firings reported",
        "One in so many; 0 reports each.",
        Kind::Number,
    ),
    field("env", "Environment", "A variable a line, as NAME=value.", Kind::Lines),
];

const GROUPS: &[Group] = &[Group { title: "The app", fields: &FIELDS }];

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/apps", get(list))
        .route("/new/app", get(ask_new).post(create))
        .route("/apps/{app}", get(show))
        .route("/apps/{app}/edit", get(ask_edit).post(update))
        .route("/apps/{app}/enable", post(enable))
        .route("/apps/{app}/disable", get(ask_disable).post(disable))
        .route("/apps/{app}/delete", get(ask_delete).post(delete))
}

fn address(app: &AppName) -> String {
    format!("/apps/{}", segment(app.as_str()))
}

fn app_state(app: &AppView) -> &'static str {
    match (&app.problem, app.enabled) {
        (Some(_), _) => "BROKEN",
        (None, true) => "ENABLED",
        (None, false) => "DISABLED",
    }
}

async fn find(state: &ApiState, name: &AppName) -> Result<AppView, Problem> {
    let asked = name.clone();
    let app = state.query(move |engine| engine.app(&asked)).await?;
    app.ok_or_else(|| Problem::not_found(&format!("app {name}")))
}

/// `GET /apps?limit=&cursor=`
async fn list(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params = RawParams::parse(&uri).only(&["limit", "cursor", "said"])?;
    let at = PageAt::read(APPS, &params)?;
    let after = at.read_after(AppName::read)?;
    let listing = (
        |engine: &Engine, after: Option<&Option<AppName>>, limit: usize| {
            engine.apps(after.and_then(Option::as_ref), Order::Ascending, limit)
        },
        |app: &AppView| AppName::read(&app.name).ok(),
        |_: &Engine, app: &AppView| Some(app.name.clone()),
    );
    let rows = visible::rows(&state, &visitor.scope(), &at, after.map(Some), listing).await?;
    let page = Rows::cut(rows, &at, |app| app.name.clone());
    let body = html! {
        (parts::heading("Apps", html! { @if visitor.may_change(None) { a.button.primary href="/new/app" { "New app" } } }))
        div.sheet {
            (parts::table("Apps", &["App", "State", "Jobs", "Its executor"], html! {
                @for app in &page.items {
                    @let document: Value = serde_json::from_str(app.document.get()).unwrap_or_default();
                    tr {
                        td.name { (parts::app_link(&app.name)) }
                        td.tight { (parts::state(app_state(app))) }
                        td { a href=(format!("/jobs{}", format::query(&[("app", &app.name)]))) { (format::counted(app.jobs, "job")) } }
                        td { (or(&document, "cpuCount", "1")) " cpus, " (or(&document, "memoryMB", "128")) " MB" }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("No app is registered yet.")) }
        }
        (parts::pager("/apps", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Apps", Section::Apps).polled(15).show(&visitor, body))
}

fn or(document: &Value, name: &str, default: &str) -> String {
    if document[name].is_null() { default.to_owned() } else { plain(&document[name]) }
}

/// `GET /apps/{app}`
async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<AppName>,
) -> Answer {
    let app = find(&state, &name).await?;
    let of_app = name.clone();
    let executors =
        state.query(move |engine| engine.executors(Some(&of_app), None, None, 100)).await?;
    let document: Value = serde_json::from_str(app.document.get()).unwrap_or_default();
    let (at, jobs) = (address(&name), format!("/jobs{}", format::query(&[("app", &app.name)])));
    let body = html! {
        p.crumbs { a href="/apps" { "Apps" } }
        (parts::heading(&app.name, html! {
            @if visitor.may_change(Some(name.as_str())) {
                a.button.primary href=(format!("/new/job{}", format::query(&[("app", &app.name)]))) { "New job" }
                a.button href=(format!("{at}/edit")) { "Edit" }
                @if app.enabled { a.button href=(format!("{at}/disable")) { "Disable…" } }
                @else { (parts::button(&format!("{at}/enable"), "Enable", "")) }
                a.button.danger href=(format!("{at}/delete")) { "Delete…" }
            }
        }))
        section.sheet {
            h2 { (parts::state(app_state(&app))) }
            @if let Some(problem) = &app.problem { p.notice { (problem) } }
            @if let Some(record) = &app.disabled {
                p { "Disabled by " (record.by) " at " (format::time(&visitor.zone, record.at))
                    @if let Some(reason) = &record.reason { ": " (reason) } }
            }
            (parts::facts(&[
                ("Jobs", html! { a href=(jobs) { (format::counted(app.jobs, "job")) } }),
                ("Its executor", html! { (or(&document, "cpuCount", "1")) " cpus, " (or(&document, "memoryMB", "128")) " MB" }),
                ("Command", html! { code { (or(&document, "bootstrapScript", "shiftwork-executor")) } }),
                ("Idle timeout", html! { (or(&document, "idleTimeout", "10m")) }),
            ]))
        }
        section.sheet {
            h2 { "Executors" }
            @if executors.is_empty() { (parts::empty("None runs now.")) } @else { (super::agents::executor_table(&executors)) }
        }
        section.sheet { h2 { "Document" } (parts::document(app.document.get())) }
    };
    Ok(Page::new(&app.name, Section::Apps).polled(10).show(&visitor, body))
}

fn form(
    visitor: &Visitor,
    name: Option<&AppName>,
    filled: &Fields,
    problem: Option<&Problem>,
) -> Response {
    let back = name.map_or_else(|| "/apps".to_owned(), address);
    let action = name.map_or_else(|| "/new/app".to_owned(), |_| format!("{back}/edit"));
    let form = Form {
        title: &name.map_or_else(|| "New app".to_owned(), |name| format!("Edit {name}")),
        section: Section::Apps,
        action: &action,
        back: &back,
        button: if name.is_some() { "Save" } else { "Register" },
        groups: GROUPS,
        filled,
        fixed: name.map(|_| "appName"),
        problem,
        beside: None,
        scripts: &[],
    };
    form.show(visitor)
}

/// `GET /new/app`
async fn ask_new(visitor: Visitor) -> Response {
    form(&visitor, None, &Fields::from(&[("cpuCount", "0.1"), ("memoryMB", "64")][..]), None)
}

/// `POST /new/app`
async fn create(
    State(state): State<ApiState>,
    visitor: Visitor,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let created = match document(&sent, GROUPS) {
        Ok(document) => {
            let name = document_name::<AppName>(&document, "appName");
            let document = document.to_string().into_bytes();
            state.command(by, Command::CreateApp { document }).await.and(name)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(name) => Ok(done(&address(&name), "created")),
        Err(problem) => Ok(form(&visitor, None, &sent, Some(&problem))),
    }
}

/// `GET /apps/{app}/edit`
async fn ask_edit(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<AppName>,
) -> Answer {
    let app = find(&state, &name).await?;
    Ok(form(&visitor, Some(&name), &fill(app.document.get(), GROUPS), None))
}

/// `POST /apps/{app}/edit`
async fn update(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(app): Named<AppName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let saved = match document(&sent, GROUPS) {
        Ok(document) => {
            let document = document.to_string().into_bytes();
            let change = Command::UpdateApp { app: app.clone(), document };
            state.command(by, guarded(&sent, change)).await
        }
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(_) => Ok(done(&address(&app), "saved")),
        Err(problem) => Ok(form(&visitor, Some(&app), &sent, Some(&problem))),
    }
}

/// `POST /apps/{app}/enable`
async fn enable(
    State(state): State<ApiState>,
    Named(app): Named<AppName>,
    Caller(by): Caller,
) -> Answer {
    let back = address(&app);
    state.command(by, Command::SetAppEnabled { app, enabled: true, reason: None }).await?;
    Ok(done(&back, "enabled"))
}

/// `GET /apps/{app}/disable`
async fn ask_disable(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<AppName>,
) -> Answer {
    let app = find(&state, &name).await?;
    let more = html! {
        p { "None of its " (format::counted(app.jobs, "job")) " will fire, and their running tasks are killed." }
        (reason_field())
    };
    Ok(confirm(
        &visitor,
        &format!("Disable {name}?"),
        &address(&name),
        "disable",
        "Disable",
        more,
        Section::Apps,
    ))
}

/// `POST /apps/{app}/disable`
async fn disable(
    State(state): State<ApiState>,
    Named(app): Named<AppName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let back = address(&app);
    let reason = fields::reason(serde_json::json!({"reason": sent.given("reason")}))?;
    state.command(by, Command::SetAppEnabled { app, enabled: false, reason }).await?;
    Ok(done(&back, "disabled"))
}

/// `GET /apps/{app}/delete`
async fn ask_delete(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<AppName>,
) -> Answer {
    let app = find(&state, &name).await?;
    let more = html! {
        p { "The app is removed" @if app.jobs > 0 { strong { " together with its " (format::counted(app.jobs, "job")) } ", whose running tasks are killed" } ". Their history stays." }
    };
    Ok(confirm(
        &visitor,
        &format!("Delete {name}?"),
        &address(&name),
        "delete",
        "Delete",
        more,
        Section::Apps,
    ))
}

/// `POST /apps/{app}/delete`
async fn delete(
    State(state): State<ApiState>,
    Named(app): Named<AppName>,
    Caller(by): Caller,
) -> Answer {
    state.command(by, Command::DeleteApp { app }).await?;
    Ok(done("/apps", "deleted"))
}
