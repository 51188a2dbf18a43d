//! `/runs/{run}`: one run: a bar for each shard and attempt, how each shard ended, what happened, what it
//! was made with, and how to end it or make it once more.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};
use shiftwork_engine::command::{Command, Done};
use shiftwork_engine::ids::{RunId, TaskId};
use shiftwork_engine::view::{RunView, ShardState, ShardView};

use super::format::{self, duration, segment};
use super::forms::{QueryFields, Sent};
use super::job::took_ms;
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, charts, done, parts, run_timeline};
use crate::api::access::Caller;
use crate::api::extract::Named;
use crate::api::run_lookup::{find, find_ended, no_history};
use crate::api::{ApiState, Problem};
use crate::trace::EventRow;

/// Shards on a page.
const SHARDS: usize = 50;
/// Events read: those of a run of a thousand shards do not fit a page anyway.
const EVENTS_READ: usize = 1_000;
/// Events listed, the latest.
const EVENTS_LISTED: usize = 100;
/// Characters shown of the end of a shard's output.
const TAIL_CHARS: usize = 600;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/runs/{run}", get(show))
        .route("/runs/{run}/cancel", post(cancel))
        .route("/runs/{run}/rerun", post(rerun))
        .route("/tasks/{task}/kill", post(kill))
}

/// `GET /runs/{run}?from=`
async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(id): Named<RunId>,
    QueryFields(query): QueryFields,
) -> Answer {
    let not_readable = || Problem::internal(format!("the history of run {id} is damaged"));
    let run = find(&state, &id).await?.view().ok_or_else(not_readable)?;
    let events = state.history.run_events(id.as_str(), None, EVENTS_READ).await.map_err(no_history);
    let from = query.text("from").parse::<usize>().unwrap_or(0).min(run.shards.len());
    let shards: Vec<&ShardView> = run.shards.iter().skip(from).take(SHARDS).collect();
    let body = html! {
        p.crumbs { a href="/runs" { "Runs" } " / " (parts::job_link(run.job.as_str())) }
        (parts::heading(run.id.as_str(), actions(&visitor, &run)))
        (summary(&visitor, &run))
        @if !shards.is_empty() {
            (timeline(&visitor, &run, events.as_deref().unwrap_or_default(), &shards))
            (shard_sheet(&visitor, &run, &shards, from))
        }
        (happened(&visitor, &events))
        (made_with(&run))
    };
    let page = Page::new(run.id.as_str(), Section::Runs);
    let page = if run.state.is_final() {
        page
    } else {
        page.live(format::query(&[("run", id.as_str())]), 5)
    };
    Ok(page.show(&visitor, body))
}

fn actions(visitor: &Visitor, run: &RunView) -> Markup {
    let at = parts::run_address(run.id.as_str());
    let failed = run.shards.iter().any(|shard| shard.state != ShardState::Succeeded);
    html! {
        @if visitor.may_change(Some(run.app.as_str())) {
            @if run.state.is_final() {
                (parts::button(&format!("{at}/rerun"), "Run again", "primary"))
                @if failed && run.shards.len() > 1 {
                    form.inline method="post" action=(format!("{at}/rerun")) {
                        button name="failedOnly" value="1" { "Run failed shards again" }
                    }
                }
            } @else { (parts::button(&format!("{at}/cancel"), "Cancel", "danger")) }
        }
    }
}

fn summary(visitor: &Visitor, run: &RunView) -> Markup {
    let waited = run.started_at.map(|at| at.since(run.created_at));
    let count = |state: ShardState| run.shards.iter().filter(|shard| shard.state == state).count();
    let succeeded = count(ShardState::Succeeded);
    html! {
        section.sheet {
            h2 { (parts::state(run.state.name())) }
            @if let Some(reason) = &run.reason { p.answer { (reason) } }
            (parts::facts(&[
                ("Job", html! { (parts::job_link(run.job.as_str())) " of " (parts::app_link(run.app.as_str())) }),
                ("Logical time", format::time(&visitor.zone, run.logical_time)),
                ("Made", html! { (format::time(&visitor.zone, run.created_at)) " by " (format::word(&origin(run))) }),
                ("Started", html! { (format::maybe_time(&visitor.zone, run.started_at)) @if let Some(ms) = waited { " " span.more { "after " (duration(ms)) } } }),
                ("Ended", format::maybe_time(&visitor.zone, run.finished_at)),
                ("Took", html! { @match took_ms(visitor, run) { Some(ms) => (duration(ms)), None => span.none { "–" } } }),
                ("Shards", html! { (format::grouped(run.shards.len() as u64)) " of " (format::grouped(run.sharding_total_count)) ", " (format::grouped(succeeded as u64)) " succeeded" }),
                ("Generation", html! { (run.attempt) }),
            ]))
        }
    }
}

