//! `/jobs/{job}`: one job: why it does or does not run, its last runs, its coming firings, its
//! document, and what can be done with it. Absent: writing its document (`job_form.rs`) and making a
//! run (`trigger.rs`).

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use shiftwork_engine::RunFilter;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::view::{JobView, RunView};
use shiftwork_schedule::{Preview, Timetable, preview};

use super::charts::Tick;
use super::format::{self, distance, duration, segment};
use super::forms::Sent;
use super::jobs::{job_document, job_state, plain, schedule};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, charts, done, parts};
use crate::api::access::Caller;
use crate::api::extract::Named;
use crate::api::why::{Facts, Why, explain};
use crate::api::{ApiState, Problem, fields, run_lookup};

/// Runs in the strip.
const RUNS: usize = 50;
/// Runs in the table below it.
const RUNS_LISTED: usize = 10;
/// Coming firings shown.
const FIRINGS: usize = 5;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/jobs/{job}", get(show))
        .route("/jobs/{job}/enable", post(enable))
        .route("/jobs/{job}/disable", get(ask_disable).post(disable))
        .route("/jobs/{job}/delete", get(ask_delete).post(delete))
}

/// Where a job is shown.
pub(super) fn address(job: &JobName) -> String {
    format!("/jobs/{}", segment(job.as_str()))
}

/// One job.
pub(super) async fn find(state: &ApiState, name: &JobName) -> Result<JobView, Problem> {
    let asked = name.clone();
    let job = state.query(move |engine| engine.job(&asked)).await?;
    job.ok_or_else(|| Problem::not_found(&format!("job {name}")))
}

/// `GET /jobs/{job}`
async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
) -> Answer {
    let asked = name.clone();
    let known = state.query(move |engine| {
        let facts = Facts::of(engine, &asked)?;
        Some((engine.job(&asked)?, engine.timetable(&asked)?, facts))
    });
    let known = known.await?.ok_or_else(|| Problem::not_found(&format!("job {name}")))?;
    let (job, timetable, facts) = known;
    let filter = RunFilter { job: Some(name.clone()), ..RunFilter::default() };
    let runs = run_lookup::newest(&state, filter, RUNS).await;
    let why = explain(facts);
    let document = job_document(&job);
    let body = html! {
        p.crumbs { a href="/jobs" { "Jobs" } @if let Some(app) = &job.app { " / " (parts::app_link(app.as_str())) } }
        (parts::heading(&job.name, actions(&visitor, &job, &name)))
        section.sheet aria-labelledby="why" {
            h2 #why { (job_state(&job)) }
            p.answer { (why.answer) }
            (why_facts(&visitor, &why))
        }
        div.grid.wide {
            (history(&visitor, &name, &runs))
            (firings(&visitor, timetable))
        }
        section.sheet {
            h2 { "What it is" }
            (what(&document, &job))
            details { summary { "The whole document" } (parts::document(job.document.get())) }
        }
    };
    let events = format!("?job={}", segment(name.as_str()));
    Ok(Page::new(&job.name, Section::Jobs).live(events, 20).show(&visitor, body))
}

fn actions(visitor: &Visitor, job: &JobView, name: &JobName) -> Markup {
    let at = address(name);
    html! {
        @if visitor.may_change(job.app.as_ref().map(AppName::as_str)) {
            a.button.primary href=(format!("{at}/trigger")) { "Trigger…" }
            a.button href=(format!("{at}/edit")) { "Edit" }
            @if job.enabled { a.button href=(format!("{at}/disable")) { "Disable…" } }
            @else { (parts::button(&format!("{at}/enable"), "Enable", "")) }
            a.button.danger href=(format!("{at}/delete")) { "Delete…" }
        }
    }
}

fn why_facts(visitor: &Visitor, why: &Why) -> Markup {
    html! {
        @for (label, waiting) in [("Runs now", why.running.as_ref()), ("Comes next", why.pending.as_ref())] {
            @if let Some(waiting) = waiting {
                p { (label) ": " (parts::run_link(waiting.run.as_str())) " " (parts::state(waiting.state.name()))
                    " for " (format::time(&visitor.zone, waiting.logical_time)) }
            }
        }
        @if why.pending_runs > 1 { p.more { (format::grouped(why.pending_runs as u64)) " runs are pending." } }
        // The answer may have said it already.
        @if let Some(at) = why.next_firing.filter(|_| !why.answer.contains("next firing")) {
            p { "Next firing: " (format::time(&visitor.zone, at)) " " span.more { (distance(visitor.now, at)) } }
        }
    }
}

