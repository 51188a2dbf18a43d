//! A framework as the master knows it: connection, roles, abilities, and its end. No offers and no
//! tasks are kept here.

use std::collections::BTreeSet;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{FrameworkInfo, TaskState, scheduler};

use super::super::id::{AgentId, ExecutorId, FrameworkId, StreamId};
use super::super::mail::ToAgent;
use super::super::resource_wire::WireForm;
use super::super::timers::Timer;
use super::super::{Effect, Turn};
use super::Master;

/// A framework that subscribed and was not removed.
#[derive(Debug)]
pub(super) struct Framework {
    /// With its id filled in.
    pub(super) info: FrameworkInfo,
    pub(super) roles: BTreeSet<String>,
    /// Roles for which it wants no offers.
    pub(super) suppressed: BTreeSet<String>,
    pub(super) connection: Connection,
    /// Learnt from an agent, and not subscribed to this master yet.
    pub(super) is_recovered: bool,
}

/// Whether a framework can be reached.
#[derive(Debug)]
pub(super) enum Connection {
    Connected { stream: StreamId, heartbeat_at_ms: u64 },
    Disconnected { remove_at_ms: u64 },
}

// === impl Framework ===

impl Framework {
    pub(super) fn new(info: FrameworkInfo, connection: Connection) -> Self {
        let roles = roles(&info);
        Self { info, roles, suppressed: BTreeSet::new(), connection, is_recovered: false }
    }

    pub(super) fn stream(&self) -> Option<&StreamId> {
        match &self.connection {
            Connection::Connected { stream, .. } => Some(stream),
            Connection::Disconnected { .. } => None,
        }
    }

    pub(super) fn can(&self, capability: capability::Type) -> bool {
        has_capability(&self.info, capability)
    }

    pub(super) fn wire_form(&self) -> WireForm {
        WireForm {
            allocation_info: self.can(capability::Type::MultiRole),
            reservations: self.can(capability::Type::ReservationRefinement),
        }
    }

    /// `modern` for a framework that knows of partitions, `TASK_LOST` for one that does not.
    pub(super) fn lost_as(&self, modern: TaskState) -> TaskState {
        if self.can(capability::Type::PartitionAware) { modern } else { TaskState::TaskLost }
    }

    /// How long it may be away, in milliseconds.
    pub(super) fn failover_timeout_ms(&self) -> u64 {
        // A cast saturates, so an absurd timeout means "for ever".
        (self.info.failover_timeout().max(0.0) * 1000.0) as u64
    }
}

pub(super) fn has_capability(info: &FrameworkInfo, capability: capability::Type) -> bool {
    info.capabilities.iter().any(|has| has.r#type() == capability)
}

/// The roles that a framework subscribes to.
pub(super) fn roles(info: &FrameworkInfo) -> BTreeSet<String> {
    if has_capability(info, capability::Type::MultiRole) {
        info.roles.iter().cloned().collect()
    } else {
        BTreeSet::from([info.role().to_owned()])
    }
}

// === impl Master ===

impl Master {
    /// Sends an event to a framework that is connected; drops it otherwise, as there is nobody to
    /// hear it.
    pub(super) fn tell(
        &self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        event: scheduler::Event,
    ) {
        if let Some(stream) = self.frameworks.get(framework).and_then(Framework::stream) {
            turn.send_scheduler(stream, event);
        }
    }

    pub(in super::super) fn on_heartbeat_due(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
    ) {
        let Some(Framework { connection, .. }) = self.frameworks.get_mut(framework) else { return };
        if let Connection::Connected { stream, heartbeat_at_ms } = connection
            && *heartbeat_at_ms <= turn.now_ms
        {
            *heartbeat_at_ms = turn.now_ms + turn.config.heartbeat_interval_ms;
            turn.timers.set(*heartbeat_at_ms, Timer::Heartbeat(framework.clone()));
            turn.send_scheduler(stream, heartbeat());
        }
    }

    /// A stream broke: the framework keeps its tasks for its failover timeout, but no offers.
    pub(in super::super) fn on_stream_gone(&mut self, turn: &mut Turn<'_>, gone: &StreamId) {
        let of_stream =
            |(_, framework): &(&FrameworkId, &mut Framework)| framework.stream() == Some(gone);
        let Some((id, framework)) = self.frameworks.iter_mut().find(of_stream) else { return };
        let id = id.clone();
        let remove_at_ms = turn.now_ms.saturating_add(framework.failover_timeout_ms());
        framework.connection = Connection::Disconnected { remove_at_ms };
        turn.timers.set(remove_at_ms, Timer::FailoverTimeout(id.clone()));
        self.forget_offers_of(turn, &id);
        self.forget_inverse_offers_of(&id);
    }

    pub(in super::super) fn on_failover_timeout(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
    ) {
        let connection = self.frameworks.get(framework).map(|framework| &framework.connection);
        if let Some(Connection::Disconnected { remove_at_ms }) = connection
            && *remove_at_ms <= turn.now_ms
        {
            self.remove_framework(turn, framework);
        }
    }

    /// Removes a framework for good: its offers, tasks and executors end, its id is not taken
    /// again, its stream closes.
    pub(super) fn remove_framework(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        self.forget_offers_of(turn, id);
        self.forget_inverse_offers_of(id);
        self.allocator.clear_filters(id, None);
        let tasks: Vec<_> = self.tasks_of(id).map(|(key, _)| key.clone()).collect();
        for key in tasks {
            self.free_task(turn, &key);
            self.tasks.remove(&key);
        }
        for (agent, resources) in self.take_executors_of(id) {
            self.give_back(turn, &agent, &resources);
            let message = ToAgent::ShutdownFramework { framework: id.clone() };
            turn.send_agent(&agent, message);
        }
        if let Some(framework) = self.frameworks.remove(id)
            && let Some(stream) = framework.stream()
        {
            turn.effects.push(Effect::CloseScheduler { stream: stream.clone() });
        }
        self.removed.insert(id.clone());
    }

    /// Takes a framework's executors off the books: one entry for each agent, so that every agent
    /// hears of the removal, with what its executors held.
    fn take_executors_of(
        &mut self,
        id: &FrameworkId,
    ) -> Vec<(AgentId, super::super::resources::Resources)> {
        let mut taken = Vec::new();
        for (agent_id, agent) in &mut self.agents {
            let mut resources = super::super::resources::Resources::default();
            agent.executors.retain(|(framework, _), executor| {
                let keep = framework != id;
                if !keep {
                    resources.add(&executor.resources);
                }
                keep
            });
            taken.push((agent_id.clone(), resources));
        }
        taken
    }

    /// Carries data from an executor to its framework.
    pub(in super::super) fn on_executor_message(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        data: Bytes,
    ) {
        let message = scheduler::event::Message {
            agent_id: agent.into(),
            executor_id: executor.into(),
            data,
        };
        let event = scheduler::Event {
            r#type: Some(scheduler::event::Type::Message.into()),
            message: Some(message),
            ..scheduler::Event::default()
        };
        self.tell(turn, framework, event);
    }
}

pub(super) fn heartbeat() -> scheduler::Event {
    scheduler::Event {
        r#type: Some(scheduler::event::Type::Heartbeat.into()),
        ..scheduler::Event::default()
    }
}
