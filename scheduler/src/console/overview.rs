//! `/`: the whole at a glance. What runs, what waits, what failed, what comes, and what somebody
//! should see to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use maud::{Markup, html};
use shiftwork_engine::ids::JobName;
use shiftwork_engine::statistics::{Backlog, FleetSize};
use shiftwork_engine::view::{ReadyView, StatusView};
use shiftwork_engine::{Coming, Engine, JobFilter, Utilisation};
use shiftwork_schedule::Timestamp;

use super::charts::{self, Column};
use super::format::{self, amount, distance, duration, grouped, megabytes, share};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::ApiState;
use crate::auth::AppScope;
use crate::registry::Standing;
use crate::trace::{RunFilter, RunRow, StoreError, TaskCounts};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How far ahead firings are counted, and in how many columns.
const AHEAD_MS: i64 = HOUR_MS;
const AHEAD_COLUMNS: i64 = 30;

/// Firings counted ahead: a schedule of every second makes 3,600 an hour.
const FIRINGS_MAX: usize = 50_000;

/// How long a count of what comes is shown: computing it takes a while where there are many schedules.
const AHEAD_KEPT: Duration = Duration::from_secs(15);

/// Rows of the lists.
const ROWS: usize = 8;

/// States that somebody should look at.
const FAILURES: [&str; 3] = ["FAILED", "TIMED_OUT", "EXPIRED"];

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/", get(overview)).layer(Extension(Kept::default()))
}

/// What the engine says, taken at one moment.
struct Now {
    status: StatusView,
    backlog: Backlog,
    fleet: FleetSize,
    utilisation: Utilisation,
    waiting: Vec<ReadyView>,
    next: Vec<(Timestamp, JobName)>,
}

impl Now {
    fn of(engine: &Engine, scope: &AppScope) -> Self {
        let app_prefixes = scope.prefixes().to_vec();
        let filter = JobFilter { app_prefixes, ..JobFilter::default() };
        let next = engine.jobs_by_next_firing(&filter, None, ROWS).into_iter();
        let is_shown = |row: &ReadyView| {
            let app = || engine.job(&row.job)?.app;
            scope.is_all() || app().is_some_and(|app| scope.covers(app.as_str()))
        };
        let waiting = engine.ready(None, 200);
        Self {
            status: engine.status(),
            backlog: engine.backlog(),
            fleet: engine.fleet_size(),
            utilisation: engine.utilisation(),
            waiting: waiting.into_iter().filter(is_shown).collect(),
            next: next
                .filter_map(|(at, job)| Some((at, JobName::parse(&job.name).ok()?)))
                .collect(),
        }
    }
}

/// `GET /`
async fn overview(
    State(state): State<ApiState>,
    Extension(kept): Extension<Kept>,
    visitor: Visitor,
) -> Answer {
    let scope = visitor.scope();
    let shown = scope.clone();
    let now = state.query(move |engine| Now::of(engine, &shown)).await?;
    let ahead = ahead(&state, &kept, visitor.now).await?;
    let day = state.history.task_counts(visitor.now.as_millis() - 24 * HOUR_MS, HOUR_MS).await;
    let failures = failures(&state, &scope).await;
    let lag = state.history.lag();
    let body = html! {
        (parts::heading("Overview", health(&state, &visitor, &now.status)))
        (figures(&now, &ahead, day.as_deref().unwrap_or_default()))
        div.grid.wide {
            (tasks_of_the_day(&visitor, &day))
            (problems(&now, &lag.problems()))
        }
        div.grid {
            (coming(&visitor, &ahead, &now.next))
            (last_failures(&visitor, &failures))
        }
        div.grid {
            (resources(&now))
            (firings(&now.status, lag.spool.records))
        }
    };
    Ok(Page::new("Overview", Section::Overview).live("?kind=RUN", 10).show(&visitor, body))
}

/// Who leads, since when, and whether the master is there.
fn health(state: &ApiState, visitor: &Visitor, status: &StatusView) -> Markup {
    let standing = state.leadership.standing.borrow().clone();
    let leader = match standing {
        Standing::Leading => state.leadership.own.borrow().clone(),
        Standing::Standby { leader } => leader,
        Standing::Starting | Standing::Hindered { .. } => None,
    };
    let (class, text) = if status.connected {
        ("state s-succeeded", "master connected")
    } else {
        ("state s-failed", "master not connected")
    };
    html! {
        span class=(class) { (text) }
        @if let Some(leader) = leader {
            @let since = Timestamp::from_millis(leader.since.as_millisecond());
            span.more { "leads since " (format::time(&visitor.zone, since)) }
        }
    }
}

