//! An agent: executors, the tasks they run, and the updates that were not acknowledged. It starts
//! and kills nothing itself; that is asked for as an effect and answered by an event.

mod admit;
mod executor;
mod launch;
mod register;
mod shutdown;
mod state;
mod subscribe;
mod updates;

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1::{
    AgentInfo, ContainerStatus, NetworkInfo, executor as api, network_info,
};

use executor::{Executor, Phase};
use updates::Stream;

use super::event::{AgentSpec, RecoveredUpdates};
use super::id::{ContainerId, ExecutorId, FrameworkId, StreamId, TaskId};
use super::mail::{Mail, ToAgent, ToMaster};
use super::resource_wire::{NEWEST, to_wire};
use super::{Effect, Turn};

/// An agent that registered.
#[derive(Debug)]
pub(super) struct Agent {
    spec: AgentSpec,
    executors: BTreeMap<(FrameworkId, ExecutorId), Executor>,
    streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    /// It leaves: nothing new is started, and nothing said of what ends.
    draining: bool,
}

// === impl Agent ===

impl Agent {
    /// An agent that registers; updates it recovered are sent right after.
    pub(super) fn new(
        turn: &mut Turn<'_>,
        spec: AgentSpec,
        recovered: Vec<RecoveredUpdates>,
    ) -> Self {
        let mut agent =
            Self { spec, executors: BTreeMap::new(), streams: BTreeMap::new(), draining: false };
        for updates in recovered {
            agent.recover(turn, updates);
        }
        agent.register(turn);
        agent
    }

    pub(super) fn spec(&self) -> &AgentSpec {
        &self.spec
    }

    pub(super) fn executors_alive(&self) -> usize {
        let alive = |executor: &&Executor| !matches!(executor.phase, Phase::Terminated);
        self.executors.values().filter(alive).count()
    }

    pub(super) fn on_master_message(&mut self, turn: &mut Turn<'_>, message: ToAgent) {
        match message {
            ToAgent::RunTask(run) => self.on_run_task(turn, *run),
            ToAgent::KillTask { framework, task, policy } => {
                self.on_kill_task(turn, &framework, &task, policy);
            }
            ToAgent::ShutdownExecutor { framework, executor } => {
                self.shutdown(turn, &(framework, executor));
            }
            ToAgent::FrameworkMessage { framework, executor, data } => {
                let event = api::Event {
                    r#type: Some(api::event::Type::Message.into()),
                    message: Some(api::event::Message { data }),
                    ..api::Event::default()
                };
                self.tell(turn, &(framework, executor), event);
            }
            ToAgent::Acknowledge { framework, task, uuid } => {
                self.on_acknowledge(turn, (framework, task), &uuid);
            }
            ToAgent::FrameworkConnected { framework } => {
                self.on_framework_connected(turn, &framework);
            }
            ToAgent::ShutdownFramework { framework } => self.on_framework_removed(turn, &framework),
            ToAgent::Registered { missing } => self.on_registered(turn, missing),
            ToAgent::Shutdown => self.on_drain(turn),
        }
    }

    /// Sends an event to an executor that is subscribed; drops it otherwise, as there is nobody to
    /// hear it.
    fn tell(&self, turn: &mut Turn<'_>, key: &(FrameworkId, ExecutorId), event: api::Event) {
        if let Some(stream) = self.executors.get(key).and_then(Executor::stream) {
            turn.send_executor(stream, event);
        }
    }

    fn tell_master(&self, turn: &mut Turn<'_>, message: ToMaster) {
        turn.mail.push_back(Mail::ToMaster { from: self.spec.id.clone(), message });
    }

    fn kill(&self, turn: &mut Turn<'_>, container: &ContainerId) {
        let agent = self.spec.id.clone();
        turn.effects.push(Effect::KillExecutor { agent, container: container.clone() });
    }

    /// The executor that runs in a container.
    fn executor_in(&self, container: &ContainerId) -> Option<(FrameworkId, ExecutorId)> {
        let runs_in = |(key, executor): (&(FrameworkId, ExecutorId), &Executor)| {
            (executor.container == *container).then(|| key.clone())
        };
        self.executors.iter().find_map(runs_in)
    }

    fn executor_of_stream(&self, stream: &StreamId) -> Option<(FrameworkId, ExecutorId)> {
        let listens = |(key, executor): (&(FrameworkId, ExecutorId), &Executor)| {
            (executor.stream() == Some(stream)).then(|| key.clone())
        };
        self.executors.iter().find_map(listens)
    }

    fn info(&self) -> AgentInfo {
        AgentInfo {
            hostname: self.spec.hostname.clone(),
            port: Some(i32::from(self.spec.port)),
            resources: to_wire(&self.spec.resources, NEWEST),
            attributes: self.spec.attributes.clone(),
            id: Some((&self.spec.id).into()),
            domain: None,
        }
    }

    fn container_status(&self, executor: &Executor) -> ContainerStatus {
        let address = network_info::IpAddress {
            ip_address: Some(self.spec.ip.clone()),
            ..network_info::IpAddress::default()
        };
        ContainerStatus {
            container_id: Some((&executor.container).into()),
            network_infos: vec![NetworkInfo {
                ip_addresses: vec![address],
                ..NetworkInfo::default()
            }],
            executor_pid: executor.pid,
        }
    }

    /// Forgets an executor that ended when nothing it reported waits any more. Until then a task
    /// for an executor of this name is turned away.
    fn forget_if_done(&mut self, key: &(FrameworkId, ExecutorId)) {
        let Some(executor) = self.executors.get(key) else { return };
        let waits = |((framework, _), stream): (&(FrameworkId, TaskId), &Stream)| {
            *framework == key.0
                && stream.executor == key.1
                && stream.container.as_ref() == Some(&executor.container)
        };
        if matches!(executor.phase, Phase::Terminated) && !self.streams.iter().any(waits) {
            self.executors.remove(key);
        }
    }
}
