//! `/apps`: register, read, replace, remove, enable and disable apps.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::AppName;

use super::{Answer, BASE, done, found, made};
use crate::api::ApiState;
use crate::api::extract::{Caller, JsonBody, Named, OptionalJsonBody, document_name};
use crate::api::fields;
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;

const APPS: List = List("apps");

/// `GET /apps`
pub(super) async fn list(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(APPS, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.apps(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |app| app.name.clone())).into_response())
}

/// `POST /apps`
pub(super) async fn create(
    State(state): State<ApiState>,
    params: RawParams,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let name = document_name::<AppName>(&body.value, "appName");
    state.command(by, Command::CreateApp { document: body.bytes.to_vec() }).await?;
    let name = name?;
    let location = format!("{BASE}/apps/{name}");
    let app = state.query(move |engine| engine.app(&name)).await?;
    Ok(made(true, location, app))
}

/// `GET /apps/{app}`
pub(super) async fn get(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<AppName>,
) -> Answer {
    params.none()?;
    read(&state, name).await
}

/// `PUT /apps/{app}`
pub(super) async fn update(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<AppName>,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let document = body.bytes.to_vec();
    state.command(by, Command::UpdateApp { app: name.clone(), document }).await?;
    read(&state, name).await
}

/// `DELETE /apps/{app}`
pub(super) async fn delete(
    State(state): State<ApiState>,
    params: RawParams,
    Named(app): Named<AppName>,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::DeleteApp { app }).await?;
    Ok(done())
}

/// `POST /apps/{app}/enable`
pub(super) async fn enable(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<AppName>,
    Caller(by): Caller,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    set_enabled(&state, by, name, true, body).await
}

/// `POST /apps/{app}/disable`
pub(super) async fn disable(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<AppName>,
    Caller(by): Caller,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    set_enabled(&state, by, name, false, body).await
}

async fn set_enabled(
    state: &ApiState,
    by: String,
    name: AppName,
    enabled: bool,
    body: Option<JsonBody>,
) -> Answer {
    let reason = body.map_or(Ok(None), |body| fields::reason(body.value))?;
    let app = name.clone();
    state.command(by, Command::SetAppEnabled { app, enabled, reason }).await?;
    read(state, name).await
}

async fn read(state: &ApiState, name: AppName) -> Answer {
    let what = format!("app {name}");
    found(&what, state.query(move |engine| engine.app(&name)).await?)
}
