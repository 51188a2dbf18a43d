//! `/jobs`: jobs to be found among very many. Absent: one job (`job.rs`).

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use serde_json::Value;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::view::JobView;
use shiftwork_engine::{JobFilter, Order};
use shiftwork_schedule::Timestamp;

use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, charts, format, parts};
use crate::api::extract::InPath;
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::{Params, RawParams};
use crate::api::{ApiState, Problem, job_search, read_job_state};
use crate::auth::AppScope;

/// Rows of a page.
const ROWS: usize = 50;
/// Outcomes shown of each job.
const OUTCOMES: usize = 10;

/// Orders: the word in the address, and in the choice.
const SORTS: [(&str, &str); 3] =
    [("", "name, A to Z"), ("-name", "name, Z to A"), ("next", "next firing")];

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/jobs", get(list))
}

/// What is asked for.
struct Wanted {
    filter: JobFilter,
    sort: &'static str,
    at: PageAt,
}

impl Wanted {
    fn read(params: &Params, scope: &AppScope) -> Result<Self, Problem> {
        let state = params.read("state", read_job_state)?;
        let filter = JobFilter {
            app_prefixes: scope.prefixes().to_vec(),
            app: params.read("app", AppName::read)?,
            text: params.text("q").map(|text| text.trim().to_owned()),
            state,
        };
        let sort = params.text("sort").unwrap_or_default();
        let sort = SORTS.iter().find(|(word, _)| *word == sort).map_or("", |(word, _)| word);
        let list = match sort {
            "-name" => List("console-jobs-"),
            "next" => List("console-jobs-next"),
            _ => List("console-jobs"),
        };
        let mut at = PageAt::read(list, params)?;
        if params.text("limit").is_none() {
            at.limit = ROWS;
        }
        Ok(Self { filter, sort, at })
    }

    async fn page(&self, state: &ApiState) -> Result<Rows<JobView>, Problem> {
        let filter = self.filter.clone();
        if self.sort == "next" {
            return self.by_next_firing(state, filter).await;
        }
        let order = if self.sort == "-name" { Order::Descending } else { Order::Ascending };
        let after = self.at.read_after(JobName::read)?;
        let rows = job_search::find(state, filter, after, order, self.at.fetch()).await?;
        Ok(Rows::cut(rows, &self.at, |row| row.name.clone()))
    }

    async fn by_next_firing(
        &self,
        state: &ApiState,
        filter: JobFilter,
    ) -> Result<Rows<JobView>, Problem> {
        let after = self.at.read_after(|text| {
            let (millis, name) = text.split_once('/').ok_or(())?;
            let at = Timestamp::from_millis(millis.parse().map_err(drop)?);
            Ok::<_, ()>((at, JobName::parse(name).map_err(drop)?))
        })?;
        let fetch = self.at.fetch();
        let ask = move |engine: &shiftwork_engine::Engine| {
            engine.jobs_by_next_firing(&filter, after.as_ref(), fetch)
        };
        let rows = state.query(ask).await?;
        let key = |row: &(Timestamp, JobView)| format!("{}/{}", row.0.as_millis(), row.1.name);
        let page = Rows::cut(rows, &self.at, key);
        Ok(Rows { items: page.items.into_iter().map(|(_, job)| job).collect(), next: page.next })
    }
}

