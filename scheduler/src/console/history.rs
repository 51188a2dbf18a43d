//! `/history`: what happened, to be searched as Elastic-Job's two pages of traces did: executions, and
//! states of tasks; and as CSV.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use maud::{Markup, html};
use shiftwork_schedule::{Timestamp, Zone};

use super::format::{self, duration, grouped};
use super::forms::{Fields, QueryFields};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::run_lookup::no_history;
use crate::api::{ApiState, Problem};
use crate::trace::{
    EventFilter, EventPage, EventRow, EventSort, FAILED_STATES, History, OFFSET_MAX,
    SUCCEEDED_STATES, StoreError,
};

/// Rows of a page.
const ROWS: usize = 50;
/// Rows of a CSV file: who wants more asks for less time.
const CSV_ROWS_MAX: usize = 100_000;
/// Rows read at a time for it.
const CSV_PAGE: usize = 1_000;

/// The two searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// Tasks that ended, with what became of their work.
    Executions,
    /// Every state of every task.
    States,
}

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/history/executions", get(executions))
        .route("/history/states", get(states))
        .route("/history/executions.csv", get(executions_csv))
        .route("/history/states.csv", get(states_csv))
}

/// `GET /history/executions?job=&task=&result=&from=&to=&page=`
async fn executions(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    show(&state, &visitor, &query, Search::Executions).await
}

/// `GET /history/states?job=&task=&agent=&kind=&state=&from=&to=&page=`
async fn states(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    show(&state, &visitor, &query, Search::States).await
}

/// `GET /history/executions.csv`, as the page
async fn executions_csv(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    csv(&state, &visitor, &query, Search::Executions)
}

/// `GET /history/states.csv`, as the page
async fn states_csv(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    csv(&state, &visitor, &query, Search::States)
}

// === impl Search ===

impl Search {
    fn path(self) -> &'static str {
        match self {
            Self::Executions => "/history/executions",
            Self::States => "/history/states",
        }
    }

    /// The filters that stand in its address.
    fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Executions => &["job", "task", "agent", "result", "from", "to"],
            Self::States => &["job", "task", "agent", "kind", "state", "from", "to"],
        }
    }

    fn filter(self, query: &Fields, zone: &Zone) -> Result<EventFilter, Problem> {
        let text = |name: &str| query.given(name).map(str::to_owned);
        let all =
            || SUCCEEDED_STATES.iter().chain(&FAILED_STATES).map(|&name| name.to_owned()).collect();
        let states = match (self, query.text("result"), text("state")) {
            (Self::States, _, state) => state.into_iter().collect(),
            (Self::Executions, "succeeded", _) => SUCCEEDED_STATES.map(str::to_owned).to_vec(),
            (Self::Executions, "failed", _) => FAILED_STATES.map(str::to_owned).to_vec(),
            (Self::Executions, ..) => all(),
        };
        Ok(EventFilter {
            job: text("job"),
            kind: Some("TASK".to_owned()),
            task: text("task"),
            agent: text("agent"),
            execution: text("kind").filter(|_| self == Self::States),
            states,
            from_ms: moment(query, "from", zone)?,
            to_ms: moment(query, "to", zone)?,
            ..EventFilter::default()
        })
    }
}

/// A moment as a field of a form gives it, in the zone in which times are shown; or RFC 3339.
fn moment(query: &Fields, name: &str, zone: &Zone) -> Result<Option<i64>, Problem> {
    let Some(text) = query.given(name) else { return Ok(None) };
    let local = text.replace(' ', "T");
    // An instant says its offset; what does not is local.
    let instant = text.parse::<Timestamp>().ok().or_else(|| zone.parse_local(&local));
    let read = instant.map(Timestamp::as_millis);
    let message = "must be a moment, as 2026-11-20 02:00 or 2026-11-20T02:00:00Z";
    read.map(Some).ok_or_else(|| Problem::parameter(name, message))
}

/// When the work of the tasks of these rows began.
async fn starts(history: &History, rows: &[EventRow]) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut runs: Vec<String> = rows.iter().map(|row| row.run_id.clone()).collect();
    runs.sort();
    runs.dedup();
    history.task_starts(&runs).await
}

async fn show(state: &ApiState, visitor: &Visitor, query: &Fields, search: Search) -> Answer {
    let filter = search.filter(query, &visitor.zone)?;
    let number = query.text("page").parse::<usize>().unwrap_or(1).max(1);
    let offset = (number - 1).saturating_mul(ROWS).min(OFFSET_MAX);
    let at = EventPage { sort: EventSort::Time, descending: true, offset, limit: ROWS };
    let (total, rows) = state.history.search_events(&filter, at).await.map_err(no_history)?;
    let starts = match search {
        Search::Executions => starts(&state.history, &rows).await.map_err(no_history)?,
        Search::States => BTreeMap::new(),
    };
    let tabs = [(Search::Executions, "Executions"), (Search::States, "States of tasks")];
    let tabs: Vec<(String, String, bool)> = tabs
        .into_iter()
        .map(|(of, label)| (of.path().to_owned(), label.to_owned(), of == search))
        .collect();
    let pairs: Vec<(&str, &str)> =
        search.filters().iter().map(|name| (*name, query.text(name))).collect();
    let csv = format!("{}.csv{}", search.path(), format::query(&pairs));
    let body = html! {
        (parts::heading("History", html! { a.button href=(csv) download { "Download as CSV" } }))
        (parts::tabs("Searches", &tabs))
        (filters(search, query))
        p.more { (grouped(total)) " found" @if total as usize > CSV_ROWS_MAX { "; a CSV file has the latest " (grouped(CSV_ROWS_MAX as u64)) } }
        div.sheet {
            @match search {
                Search::Executions => (execution_table(visitor, &rows, &starts)),
                Search::States => (state_table(visitor, &rows)),
            }
            @if rows.is_empty() { (parts::empty("Nothing in the history is like that.")) }
        }
        (pages(search, &pairs, number, total))
    };
    Ok(Page::new("History", Section::History).show(visitor, body))
}