fn figures(now: &Now, ahead: &Ahead, day: &[TaskCounts]) -> Markup {
    let succeeded: u64 = day.iter().map(|counts| counts.succeeded).sum();
    let failed: u64 = day.iter().map(|counts| counts.failed).sum();
    let success = share(succeeded, succeeded + failed).unwrap_or_else(|| "–".to_owned());
    let ended = format!("{} of {} tasks, 24 h", grouped(succeeded), grouped(succeeded + failed));
    let wait = now.backlog.pending.oldest_wait_ms as i64;
    let waits = if now.status.pending_runs > 0 {
        format!("oldest {}", duration(wait))
    } else {
        "nothing waits".to_owned()
    };
    let tasks = format::counted(now.status.tasks, "task");
    let due = format!("{}{}", if ahead.more { "over " } else { "" }, grouped(ahead.total));
    html! {
        div.sheet.figures {
            (parts::figure("Running", html! { a href="/runs?state=RUNNING" { (grouped(now.status.active_runs as u64)) } }, Some(html! { (tasks) })))
            (parts::figure("Waiting", html! { a href="/queues/ready" { (grouped(now.status.pending_runs as u64)) } }, Some(html! { (waits) })))
            (parts::figure("Failover queue", html! { a href="/queues/failover" { (grouped(now.backlog.failover.depth as u64)) } }, Some(html! { "shards to be launched again" })))
            (parts::figure("Succeeded", success, Some(html! { (ended) })))
            (parts::figure("Due within the hour", due, Some(html! { "firings" })))
            (parts::figure("Jobs", html! { a href="/jobs" { (grouped(now.status.jobs as u64)) } }, Some(html! { "of " a href="/apps" { (format::counted(now.status.apps, "app")) } })))
        }
    }
}

fn tasks_of_the_day(visitor: &Visitor, day: &Result<Vec<TaskCounts>, StoreError>) -> Markup {
    let first = (visitor.now.as_millis() / HOUR_MS - 23) * HOUR_MS;
    let Ok(day) = day else {
        return html! { section.sheet { h2 { "Tasks ended, last 24 hours" } (no_history()) } };
    };
    let columns: Vec<Column> = (0..24)
        .map(|hour| {
            let from_ms = first + hour * HOUR_MS;
            let counts =
                day.iter().find(|counts| counts.from_ms == from_ms).copied().unwrap_or_default();
            let clock = format::clock(&visitor.zone, Timestamp::from_millis(from_ms));
            let clock = clock.get(..5).unwrap_or_default().to_owned();
            Column {
                title: format!(
                    "from {clock}: {} succeeded, {} failed",
                    grouped(counts.succeeded),
                    grouped(counts.failed)
                ),
                label: (hour % 4 == 3).then_some(clock),
                parts: vec![("ok", counts.succeeded), ("bad", counts.failed)],
            }
        })
        .collect();
    html! {
        section.sheet {
            div.over {
                h2 { "Tasks ended, last 24 hours" }
                span.legend { span { i.ok {} "succeeded" } span { i.bad {} "failed" } }
            }
            (charts::columns("Tasks that ended in each of the last 24 hours", &columns))
        }
    }
}

fn no_history() -> Markup {
    html! { p.notice { "The history database cannot be read at the moment: see the scheduler's log." } }
}

/// What somebody should see to.
fn problems(now: &Now, lag: &[String]) -> Markup {
    let mut problems: Vec<Markup> = Vec::new();
    if !now.status.connected {
        problems.push(html! { "The scheduler has no connection to the Mesos master: nothing can be launched. See its log." });
    }
    problems.extend(now.status.problems.iter().chain(lag).map(|text| html! { (text) }));
    // The same reason is told once, however many jobs have it.
    let mut reasons: Vec<(&str, Vec<&ReadyView>)> = Vec::new();
    for row in &now.waiting {
        let Some(reason) = row.reason.as_deref().filter(|reason| is_unplaceable(reason)) else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => rows.push(row),
            None => reasons.push((reason, vec![row])),
        }
    }
    for (reason, rows) in reasons.iter().take(ROWS) {
        problems.push(html! {
            @for row in rows.iter().take(2) { (parts::job_link(row.job.as_str())) " " }
            @if rows.len() > 2 { "and " (format::counted(rows.len() - 2, "other")) " " }
            "cannot be placed: " (reason)
        });
    }
    if now.status.firings.missed > 0 {
        problems.push(html! {
            (grouped(now.status.firings.missed)) " firings got no run since this leader began: "
            a href="/runs?state=SKIPPED" { "see which and why" }
        });
    }
    html! {
        section.sheet {
            h2 { "To see to" }
            @if problems.is_empty() { (parts::empty("Nothing. All is well.")) }
            @else { ul.list { @for problem in &problems { li { (problem) } } } }
        }
    }
}

