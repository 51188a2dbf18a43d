//! Queues, agents and the scheduler as a whole.

use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AgentId, JobName};
use shiftwork_proto::shiftwork::v1 as wire;

use super::request;
use super::wire::{self as convert, ToWire as _};
use crate::api::ApiState;
use crate::api::access::Named;
use crate::api::problem::Problem;
use crate::api::rest::executors::{self, AGENTS, EXECUTORS, OFFERS};
use crate::api::rest::jobs::why_job;
use crate::api::rest::leader::leader;
use crate::api::rest::queues::{self, FAILOVER, READY, RUNNING};
use crate::auth::{Actor, Identity};

/// Jobs with pending runs.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn ready(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListReadyRequest,
) -> Result<wire::ListReadyResponse, Problem> {
    let at = request::page(READY, request.page)?;
    let page = queues::ready(state, &identity.apps, &at).await?;
    let (ready, next_page_token) = request::rows(page);
    Ok(wire::ListReadyResponse { ready, next_page_token })
}

/// Shards that wait to be launched again.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn failover(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListFailoverRequest,
) -> Result<wire::ListFailoverResponse, Problem> {
    let at = request::page(FAILOVER, request.page)?;
    let page = queues::failover(state, &identity.apps, &at).await?;
    let (failover, next_page_token) = request::rows(page);
    Ok(wire::ListFailoverResponse { failover, next_page_token })
}

/// Live tasks.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn running(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListRunningRequest,
) -> Result<wire::ListRunningResponse, Problem> {
    let at = request::page(RUNNING, request.page)?;
    let page = queues::running(state, &identity.apps, &at).await?;
    let (running, next_page_token) = request::rows(page);
    Ok(wire::ListRunningResponse { running, next_page_token })
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
    let (agents, next_page_token) = request::rows(executors::agents(state, &at).await?);
    Ok(wire::ListAgentsResponse { agents, next_page_token })
}

/// Offers that are held.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn offers(
    state: &ApiState,
    request: wire::ListOffersRequest,
) -> Result<wire::ListOffersResponse, Problem> {
    let at = request::page(OFFERS, request.page)?;
    let agent = request::given(request.agent).map(AgentId::new);
    let (offers, next_page_token) = request::rows(executors::offers(state, agent, &at).await?);
    Ok(wire::ListOffersResponse { offers, next_page_token })
}

/// Executors of this framework.
///
/// # Errors
/// What is wrong with the request, or 503.
pub(super) async fn executors(
    state: &ApiState,
    identity: &Identity,
    request: wire::ListExecutorsRequest,
) -> Result<wire::ListExecutorsResponse, Problem> {
    let at = request::page(EXECUTORS, request.page)?;
    let app = request::filter("app", &request.app)?;
    let agent = request::given(request.agent).map(AgentId::new);
    let page = executors::executors(state, &identity.apps, (app, agent), &at).await?;
    let (executors, next_page_token) = request::rows(page);
    Ok(wire::ListExecutorsResponse { executors, next_page_token })
}

/// Why a job does not run now.
///
/// # Errors
/// 403 for another app's, 404 by name.
pub(super) async fn why(
    state: &ApiState,
    identity: &Identity,
    job: &str,
) -> Result<wire::WhyJobResponse, Problem> {
    let name: JobName = request::name("name", job)?;
    Named::Job(name.clone()).admit(state, identity).await?;
    Ok(why_job(state, name).await?.to_wire())
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