fn origin(run: &RunView) -> String {
    serde_json::to_value(run.origin)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn timeline(
    visitor: &Visitor,
    run: &RunView,
    events: &[EventRow],
    shards: &[&ShardView],
) -> Markup {
    let items: Vec<u32> = shards.iter().map(|shard| shard.item).collect();
    let (lanes, scale) = run_timeline::of_run(visitor, run, events, &items);
    html! {
        section.sheet {
            div.over {
                h2 { "Timeline" }
                span.more { "a bar for each attempt; pale while it was being launched" }
            }
            div.scroll { (charts::timeline("When the tasks of each shard ran; the table below says the same in words", &lanes, &scale)) }
        }
    }
}

fn shard_sheet(visitor: &Visitor, run: &RunView, shards: &[&ShardView], from: usize) -> Markup {
    let at = parts::run_address(run.id.as_str());
    let columns = ["Shard", "State", "Attempt", "Agent", "How it ended", "Used", "Output", ""];
    html! {
        section.sheet {
            div.over {
                h2 { "Shards" }
                @if run.shards.len() > SHARDS {
                    span.more {
                        (from + 1) " to " (from + shards.len()) " of " (format::grouped(run.shards.len() as u64)) " "
                        @if from > 0 { a href=(format!("{at}?from={}", from.saturating_sub(SHARDS))) { "before" } " " }
                        @if from + SHARDS < run.shards.len() { a href=(format!("{at}?from={}", from + SHARDS)) { "next" } }
                    }
                }
            }
            (parts::table("Shards of the run", &columns, html! { @for shard in shards { (shard_row(visitor, run, shard)) } }))
        }
    }
}

fn shard_row(visitor: &Visitor, run: &RunView, shard: &ShardView) -> Markup {
    let tail = shard
        .stderr_tail
        .as_deref()
        .or(shard.stdout_tail.as_deref())
        .filter(|text| !text.trim().is_empty());
    let lives = matches!(
        shard.state,
        ShardState::Launching | ShardState::Running | ShardState::Unreachable
    );
    html! {
        tr {
            td { (shard.item) }
            td.tight { (parts::state(&parts::shard_state(shard.state))) }
            td { (shard.attempt) }
            td { @if let Some(agent) = &shard.agent { (parts::agent_link(agent.as_str())) } }
            td.text {
                (ended(shard))
                @if let (Some(tail), false) = (tail, run.state == shiftwork_engine::view::RunState::Succeeded) { pre.tail { (last(tail, TAIL_CHARS)) } }
            }
            td.tight { @if let Some(usage) = &shard.usage { (usage_text(usage)) } }
            td.tight {
                @if let Some(task) = &shard.task_id {
                    a href=(parts::log_address(task.as_str(), "stdout")) aria-label=(format!("stdout of shard {}", shard.item)) { "stdout" } " "
                    a href=(parts::log_address(task.as_str(), "stderr")) aria-label=(format!("stderr of shard {}", shard.item)) { "stderr" }
                }
            }
            td.number {
                @if let Some(task) = shard.task_id.as_ref().filter(|_| lives && visitor.may_change(Some(run.app.as_str()))) {
                    (parts::button(&format!("/tasks/{}/kill", segment(task.as_str())), "Kill", "danger"))
                }
            }
        }
    }
}

fn ended(shard: &ShardView) -> Markup {
    html! {
        @match (&shard.message, shard.exit_code, shard.signal, shard.http_status) {
            (Some(message), ..) => (format::cut(message, 400)),
            (None, Some(code), ..) => { "exit code " (code) },
            (None, None, Some(signal), _) => { "signal " (signal) },
            (None, None, None, Some(status)) => { "HTTP status " (status) },
            _ => {},
        }
    }
}

/// The last characters of a text.
fn last(text: &str, chars: usize) -> &str {
    let skipped = text.chars().count().saturating_sub(chars);
    let start = text.char_indices().nth(skipped).map_or(0, |(start, _)| start);
    text.get(start..).unwrap_or(text)
}

fn usage_text(usage: &shiftwork_engine::record::Usage) -> String {
    let cpu = usage.cpu_time_ms.map(|ms| format!("{} CPU", duration(ms as i64)));
    let memory = usage.memory_peak_bytes.map(format::bytes);
    [cpu, memory].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn happened(visitor: &Visitor, events: &Result<Vec<EventRow>, Problem>) -> Markup {
    html! {
        section.sheet {
            h2 { "What happened" }
            @match events {
                Err(problem) => p.notice { (problem.detail()) },
                Ok(events) if events.is_empty() => (parts::empty("Nothing is recorded of it yet.")),
                Ok(events) => {
                    (parts::table("What happened to the run, latest first", &["When", "What", "State", "What was said"], html! {
                        @for event in events.iter().rev().take(EVENTS_LISTED) {
                            tr {
                                td.tight { (format::time(&visitor.zone, shiftwork_schedule::Timestamp::from_millis(event.at_ms))) }
                                td.tight { @match event.item { Some(item) => { "shard " (item) }, None => "run" } }
                                td.tight { @if let Some(state) = &event.state { (parts::state(state)) } }
                                td.text { (format::cut(event.message.as_deref().unwrap_or_default(), 400)) }
                            }
                        }
                    }))
                    @if events.len() > EVENTS_LISTED { p.more { "The latest " (EVENTS_LISTED) " of " (format::grouped(events.len() as u64)) @if events.len() >= EVENTS_READ { " and more" } " events." } }
                },
            }
        }
    }
}

fn made_with(run: &RunView) -> Markup {
    let overrides = serde_json::to_string(&run.overrides).unwrap_or_default();
    html! {
        section.sheet {
            h2 { "What it was made with" }
            @if run.overrides.is_empty() { p { "Its job's document as it was then, unchanged." } }
            @else { p { "What its trigger changed:" } (parts::document(&overrides)) }
            @if let Some(document) = &run.document { details { summary { "The document" } (parts::document(document.0.get())) } }
        }
    }
}

// === what can be done ===

/// `POST /runs/{run}/cancel`
async fn cancel(
    State(state): State<ApiState>,
    Named(run): Named<RunId>,
    Caller(by): Caller,
) -> Answer {
    state.command(by, Command::CancelRun { run: run.clone() }).await?;
    Ok(done(&parts::run_address(run.as_str()), "cancelled"))
}

/// `POST /runs/{run}/rerun`
async fn rerun(
    State(state): State<ApiState>,
    Named(run): Named<RunId>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let ended = find_ended(&state, &run).await?;
    let command = Command::Rerun { ended: Box::new(ended), failed_only: sent.ticked("failedOnly") };
    let (made, word) = match state.command(by, command).await? {
        Done::RunCreated(made) => (made, "rerun"),
        Done::RunExists(made) => (made, "repeated"),
        _ => (run, "rerun"),
    };
    Ok(done(&parts::run_address(made.as_str()), word))
}

/// `POST /tasks/{task}/kill`
async fn kill(
    State(state): State<ApiState>,
    Named(task): Named<TaskId>,
    Caller(by): Caller,
) -> Answer {
    let asked = task.clone();
    let run = state.query(move |engine| engine.task(&asked).map(|task| task.run)).await?;
    state.command(by, Command::KillTask { task: task.clone() }).await?;
    let back = run.map(|run| parts::run_address(run.as_str()));
    let back = back.unwrap_or_else(|| "/queues/running".to_owned());
    Ok(done(&back, "killed"))
}
