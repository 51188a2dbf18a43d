//! `bench engine`: how many events a second the pure engine takes, while runs fire, are placed, run
//! and end. Absent: commits, calls, and all else that takes a shell.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use shiftwork_engine::command::Command;
use shiftwork_engine::event::{Offer, RequestId, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId};
use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, Resources};
use shiftwork_engine::{Action, Effect, Effects, Engine, Event, Settings};
use shiftwork_schedule::Timestamp;

use super::machine;

/// How large the world is, and how long it is driven.
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// Jobs that fire once a second.
    #[arg(long, default_value_t = 200)]
    jobs: usize,
    /// Shards of each.
    #[arg(long, default_value_t = 10)]
    shards: u32,
    /// Agents that offer.
    #[arg(long, default_value_t = 200)]
    agents: usize,
    /// Seconds of the engine's time.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// 2026-11-20T00:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_132_800_000);
/// Events of one turn, as a busy owner takes them.
const TURN_EVENTS_MAX: usize = 256;

/// The engine and what comes to it.
struct World {
    engine: Engine,
    fx: Effects,
    now: Timestamp,
    waiting: VecDeque<Event>,
    offers_made: u64,
    /// Offers that are out, and of whom.
    offered: BTreeMap<OfferId, AgentId>,
    /// The executor that each agent runs, once it does.
    executors: BTreeMap<AgentId, ExecutorId>,
    events: u64,
    writes: u64,
    finished: u64,
    origin: Arc<Origin>,
}

/// Drives the engine and prints its figures.
///
/// # Errors
/// Nothing ran, so that there is nothing to tell.
pub fn run(arguments: &EngineArguments) -> Result<()> {
    let mut world = World::new(arguments);
    let begun = Instant::now();
    for second in 0..arguments.seconds {
        world.now = START.saturating_add(u64::from(second) * 1_000);
        world.step(Event::Tick);
        world.turns();
    }
    let seconds = begun.elapsed().as_secs_f64();
    if world.finished == 0 {
        bail!("nothing ran");
    }
    machine::tell(
        arguments.json,
        &json!({
            "eventsPerSecond": (world.events as f64 / seconds).round(),
            "tasksPerSecond": (world.finished as f64 / seconds).round(),
            "events": world.events,
            "tasksFinished": world.finished,
            "recordsWritten": world.writes,
            "seconds": seconds,
        }),
    );
    Ok(())
}

// === impl World ===

impl World {
    fn new(arguments: &EngineArguments) -> Self {
        let mut fx = Effects::default();
        let engine = Engine::restore(Settings::default(), 1, START, Vec::new(), &mut fx);
        let origin = Origin { role: "*".into(), reserved: false, wire: [].into() };
        let mut world = Self {
            engine,
            fx,
            now: START,
            waiting: VecDeque::new(),
            offers_made: 0,
            offered: BTreeMap::new(),
            executors: BTreeMap::new(),
            events: 0,
            writes: 0,
            finished: 0,
            origin: Arc::new(origin),
        };
        let app = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
        world.command(Command::CreateApp { document: app });
        for number in 0..arguments.jobs {
            let document = json!({
                "jobName": format!("job-{number}"), "appName": "app", "every": "1s",
                "startAt": "2026-11-20T00:00:00Z", "jobExecutionType": "TRANSIENT",
                "shardingTotalCount": arguments.shards, "cpuCount": 0.1, "memoryMB": 32,
                "scriptCommandLine": "true",
            });
            world.command(Command::CreateJob { document: document.to_string().into_bytes() });
        }
        world.step(Event::Subscribed { framework: FrameworkId::new("bench") });
        for number in 0..arguments.agents {
            world.offer(AgentId::new(format!("agent-{number}")));
        }
        world.turns();
        (world.events, world.writes, world.finished) = (0, 0, 0);
        world
    }

    fn command(&mut self, command: Command) {
        let (request, by) = (RequestId(0), "bench".to_owned());
        self.step(Event::Command { request, by, command });
        self.take();
    }

    fn step(&mut self, event: Event) {
        self.events += 1;
        self.engine.step(self.now, event, &mut self.fx);
    }

    /// Turn after turn until nothing is left to tell the engine.
    fn turns(&mut self) {
        loop {
            self.engine.place(self.now, &mut self.fx);
            self.take();
            if self.waiting.is_empty() {
                return;
            }
            let count = self.waiting.len().min(TURN_EVENTS_MAX);
            let events: Vec<Event> = self.waiting.drain(..count).collect();
            for event in events {
                self.step(event);
                self.take();
            }
        }
    }

    /// Carries effects out at once: what is launched runs, ends, and its agent offers again.
    fn take(&mut self) {
        for effect in self.fx.take() {
            match effect {
                Effect::Write(_) => self.writes += 1,
                Effect::Action(Action::Accept { agent, launches, offers }) => {
                    for offer in offers {
                        self.offered.remove(&offer);
                    }
                    for launch in launches {
                        self.executors.insert(agent.clone(), launch.executor.id);
                        for state in [TaskState::Running, TaskState::Finished] {
                            self.waiting.push_back(Event::Status(StatusUpdate {
                                task: launch.task.clone(),
                                agent: Some(agent.clone()),
                                state,
                                reason: StatusReason::Other,
                                message: None,
                                uuid: Some(vec![0; 16]),
                                outcome: None,
                            }));
                        }
                        self.finished += 1;
                    }
                    self.offer(agent);
                }
                Effect::Action(Action::Decline { offers, .. }) => {
                    for offer in offers {
                        if let Some(agent) = self.offered.remove(&offer) {
                            self.offer(agent);
                        }
                    }
                }
                Effect::Action(_) | Effect::Trace(_) | Effect::Reply { .. } => {}
            }
        }
    }

    fn offer(&mut self, agent: AgentId) {
        self.offers_made += 1;
        let id = OfferId::new(format!("o{}", self.offers_made));
        self.offered.insert(id.clone(), agent.clone());
        let executors = self.executors.get(&agent).cloned().into_iter().collect();
        let piece =
            |kind, amount| Piece { kind, amount: Milli(amount), origin: Arc::clone(&self.origin) };
        let pieces = vec![piece(Kind::Cpus, 16_000), piece(Kind::Mem, 64_000_000)];
        let offer = Offer {
            id,
            hostname: agent.to_string(),
            agent,
            resources: Resources { pieces, ports: Vec::new() },
            attributes: Vec::new(),
            unavailability: None,
            executors,
        };
        self.waiting.push_back(Event::Offers(vec![offer]));
    }
}
