//! `/calendars`: register, read, replace and remove the days on which jobs do not fire.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::CalendarName;

use super::{Answer, BASE, done, found, made};
use crate::api::ApiState;
use crate::api::extract::{Caller, JsonBody, Named, document_name};
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;

const CALENDARS: List = List("calendars");

/// `GET /calendars`
pub(super) async fn list(State(state): State<ApiState>, params: RawParams) -> Answer {
    let at = PageAt::read(CALENDARS, &params.only(&[LIMIT, CURSOR])?)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows = state.query(move |engine| engine.calendars(after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |calendar| calendar.name.clone())).into_response())
}

/// `POST /calendars`
pub(super) async fn create(
    State(state): State<ApiState>,
    params: RawParams,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let name = document_name::<CalendarName>(&body.value, "calendarName");
    state.command(by, Command::CreateCalendar { document: body.bytes.to_vec() }).await?;
    let name = name?;
    let location = format!("{BASE}/calendars/{name}");
    let calendar = state.query(move |engine| engine.calendar(&name)).await?;
    Ok(made(true, location, calendar))
}

/// `GET /calendars/{calendar}`
pub(super) async fn get(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<CalendarName>,
) -> Answer {
    params.none()?;
    read(&state, name).await
}

/// `PUT /calendars/{calendar}`
pub(super) async fn update(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<CalendarName>,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let document = body.bytes.to_vec();
    state.command(by, Command::UpdateCalendar { calendar: name.clone(), document }).await?;
    read(&state, name).await
}

/// `DELETE /calendars/{calendar}`
pub(super) async fn delete(
    State(state): State<ApiState>,
    params: RawParams,
    Named(calendar): Named<CalendarName>,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::DeleteCalendar { calendar }).await?;
    Ok(done())
}

async fn read(state: &ApiState, name: CalendarName) -> Answer {
    let what = format!("calendar {name}");
    found(&what, state.query(move |engine| engine.calendar(&name)).await?)
}
