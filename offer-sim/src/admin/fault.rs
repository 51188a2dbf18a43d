//! Faults as users write them, made into faults of the world: agents by name into agents by id,
//! times from now into times. Nothing is carried out here.

use std::collections::BTreeSet;

use shiftwork_proto::offersim::v1 as wire;
use shiftwork_proto::offersim::v1::{fault, update_fault};

use crate::world::{AgentId, AgentSummary, Fault, MaintenanceWindow, UpdateFault, World};

/// Why a fault cannot be injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FaultError {
    /// No fault is set.
    #[error("no fault is set; set one of those that the message Fault has")]
    Empty,
    /// A selector names no agent.
    #[error("'{0}' names no agent; give an id, S3, a host name, rack:r3, or *")]
    NoAgent(String),
    /// No agents are given where some are needed.
    #[error("no agents are named; name some, or all of them by *")]
    NoAgents,
    /// The kind of disturbance is not given.
    #[error("the kind is missing; give DROP, DELAY, DUPLICATE or REORDER")]
    NoKind,
    /// Not between 0 and 1.
    #[error("a probability is between 0 and 1")]
    Probability,
}

/// The agents that any of these selectors names; all when there are none.
pub(crate) fn selected(world: &World, selectors: &[String]) -> Vec<AgentSummary> {
    if selectors.is_empty() {
        return world.agents_named("*");
    }
    let mut seen = BTreeSet::new();
    let named = selectors.iter().flat_map(|selector| world.agents_named(selector));
    named.filter(|agent| seen.insert(agent.id.clone())).collect()
}

/// A fault of the world, and the agents that it names.
pub(crate) fn fault(
    world: &World,
    wire: wire::Fault,
    now_ms: u64,
) -> Result<(Fault, Vec<AgentSummary>), FaultError> {
    use fault::Fault as Wire;
    let of = |agents: wire::Agents, fault: fn(Vec<AgentId>) -> Fault| {
        let concerned = named(world, &agents.agents)?;
        Ok((fault(ids(&concerned)), concerned))
    };
    let fault = match wire.fault.ok_or(FaultError::Empty)? {
        Wire::Kill(agents) => return of(agents, Fault::KillAgents),
        Wire::Start(agents) => return of(agents, Fault::StartAgents),
        Wire::Freeze(agents) => return of(agents, Fault::FreezeAgents),
        Wire::Thaw(agents) => return of(agents, Fault::ThawAgents),
        Wire::CutOff(agents) => return of(agents, Fault::CutOffAgents),
        Wire::Reconnect(agents) => return of(agents, Fault::ReconnectAgents),
        Wire::MarkGone(agents) => return of(agents, Fault::MarkAgentsGone),
        Wire::Rescind(agents) => return of(agents, |ids| Fault::RescindOffers(Some(ids))),
        Wire::Updates(wire) => return updates(world, &wire),
        Wire::FailOverMaster(_) => Fault::FailOverMaster,
        Wire::RefuseCalls(wire) => {
            Fault::RefuseCalls { probability: probability(wire.probability)?, for_ms: wire.for_ms }
        }
        Wire::SlowStreams(wire) => {
            Fault::SlowStreams { interval_ms: wire.interval_ms, for_ms: wire.for_ms }
        }
        Wire::End(_) => Fault::EndDisturbances,
        Wire::Maintenance(wire) => {
            let window = |window: wire::maintenance::Window| MaintenanceWindow {
                hostnames: window.hostnames,
                start_ms: now_ms.saturating_add(window.start_in_ms),
                duration_ms: window.duration_ms,
            };
            Fault::SetMaintenance(wire.windows.into_iter().map(window).collect())
        }
    };
    Ok((fault, Vec::new()))
}

fn updates(
    world: &World,
    wire: &wire::UpdateFault,
) -> Result<(Fault, Vec<AgentSummary>), FaultError> {
    let kind = match wire.kind() {
        update_fault::Kind::Unspecified => return Err(FaultError::NoKind),
        update_fault::Kind::Drop => UpdateFault::Drop,
        update_fault::Kind::Delay => UpdateFault::Delay { ms: wire.delay_ms },
        update_fault::Kind::Duplicate => UpdateFault::Duplicate,
        update_fault::Kind::Reorder => UpdateFault::Reorder,
    };
    let concerned = if wire.agents.is_empty() { Vec::new() } else { named(world, &wire.agents)? };
    let fault = Fault::DisturbUpdates {
        fault: kind,
        agents: (!wire.agents.is_empty()).then(|| ids(&concerned)),
        probability: probability(wire.probability)?,
        for_ms: wire.for_ms,
    };
    Ok((fault, concerned))
}

fn probability(given: Option<f64>) -> Result<f64, FaultError> {
    let probability = given.unwrap_or(1.0);
    if (0.0..=1.0).contains(&probability) { Ok(probability) } else { Err(FaultError::Probability) }
}

fn ids(agents: &[AgentSummary]) -> Vec<AgentId> {
    agents.iter().map(|agent| agent.id.clone()).collect()
}

/// The agents named; each selector must name at least one.
fn named(world: &World, selectors: &[String]) -> Result<Vec<AgentSummary>, FaultError> {
    if selectors.is_empty() {
        return Err(FaultError::NoAgents);
    }
    let is_void = |selector: &&String| world.agents_named(selector).is_empty();
    match selectors.iter().find(is_void) {
        Some(selector) => Err(FaultError::NoAgent(selector.clone())),
        None => Ok(selected(world, selectors)),
    }
}