/// `GET /jobs?q=&app=&state=&sort=&limit=&cursor=`
async fn list(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let known = ["q", "app", "state", "sort", "limit", "cursor", "said"];
    let params = RawParams::parse(&uri).only(&known)?;
    let wanted = Wanted::read(&params, &visitor.scope())?;
    let page = wanted.page(&state).await?;
    let names: Vec<String> = page.items.iter().map(|job| job.name.clone()).collect();
    // A history that cannot be read is no reason not to show the jobs.
    let outcomes = state.history.recent_states(&names, OUTCOMES).await.unwrap_or_default();
    let text = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let (q, app, chosen, limit) = (text("q"), text("app"), text("state"), text("limit"));
    let filters = [
        ("q", &*q),
        ("app", &*app),
        ("state", &*chosen),
        ("sort", wanted.sort),
        ("limit", &*limit),
    ];
    let is_first = wanted.at.after.is_none();
    let body = html! {
        (parts::heading("Jobs", html! {
            @if visitor.may_change(None) { a.button.primary href="/new/job" { "New job" } }
        }))
        form.filter method="get" action="/jobs" role="search" {
            (parts::search("q", "Name holds", &q, "part of a name  ( / )"))
            (parts::search("app", "App", &app, "name of an app"))
            (parts::choice("state", "State", &chosen, &states()))
            (parts::choice("sort", "Sorted by", wanted.sort, &SORTS))
            button { "Show" }
        }
        (table(&visitor, &page.items, &outcomes))
        (parts::pager("/jobs", &filters, page.next.as_deref(), is_first))
    };
    Ok(Page::new("Jobs", Section::Jobs).live("?kind=RUN", 15).show(&visitor, body))
}

fn states() -> [(&'static str, &'static str); 6] {
    [
        ("", "any"),
        ("ENABLED", "enabled"),
        ("DISABLED", "disabled"),
        ("RUNNING", "running"),
        ("PENDING", "with pending runs"),
        ("BROKEN", "broken"),
    ]
}

fn table(visitor: &Visitor, jobs: &[JobView], outcomes: &BTreeMap<String, Vec<String>>) -> Markup {
    let columns = ["Job", "Schedule", "State", "Last runs", "Next firing", ""];
    html! {
        div.sheet {
            (parts::table("Jobs", &columns, html! {
                @for job in jobs {
                    tr {
                        td.name { (parts::job_link(&job.name)) @if let Some(app) = &job.app { div.more { "of " (parts::app_link(app.as_str())) } } }
                        td { (schedule(&job_document(job))) }
                        td.tight { (job_state(job)) }
                        td { (charts::dots(outcomes.get(&job.name).map(Vec::as_slice).unwrap_or_default(), OUTCOMES)) }
                        td.tight { (format::maybe_time(&visitor.zone, job.next_firing)) }
                        td.number {
                            @let may = job.app.as_ref().is_some_and(|app| visitor.may_change(Some(app.as_str())));
                            @if may { a.button href=(format!("/jobs/{}/trigger", format::segment(&job.name))) aria-label=(format!("Trigger {}", job.name)) { "Trigger" } }
                        }
                    }
                }
            }))
            @if jobs.is_empty() { (parts::empty("No job is like that.")) }
        }
    }
}

/// The document of a job, as JSON.
pub(super) fn job_document(job: &JobView) -> Value {
    serde_json::from_str(job.document.get()).unwrap_or_default()
}

/// When a job fires, as its document says.
pub(super) fn schedule(document: &Value) -> Markup {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    html! {
        @if document["jobExecutionType"] == "DAEMON" { span.more { "daemon " } }
        @if document["cron"].is_string() { code { (text("cron")) } }
        @else if !document["every"].is_null() { "every " code { (plain(&document["every"])) } }
        @else if document["at"].is_string() { "at " code { (text("at")) } }
        @else { span.none { "by trigger only" } }
        @if document["timeZone"].is_string() { " " span.more { (text("timeZone")) } }
    }
}

/// A value of a document as text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a job is doing, in a word and a number.
pub(super) fn job_state(job: &JobView) -> Markup {
    html! {
        @if job.problem.is_some() { (parts::state("BROKEN")) }
        @else if !job.enabled { (parts::state("DISABLED")) }
        @else if job.running_count > 0 { (parts::state("RUNNING")) }
        @else if job.pending > 0 { (parts::state("PENDING")) }
        @else { (parts::state("ENABLED")) }
        @if job.running_count > 1 { " " span.more { (format::grouped(job.running_count as u64)) } }
        @if job.pending > 0 { " " span.more { (format::grouped(job.pending as u64)) " pending" } }
    }
}