/// Reasons that do not go away by waiting for another run.
fn is_unplaceable(reason: &str) -> bool {
    !["waiting for", "waiting behind", "held until", "not subscribed"]
        .iter()
        .any(|start| reason.starts_with(start))
}

fn coming(visitor: &Visitor, ahead: &Ahead, next: &[(Timestamp, JobName)]) -> Markup {
    let step = AHEAD_MS / AHEAD_COLUMNS;
    let columns: Vec<Column> = ahead
        .columns
        .iter()
        .enumerate()
        .map(|(place, count)| {
            let from = Timestamp::from_millis(ahead.from.as_millis() + place as i64 * step);
            let clock = format::clock(&visitor.zone, from);
            let clock = clock.get(..5).unwrap_or_default().to_owned();
            Column {
                title: format!("from {clock}: {} firings", grouped(*count)),
                label: (place % 6 == 2).then_some(clock),
                parts: vec![("due", *count)],
            }
        })
        .collect();
    html! {
        section.sheet {
            h2 { "Firings of the next hour" }
            (charts::columns("Firings due in each two minutes of the next hour", &columns))
            @if next.is_empty() { (parts::empty("No job has a firing to come.")) }
            @else {
                ul.list {
                    @for (at, job) in next {
                        li.row { (parts::job_link(job.as_str())) span { (format::time(&visitor.zone, *at)) " " span.more { (distance(visitor.now, *at)) } } }
                    }
                }
            }
        }
    }
}

/// The latest runs that did not end well, newest first.
async fn failures(state: &ApiState, scope: &AppScope) -> Result<Vec<RunRow>, StoreError> {
    let mut rows = Vec::new();
    for name in FAILURES {
        let app_prefixes = scope.prefixes().to_vec();
        let state_name = Some(name.to_owned());
        let filter = RunFilter { state: state_name, app_prefixes, ..RunFilter::default() };
        rows.extend(state.history.runs(&filter, None, ROWS).await?.runs);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.finished_at_ms));
    rows.truncate(ROWS);
    Ok(rows)
}

fn last_failures(visitor: &Visitor, failures: &Result<Vec<RunRow>, StoreError>) -> Markup {
    html! {
        section.sheet {
            div.over { h2 { "Last failures" } a.more href="/runs?state=FAILED" { "all failed runs" } }
            @match failures {
                Err(_) => (no_history()),
                Ok(rows) if rows.is_empty() => (parts::empty("None in the history.")),
                Ok(rows) => ul.list {
                    @for row in rows {
                        li {
                            div.row {
                                (parts::run_link(&row.id))
                                @if let Some(at) = row.finished_at_ms { (format::time(&visitor.zone, Timestamp::from_millis(at))) }
                            }
                            (parts::state(&row.state)) " "
                            span.more.said-why { (format::cut(row.reason.as_deref().unwrap_or_default(), 160)) }
                        }
                    }
                },
            }
        }
    }
}

fn resources(now: &Now) -> Markup {
    let of = |amounts: &std::collections::BTreeMap<&'static str, f64>, kind: &str| {
        amounts.get(kind).copied().unwrap_or(0.0)
    };
    let rows = [("cpus", "CPUs"), ("mem", "Memory"), ("disk", "Disk"), ("gpus", "GPUs")];
    html! {
        section.sheet {
            div.over {
                h2 { "Resources" }
                span.more {
                    a href="/agents" { (format::counted(now.fleet.agents, "agent")) } ", "
                    (format::counted(now.status.offers, "offer")) " held, "
                    a href="/executors" { (format::counted(now.fleet.executors, "executor")) }
                }
            }
            @for (kind, label) in rows {
                @let (used, offered) = (of(&now.utilisation.used, kind), of(&now.utilisation.offered, kind));
                @let text = |value: f64| if kind == "mem" || kind == "disk" { megabytes(value) } else { amount(value) };
                @if used + offered > 0.0 {
                    div.row { span { (label) } span.more { (text(used)) " used, " (text(offered)) " offered" } }
                    (charts::meter(label, used, used + offered))
                }
            }
            p.more { "Used is what tasks and executors of this framework hold; offered is what the offers held now contain. Offers that nobody needs are given back." }
        }
    }
}

