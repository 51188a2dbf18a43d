//! A world on a workbench: events are made with few words, effects are told in few.

use offer_sim::world::{
    AgentId, AgentSpec, ContainerId, Effect, Event, ExecutorId, FrameworkId, RecoveredUpdates,
    StreamId, World, WorldConfig, parse_resources,
};
use shiftwork_proto::mesos::v1::framework_info::{Capability, capability};
use shiftwork_proto::mesos::v1::scheduler::{Call, Event as Told, call};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorInfo, Filters, FrameworkInfo, OfferId, Resource, TaskId, TaskInfo,
    TaskState, TaskStatus, executor, offer, resource::AllocationInfo, task_status, value,
};

use shiftwork_proto::offersim::v1::to_agent;

/// A time at which the allocation interval beats.
const START_MS: u64 = 1_000_000;

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) now_ms: u64,
    master: String,
    containers: Vec<ContainerId>,
    /// The last status that any framework was told.
    pub(crate) last_update: Option<TaskStatus>,
}

// === impl Bench ===

impl Bench {
    /// A world with one agent, `S0`, that has two processors and 512 MB.
    pub(crate) fn new() -> Self {
        Self::with(WorldConfig::default(), "cpus:2;mem:512")
    }

    pub(crate) fn with(config: WorldConfig, resources: &str) -> Self {
        let mut bench = Self::without_agents(config);
        bench.agent(resources);
        bench
    }

    pub(crate) fn without_agents(config: WorldConfig) -> Self {
        let world = World::new(config, 1);
        let master = world.master_id().to_owned();
        Self { world, now_ms: START_MS, master, containers: Vec::new(), last_update: None }
    }

    /// Registers another agent.
    pub(crate) fn agent(&mut self, resources: &str) -> Vec<String> {
        let id = self.world.assign_agent_id();
        self.register(id, resources, Vec::new())
    }

    /// Registers another agent, whose executors are simulated.
    pub(crate) fn simulate(&mut self, resources: &str) -> Vec<String> {
        let id = self.world.assign_agent_id();
        let agent = spec(id, resources);
        self.step(Event::SimulateAgent { agent })
    }

    pub(crate) fn register(
        &mut self,
        id: AgentId,
        resources: &str,
        recovered: Vec<RecoveredUpdates>,
    ) -> Vec<String> {
        let agent = spec(id, resources);
        self.step(Event::RegisterAgent { agent, recovered })
    }

