//! Queues, agents and the scheduler as a whole.

use shiftwork_engine::Engine;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AgentId, JobName, RunId};
use shiftwork_proto::shiftwork::v1 as wire;

use super::request;
use super::wire::{self as convert, ToWire as _};
use crate::api::ApiState;
use crate::api::page::{List, Page};
use crate::api::problem::Problem;
use crate::api::rest::leader::leader;
use crate::api::why::{self, Facts};
use crate::auth::Actor;

const READY: List = List("ready");
const FAILOVER: List = List("failover");
const AGENTS: List = List("agents");

/// Jobs with pending runs.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn ready(
    state: &ApiState,
    request: wire::ListReadyRequest,
) -> Result<wire::ListReadyResponse, Problem> {
    let at = request::page(READY, request.page)?;
    let after = at.after.as_deref().map(|text| request::name("page.token", text)).transpose()?;
    let fetch = at.fetch();
    let rows = state.query(move |engine| engine.ready(after.as_ref(), fetch)).await?;
    let (ready, next_page_token) = request::rows(Page::cut(rows, &at, |row| row.job.to_string()));
    Ok(wire::ListReadyResponse { ready, next_page_token })
}

/// Shards that wait to be launched again.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn failover(
    state: &ApiState,
    request: wire::ListFailoverRequest,
) -> Result<wire::ListFailoverResponse, Problem> {
    let at = request::page(FAILOVER, request.page)?;
    let read = |text: &str| {
        let (run, item) = text.rsplit_once('/')?;
        Some((RunId::parse(run).ok()?, item.parse::<u32>().ok()?))
    };
    let after = match at.after.as_deref() {
        None => None,
        Some(text) => Some(read(text).ok_or_else(|| {
            Problem::parameter("page.token", "is not one of this list: leave it out")
        })?),
    };
    let fetch = at.fetch();
    let rows = state.query(move |engine| engine.failover(after.as_ref(), fetch)).await?;
    let page = Page::cut(rows, &at, |row| format!("{}/{}", row.run, row.item));
    let (failover, next_page_token) = request::rows(page);
    Ok(wire::ListFailoverResponse { failover, next_page_token })
}

/// Agents of which offers are held or which run executors.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn agents(
    state: &ApiState,
    request: wire::ListAgentsRequest,
) -> Result<wire::ListAgentsResponse, Problem> {
    let at = request::page(AGENTS, request.page)?;
    let (after, fetch) = (at.after.clone().map(AgentId::new), at.fetch());
    let rows = state.query(move |engine| engine.agents(after.as_ref(), fetch)).await?;
    let (agents, next_page_token) =
        request::rows(Page::cut(rows, &at, |agent| agent.id.to_string()));
    Ok(wire::ListAgentsResponse { agents, next_page_token })
}

/// Why a job does not run now.
///
/// # Errors
/// 404 by name.
pub(super) async fn why(state: &ApiState, job: &str) -> Result<wire::WhyJobResponse, Problem> {
    let name: JobName = request::name("name", job)?;
    let asked = name.clone();
    let facts = state.query(move |engine| Facts::of(engine, &asked)).await?;
    let facts = facts.ok_or_else(|| Problem::not_found(&format!("job {name}")))?;
    Ok(why::explain(facts).to_wire())
}

/// The scheduler as a whole.
///
/// # Errors
/// 503.
pub(super) async fn status(state: &ApiState) -> Result<wire::Status, Problem> {
    let mut status = state.query(Engine::status).await?;
    status.problems.extend(state.history.lag().problems());
    Ok(status.to_wire())
}

/// Which scheduler decides.
///
/// # Errors
/// 404 while nobody does.
pub(super) fn who_leads(state: &ApiState) -> Result<wire::Leader, Problem> {
    let leader = leader(state)?;
    Ok(wire::Leader {
        id: leader.id,
        addresses: leader.addresses,
        since: Some(convert::instant(leader.since)),
        is_self: leader.is_self,
    })
}

/// Asks the master about every task now.
///
/// # Errors
/// 409 without a master.
pub(super) async fn reconcile(state: &ApiState, by: Actor) -> Result<(), Problem> {
    state.command(by, Command::Reconcile).await.map(drop)
}
