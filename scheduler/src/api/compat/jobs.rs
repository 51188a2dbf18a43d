//! `/api/job`: jobs in Elastic-Job-Cloud's words. Absent: their documents (`job_document.rs`), queues
//! and searches.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::Value;
use shiftwork_engine::command::{Command, Overrides, Refusal};
use shiftwork_engine::document::Fingerprint;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::view::{AppView, JobView};
use shiftwork_engine::{Engine, Order};

use super::Compat;
use super::dialect::{Answer, Dialect, Refused};
use super::job_answer::JobAnswer;
use super::job_document::{Document, keep_job_extensions, object, text};
use crate::api::access::Caller;

/// Jobs asked for at once when all are listed: the owner answers other questions in between.
const PAGE_ROWS: usize = 500;

/// `POST /api/job/register`
pub(super) async fn register(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    body: Bytes,
) -> Answer {
    let refuse = |message: String| Refused::Message(dialect, message);
    let job = Document::read(&body).and_then(|it| it.into_job(dialect)).map_err(refuse)?;
    let (name, app) = (text(&job, "jobName"), text(&job, "appName"));
    if let (Some(view), app_view) = known(&state, &name, &app).await? {
        let disabled = !view.enabled || app_view.is_some_and(|app| !app.enabled);
        let what = if disabled { "has been disable" } else { "already existed" };
        return Err(refuse(format!("Job '{name}' {what}.")));
    }
    let document = Value::Object(job).to_string().into();
    match state.carry_out(by, Command::CreateJob { document }).await? {
        Err(Refusal::Invalid { errors, .. })
            if errors.iter().any(|it| it.field == "appName" && it.message.contains("register")) =>
        {
            Err(refuse(format!("Register app '{app}' firstly.")))
        }
        Err(Refusal::Conflict { .. }) => Err(refuse(format!("Job '{name}' already existed."))),
        reply => dialect.of_reply(reply),
    }
}

async fn known(
    state: &Compat,
    job: &str,
    app: &str,
) -> Result<(Option<JobView>, Option<AppView>), Refused> {
    let (job, app) = (JobName::parse(job).ok(), AppName::parse(app).ok());
    let ask = move |engine: &Engine| {
        (job.and_then(|job| engine.job(&job)), app.and_then(|app| engine.app(&app)))
    };
    Ok(state.api.query(ask).await?)
}

/// `PUT /api/job/update`
pub(super) async fn update(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    body: Bytes,
) -> Answer {
    let refuse = |message: String| Refused::Message(dialect, message);
    let mut job = Document::read(&body).and_then(|it| it.into_job(dialect)).map_err(refuse)?;
    let name = text(&job, "jobName");
    let absent = || refuse(format!("Cannot found job '{name}', please register first."));
    let stored = find(&state, &name).await?.ok_or_else(absent)?;
    let stored = stored.document.get();
    keep_job_extensions(&mut job, &object(stored));
    let command = Command::UpdateJob {
        job: JobName::parse(&name).map_err(|_| absent())?,
        document: Value::Object(job).to_string().into(),
    };
    // What was taken over must not undo somebody's change in between.
    let seen = Fingerprint::of(stored);
    let command = Command::IfUnchanged { seen, change: Box::new(command) };
    let reply = state.carry_out(by, command).await?;
    dialect.of_reply(reply)
}

/// 2.x `DELETE /api/job/deregister`, the name in the body.
pub(super) async fn deregister_by_body(
    state: State<Compat>,
    dialect: Dialect,
    by: Caller,
    body: Bytes,
) -> Answer {
    deregister(state, dialect, by, Path(bare(&body))).await
}

/// 3.x `DELETE /api/job/{job}/deregister`
pub(super) async fn deregister(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Answer {
    let command = JobName::parse(&name).ok().map(|job| Command::DeleteJob { job });
    state.change_if_there(dialect, by, command).await
}

/// A name that may stand in quotes or not, as Gson takes it.
fn bare(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.trim_matches('\'').to_owned())
}

/// `GET /api/job/{job}/disable`: also what is not there counts as disabled.
pub(super) async fn is_disabled(
    State(state): State<Compat>,
    dialect: Dialect,
    Path(name): Path<String>,
) -> Answer {
    let Ok(job) = JobName::parse(&name) else { return Ok(dialect.json(&true)) };
    let ask = move |engine: &Engine| {
        let Some(view) = engine.job(&job) else { return true };
        let app = view.app.as_ref().and_then(|app| engine.app(app));
        !view.enabled || app.is_some_and(|app| !app.enabled)
    };
    Ok(dialect.json(&state.api.query(ask).await?))
}

/// `POST /api/job/{job}/disable`
pub(super) async fn disable(
    state: State<Compat>,
    dialect: Dialect,
    by: Caller,
    name: Path<String>,
) -> Answer {
    set_enabled(state, dialect, by, name, false).await
}

/// 2.x `DELETE /api/job/{job}/disable`, 3.x `POST /api/job/{job}/enable`
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
    let job = JobName::parse(&name).ok();
    let command = job.map(|job| Command::SetJobEnabled { job, enabled, reason: None });
    state.change_if_there(dialect, by, command).await
}

/// `POST /api/job/trigger`, the name in the body.
pub(super) async fn trigger(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
    body: Bytes,
) -> Answer {
    let name = bare(&body);
    let Some(view) = find(&state, &name).await? else { return Ok(dialect.done()) };
    if text(&object(view.document.get()), "jobExecutionType") == "DAEMON" {
        let message = format!("Daemon job '{name}' cannot support trigger.");
        return Err(Refused::Message(dialect, message));
    }
    let command = JobName::parse(&name).ok().map(|job| {
        let (key, overrides) = (None, Overrides::default());
        Command::Trigger { job, key, overrides, submitter: None }
    });
    state.change_if_there(dialect, by, command).await
}

/// `GET /api/job/jobs/{job}`
pub(super) async fn get(
    State(state): State<Compat>,
    dialect: Dialect,
    Path(name): Path<String>,
) -> Answer {
    Ok(match find(&state, &name).await? {
        Some(view) => dialect.ordered_json(&JobAnswer::of(&view, dialect)),
        None => dialect.absent(),
    })
}

async fn find(state: &Compat, name: &str) -> Result<Option<JobView>, Refused> {
    let Ok(job) = JobName::parse(name) else { return Ok(None) };
    Ok(state.api.query(move |engine| engine.job(&job)).await?)
}

/// `GET /api/job/jobs`
pub(super) async fn list(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let mut jobs: Vec<JobAnswer> = Vec::new();
    each_page(&state, |page| jobs.extend(page.iter().map(|view| JobAnswer::of(view, dialect))))
        .await?;
    Ok(dialect.ordered_json(&jobs))
}

/// Goes through all jobs, a page at a time.
pub(super) async fn each_page(
    state: &Compat,
    mut visit: impl FnMut(&[JobView]),
) -> Result<(), Refused> {
    let mut after: Option<JobName> = None;
    loop {
        let from = after.take();
        let ask =
            move |engine: &Engine| engine.jobs(None, from.as_ref(), Order::Ascending, PAGE_ROWS);
        let page = state.api.query(ask).await?;
        visit(&page);
        let last = page.last().and_then(|view| JobName::parse(&view.name).ok());
        match last {
            Some(last) if page.len() == PAGE_ROWS => after = Some(last),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_quotes_or_not() {
        for body in ["foo_job", "\"foo_job\"", " foo_job\n", "'foo_job'"] {
            assert_eq!(bare(&Bytes::from(body)), "foo_job", "{body}");
        }
    }
}