fn filters(search: Search, query: &Fields) -> Markup {
    let text = |name: &str| query.text(name).to_owned();
    html! {
        form.filter method="get" action=(search.path()) role="search" {
            (parts::search("job", "Job", &text("job"), "name of a job  ( / )"))
            (parts::search("task", "Task", &text("task"), "id of a task"))
            (parts::search("agent", "Agent", &text("agent"), "id of an agent"))
            @match search {
                Search::Executions => (parts::choice("result", "Result", &text("result"), &[("", "any"), ("succeeded", "succeeded"), ("failed", "failed")])),
                Search::States => {
                    (parts::choice("kind", "Execution type", &text("kind"), &[("", "any"), ("READY", "READY"), ("FAILOVER", "FAILOVER")]))
                    (parts::choice("state", "State", &text("state"), &TASK_STATES))
                },
            }
            @for (name, label) in [("from", "From"), ("to", "To")] {
                label { span { (label) } input type="datetime-local" step="1" name=(name) value=(text(name)); }
            }
            button { "Search" }
        }
    }
}

/// States in the choice.
const TASK_STATES: [(&str, &str); 12] = [
    ("", "any"),
    ("TASK_STAGING", "staging"),
    ("TASK_STARTING", "starting"),
    ("TASK_RUNNING", "running"),
    ("TASK_FINISHED", "finished"),
    ("TASK_FAILED", "failed"),
    ("TASK_KILLED", "killed"),
    ("TASK_ERROR", "error"),
    ("TASK_LOST", "lost"),
    ("TASK_DROPPED", "dropped"),
    ("TASK_GONE", "gone"),
    ("TASK_UNREACHABLE", "unreachable"),
];

fn execution_table(visitor: &Visitor, rows: &[EventRow], starts: &BTreeMap<String, i64>) -> Markup {
    let columns =
        ["Job", "Run", "Shard", "Result", "Started", "Ended", "Took", "Agent", "Failure cause"];
    parts::table(
        "Executions",
        &columns,
        html! {
            @for row in rows {
                @let task = row.task_id.as_deref().unwrap_or_default();
                @let started = starts.get(task).copied();
                tr {
                    td.name { (parts::job_link(&row.job)) }
                    td.name { (parts::run_link(&row.run_id)) }
                    td { @if let Some(item) = row.item { (item) } }
                    td.tight { a href=(parts::log_address(task, if is_success(row) { "stdout" } else { "stderr" })) { (parts::state(row.state.as_deref().unwrap_or_default())) } }
                    td.tight { (format::maybe_time(&visitor.zone, started.map(Timestamp::from_millis))) }
                    td.tight { (format::time(&visitor.zone, Timestamp::from_millis(row.at_ms))) }
                    td.tight { @if let Some(started) = started { (duration(row.at_ms - started)) } }
                    td.name { (parts::agent_link(agent_of(task))) }
                    td.text { @if !is_success(row) { (format::cut(row.message.as_deref().unwrap_or_default(), 300)) } }
                }
            }
        },
    )
}

fn state_table(visitor: &Visitor, rows: &[EventRow]) -> Markup {
    let columns = ["When", "Job", "Run", "Shard", "State", "Execution type", "Agent", "Message"];
    parts::table(
        "States of tasks",
        &columns,
        html! {
            @for row in rows {
                @let task = row.task_id.as_deref().unwrap_or_default();
                tr {
                    td.tight { (format::time(&visitor.zone, Timestamp::from_millis(row.at_ms))) }
                    td.name { (parts::job_link(&row.job)) }
                    td.name { (parts::run_link(&row.run_id)) }
                    td { @if let Some(item) = row.item { (item) } }
                    td.tight { (parts::state(row.state.as_deref().unwrap_or_default())) }
                    td.tight { (task.split("@-@").nth(2).unwrap_or_default()) }
                    td.name { (parts::agent_link(agent_of(task))) }
                    td.text { (format::cut(row.message.as_deref().unwrap_or_default(), 300)) }
                }
            }
        },
    )
}

fn is_success(row: &EventRow) -> bool {
    row.state.as_deref().is_some_and(|state| SUCCEEDED_STATES.contains(&state))
}

fn agent_of(task: &str) -> &str {
    task.split("@-@").nth(3).unwrap_or_default()
}

