//! `/api/app`: apps in Elastic-Job-Cloud's words. Absent: jobs; what becomes of an app's jobs is the
//! engine's business.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::{Map, Value};
use shiftwork_engine::Order;
use shiftwork_engine::command::{Command, Refusal};
use shiftwork_engine::ids::AppName;
use shiftwork_engine::view::AppView;

use super::Compat;
use super::dialect::{Answer, Dialect, Refused};
use super::job_document::{Document, boolean, keep_extensions, number, object, text};
use crate::api::access::Caller;

/// Apps asked for at once when all are listed: the owner answers other questions in between.
const PAGE_ROWS: usize = 500;

/// The fields of an app that Elastic-Job-Cloud knows.
const FIELDS: [&str; 7] = [
    "appName",
    "appURL",
    "bootstrapScript",
    "cpuCount",
    "memoryMB",
    "appCacheEnable",
    "eventTraceSamplingCount",
];

/// What an app may hold beyond that.
const EXTENSIONS: [&str; 5] = ["uris", "env", "labels", "idleTimeout", "description"];

/// An app as both generations answer it, in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
// The names are theirs.
#[allow(clippy::struct_field_names)]
struct App {
    app_name: String,
    #[serde(rename = "appURL")]
    app_url: String,
    bootstrap_script: String,
    cpu_count: f64,
    #[serde(rename = "memoryMB")]
    memory_mb: f64,
    app_cache_enable: bool,
    event_trace_sampling_count: i64,
}

impl App {
    fn of(view: &AppView) -> Self {
        let document = object(view.document.get());
        Self {
            app_name: view.name.clone(),
            app_url: text(&document, "appURL"),
            bootstrap_script: text(&document, "bootstrapScript"),
            cpu_count: number(&document, "cpuCount").unwrap_or(1.0),
            memory_mb: number(&document, "memoryMB").unwrap_or(128.0),
            app_cache_enable: boolean(&document, "appCacheEnable", true),
            event_trace_sampling_count: number(&document, "eventTraceSamplingCount")
                .unwrap_or_default() as i64,
        }
    }
}

/// `POST /api/app`
pub(super) async fn register(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    body: Bytes,
) -> Answer {
    let document = read(dialect, &body)?;
    let name = text(&document, "appName");
    let command = Command::CreateApp { document: Value::Object(document).to_string().into() };
    match state.carry_out(by, command).await? {
        Err(Refusal::Conflict { .. }) => {
            Err(Refused::Message(dialect, format!("app '{name}' already existed.")))
        }
        reply => dialect.of_reply(reply),
    }
}

/// `PUT /api/app`: what is not there is not changed, and nobody is told.
pub(super) async fn update(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    body: Bytes,
) -> Answer {
    let mut document = read(dialect, &body)?;
    let name = text(&document, "appName");
    let Ok(app) = AppName::parse(&name) else { return Ok(dialect.done()) };
    let asked = app.clone();
    let stored = state.api.query(move |engine| engine.app(&asked)).await?;
    let Some(stored) = stored else { return Ok(dialect.done()) };
    keep_extensions(&mut document, &object(stored.document.get()), &EXTENSIONS);
    let document = Value::Object(document).to_string().into();
    let reply = state.carry_out(by, Command::UpdateApp { app, document }).await?;
    dialect.of_reply(reply)
}

fn read(dialect: Dialect, body: &Bytes) -> Result<Map<String, Value>, Refused> {
    Document::read(body)
        .map(|document| document.with_fields(&[&FIELDS[..], &EXTENSIONS[..]].concat()))
        .map_err(|message| Refused::Message(dialect, message))
}

/// `GET /api/app/{app}`
pub(super) async fn get(
    State(state): State<Compat>,
    dialect: Dialect,
    Path(name): Path<String>,
) -> Answer {
    Ok(match find(&state, &name).await? {
        Some(view) => dialect.ordered_json(&App::of(&view)),
        None => dialect.absent(),
    })
}

/// `GET /api/app/list`
pub(super) async fn list(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let mut apps: Vec<App> = Vec::new();
    let mut after: Option<AppName> = None;
    loop {
        let from = after.take();
        let ask = move |engine: &shiftwork_engine::Engine| {
            engine.apps(from.as_ref(), Order::Ascending, PAGE_ROWS)
        };
        let page = state.api.query(ask).await?;
        let full = page.len() == PAGE_ROWS;
        after = page.last().and_then(|view| AppName::parse(&view.name).ok());
        apps.extend(page.iter().map(App::of));
        if !full || after.is_none() {
            return Ok(dialect.ordered_json(&apps));
        }
    }
}

/// `DELETE /api/app/{app}`
pub(super) async fn deregister(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Answer {
    state
        .change_if_there(
            dialect,
            by,
            AppName::parse(&name).ok().map(|app| Command::DeleteApp { app }),
        )
        .await
}

/// `GET /api/app/{app}/disable`
pub(super) async fn is_disabled(
    State(state): State<Compat>,
    dialect: Dialect,
    Path(name): Path<String>,
) -> Answer {
    let view = find(&state, &name).await?;
    Ok(dialect.json(&view.is_some_and(|view| !view.enabled)))
}

/// `POST /api/app/{app}/disable`
pub(super) async fn disable(
    state: State<Compat>,
    dialect: Dialect,
    by: Caller,
    name: Path<String>,
) -> Answer {
    set_enabled(state, dialect, by, name, false).await
}

/// 2.x `DELETE /api/app/{app}/disable`, 3.x `POST /api/app/{app}/enable`
pub(super) async fn enable(
    state: State<Compat>,
    dialect: Dialect,
    by: Caller,
    name: Path<String>,
) -> Answer {
    set_enabled(state, dialect, by, name, true).await
}

async fn set_enabled(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    Path(name): Path<String>,
    enabled: bool,
) -> Answer {
    let app = AppName::parse(&name).ok();
    let command = app.map(|app| Command::SetAppEnabled { app, enabled, reason: None });
    state.change_if_there(dialect, by, command).await
}

async fn find(state: &Compat, name: &str) -> Result<Option<AppView>, Refused> {
    let Ok(app) = AppName::parse(name) else { return Ok(None) };
    Ok(state.api.query(move |engine| engine.app(&app)).await?)
}