    /// The full name of `S0`, `O1`, `0000`.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("{}-{name}", self.master)
    }

    pub(crate) fn agent_id(&self) -> AgentId {
        AgentId(self.full("S0"))
    }

    /// What one event brings about, in words.
    pub(crate) fn step(&mut self, event: Event) -> Vec<String> {
        let mut effects = Vec::new();
        self.world.step(self.now_ms, event, &mut effects);
        for effect in &effects {
            if let Effect::ToScheduler { event, .. } = effect
                && let Some(update) = &event.update
            {
                self.last_update = Some(update.status.clone());
            }
        }
        effects.iter().map(|effect| self.tell(effect)).collect()
    }

    /// What time brings about within some milliseconds, each with its moment.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<String> {
        let end_ms = self.now_ms + ms;
        let mut told = Vec::new();
        while let Some(due_ms) = self.world.next_deadline_ms().filter(|due| *due <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            let at_ms = self.now_ms - START_MS;
            told.extend(self.step(Event::Tick).into_iter().map(|line| format!("{at_ms}: {line}")));
        }
        self.now_ms = end_ms;
        told
    }

    pub(crate) fn subscribe(&mut self, stream: &str) -> Vec<String> {
        self.subscribe_as(stream, info())
    }

    pub(crate) fn subscribe_as(&mut self, stream: &str, info: FrameworkInfo) -> Vec<String> {
        let stream = StreamId::from(stream);
        self.step(Event::Subscribe { stream, info: Box::new(info), suppressed_roles: Vec::new() })
    }

    /// A call of framework `0000`.
    pub(crate) fn call(&mut self, call: Call) -> Vec<String> {
        self.call_of("0000", call)
    }

    pub(crate) fn call_of(&mut self, framework: &str, call: Call) -> Vec<String> {
        let framework = FrameworkId(self.full(framework));
        self.step(Event::SchedulerCall { framework, call: Box::new(call) })
    }

    /// Accepts offers with a LAUNCH.
    pub(crate) fn launch(&mut self, offers: &[&str], tasks: Vec<TaskInfo>) -> Vec<String> {
        let call = self.accept(offers, tasks, None);
        self.call(call)
    }

    pub(crate) fn accept(
        &self,
        offers: &[&str],
        mut task_infos: Vec<TaskInfo>,
        refuse_seconds: Option<f64>,
    ) -> Call {
        for task in &mut task_infos {
            if task.agent_id.value.is_empty() {
                task.agent_id.value = self.full("S0");
            }
        }
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos }),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: self.offer_ids(offers),
            operations: vec![launch],
            filters: refuse_seconds.map(|seconds| Filters { refuse_seconds: Some(seconds) }),
        };
        Call { r#type: Some(call::Type::Accept.into()), accept: Some(accept), ..Call::default() }
    }

    pub(crate) fn decline(&mut self, offer: &str, refuse_seconds: Option<f64>) -> Vec<String> {
        let decline = call::Decline {
            offer_ids: self.offer_ids(&[offer]),
            filters: refuse_seconds.map(|seconds| Filters { refuse_seconds: Some(seconds) }),
        };
        self.call(Call {
            r#type: Some(call::Type::Decline.into()),
            decline: Some(decline),
            ..Call::default()
        })
    }

    fn offer_ids(&self, offers: &[&str]) -> Vec<OfferId> {
        offers.iter().map(|offer| OfferId { value: self.full(offer) }).collect()
    }

    pub(crate) fn simple(&mut self, r#type: call::Type) -> Vec<String> {
        self.call(Call { r#type: Some(r#type.into()), ..Call::default() })
    }

    pub(crate) fn acknowledge(&mut self, task: &str, uuid: u8) -> Vec<String> {
        let acknowledge = call::Acknowledge {
            agent_id: (&self.agent_id()).into(),
            task_id: TaskId { value: task.to_owned() },
            uuid: bytes::Bytes::copy_from_slice(&[uuid; 16]),
        };
        self.call(Call {
            r#type: Some(call::Type::Acknowledge.into()),
            acknowledge: Some(acknowledge),
            ..Call::default()
        })
    }

    pub(crate) fn acknowledge_status(&mut self, status: &TaskStatus) -> Vec<String> {
        let acknowledge = call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        };
        self.call(Call {
            r#type: Some(call::Type::Acknowledge.into()),
            acknowledge: Some(acknowledge),
            ..Call::default()
        })
    }

    /// Asks for one task of the framework with this full id.
    pub(crate) fn reconcile_of(&mut self, framework: &str, task: &str) -> Vec<String> {
        let task_id = TaskId { value: task.to_owned() };
        let call = Call {
            r#type: Some(call::Type::Reconcile.into()),
            reconcile: Some(call::Reconcile {
                tasks: vec![call::reconcile::Task { task_id, agent_id: None }],
            }),
            ..Call::default()
        };
        let framework = FrameworkId::from(framework);
        self.step(Event::SchedulerCall { framework, call: Box::new(call) })
    }

    /// Asks for tasks, each with its agent or without; for all when none is named.
    pub(crate) fn reconcile(&mut self, tasks: &[(&str, Option<&str>)]) -> Vec<String> {
        let tasks = tasks.iter().map(|(task, agent)| call::reconcile::Task {
            task_id: TaskId { value: (*task).to_owned() },
            agent_id: agent.map(|agent| (&AgentId(self.full(agent))).into()),
        });
        let tasks = tasks.collect();
        self.call(Call {
            r#type: Some(call::Type::Reconcile.into()),
            reconcile: Some(call::Reconcile { tasks }),
            ..Call::default()
        })
    }

    pub(crate) fn kill(&mut self, task: &str) -> Vec<String> {
        let task_id = TaskId { value: task.to_owned() };
        self.call(Call {
            r#type: Some(call::Type::Kill.into()),
            kill: Some(call::Kill { task_id, ..call::Kill::default() }),
            ..Call::default()
        })
    }

    pub(crate) fn shutdown(&mut self, executor: &str) -> Vec<String> {
        let shutdown = call::Shutdown {
            executor_id: (&ExecutorId::from(executor)).into(),
            agent_id: (&self.agent_id()).into(),
        };
        self.call(Call {
            r#type: Some(call::Type::Shutdown.into()),
            shutdown: Some(shutdown),
            ..Call::default()
        })
    }

    /// An executor of framework `0000` subscribes.
    pub(crate) fn executor(&mut self, stream: &str, executor: &str) -> Vec<String> {
        let event = Event::ExecutorSubscribe {
            agent: self.agent_id(),
            stream: StreamId::from(stream),
            framework: FrameworkId(self.full("0000")),
            executor: ExecutorId::from(executor),
            subscribe: executor::call::Subscribe::default(),
        };
        self.step(event)
    }

    /// An executor of framework `0000` reports.
    pub(crate) fn report(
        &mut self,
        executor: &str,
        (task, state, uuid): (&str, TaskState, u8),
    ) -> Vec<String> {
        let event = Event::ExecutorUpdate {
            agent: self.agent_id(),
            framework: FrameworkId(self.full("0000")),
            executor: ExecutorId::from(executor),
            status: Box::new(status(task, state, uuid)),
        };
        self.step(event)
    }

    /// The run that was started as the `number`th, from 0, ended.
    pub(crate) fn exit(&mut self, number: usize, wait_status: i32) -> Vec<String> {
        let container = self.containers[number].clone();
        let agent = self.agent_id();
        self.step(Event::ExecutorExited { agent, container, wait_status })
    }

    pub(crate) fn container(&self, number: usize) -> ContainerId {
        self.containers[number].clone()
    }

    /// An effect in words; ids without the master's part, runs by number.
    fn tell(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::ToScheduler { stream, event } => format!("{stream} {}", self.told(event)),
            Effect::CloseScheduler { stream } | Effect::CloseExecutor { stream } => {
                format!("{stream} closed")
            }
            Effect::StartExecutor(start) => {
                self.containers.push(start.container.clone());
                format!("start {}", start.executor.executor_id.value)
            }
            Effect::ToExecutor { stream, event } => format!("{stream} {}", told_executor(event)),
            Effect::KillExecutor { container, .. } => format!("kill {}", self.run(container)),
            Effect::KeepUpdate { container, status, .. } => {
                format!("keep {} {}", self.run(container), state(status))
            }
            Effect::ToAgent { agent, message } => {
                let message = message.message.as_ref().map_or("", told_agent);
                format!("to {} {message}", self.short(&agent.0))
            }
            Effect::ToMaster { message } => format!("to master for {}", message.agent_id),
            Effect::DropAgents => "drop agents".to_owned(),
            Effect::ForgetUpdate { container, uuid, .. } => {
                format!("forget {} {}", self.run(container), uuid[0])
            }
        }
    }

    fn run(&self, container: &ContainerId) -> String {
        let number = self.containers.iter().position(|started| started == container);
        number.map_or_else(|| container.0.clone(), |number| format!("#{number}"))
    }

    fn short(&self, id: &str) -> String {
        id.strip_prefix(&format!("{}-", self.master)).unwrap_or(id).to_owned()
    }

    fn told(&self, event: &Told) -> String {
        if let Some(subscribed) = &event.subscribed {
            format!("SUBSCRIBED {}", self.short(&subscribed.framework_id.value))
        } else if let Some(offers) = &event.offers {
            let one = |offer: &shiftwork_proto::mesos::v1::Offer| {
                let executors: Vec<&str> =
                    offer.executor_ids.iter().map(|id| id.value.as_str()).collect();
                let at = self.short(&offer.agent_id.value);
                let mut text =
                    format!("{} {at} {}", self.short(&offer.id.value), resources(&offer.resources));
                if !executors.is_empty() {
                    text.push_str(" with ");
                    text.push_str(&executors.join(","));
                }
                text
            };
            let list: Vec<String> = offers.offers.iter().map(one).collect();
            format!("OFFERS {}", list.join(" | "))
        } else if let Some(rescind) = &event.rescind {
            format!("RESCIND {}", self.short(&rescind.offer_id.value))
        } else if let Some(update) = &event.update {
            let status = &update.status;
            let reason = match status.reason {
                Some(_) => format!(" {}", status.reason().as_str_name()),
                None => String::new(),
            };
            let message = status.message.as_ref().map_or_else(String::new, |message| {
                format!(": {}", message.lines().next().unwrap())
            });
            format!("UPDATE {}{reason}{message}", state(status))
        } else if let Some(failure) = &event.failure {
            let agent = failure.agent_id.as_ref().map(|agent| self.short(&agent.value));
            failure.executor_id.as_ref().map_or_else(
                || format!("FAILURE of {}", agent.unwrap()),
                |executor| format!("FAILURE {} {}", executor.value, failure.status()),
            )
        } else if let Some(inverse) = &event.inverse_offers {
            let one =
                |offer: &shiftwork_proto::mesos::v1::InverseOffer| self.short(&offer.id.value);
            let list: Vec<String> = inverse.inverse_offers.iter().map(one).collect();
            format!("INVERSE_OFFERS {}", list.join(" "))
        } else if let Some(rescind) = &event.rescind_inverse_offer {
            format!("RESCIND_INVERSE_OFFER {}", self.short(&rescind.inverse_offer_id.value))
        } else if let Some(error) = &event.error {
            format!("ERROR {}", error.message)
        } else {
            event.r#type().as_str_name().to_owned()
        }
    }
}