fn pages(search: Search, pairs: &[(&str, &str)], number: usize, total: u64) -> Markup {
    let last = (total as usize).min(OFFSET_MAX).div_ceil(ROWS).max(1);
    let to = |page: usize| {
        let page = page.to_string();
        let mut pairs = pairs.to_vec();
        pairs.push(("page", &page));
        format!("{}{}", search.path(), format::query(&pairs))
    };
    html! {
        @if last > 1 {
            nav.pager aria-label="Pages" {
                @if number > 1 { a rel="prev" href=(to(number - 1)) { "Newer" } } @else { span { "Newer" } }
                span { "Page " (grouped(number as u64)) " of " (grouped(last as u64)) }
                @if number < last { a rel="next" href=(to(number + 1)) { "Older" } } @else { span { "Older" } }
            }
        }
    }
}

// === CSV ===

fn csv(state: &ApiState, visitor: &Visitor, query: &Fields, search: Search) -> Answer {
    let filter = search.filter(query, &visitor.zone)?;
    let head: &[&str] = match search {
        Search::Executions => {
            &["job", "run", "task", "shard", "agent", "result", "started", "ended", "failure cause"]
        }
        Search::States => {
            &["at", "job", "run", "task", "shard", "agent", "execution type", "state", "message"]
        }
    };
    let history = state.history.clone();
    let pages = stream::try_unfold((0_usize, false), move |(offset, over)| {
        let (history, filter) = (history.clone(), filter.clone());
        async move {
            if over || offset >= CSV_ROWS_MAX {
                return Ok::<_, StoreError>(None);
            }
            let at = EventPage { sort: EventSort::Time, descending: true, offset, limit: CSV_PAGE };
            let rows = history.search_events(&filter, at).await?.1;
            let starts = match search {
                Search::Executions => starts(&history, &rows).await?,
                Search::States => BTreeMap::new(),
            };
            let lines: String = rows.iter().map(|row| line(&cells(search, row, &starts))).collect();
            Ok(Some((Bytes::from(lines), (offset + CSV_PAGE, rows.len() < CSV_PAGE))))
        }
    });
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let first = stream::once(std::future::ready(Ok(Bytes::from(line(&head)))));
    let name = if search == Search::Executions { "executions" } else { "states" };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"shiftwork-{name}.csv\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let body = Body::from_stream(futures_util::StreamExt::chain(first, pages));
    let response: Response = (headers, body).into_response();
    Ok(response)
}

fn cells(search: Search, row: &EventRow, starts: &BTreeMap<String, i64>) -> Vec<String> {
    let task = row.task_id.clone().unwrap_or_default();
    let item = row.item.map(|item| item.to_string()).unwrap_or_default();
    let at = |at_ms: i64| Timestamp::from_millis(at_ms).to_string();
    let (agent, message) = (agent_of(&task).to_owned(), row.message.clone().unwrap_or_default());
    match search {
        Search::Executions => {
            let result = if is_success(row) { "succeeded" } else { "failed" }.to_owned();
            let started = starts.get(&task).map(|at_ms| at(*at_ms)).unwrap_or_default();
            let cause = if is_success(row) { String::new() } else { message };
            vec![
                row.job.clone(),
                row.run_id.clone(),
                task,
                item,
                agent,
                result,
                started,
                at(row.at_ms),
                cause,
            ]
        }
        Search::States => {
            let kind = task.split("@-@").nth(2).unwrap_or_default().to_owned();
            let state = row.state.clone().unwrap_or_default();
            vec![
                at(row.at_ms),
                row.job.clone(),
                row.run_id.clone(),
                task,
                item,
                agent,
                kind,
                state,
                message,
            ]
        }
    }
}

/// A line of CSV (RFC 4180). What a spreadsheet would take for a formula is marked as text: tasks write
/// these texts.
fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|text| {
            let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            let text = if is_formula { format!("'{text}") } else { text.clone() };
            if text.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text
            }
        })
        .collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_and_holds_no_formula() {
        let cells = ["plain", "a,b", "say \"hi\"", "two\nlines", "=cmd|x", "-1"].map(str::to_owned);
        assert_eq!(line(&cells), "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",'=cmd|x,'-1\r\n");
    }

    #[test]
    fn moments_are_of_the_readers_zone() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let read = |text: &str| moment(&Fields::from(&[("from", text)][..]), "from", &berlin);
        let expected = "2026-11-20T01:00:00Z".parse::<Timestamp>().unwrap().as_millis();
        for text in ["2026-11-20T02:00", "2026-11-20 02:00:00", "2026-11-20T01:00:00Z"] {
            assert_eq!(read(text).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(read("").unwrap(), None);
        assert!(read("yesterday").is_err());
    }

    #[test]
    fn executions_are_what_ended() {
        let filter = |result: &str| {
            Search::Executions
                .filter(&Fields::from(&[("result", result)][..]), &Zone::utc())
                .unwrap()
                .states
        };
        assert_eq!(filter("succeeded"), ["TASK_FINISHED"]);
        assert_eq!(filter("").len(), filter("failed").len() + 1);
    }
}
