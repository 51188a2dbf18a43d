//! `/jobs`: register, read, replace, remove, enable and disable jobs, and why one does not run.
//! Absent: triggers (`runs.rs`) and the coming firings (`schedules.rs`).

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, JobName};

use super::{Answer, BASE, done, found, made};
use crate::api::ApiState;
use crate::api::extract::{Caller, InPath, JsonBody, Named, OptionalJsonBody, document_name};
use crate::api::fields;
use crate::api::page::{CURSOR, LIMIT, List, Page, PageAt};
use crate::api::params::RawParams;
use crate::api::why::{self, Facts};

const JOBS: List = List("jobs");

/// `GET /jobs?app=`
pub(super) async fn list(State(state): State<ApiState>, params: RawParams) -> Answer {
    let params = params.only(&[AppName::PARAMETER, LIMIT, CURSOR])?;
    let app = params.read(AppName::PARAMETER, AppName::read)?;
    let at = PageAt::read(JOBS, &params)?;
    let (after, fetch) = (at.after.clone(), at.fetch());
    let rows =
        state.query(move |engine| engine.jobs(app.as_ref(), after.as_deref(), fetch)).await?;
    Ok(Json(Page::cut(rows, &at, |job| job.name.clone())).into_response())
}

/// `POST /jobs`
pub(super) async fn create(
    State(state): State<ApiState>,
    params: RawParams,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let name = document_name::<JobName>(&body.value, "jobName");
    state.command(by, Command::CreateJob { document: body.bytes.to_vec() }).await?;
    let name = name?;
    let location = format!("{BASE}/jobs/{name}");
    let job = state.query(move |engine| engine.job(&name)).await?;
    Ok(made(true, location, job))
}

/// `GET /jobs/{job}`
pub(super) async fn get(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<JobName>,
) -> Answer {
    params.none()?;
    read(&state, name).await
}

/// `PUT /jobs/{job}`
pub(super) async fn update(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<JobName>,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    params.none()?;
    let document = body.bytes.to_vec();
    state.command(by, Command::UpdateJob { job: name.clone(), document }).await?;
    read(&state, name).await
}

/// `DELETE /jobs/{job}`
pub(super) async fn delete(
    State(state): State<ApiState>,
    params: RawParams,
    Named(job): Named<JobName>,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::DeleteJob { job }).await?;
    Ok(done())
}

/// `POST /jobs/{job}/enable`
pub(super) async fn enable(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<JobName>,
    Caller(by): Caller,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    set_enabled(&state, by, name, true, body).await
}

/// `POST /jobs/{job}/disable`
pub(super) async fn disable(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<JobName>,
    Caller(by): Caller,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    params.none()?;
    set_enabled(&state, by, name, false, body).await
}

/// `GET /jobs/{job}/why`
pub(super) async fn why(
    State(state): State<ApiState>,
    params: RawParams,
    Named(name): Named<JobName>,
) -> Answer {
    params.none()?;
    let what = format!("job {name}");
    let facts = state.query(move |engine| Facts::of(engine, &name)).await?;
    found(&what, facts.map(why::explain))
}

async fn set_enabled(
    state: &ApiState,
    by: String,
    name: JobName,
    enabled: bool,
    body: Option<JsonBody>,
) -> Answer {
    let reason = body.map_or(Ok(None), |body| fields::reason(body.value))?;
    let job = name.clone();
    state.command(by, Command::SetJobEnabled { job, enabled, reason }).await?;
    read(state, name).await
}

async fn read(state: &ApiState, name: JobName) -> Answer {
    let what = format!("job {name}");
    found(&what, state.query(move |engine| engine.job(&name)).await?)
}