fn history(visitor: &Visitor, name: &JobName, runs: &Result<Vec<RunView>, Problem>) -> Markup {
    let all = format!("/runs{}", format::query(&[("job", name.as_str())]));
    html! {
        section.sheet {
            div.over { h2 { "Last " (RUNS) " runs" } a.more href=(all) { "all runs" } }
            @match runs {
                Err(problem) => p.notice { (problem.detail()) },
                Ok(runs) if runs.is_empty() => (parts::empty("It has not run yet.")),
                Ok(runs) => {
                    @let ticks: Vec<Tick> = runs.iter().rev().map(|run| tick(visitor, run)).collect();
                    (charts::strip(&format!("The last runs of {name}, oldest first; height is the time each took"), &ticks, RUNS))
                    (run_table(visitor, runs))
                },
            }
        }
    }
}

fn run_table(visitor: &Visitor, runs: &[RunView]) -> Markup {
    parts::table(
        "Latest runs",
        &["Logical time", "State", "Took", "What is said"],
        html! {
            @for run in runs.iter().take(RUNS_LISTED) {
                tr {
                    td.tight { a href=(parts::run_address(run.id.as_str())) { (format::time(&visitor.zone, run.logical_time)) } }
                    td.tight { (parts::state(run.state.name())) }
                    td.tight { @if let Some(took) = took_ms(visitor, run) { (duration(took)) } }
                    td.text { (format::cut(run.reason.as_deref().unwrap_or_default(), 200)) }
                }
            }
        },
    )
}

/// How long a run took, or takes as yet.
pub(super) fn took_ms(visitor: &Visitor, run: &RunView) -> Option<i64> {
    let until = match run.finished_at {
        Some(at) => at,
        None if run.state.is_final() => return None,
        None => visitor.now,
    };
    Some(until.since(run.started_at?).max(0))
}

fn tick(visitor: &Visitor, run: &RunView) -> Tick {
    let took_ms = took_ms(visitor, run);
    let took = took_ms.map(|ms| format!(", {}", duration(ms))).unwrap_or_default();
    let at = format::wall(&visitor.zone, run.logical_time);
    Tick {
        href: parts::run_address(run.id.as_str()),
        title: format!("{at}: {}{took}", format::word(run.state.name())),
        class: run.state.name().to_ascii_lowercase(),
        took_ms,
    }
}

fn firings(visitor: &Visitor, timetable: Result<Option<Timetable>, String>) -> Markup {
    html! {
        section.sheet {
            h2 { "Coming firings" }
            @match timetable {
                Err(problem) => p.notice { (problem) },
                Ok(None) => (parts::empty("It runs only when it is triggered.")),
                Ok(Some(timetable)) => {
                    @let firings = preview(&timetable, visitor.now, FIRINGS);
                    @if firings.is_empty() { (parts::empty("Its schedule has no further firing.")) }
                    @else { (firing_list(visitor, &firings)) }
                },
            }
        }
    }
}

/// Firings in the job's zone and in UTC.
pub(super) fn firing_list(visitor: &Visitor, firings: &[Preview]) -> Markup {
    html! {
        ul.list {
            @for firing in firings {
                li {
                    div.row { span.mono { (local(&firing.local)) } span.more { (distance(visitor.now, firing.at)) } }
                    @if !firing.local.ends_with("[UTC]") { span.more { (format::wall(&shiftwork_schedule::Zone::utc(), firing.at)) " UTC" } }
                    @if let Some(note) = &firing.note { span.note { (note) } }
                }
            }
        }
    }
}

/// `2026-11-20T02:30:00+01:00[Europe/Berlin]` for people.
fn local(text: &str) -> String {
    let zone = text.split_once('[').and_then(|(_, zone)| zone.strip_suffix(']')).unwrap_or("UTC");
    format!("{} {zone}", text.get(..19).unwrap_or(text).replace('T', " "))
}

