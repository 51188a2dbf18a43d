//! `/agents`, `/offers`, `/executors`: where tasks can run and what runs them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use shiftwork_engine::Engine;
use shiftwork_engine::ids::{AgentId, AppName, ExecutorId, OfferId};
use shiftwork_engine::view::{AgentView, ExecutorView, OfferView};

use super::{AGENT, APP, Answer, BASE};
use crate::api::ApiState;
use crate::api::access::Sight;
use crate::api::extract::InPath;
use crate::api::operation::Operation;
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::visible;
use crate::auth::AppScope;

pub(in crate::api) const AGENTS: List = List("agents");
pub(in crate::api) const OFFERS: List = List("offers");
pub(in crate::api) const EXECUTORS: List = List("executors");

/// Joins the two parts of a key in a cursor; neither holds it, nor does an agent's id.
const KEY_SEPARATOR: char = '\n';

/// The routes of agents, offers and executors.
pub(super) fn routes(table: Table) -> Table {
    let list = |path: &str, id: &str, summary: &str| {
        Operation::get(format!("{BASE}/{path}"), id, summary).tag("cluster")
    };
    table
        .route(
            list("agents", "listAgents", "Agents of which offers are held or which run executors.")
                .page("Agent"),
            get_agents,
        )
        .route(
            list("agents/{agent}", "getAgent", "Reads an agent.").one("Agent").refuses(&[404]),
            get_agent,
        )
        .route(
            list("offers", "listOffers", "Offers that are held.").query(&[&AGENT]).page("Offer"),
            get_offers,
        )
        .route(
            list("executors", "listExecutors", "Executors of this framework.")
                .filtered()
                .query(&[&APP, &AGENT])
                .page("Executor"),
            get_executors,
        )
}

/// `GET /agents`
async fn get_agents(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(AGENTS, &params)?;
    Ok(Json(agents(&state, &at).await?).into_response())
}

/// Agents of which offers are held or which run executors.
///
/// # Errors
/// 503.
pub(in crate::api) async fn agents(
    state: &ApiState,
    at: &PageAt,
) -> Result<Page<AgentView>, Problem> {
    let (after, fetch) = (at.after.clone().map(AgentId::new), at.fetch());
    let rows = state.query(move |engine| engine.agents(after.as_ref(), fetch)).await?;
    Ok(Page::cut(rows, at, |agent| agent.id.to_string()))
}

/// `GET /agents/{agent}`
async fn get_agent(State(state): State<ApiState>, Path(id): Path<String>) -> Answer {
    Ok(Json(agent(&state, id).await?).into_response())
}

/// One of them.
///
/// # Errors
/// 404, or 503.
pub(in crate::api) async fn agent(state: &ApiState, id: String) -> Result<AgentView, Problem> {
    let what = format!("agent {id} of which offers are held or which runs executors");
    let view = state.query(move |engine| engine.agent(&AgentId::new(id))).await?;
    view.ok_or_else(|| Problem::not_found(&what))
}

/// `GET /offers?agent=`
async fn get_offers(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(OFFERS, &params)?;
    let agent = params.text(AGENT.name).map(AgentId::new);
    Ok(Json(offers(&state, agent, &at).await?).into_response())
}

/// Offers that are held.
///
/// # Errors
/// What is wrong with the cursor, or 503.
pub(in crate::api) async fn offers(
    state: &ApiState,
    agent: Option<AgentId>,
    at: &PageAt,
) -> Result<Page<OfferView>, Problem> {
    let after = at.read_after(|text| {
        let (agent, offer) = text.split_once(KEY_SEPARATOR).ok_or(())?;
        Ok::<_, ()>((AgentId::new(agent), OfferId::new(offer)))
    })?;
    let fetch = at.fetch();
    let ask = move |engine: &Engine| engine.offers(agent.as_ref(), after.as_ref(), fetch);
    let rows = state.query(ask).await?;
    Ok(Page::cut(rows, at, |offer| format!("{}{KEY_SEPARATOR}{}", offer.agent, offer.id)))
}

/// `GET /executors?app=&agent=`
async fn get_executors(
    State(state): State<ApiState>,
    Sight(scope): Sight,
    params: Params,
) -> Answer {
    let at = PageAt::read(EXECUTORS, &params)?;
    let app = params.read(APP.name, AppName::read)?;
    let agent = params.text(AGENT.name).map(AgentId::new);
    Ok(Json(executors(&state, &scope, (app, agent), &at).await?).into_response())
}

/// Executors of this framework, of an app and on an agent where these are named.
///
/// # Errors
/// What is wrong with the cursor, or 503.
pub(in crate::api) async fn executors(
    state: &ApiState,
    scope: &AppScope,
    (app, agent): (Option<AppName>, Option<AgentId>),
    at: &PageAt,
) -> Result<Page<ExecutorView>, Problem> {
    let after = at.read_after(|text| {
        let (agent, executor) = text.split_once(KEY_SEPARATOR).ok_or(())?;
        Ok::<_, ()>((AgentId::new(agent), ExecutorId::new(executor)))
    })?;
    let ask = move |engine: &Engine, after: Option<&(AgentId, ExecutorId)>, limit| {
        engine.executors(app.as_ref(), agent.as_ref(), after, limit)
    };
    let listing = (
        ask,
        |row: &ExecutorView| (row.agent.clone(), row.id.clone()),
        |_: &Engine, row: &ExecutorView| Some(row.app.to_string()),
    );
    let rows = visible::rows(state, scope, at, after, listing).await?;
    let key = |executor: &ExecutorView| format!("{}{KEY_SEPARATOR}{}", executor.agent, executor.id);
    Ok(Page::cut(rows, at, key))
}
