//! How much memory and time a full cluster takes: ten thousand simulated agents with ten tasks each,
//! all of them running and acknowledged, in a world without listeners.
//!
//! `cargo run -p offer-sim --example fill`

use std::time::Instant;

use offer_sim::world::{
    AgentSpec, Distribution, Effect, Event, FrameworkId, Resources, StreamId, Workload, World,
    WorldConfig, parse_attributes, parse_resources,
};
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkInfo, Offer, Resource, TaskId,
    TaskInfo, TaskStatus, offer, value,
};

const AGENTS: usize = 10_000;
const TASKS_PER_AGENT: usize = 10;

/// What a framework makes of one step's effects.
#[derive(Default)]
struct Heard {
    offers: Vec<Offer>,
    updates: Vec<TaskStatus>,
}

struct Cluster {
    world: World,
    now_ms: u64,
    framework: FrameworkId,
}

// === impl Cluster ===

impl Cluster {
    fn step(&mut self, event: Event) -> Heard {
        let mut effects = Vec::new();
        self.world.step(self.now_ms, event, &mut effects);
        let mut heard = Heard::default();
        for effect in effects {
            let Effect::ToScheduler { event, .. } = effect else { continue };
            heard.offers.extend(event.offers.into_iter().flat_map(|offers| offers.offers));
            heard.updates.extend(event.update.map(|update| update.status));
        }
        heard
    }

    fn call(&mut self, call: Call) -> Heard {
        let framework = self.framework.clone();
        self.step(Event::SchedulerCall { framework, call: Box::new(call) })
    }

    fn launch(&mut self, offer: &Offer, first: usize) -> Heard {
        let task = |number: usize| TaskInfo {
            name: "fill".to_owned(),
            task_id: TaskId { value: format!("nightly@-@{}@-@READY", first + number) },
            agent_id: offer.agent_id.clone(),
            resources: resources(0.5, 64.0),
            executor: Some(ExecutorInfo {
                executor_id: ExecutorId { value: format!("fill@-@{}", offer.agent_id.value) },
                command: Some(CommandInfo { value: Some("fill".to_owned()), ..Default::default() }),
                resources: resources(0.1, 32.0),
                ..ExecutorInfo::default()
            }),
            ..TaskInfo::default()
        };
        let task_infos = (0..TASKS_PER_AGENT).map(task).collect();
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos }),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: Some(Filters { refuse_seconds: Some(86_400.0) }),
        };
        let r#type = Some(call::Type::Accept.into());
        self.call(Call { r#type, accept: Some(accept), ..Call::default() })
    }

    fn acknowledge(&mut self, status: TaskStatus) -> Heard {
        let acknowledge = call::Acknowledge {
            agent_id: status.agent_id.unwrap_or_default(),
            task_id: status.task_id,
            uuid: status.uuid.unwrap_or_default(),
        };
        let r#type = Some(call::Type::Acknowledge.into());
        self.call(Call { r#type, acknowledge: Some(acknowledge), ..Call::default() })
    }
}

fn resources(cpus: f64, mem: f64) -> Vec<Resource> {
    let one = |(name, value): (&str, f64)| {
        let mut resource = Resource { name: name.to_owned(), ..Resource::default() };
        resource.set_type(value::Type::Scalar);
        resource.scalar = Some(value::Scalar { value });
        resource
    };
    [("cpus", cpus), ("mem", mem)].into_iter().map(one).collect()
}

/// What this process holds in memory, as the system says it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("VmRSS unknown").to_owned()
}

fn main() -> anyhow::Result<()> {
    let world = World::new(WorldConfig::default(), 1);
    let mut cluster = Cluster { world, now_ms: 0, framework: FrameworkId::from("fill") };
    let task_duration = Distribution::Forever;
    cluster.world.set_workload(Workload { task_duration, ..Workload::default() });
    let text = "cpus:16;mem:65536;disk:262144;ports:[31000-32000]";
    let all: Resources = parse_resources(text)?;
    for number in 0..AGENTS {
        let agent = AgentSpec {
            id: cluster.world.assign_agent_id(),
            hostname: format!("agent-{number}"),
            ip: "127.0.0.1".to_owned(),
            port: 5051,
            resources: all.clone(),
            attributes: parse_attributes(&format!("rack:r{}", number % 40))?,
        };
        cluster.step(Event::SimulateAgent { agent });
    }
    println!("{AGENTS} agents: {}", resident());
    let id = Some((&cluster.framework).into());
    let info = FrameworkInfo { id, user: "root".to_owned(), ..FrameworkInfo::default() };
    let (stream, suppressed_roles) = (StreamId::from("stream"), Vec::new());
    let heard = cluster.step(Event::Subscribe { stream, info: Box::new(info), suppressed_roles });
    let begun = Instant::now();
    let (mut running, mut first) = (0, 0);
    for offer in heard.offers {
        let mut updates = cluster.launch(&offer, first).updates;
        first += TASKS_PER_AGENT;
        // The executor is up a tenth of a second later.
        cluster.now_ms += 100;
        updates.extend(cluster.step(Event::Tick).updates);
        running += updates.len();
        for status in updates {
            cluster.acknowledge(status);
        }
    }
    println!("{running} tasks run, launched in {:?}: {}", begun.elapsed(), resident());
    Ok(())
}