fn told_agent(message: &to_agent::Message) -> &'static str {
    match message {
        to_agent::Message::RunTask(_) => "RunTask",
        to_agent::Message::Registered(_) => "Registered",
        to_agent::Message::Acknowledge(_) => "Acknowledge",
        to_agent::Message::FrameworkConnected(_) => "FrameworkConnected",
        to_agent::Message::KillTask(_) => "KillTask",
        _ => "another message",
    }
}

fn told_executor(event: &executor::Event) -> String {
    let name = event.r#type().as_str_name();
    let task = (event.launch.as_ref().map(|launch| &launch.task.task_id))
        .or_else(|| event.kill.as_ref().map(|kill| &kill.task_id))
        .or_else(|| event.acknowledged.as_ref().map(|acknowledged| &acknowledged.task_id));
    task.map_or_else(|| name.to_owned(), |task| format!("{name} {}", task.value))
}

fn state(status: &TaskStatus) -> String {
    format!("{} {}", status.task_id.value, status.state().as_str_name())
}

fn resources(list: &[Resource]) -> String {
    let one = |resource: &Resource| {
        let role = resource.reservations.last().and_then(|reservation| reservation.role.as_deref());
        let role = role.map_or_else(String::new, |role| format!("({role})"));
        let value = resource.scalar.as_ref().map_or(f64::NAN, |scalar| scalar.value);
        format!("{}{role}={value}", resource.name)
    };
    list.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn spec(id: AgentId, resources: &str) -> AgentSpec {
    AgentSpec {
        id,
        hostname: "host".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: parse_resources(resources).unwrap(),
        attributes: Vec::new(),
    }
}

/// A framework in role `*` with every modern ability.
pub(crate) fn info() -> FrameworkInfo {
    use capability::Type;
    let able = [
        Type::MultiRole,
        Type::PartitionAware,
        Type::TaskKillingState,
        Type::ReservationRefinement,
    ];
    FrameworkInfo {
        user: "u".to_owned(),
        name: "f".to_owned(),
        roles: vec!["*".to_owned()],
        failover_timeout: Some(60.0),
        capabilities: able.map(|able| Capability { r#type: Some(able.into()) }).to_vec(),
        ..FrameworkInfo::default()
    }
}

/// So many processors, allocated to role `*`.
pub(crate) fn cpus(value: f64) -> Resource {
    let mut resource = Resource {
        name: "cpus".to_owned(),
        scalar: Some(value::Scalar { value }),
        allocation_info: Some(AllocationInfo { role: Some("*".to_owned()) }),
        ..Resource::default()
    };
    resource.set_type(value::Type::Scalar);
    resource
}

/// An executor that takes half a processor.
pub(crate) fn executor_info(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: (&ExecutorId::from(id)).into(),
        command: Some(CommandInfo { value: Some("run".to_owned()), ..CommandInfo::default() }),
        resources: vec![cpus(0.5)],
        ..ExecutorInfo::default()
    }
}

/// A task of executor `e` that takes half a processor.
pub(crate) fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId { value: id.to_owned() },
        resources: vec![cpus(0.5)],
        executor: Some(executor_info("e")),
        ..TaskInfo::default()
    }
}

pub(crate) fn status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: task.to_owned() },
        state: state.into(),
        source: Some(task_status::Source::Executor.into()),
        uuid: Some(bytes::Bytes::copy_from_slice(&[uuid; 16])),
        ..TaskStatus::default()
    }
}
