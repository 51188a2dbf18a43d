//! `/agents`, `/agents/{agent}`, `/executors`: where tasks can run and what runs them.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::get;
use maud::{Markup, html};
use shiftwork_engine::ids::{AgentId, AppName, ExecutorId};
use shiftwork_engine::view::{AgentView, ExecutorView};
use shiftwork_engine::{Engine, TaskFilter};

use super::format::{self, amount, grouped, megabytes};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, parts};
use crate::api::extract::InPath;
use crate::api::page::{List, Page as Rows, PageAt};
use crate::api::params::RawParams;
use crate::api::{ApiState, Problem, visible};

/// Joins the two parts of a key in a cursor; neither holds it.
const KEY_SEPARATOR: char = '\n';

/// Rows of the lists of one agent.
const ROWS: usize = 100;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/agents", get(list))
        .route("/agents/{agent}", get(show))
        .route("/executors", get(executors))
}

/// Amounts in a line: `4 cpus, 8 GB, 1 TB disk`.
fn amounts(of: &BTreeMap<&'static str, f64>) -> String {
    let texts = of.iter().filter(|(_, value)| **value > 0.0).map(|(kind, value)| match *kind {
        "mem" => format!("{} memory", megabytes(*value)),
        "disk" => format!("{} disk", megabytes(*value)),
        kind => format!("{} {kind}", amount(*value)),
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// `GET /agents?limit=&cursor=`
async fn list(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params = RawParams::parse(&uri).only(&["limit", "cursor", "said"])?;
    let at = PageAt::read(List("console-agents"), &params)?;
    let (after, fetch) = (at.after.clone().map(AgentId::new), at.fetch());
    let rows = state.query(move |engine| engine.agents(after.as_ref(), fetch)).await?;
    let page = Rows::cut(rows, &at, |agent| agent.id.to_string());
    let body = html! {
        (parts::heading("Agents", html! { span.more { "of which offers are held or which run executors" } }))
        div.sheet {
            (parts::table("Agents", &["Host", "Agent", "Offers held contain", "Executors", "Tasks", "Attributes"], html! {
                @for agent in &page.items {
                    tr {
                        td.name { (agent.hostname) @if let Some(at) = agent.unavailable_from { " " span.note { "leaves for maintenance at " (format::time(&visitor.zone, at)) } } }
                        td.name { (parts::agent_link(agent.id.as_str())) }
                        td { (amounts(&agent.offered)) }
                        td.number { (grouped(agent.executors.len() as u64)) }
                        td.number { (grouped(agent.tasks as u64)) }
                        td.text { (attributes(agent)) }
                    }
                }
            }))
            @if page.items.is_empty() { (parts::empty("None is known now: offers that nobody needs are given back, and come again when something is due.")) }
        }
        (parts::pager("/agents", &[("limit", params.text("limit").unwrap_or_default())], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Agents", Section::Agents).polled(5).show(&visitor, body))
}

fn attributes(agent: &AgentView) -> Markup {
    html! {
        @for (name, value) in &agent.attributes { code { (name) ":" (value) } " " }
        @if agent.attributes.is_empty() { span.none { "–" } }
    }
}

/// `GET /agents/{agent}`
async fn show(State(state): State<ApiState>, visitor: Visitor, Path(id): Path<String>) -> Answer {
    let what = format!("agent {id} of which offers are held or which runs executors");
    let known = state.query(move |engine| {
        let id = AgentId::new(id);
        let agent = engine.agent(&id)?;
        let offers = engine.offers(Some(&id), None, ROWS);
        let executors = engine.executors(None, Some(&id), None, ROWS);
        let filter = TaskFilter { agent: Some(id), ..TaskFilter::default() };
        Some((agent, offers, executors, engine.tasks(&filter, None, ROWS)))
    });
    let (agent, offers, executors, tasks) =
        known.await?.ok_or_else(|| Problem::not_found(&what))?;
    let title =
        if agent.hostname.is_empty() { agent.id.to_string() } else { agent.hostname.clone() };
    let body = html! {
        p.crumbs { a href="/agents" { "Agents" } }
        (parts::heading(&title, html! {}))
        section.sheet {
            (parts::facts(&[
                ("Agent", html! { span.id { (agent.id) } }),
                ("Offers contain", html! { (amounts(&agent.offered)) }),
                ("Tasks", html! { (grouped(agent.tasks as u64)) }),
                ("Attributes", attributes(&agent)),
                ("Maintenance", format::maybe_time(&visitor.zone, agent.unavailable_from)),
            ]))
        }
        section.sheet {
            h2 { "Offers held" }
            @if offers.is_empty() { (parts::empty("None is held now.")) }
            @else {
                (parts::table("Offers held", &["Offer", "Held since", "Contains"], html! {
                    @for offer in &offers {
                        tr { td.name { span.id { (offer.id) } } td.tight { (format::time(&visitor.zone, offer.since)) } td { (amounts(&offer.resources)) } }
                    }
                }))
            }
        }
        section.sheet {
            h2 { "Executors" }
            @if executors.is_empty() { (parts::empty("None runs here.")) } @else { (executor_table(&executors)) }
        }
        section.sheet {
            h2 { "Tasks" }
            @if tasks.is_empty() { (parts::empty("None runs here.")) }
            @else {
                (parts::table("Tasks on the agent", &["Run", "Shard", "State", "Since", "Output"], html! {
                    @for task in &tasks {
                        tr {
                            td.name { (parts::run_link(task.run.as_str())) }
                            td { (task.item) }
                            td.tight { (parts::state(&parts::shard_state(task.state))) }
                            td.tight { (format::maybe_time(&visitor.zone, task.since)) }
                            td.tight { a href=(parts::log_address(task.id.as_str(), "stdout")) { "stdout" } " " a href=(parts::log_address(task.id.as_str(), "stderr")) { "stderr" } }
                        }
                    }
                }))
            }
        }
    };
    Ok(Page::new(&title, Section::Agents).polled(5).show(&visitor, body))
}

/// Executors as rows.
pub(super) fn executor_table(executors: &[ExecutorView]) -> Markup {
    parts::table(
        "Executors",
        &["Executor", "App", "State", "Agent", "Tasks", "Holds itself"],
        html! {
            @for executor in executors {
                @let state = serde_json::to_value(executor.state).unwrap_or_default();
                tr {
                    td.name { span.id { (executor.id) } }
                    td.tight { (parts::app_link(executor.app.as_str())) }
                    td.tight { (parts::state(state.as_str().unwrap_or_default())) }
                    td.name { (parts::agent_link(executor.agent.as_str())) }
                    td.number { (grouped(executor.tasks as u64)) }
                    td { @match &executor.resources { Some(resources) => (amounts(resources)), None => span.none { "–" } } }
                }
            }
        },
    )
}

/// `GET /executors?app=&limit=&cursor=`
async fn executors(State(state): State<ApiState>, visitor: Visitor, uri: Uri) -> Answer {
    let params = RawParams::parse(&uri).only(&["app", "limit", "cursor", "said"])?;
    let at = PageAt::read(List("console-executors"), &params)?;
    let app = params.read("app", AppName::read)?;
    let after = at.read_after(|text| {
        let (agent, executor) = text.split_once(KEY_SEPARATOR).ok_or(())?;
        Ok::<_, ()>((AgentId::new(agent), ExecutorId::new(executor)))
    })?;
    let listing = (
        move |engine: &Engine, after: Option<&(AgentId, ExecutorId)>, limit: usize| {
            engine.executors(app.as_ref(), None, after, limit)
        },
        |row: &ExecutorView| (row.agent.clone(), row.id.clone()),
        |_: &Engine, row: &ExecutorView| Some(row.app.to_string()),
    );
    let rows = visible::rows(&state, &visitor.scope(), &at, after, listing).await?;
    let page = Rows::cut(rows, &at, |row| format!("{}{KEY_SEPARATOR}{}", row.agent, row.id));
    let text = |name: &str| params.text(name).unwrap_or_default();
    let body = html! {
        (parts::heading("Executors", html! { span.more { "one for each app on each agent" } }))
        form.filter method="get" action="/executors" role="search" {
            (parts::search("app", "App", text("app"), "name of an app  ( / )"))
            button { "Show" }
        }
        div.sheet {
            (executor_table(&page.items))
            @if page.items.is_empty() { (parts::empty("No executor runs now.")) }
        }
        (parts::pager("/executors", &[("app", text("app")), ("limit", text("limit"))], page.next.as_deref(), at.after.is_none()))
    };
    Ok(Page::new("Executors", Section::Executors).polled(5).show(&visitor, body))
}