fn firings(status: &StatusView, spool: u64) -> Markup {
    let firings = status.firings;
    html! {
        section.sheet {
            h2 { "Firings since this leader began" }
            (parts::facts(&[
                ("Got a run", html! { (grouped(firings.fired)) }),
                ("Coalesced", html! { (grouped(firings.coalesced)) }),
                ("Skipped", html! { (grouped(firings.skipped)) }),
                ("Missed", html! { (grouped(firings.missed)) }),
                ("Watermark", html! { (status.watermark) }),
                ("Time zones", html! { (status.tzdb) }),
                ("Framework", html! { @match &status.framework_id { Some(id) => span.id { (id) }, None => "not known yet" } }),
                ("History spool", html! { (grouped(spool)) " records wait" }),
            ]))
        }
    }
}

/// How many firings come, by column.
#[derive(Clone)]
struct Ahead {
    from: Timestamp,
    columns: Vec<u64>,
    total: u64,
    more: bool,
}

/// The latest count, and when it was made.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<(Instant, Ahead)>>>);

/// Counts what comes, away from the engine.
async fn ahead(state: &ApiState, kept: &Kept, now: Timestamp) -> Result<Ahead, super::oops::Oops> {
    let known = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, ahead)) = known.filter(|(at, _)| at.elapsed() < AHEAD_KEPT) {
        return Ok(ahead);
    }
    let until = Timestamp::from_millis(now.as_millis() + AHEAD_MS);
    let coming = state.query(move |engine| engine.coming(until)).await?;
    let counted = tokio::task::spawn_blocking(move || count(&coming, now)).await;
    let ahead = counted
        .map_err(|_| crate::api::Problem::internal("the firings to come could not be counted"))?;
    *kept.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), ahead.clone()));
    Ok(ahead)
}

fn count(coming: &Coming, now: Timestamp) -> Ahead {
    let step = AHEAD_MS / AHEAD_COLUMNS;
    let from = Timestamp::from_millis(now.as_millis() / step * step);
    let until = Timestamp::from_millis(now.as_millis() + AHEAD_MS);
    let mut ahead =
        Ahead { from, columns: vec![0; AHEAD_COLUMNS as usize + 1], total: 0, more: coming.more };
    let mut looked = 0;
    for (timetable, jobs) in &coming.timetables {
        let (firings, more) = timetable.firings_between(now, until, FIRINGS_MAX - looked);
        looked += firings.len();
        ahead.more |= more;
        for firing in firings {
            let place = (firing.as_millis() - from.as_millis()) / step;
            if let Some(column) =
                usize::try_from(place).ok().and_then(|place| ahead.columns.get_mut(place))
            {
                *column += *jobs as u64;
            }
            ahead.total += *jobs as u64;
        }
        if ahead.more {
            break;
        }
    }
    ahead
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_schedule::{BoundedSchedule, Cron, Schedule, Timetable, Zone};

    #[test]
    fn what_comes_is_counted_by_column_and_by_job() {
        let cron = Cron::parse("0 0/10 * * * ?").unwrap();
        let schedule = Schedule::Cron { cron, zone: Zone::utc() };
        let timetable =
            Timetable::from(BoundedSchedule { schedule, start_after: None, end_before: None });
        let now: Timestamp = "2026-11-20T02:01:00Z".parse().unwrap();
        let ahead = count(&Coming { timetables: vec![(timetable, 3)], more: false }, now);
        assert_eq!((ahead.total, ahead.more), (18, false));
        assert_eq!(ahead.columns.iter().sum::<u64>(), 18);
        assert_eq!(ahead.columns[5], 3);
    }

    #[test]
    fn only_what_does_not_pass_by_itself_is_a_problem() {
        assert!(is_unplaceable("insufficient cpus: needs 4, largest lease 2"));
        assert!(!is_unplaceable("waiting for run a@b to end"));
        assert!(!is_unplaceable("waiting for the next launch cycle"));
    }
}
