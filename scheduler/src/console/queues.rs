//! `/queues/{queue}`: what is ready, what is to be launched again, what runs, as the registry has it.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use shiftwork_engine::Engine;
use shiftwork_engine::ids::{JobName, RunId, TaskId};
use shiftwork_engine::statistics::Backlog;
use shiftwork_engine::view::{FailoverView, ReadyView, RunningView};

use super::format::{self, distance, duration, grouped};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::extract::InPath;
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::{Params, RawParams};
use crate::api::{ApiState, visible};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/queues/ready", get(ready))
        .route("/queues/failover", get(failover))
        .route("/queues/running", get(running))
}

fn read(uri: &Uri, list: List) -> Result<(Params, PageAt), crate::api::Problem> {
    let params = RawParams::parse(uri).only(&["limit", "cursor", "said"])?;
    let at = PageAt::read(list, &params)?;
    Ok((params, at))
}

/// How many there are of each, and which is shown.
fn tabs(backlog: Backlog, tasks: usize, jobs: usize, current: &str) -> Markup {
    let entries = [
        ("ready", "Ready", jobs),
        ("failover", "Failover", backlog.failover.depth),
        ("running", "Running", tasks),
    ];
    let entries: Vec<(String, String, bool)> = entries
        .into_iter()
        .map(|(name, label, number)| {
            (
                format!("/queues/{name}"),
                format!("{label} ({})", grouped(number as u64)),
                name == current,
            )
        })
        .collect();
    let oldest = backlog.pending.oldest_wait_ms as i64;
    html! {
        (parts::heading("Queues", html! {
            span.more { (format::counted(backlog.pending.depth, "pending run")) @if backlog.pending.depth > 0 { ", the oldest waits " (duration(oldest)) } }
        }))
        (parts::tabs("Queues", &entries))
    }
}

/// What the tabs say: the depths of all queues, whoever looks.
async fn depths(state: &ApiState) -> Result<(Backlog, usize, usize), crate::api::Problem> {
    state.query(|engine| (engine.backlog(), engine.status().tasks, engine.queued_jobs())).await
}

fn app_of_run(engine: &Engine, run: &RunId) -> Option<String> {
    Some(engine.run(run)?.app.to_string())
}

/// `GET /queues/ready`
async fn ready(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let (params, at) = read(&uri, List("console-ready"))?;
    let after = at.read_after(JobName::read)?;
    let (backlog, tasks, jobs) = depths(&state).await?;
    let listing = (
        Engine::ready,
        |row: &ReadyView| row.job.clone(),
        |engine: &Engine, row: &ReadyView| Some(engine.job(&row.job)?.app?.to_string()),
    );
    let rows = visible::rows(&state, &visitor.scope(), &at, after, listing).await?;
    let page = Rows::cut(rows, &at, |row| row.job.to_string());
    let body = html! {
        (tabs(backlog, tasks, jobs, "ready"))
        div.sheet {
            (parts::table("Jobs with pending runs", &["Job", "Pending", "Comes next", "Why it waits"], html! {
                @for row in &page.items {
                    tr {
                        td.name { (parts::job_link(row.job.as_str())) }
                        td.number { (grouped(row.times as u64)) }
                        td.name { (parts::run_link(row.next.as_str())) }
                        td.text { (row.reason.as_deref().unwrap_or("waiting for the next launch cycle")) }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("No run waits.")) }
        }
        (parts::pager("/queues/ready", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Ready queue", Section::Queues).live("?kind=RUN", 5).show(&visitor, body))
}

/// `GET /queues/failover`
async fn failover(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let (params, at) = read(&uri, List("console-failover"))?;
    let after = at.read_after(|text| {
        let (run, item) = text.rsplit_once('/').ok_or(())?;
        Ok::<_, ()>((RunId::parse(run).map_err(drop)?, item.parse::<u32>().map_err(drop)?))
    })?;
    let (backlog, tasks, jobs) = depths(&state).await?;
    let listing = (
        Engine::failover,
        |row: &FailoverView| (row.run.clone(), row.item),
        |engine: &Engine, row: &FailoverView| app_of_run(engine, &row.run),
    );
    let rows = visible::rows(&state, &visitor.scope(), &at, after, listing).await?;
    let page = Rows::cut(rows, &at, |row| format!("{}/{}", row.run, row.item));
    let body = html! {
        (tabs(backlog, tasks, jobs, "failover"))
        div.sheet {
            (parts::table("Shards to be launched again", &["Run", "Shard", "Due", "Why it waits", "Its task before"], html! {
                @for row in &page.items {
                    tr {
                        td.name { (parts::run_link(row.run.as_str())) }
                        td { (row.item) }
                        td.tight { (format::time(&visitor.zone, row.due)) " " span.more { (distance(visitor.now, row.due)) } }
                        td.text { (row.reason.as_deref().unwrap_or_default()) }
                        td.name { @if let Some(task) = &row.original_task_id { a.id href=(parts::log_address(task.as_str(), "stderr")) { (task) } } }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("No shard waits to be launched again.")) }
        }
        (parts::pager("/queues/failover", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Failover queue", Section::Queues).live("?kind=TASK", 5).show(&visitor, body))
}

/// `GET /queues/running`
async fn running(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let (params, at) = read(&uri, List("console-running"))?;
    let after = at.after.as_deref().map(TaskId::new);
    let (backlog, tasks, jobs) = depths(&state).await?;
    let listing = (
        Engine::running,
        |row: &RunningView| row.task_id.clone(),
        |engine: &Engine, row: &RunningView| app_of_run(engine, &row.run),
    );
    let rows = visible::rows(&state, &visitor.scope(), &at, after, listing).await?;
    let page = Rows::cut(rows, &at, |row| row.task_id.to_string());
    let body = html! {
        (tabs(backlog, tasks, jobs, "running"))
        div.sheet {
            (parts::table("Live tasks", &["Run", "Shard", "State", "Since", "Agent", "Output"], html! {
                @for row in &page.items {
                    tr {
                        td.name { (parts::run_link(row.run.as_str())) }
                        td { (row.item) }
                        td.tight { (parts::state(&parts::shard_state(row.state))) @if row.idle == Some(true) { " " span.more { "idle" } } }
                        td.tight { (format::time(&visitor.zone, row.since)) " " span.more { (distance(visitor.now, row.since)) } }
                        td.name { (parts::agent_link(row.agent.as_str())) }
                        td.tight { a href=(parts::log_address(row.task_id.as_str(), "stdout")) { "stdout" } " " a href=(parts::log_address(row.task_id.as_str(), "stderr")) { "stderr" } }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("No task is running.")) }
        }
        (parts::pager("/queues/running", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Running queue", Section::Queues).live("?kind=TASK", 5).show(&visitor, body))
}
