//! A random walk through the world with a check of its books after each step: nothing that an
//! agent has may be lost or given away twice, whatever happens in whatever order.

use std::collections::BTreeMap;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorInfo, FrameworkInfo, TaskId, TaskInfo, TaskState, TaskStatus, executor,
    framework_info::{Capability, capability},
    offer, task_status,
};

use super::super::resource_wire::{NEWEST, to_wire};
use super::super::{
    AgentId, AgentSpec, ContainerId, Effect, Event, ExecutorId, FrameworkId, Resources, StreamId,
    World, WorldConfig, parse_resources,
};

/// Walks that are made, each from its own seed.
const WALKS: u64 = 40;
/// Steps of one walk.
const STEPS: usize = 400;

/// A small generator; its quality only has to be good enough to wander about.
struct Dice(u64);

struct Walk {
    world: World,
    dice: Dice,
    now_ms: u64,
    names: u64,
    /// Executors whose process runs.
    running: BTreeMap<ContainerId, (AgentId, FrameworkId, ExecutorId)>,
    /// Updates that frameworks were sent and may acknowledge.
    updates: Vec<(FrameworkId, TaskStatus)>,
    frameworks: Vec<(FrameworkId, StreamId)>,
}

// === impl Dice ===

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { Some(list[self.roll(list.len())].clone()) }
    }
}

// === impl Walk ===

