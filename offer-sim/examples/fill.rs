//! How much memory and time a full cluster takes: ten thousand simulated agents with ten tasks each,
//! all of them running and acknowledged, in a world without listeners; and whether that stays so while
//! tasks end and others take their places.
//!
//! `cargo run --release -p offer-sim --example fill -- MINUTES`, of the world's own time (0)

use std::time::Instant;

use offer_sim::world::{
    AgentSpec, Distribution, Effect, Event, FrameworkId, Resources, StreamId, Workload, World,
    WorldConfig, parse_attributes, parse_resources,
};
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkInfo, Offer, Resource, TaskId,
    TaskInfo, TaskState, TaskStatus, offer, value,
};

const AGENTS: usize = 10_000;
const TASKS_PER_AGENT: usize = 10;

/// The cpus of a task. What an agent has beside ten of them and their executor is less than one, so that
/// exactly ten run.
const TASK_CPUS: f64 = 1.5;

/// How long a task runs on average, and so how fast all of them are replaced, once.
const TASK_DURATION_MS: u64 = 300_000;

/// How often the world's time is looked at while tasks come and go.
const BEAT_MS: u64 = 1_000;

/// How often the memory is printed meanwhile, minutes of the world's time.
const REPORT_MINUTES: u64 = 10;

/// For so long what is left of an offer is not offered again. Longer than anything here, so that filters
/// pile up if they can.
const REFUSE_SECONDS: f64 = 86_400.0;

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
    /// How many tasks were launched.
    launched: usize,
    running: usize,
    ended: usize,
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

    /// Launches as many tasks on an offer as it has room for.
    fn launch(&mut self, offer: &Offer) -> Heard {
        let first = self.launched;
        let cpus = offer.resources.iter().find(|resource| resource.name == "cpus");
        let cpus = cpus.and_then(|cpus| cpus.scalar).map_or(0.0, |cpus| cpus.value);
        // The executor's own first, which is there once.
        let room = ((cpus - 0.1) / TASK_CPUS).clamp(0.0, TASKS_PER_AGENT as f64) as usize;
        self.launched += room;
        let task = |number: usize| TaskInfo {
            name: "fill".to_owned(),
            task_id: TaskId { value: format!("nightly@-@{}@-@READY", first + number) },
            agent_id: offer.agent_id.clone(),
            resources: resources(TASK_CPUS, 64.0),
            executor: Some(ExecutorInfo {
                executor_id: ExecutorId { value: format!("fill@-@{}", offer.agent_id.value) },
                command: Some(CommandInfo { value: Some("fill".to_owned()), ..Default::default() }),
                resources: resources(0.1, 32.0),
                ..ExecutorInfo::default()
            }),
            ..TaskInfo::default()
        };
        let task_infos = (0..room).map(task).collect();
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos }),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: Some(Filters { refuse_seconds: Some(REFUSE_SECONDS) }),
        };
        let r#type = Some(call::Type::Accept.into());
        self.call(Call { r#type, accept: Some(accept), ..Call::default() })
    }

    fn acknowledge(&mut self, status: TaskStatus) -> Heard {
        match status.state() {
            TaskState::TaskRunning => self.running += 1,
            TaskState::TaskFinished => {
                self.running -= 1;
                self.ended += 1;
            }
            _ => {}
        }
        let acknowledge = call::Acknowledge {
            agent_id: status.agent_id.unwrap_or_default(),
            task_id: status.task_id,
            uuid: status.uuid.unwrap_or_default(),
        };
        let r#type = Some(call::Type::Acknowledge.into());
        self.call(Call { r#type, acknowledge: Some(acknowledge), ..Call::default() })
    }

    /// Takes every offer and acknowledges every update, and what comes of that.
    fn settle(&mut self, heard: Heard) {
        let mut todo = vec![heard];
        while let Some(heard) = todo.pop() {
            todo.extend(heard.offers.iter().map(|offer| self.launch(offer)));
            todo.extend(heard.updates.into_iter().map(|status| self.acknowledge(status)));
        }
    }

    /// Goes on for so long, with another task for each that ends.
    fn come_and_go(&mut self, minutes: u64) {
        let (begun, end_ms) = (Instant::now(), self.now_ms + minutes * 60_000);
        let mut report_ms = self.now_ms;
        while self.now_ms < end_ms {
            self.now_ms += BEAT_MS;
            let heard = self.step(Event::Tick);
            self.settle(heard);
            if self.now_ms >= report_ms + REPORT_MINUTES * 60_000 {
                report_ms = self.now_ms;
                let (running, ended) = (self.running, self.ended);
                println!("{running} run, {ended} ended, {:?}: {}", begun.elapsed(), resident());
            }
        }
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
    let framework = FrameworkId::from("fill");
    let mut cluster = Cluster { world, now_ms: 0, framework, launched: 0, running: 0, ended: 0 };
    let task_duration = Distribution::Exponential(TASK_DURATION_MS);
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
    cluster.settle(heard);
    // The executors are up a tenth of a second later.
    cluster.now_ms += BEAT_MS;
    let heard = cluster.step(Event::Tick);
    cluster.settle(heard);
    println!("{} tasks run, launched in {:?}: {}", cluster.running, begun.elapsed(), resident());
    let minutes: u64 = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    cluster.come_and_go(minutes);
    Ok(())
}