fn what(document: &serde_json::Value, job: &JobView) -> Markup {
    let text = |name: &str| plain(&document[name]);
    let or = |name: &str, default: &str| {
        if document[name].is_null() { default.to_owned() } else { text(name) }
    };
    html! {
        (parts::facts(&[
            ("Schedule", schedule(document)),
            ("Type", html! { (or("jobType", "SCRIPT")) ", " (text("jobExecutionType")) }),
            ("Shards", html! { (text("shardingTotalCount")) @if !document["shardingItemParameters"].is_null() { ": " (text("shardingItemParameters")) } }),
            ("Each shard", html! { (text("cpuCount")) " cpus, " (text("memoryMB")) " MB" }),
            ("Misfire", html! { (or("misfire", "false")) }),
            ("Concurrency", html! { (or("concurrency", "forbid")) }),
            ("Failover", html! { (or("failover", "false")) }),
            ("Retry", html! { (or("retry", "none")) }),
            ("Timeout", html! { (or("timeout", "none")) }),
            ("Priority", html! { (or("priority", "50")) }),
            ("Firings", html! {
                (format::grouped(job.firings.fired)) " fired, " (format::grouped(job.firings.coalesced)) " coalesced, "
                (format::grouped(job.firings.skipped)) " skipped, " (format::grouped(job.firings.missed)) " missed"
            }),
        ]))
        @if document["scriptCommandLine"].is_string() { pre.tail { (text("scriptCommandLine")) } }
        @if document["http"].is_object() { pre.tail { (plain(&document["http"]["method"])) " " (plain(&document["http"]["uri"])) } }
    }
}

// === what can be done ===

/// `POST /jobs/{job}/enable`
async fn enable(
    State(state): State<ApiState>,
    Named(job): Named<JobName>,
    Caller(by): Caller,
) -> Answer {
    let back = address(&job);
    state.command(by, Command::SetJobEnabled { job, enabled: true, reason: None }).await?;
    Ok(done(&back, "enabled"))
}

/// `GET /jobs/{job}/disable`
async fn ask_disable(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
) -> Answer {
    let job = find(&state, &name).await?;
    let more = html! {
        p { "It will not fire, and its running tasks are killed." }
        @if job.running_count > 0 { p.notice { (format::counted(job.running_count, "run")) " of it will end now." } }
        (reason_field())
    };
    Ok(confirm(
        &visitor,
        &format!("Disable {name}?"),
        &address(&name),
        "disable",
        "Disable",
        more,
        Section::Jobs,
    ))
}

/// `POST /jobs/{job}/disable`
async fn disable(
    State(state): State<ApiState>,
    Named(job): Named<JobName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let back = address(&job);
    let reason = fields::reason(serde_json::json!({"reason": sent.given("reason")}))?;
    state.command(by, Command::SetJobEnabled { job, enabled: false, reason }).await?;
    Ok(done(&back, "disabled"))
}

/// `GET /jobs/{job}/delete`
async fn ask_delete(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
) -> Answer {
    let job = find(&state, &name).await?;
    let more = html! {
        p { "The job is removed, with its " (format::counted(job.pending, "pending run")) " and "
            (format::counted(job.running_count, "running run")) ", whose tasks are killed. Its history stays." }
    };
    Ok(confirm(
        &visitor,
        &format!("Delete {name}?"),
        &address(&name),
        "delete",
        "Delete",
        more,
        Section::Jobs,
    ))
}

/// `POST /jobs/{job}/delete`
async fn delete(
    State(state): State<ApiState>,
    Named(job): Named<JobName>,
    Caller(by): Caller,
) -> Answer {
    state.command(by, Command::DeleteJob { job }).await?;
    Ok(done("/jobs", "deleted"))
}

/// Asks for a reason that others will read.
pub(super) fn reason_field() -> Markup {
    html! {
        div.field {
            label for="reason" { "Reason" }
            input #reason name="reason" maxlength="1000" autocomplete="off" autofocus;
            span.help { "For the others: it is shown wherever this is." }
        }
    }
}

/// A question before something that is not easily undone.
pub(super) fn confirm(
    visitor: &Visitor,
    title: &str,
    back: &str,
    verb: &str,
    button: &str,
    more: Markup,
    section: Section,
) -> Response {
    let body = html! {
        (parts::heading(title, html! {}))
        form.sheet.small method="post" action=(format!("{back}/{verb}")) {
            (more)
            p.actions {
                button.primary.danger { (button) }
                a.button href=(back) { "Back" }
            }
        }
    };
    Page::new(title, section).show(visitor, body)
}