impl Walk {
    fn new(seed: u64) -> Self {
        let config = WorldConfig { offer_timeout_ms: Some(20_000), ..WorldConfig::default() };
        let mut walk = Self {
            world: World::new(config, seed),
            dice: Dice(seed),
            now_ms: 0,
            names: 0,
            running: BTreeMap::new(),
            updates: Vec::new(),
            frameworks: Vec::new(),
        };
        for resources in ["cpus:4;mem:512;ports:[1-50]", "cpus:2;cpus(a):2;mem:256"] {
            let id = walk.world.assign_agent_id();
            let agent = AgentSpec {
                id,
                hostname: "h".to_owned(),
                ip: "127.0.0.1".to_owned(),
                port: 1,
                resources: parse_resources(resources).unwrap(),
                attributes: Vec::new(),
            };
            walk.step(Event::RegisterAgent { agent, recovered: Vec::new() });
        }
        walk
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.world.step(self.now_ms, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::StartExecutor(start) => {
                    let framework = FrameworkId::from(start.framework.id.as_ref().unwrap());
                    let executor = ExecutorId::from(&start.executor.executor_id);
                    self.running.insert(start.container, (start.agent, framework, executor));
                }
                Effect::ToScheduler { stream, event } => {
                    let known = self.frameworks.iter().find(|(_, open)| *open == stream);
                    if let (Some((framework, _)), Some(update)) = (known, event.update) {
                        self.updates.push((framework.clone(), update.status));
                    }
                }
                _ => {}
            }
        }
        self.check();
    }

    /// What an agent has is free, offered, or used by a task or an executor; once.
    fn check(&self) {
        let master = &self.world.parts.master;
        for (id, agent) in &master.agents {
            let mut sum = agent.available.clone();
            let offers = master.offers.values().filter(|offer| offer.agent == *id);
            let tasks = master.tasks.values().filter(|task| task.agent == *id);
            let used =
                offers.map(|offer| &offer.resources).chain(tasks.map(|task| &task.resources));
            let executors = agent.executors.values().map(|executor| &executor.resources);
            for resources in used.chain(executors) {
                sum.add(&resources.allocated_to(None));
            }
            assert_eq!(sum, agent.spec.resources, "the books of {id}");
        }
        for offer in master.offers.values() {
            let framework = master.frameworks.get(&offer.framework).expect("offered to somebody");
            assert!(framework.stream().is_some(), "offers are for those who can answer");
        }
    }

    fn wander(&mut self) {
        match self.dice.roll(14) {
            0 => self.subscribe(),
            1 => self.lose_scheduler(),
            2..=4 => self.accept(),
            5 => self.decline(),
            6 => self.simple_call(),
            7 => self.executor_subscribes(),
            8 | 9 => self.executor_reports(),
            10 => self.executor_exits(),
            11 | 12 => self.acknowledge(),
            _ => {
                self.now_ms += self.dice.roll(15_000) as u64;
                self.step(Event::Tick);
            }
        }
    }

    fn subscribe(&mut self) {
        let able = [capability::Type::MultiRole, capability::Type::ReservationRefinement];
        let known = self.frameworks.clone();
        let again = self.dice.pick(&known).filter(|_| self.names.is_multiple_of(2));
        let mut info = FrameworkInfo {
            roles: vec!["*".to_owned(), "a".to_owned()],
            failover_timeout: Some(self.dice.roll(60) as f64),
            capabilities: able.map(|able| Capability { r#type: Some(able.into()) }).to_vec(),
            ..FrameworkInfo::default()
        };
        let id = match again {
            Some((id, _)) => id,
            None => FrameworkId(self.name("f")),
        };
        info.id = Some((&id).into());
        let stream = StreamId(self.name("s"));
        self.frameworks.retain(|(known, _)| *known != id);
        self.frameworks.push((id, stream.clone()));
        self.step(Event::Subscribe { stream, info: Box::new(info), suppressed_roles: Vec::new() });
    }

    fn lose_scheduler(&mut self) {
        let known = self.frameworks.clone();
        if let Some((_, stream)) = self.dice.pick(&known) {
            self.step(Event::SchedulerGone { stream });
        }
    }

    fn call(&mut self, framework: FrameworkId, call: Call) {
        self.step(Event::SchedulerCall { framework, call: Box::new(call) });
    }

    /// Launches up to three tasks out of an offer; some ask for too much.
    fn accept(&mut self) {
        let open: Vec<_> = self.world.parts.master.offers.keys().cloned().collect();
        let Some(id) = self.dice.pick(&open) else { return };
        let offer = &self.world.parts.master.offers[&id];
        let (framework, agent) = (offer.framework.clone(), offer.agent.clone());
        let role = offer.role.clone();
        let mut task_infos = Vec::new();
        for _ in 0..self.dice.roll(4) {
            let cpus = [100, 500, 3000][self.dice.roll(3)];
            let resources = |milli: u64| {
                let text = format!("cpus:{}.{:03}", milli / 1000, milli % 1000);
                let resources: Resources = parse_resources(&text).unwrap();
                to_wire(&resources.allocated_to(Some(&role)), NEWEST)
            };
            let executor = ExecutorInfo {
                executor_id: (&ExecutorId(format!("e{}", self.dice.roll(2)))).into(),
                command: Some(CommandInfo::default()),
                resources: resources(50),
                ..ExecutorInfo::default()
            };
            let task_id = TaskId { value: self.name("t") };
            task_infos.push(TaskInfo {
                task_id,
                agent_id: (&agent).into(),
                resources: resources(cpus),
                executor: Some(executor),
                ..TaskInfo::default()
            });
        }
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos }),
            ..offer::Operation::default()
        };
        let accept =
            call::Accept { offer_ids: vec![(&id).into()], operations: vec![launch], filters: None };
        let r#type = Some(call::Type::Accept.into());
        self.call(framework, Call { r#type, accept: Some(accept), ..Call::default() });
    }

    fn decline(&mut self) {
        let open: Vec<_> = self.world.parts.master.offers.keys().cloned().collect();
        let Some(id) = self.dice.pick(&open) else { return };
        let framework = self.world.parts.master.offers[&id].framework.clone();
        let decline = call::Decline { offer_ids: vec![(&id).into()], filters: None };
        let r#type = Some(call::Type::Decline.into());
        self.call(framework, Call { r#type, decline: Some(decline), ..Call::default() });
    }

    fn simple_call(&mut self) {
        let types = [call::Type::Revive, call::Type::Suppress, call::Type::Teardown];
        let r#type = types[self.dice.roll(types.len())];
        let known = self.frameworks.clone();
        if let Some((framework, _)) = self.dice.pick(&known) {
            self.call(framework, Call { r#type: Some(r#type.into()), ..Call::default() });
        }
    }

    fn one_running(&mut self) -> Option<(ContainerId, (AgentId, FrameworkId, ExecutorId))> {
        let running: Vec<_> =
            self.running.iter().map(|(id, of)| (id.clone(), of.clone())).collect();
        self.dice.pick(&running)
    }

    fn executor_subscribes(&mut self) {
        let Some((_, (agent, framework, executor))) = self.one_running() else { return };
        let stream = StreamId(self.name("x"));
        let subscribe = executor::call::Subscribe::default();
        self.step(Event::ExecutorSubscribe { agent, stream, framework, executor, subscribe });
    }

    fn executor_reports(&mut self) {
        let Some((_, (agent, framework, executor))) = self.one_running() else { return };
        let tasks: Vec<_> =
            self.world.parts.master.tasks_of(&framework).map(|(key, _)| key.1.clone()).collect();
        let Some(task) = self.dice.pick(&tasks) else { return };
        let states = [TaskState::TaskRunning, TaskState::TaskFinished, TaskState::TaskFailed];
        let state = states[self.dice.roll(3)];
        let status = TaskStatus {
            task_id: (&task).into(),
            state: state.into(),
            source: Some(task_status::Source::Executor.into()),
            uuid: Some(Bytes::from(self.name("uuid"))),
            ..TaskStatus::default()
        };
        let status = Box::new(status);
        self.step(Event::ExecutorUpdate { agent, framework, executor, status });
    }

    fn executor_exits(&mut self) {
        if let Some((container, (agent, _, _))) = self.one_running() {
            self.running.remove(&container);
            self.step(Event::ExecutorExited { agent, container, wait_status: 9 });
        }
    }

    fn acknowledge(&mut self) {
        if self.updates.is_empty() {
            return;
        }
        let at = self.dice.roll(self.updates.len());
        let (framework, status) = self.updates.remove(at);
        let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) else { return };
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
        let r#type = Some(call::Type::Acknowledge.into());
        self.call(framework, Call { r#type, acknowledge: Some(acknowledge), ..Call::default() });
    }
}

#[test]
fn the_books_balance_whatever_happens() {
    let mut launched = 0;
    for seed in 0..WALKS {
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.wander();
        }
        launched += walk.world.parts.master.tasks.len();
    }
    assert!(launched > 0, "the walks must come by tasks");
}
