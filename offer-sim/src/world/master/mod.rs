//! The master: frameworks, offers, tasks as it believes them to be. It runs nothing itself, and
//! knows of an agent only what the agent told it.

mod accept;
mod admit;
mod allocator;
mod framework;
mod loss;
mod maintenance;
mod offers;
mod reconcile;
mod register;
mod shares;
mod state;
mod subscribe;
mod updates;
mod validate;
#[cfg(test)]
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_proto::mesos::v1::{ContainerStatus, ExecutorInfo, TaskState, TaskStatus, scheduler};

pub use admit::Rejection;
use allocator::Allocator;
use framework::Framework;
use maintenance::Maintenance;
use offers::Offer;
pub use subscribe::MESOS_VERSION;
pub(super) use subscribe::master_info;

use super::event::AgentSpec;
use super::id::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use super::mail::ToMaster;
use super::resources::Resources;
use super::status::is_terminal;
use super::{Turn, mail};

/// All that the master knows.
#[derive(Debug, Default)]
pub(super) struct Master {
    frameworks: BTreeMap<FrameworkId, Framework>,
    /// Torn down or given up; their ids are never taken again.
    removed: BTreeSet<FrameworkId>,
    agents: BTreeMap<AgentId, RegisteredAgent>,
    /// Agents of a former life that are to register again: nothing is said of their tasks before.
    expected: BTreeSet<AgentId>,
    /// Until then they may.
    reregister_by_ms: u64,
    /// Until then also agents it never heard of may be ones of a former master.
    expects_strangers_until_ms: u64,
    /// Agents whose health checks failed, with the time of that.
    unreachable: BTreeMap<AgentId, u64>,
    /// Agents that an operator marked gone.
    gone: BTreeSet<AgentId>,
    maintenance: Maintenance,
    offers: BTreeMap<OfferId, Offer>,
    tasks: BTreeMap<(FrameworkId, TaskId), Task>,
    allocator: Allocator,
}

/// An agent as the master knows it.
#[derive(Debug)]
struct RegisteredAgent {
    spec: AgentSpec,
    /// Neither offered nor used; allocated to nobody.
    available: Resources,
    executors: BTreeMap<(FrameworkId, ExecutorId), RunningExecutor>,
    /// Its connection stands; only then is it offered.
    is_active: bool,
}

/// An executor as the master knows it: charged once, however many tasks it has.
#[derive(Debug, Clone)]
struct RunningExecutor {
    info: ExecutorInfo,
    resources: Resources,
}

/// A task as the master knows it. Forgotten when its end was acknowledged.
#[derive(Debug)]
struct Task {
    agent: AgentId,
    /// `None` for a task with a command of its own.
    executor: Option<ExecutorId>,
    /// Given back when the task ended, which may be long before its end was acknowledged.
    resources: Resources,
    /// As the agent last said.
    state: TaskState,
    /// Of the last update that was sent to the framework, and what acknowledges it.
    sent: Option<TaskStatus>,
    container: Option<ContainerStatus>,
    /// Learnt from updates that outlived its executor.
    recovered: bool,
    /// When its agent became unreachable, if it is.
    unreachable_since_ms: Option<u64>,
}

// === impl Task ===

impl Task {
    /// The state that the framework is told when it asks: the one of the update it should have
    /// seen last, though the task may have gone on since. A task that outlived its executor is
    /// told as it is by now, because nothing can happen to it any more.
    fn state_told(&self) -> TaskState {
        match &self.sent {
            Some(status) if !self.recovered => status.state(),
            _ => self.state,
        }
    }
}

// === impl Master ===

impl Master {
    pub(super) fn on_agent_expected(&mut self, agent: AgentId) {
        self.expected.insert(agent);
    }

    pub(super) fn on_call(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: scheduler::Call,
    ) {
        use scheduler::call::Type;
        match call.r#type() {
            Type::Accept => self.on_accept(turn, framework, call.accept.unwrap_or_default()),
            Type::Decline => self.on_decline(turn, framework, call.decline.unwrap_or_default()),
            Type::Revive => self.on_revive(framework, call.revive.unwrap_or_default().roles),
            Type::Suppress => self.on_suppress(framework, call.suppress.unwrap_or_default().roles),
            Type::Kill => self.on_kill(turn, framework, call.kill),
            Type::Acknowledge => self.on_acknowledge(turn, framework, call.acknowledge),
            Type::Reconcile => {
                self.on_reconcile(turn, framework, &call.reconcile.unwrap_or_default().tasks);
            }
            Type::Shutdown => forward_shutdown(turn, framework, call.shutdown),
            Type::Message => forward_message(turn, framework, call.message),
            Type::AcceptInverseOffers => self.on_accept_inverse(
                turn,
                framework,
                call.accept_inverse_offers.unwrap_or_default(),
            ),
            Type::DeclineInverseOffers => self.on_decline_inverse(
                turn,
                framework,
                call.decline_inverse_offers.unwrap_or_default(),
            ),
            Type::Teardown => self.remove_framework(turn, framework),
            // `admit` lets no other call through.
            _ => {}
        }
    }

    pub(super) fn on_agent_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &AgentId,
        message: ToMaster,
    ) {
        // An agent that is not registered is not listened to until it is.
        if !matches!(message, ToMaster::Register(_)) && !self.agents.contains_key(from) {
            return;
        }
        match message {
            ToMaster::StatusUpdate { framework, status, latest_state } => {
                self.on_status_update(turn, framework, *status, latest_state);
            }
            ToMaster::ExitedExecutor { framework, executor, wait_status } => {
                self.on_exited_executor(turn, from, &framework, executor, wait_status);
            }
            ToMaster::ExecutorMessage { framework, executor, data } => {
                self.on_executor_message(turn, from, &framework, &executor, data);
            }
            ToMaster::Register(registration) => self.on_register(turn, *registration),
        }
    }

    /// Gives resources back to an agent; they are offered again within the allocation interval.
    fn give_back(&mut self, turn: &mut Turn<'_>, agent: &AgentId, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        if let Some(registered) = self.agents.get_mut(agent) {
            registered.available.add(&resources.allocated_to(None));
            self.allocator.consider(agent);
            self.allocator.soon(turn);
        }
    }

    /// Frees what a task holds, once.
    fn free_task(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, TaskId)) {
        if let Some(task) = self.tasks.get_mut(key) {
            let resources = std::mem::take(&mut task.resources);
            let agent = task.agent.clone();
            self.give_back(turn, &agent, &resources);
        }
    }
}

fn forward_shutdown(
    turn: &mut Turn<'_>,
    framework: &FrameworkId,
    call: Option<scheduler::call::Shutdown>,
) {
    if let Some(shutdown) = call {
        let executor = (&shutdown.executor_id).into();
        let message = mail::ToAgent::ShutdownExecutor { framework: framework.clone(), executor };
        turn.send_agent(&(&shutdown.agent_id).into(), message);
    }
}

fn forward_message(
    turn: &mut Turn<'_>,
    framework: &FrameworkId,
    call: Option<scheduler::call::Message>,
) {
    if let Some(message) = call {
        let to = (&message.agent_id).into();
        let executor = (&message.executor_id).into();
        let data = message.data;
        let message =
            mail::ToAgent::FrameworkMessage { framework: framework.clone(), executor, data };
        turn.send_agent(&to, message);
    }
}
