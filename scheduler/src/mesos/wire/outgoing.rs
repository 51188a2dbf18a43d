//! Actions of the engine -> calls to the master. Absent: sending them.

use bytes::Bytes;
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::offer::{Operation, operation};
use shiftwork_proto::mesos::v1::scheduler::{Call, call};

use super::{WireError, task_info};

/// How long the master keeps from us what an ACCEPT left over, in seconds: only until its next
/// allocation, because whoever launches now may launch more in the next cycle.
const ACCEPT_REFUSE_SECONDS: f64 = 0.1;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Writes an action as a call; `None` for what is none ([`Action::SubscribeAnew`]).
///
/// # Errors
/// When a launch cannot be written as a `TaskInfo`.
pub fn write_call(action: &Action, framework: &FrameworkId) -> Result<Option<Call>, WireError> {
    let mut call = Call { framework_id: Some(framework_id(framework)), ..Call::default() };
    match action {
        Action::Accept { agent, offers, launches } => {
            call.set_type(call::Type::Accept);
            call.accept = Some(write_accept(agent, offers, launches, framework)?);
        }
        Action::Decline { offers, refuse_ms } => {
            call.set_type(call::Type::Decline);
            call.decline = Some(call::Decline {
                offer_ids: offer_ids(offers),
                filters: Some(filters(*refuse_ms as f64 / 1000.0)),
            });
        }
        Action::AcceptInverseOffers { offers, refuse_ms } => {
            call.set_type(call::Type::AcceptInverseOffers);
            call.accept_inverse_offers = Some(call::AcceptInverseOffers {
                inverse_offer_ids: offer_ids(offers),
                filters: Some(filters(*refuse_ms as f64 / 1000.0)),
            });
        }
        Action::DeclineInverseOffers { offers, refuse_ms } => {
            call.set_type(call::Type::DeclineInverseOffers);
            call.decline_inverse_offers = Some(call::DeclineInverseOffers {
                inverse_offer_ids: offer_ids(offers),
                filters: Some(filters(*refuse_ms as f64 / 1000.0)),
            });
        }
        // Without roles both are for all of ours.
        Action::Revive => {
            call.set_type(call::Type::Revive);
            call.revive = Some(call::Revive::default());
        }
        Action::Suppress => {
            call.set_type(call::Type::Suppress);
            call.suppress = Some(call::Suppress::default());
        }
        Action::Kill { task, agent, grace_ms } => {
            call.set_type(call::Type::Kill);
            call.kill = Some(call::Kill {
                task_id: task_id(task),
                agent_id: Some(agent_id(agent)),
                kill_policy: Some(kill_policy(*grace_ms)),
            });
        }
        Action::Acknowledge { task, agent, uuid } => {
            call.set_type(call::Type::Acknowledge);
            call.acknowledge = Some(call::Acknowledge {
                agent_id: agent_id(agent),
                task_id: task_id(task),
                uuid: Bytes::copy_from_slice(uuid),
            });
        }
        Action::Reconcile { tasks } => {
            call.set_type(call::Type::Reconcile);
            call.reconcile = Some(write_reconcile(tasks));
        }
        Action::ShutdownExecutor { executor, agent } => {
            call.set_type(call::Type::Shutdown);
            call.shutdown = Some(call::Shutdown {
                executor_id: executor_id(executor),
                agent_id: agent_id(agent),
            });
        }
        Action::SubscribeAnew => return Ok(None),
    }
    Ok(Some(call))
}

/// The name of the call an action becomes, for logs.
pub fn call_kind(action: &Action) -> &'static str {
    match action {
        Action::Accept { .. } => "ACCEPT",
        Action::Decline { .. } => "DECLINE",
        Action::AcceptInverseOffers { .. } => "ACCEPT_INVERSE_OFFERS",
        Action::DeclineInverseOffers { .. } => "DECLINE_INVERSE_OFFERS",
        Action::Revive => "REVIVE",
        Action::Suppress => "SUPPRESS",
        Action::Kill { .. } => "KILL",
        Action::Acknowledge { .. } => "ACKNOWLEDGE",
        Action::Reconcile { .. } => "RECONCILE",
        Action::ShutdownExecutor { .. } => "SHUTDOWN",
        Action::SubscribeAnew => "SUBSCRIBE",
    }
}

fn write_accept(
    agent: &AgentId,
    offers: &[OfferId],
    launches: &[Launch],
    framework: &FrameworkId,
) -> Result<call::Accept, WireError> {
    let task_infos = launches
        .iter()
        .map(|launch| task_info::write_task_info(launch, agent, framework))
        .collect::<Result<_, _>>()?;
    let mut launch =
        Operation { launch: Some(operation::Launch { task_infos }), ..Operation::default() };
    launch.set_type(operation::Type::Launch);
    Ok(call::Accept {
        offer_ids: offer_ids(offers),
        operations: vec![launch],
        filters: Some(filters(ACCEPT_REFUSE_SECONDS)),
    })
}

fn write_reconcile(tasks: &[(TaskId, AgentId)]) -> call::Reconcile {
    let tasks = tasks
        .iter()
        .map(|(task, agent)| call::reconcile::Task {
            task_id: task_id(task),
            agent_id: Some(agent_id(agent)),
        })
        .collect();
    call::Reconcile { tasks }
}

pub(super) fn kill_policy(grace_ms: u64) -> mesos::KillPolicy {
    let nanoseconds = i64::try_from(grace_ms.saturating_mul(NANOS_PER_MILLI)).unwrap_or(i64::MAX);
    mesos::KillPolicy { grace_period: Some(mesos::DurationInfo { nanoseconds }) }
}

fn filters(refuse_seconds: f64) -> mesos::Filters {
    mesos::Filters { refuse_seconds: Some(refuse_seconds) }
}

fn offer_ids(offers: &[OfferId]) -> Vec<mesos::OfferId> {
    offers.iter().map(|id| mesos::OfferId { value: id.to_string() }).collect()
}

pub(super) fn framework_id(id: &FrameworkId) -> mesos::FrameworkId {
    mesos::FrameworkId { value: id.to_string() }
}

pub(super) fn agent_id(id: &AgentId) -> mesos::AgentId {
    mesos::AgentId { value: id.to_string() }
}

pub(super) fn task_id(id: &TaskId) -> mesos::TaskId {
    mesos::TaskId { value: id.to_string() }
}

pub(super) fn executor_id(id: &ExecutorId) -> mesos::ExecutorId {
    mesos::ExecutorId { value: id.to_string() }
}
