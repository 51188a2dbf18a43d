//! `bench engine`: how many events a second the pure engine takes, while runs fire, are placed, run
//! and end. Absent: commits, calls, and all else that takes a shell.

use std::collections::VecDeque;
use std::process::Command as Process;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use shiftwork_engine::command::Command;
use shiftwork_engine::event::RequestId;
use shiftwork_engine::ids::FrameworkId;
use shiftwork_engine::{Action, Effect, Effects, Engine, Event, Settings};
use shiftwork_schedule::Timestamp;

use super::agents::Agents;
use super::machine::{self, rounded};
use crate::processes::beside;

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
    agents: u32,
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

/// The program that counts allocations: counting takes time, so it is not the one that is timed.
const COUNTING: &str = "allocations";

/// The engine and what comes to it.
struct World {
    engine: Engine,
    fx: Effects,
    now: Timestamp,
    waiting: VecDeque<Event>,
    agents: Agents,
    events: u64,
    writes: u64,
    finished: u64,
}

/// Drives the engine and prints its figures.
///
/// # Errors
/// Nothing ran, so that there is nothing to tell.
pub fn run(arguments: &EngineArguments) -> Result<()> {
    let mut world = World::new(arguments);
    let begun = Instant::now();
    world.run(arguments.seconds);
    let seconds = begun.elapsed().as_secs_f64();
    if world.finished == 0 {
        bail!("nothing ran");
    }
    let load = format!(
        "{} jobs that fire every second, {} shards each, {} agents, {} s of the engine's time",
        arguments.jobs, arguments.shards, arguments.agents, arguments.seconds
    );
    machine::tell(
        arguments.json,
        &load,
        &json!({
            "eventsPerSecond": (world.events as f64 / seconds).round(),
            "allocationsPerEvent": allocations_per_event(arguments)?,
            "tasksPerSecond": (world.finished as f64 / seconds).round(),
            "events": world.events,
            "tasksFinished": world.finished,
            "recordsWritten": world.writes,
            "seconds": rounded(seconds),
        }),
    );
    Ok(())
}

/// Asks the program that counts; nothing if it was not built.
fn allocations_per_event(arguments: &EngineArguments) -> Result<Value> {
    let Ok(program) = beside(COUNTING) else { return Ok(Value::Null) };
    let options = [
        ("--jobs", arguments.jobs.to_string()),
        ("--shards", arguments.shards.to_string()),
        ("--agents", arguments.agents.to_string()),
        ("--seconds", arguments.seconds.to_string()),
    ];
    let options = options.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    let output = Process::new(program).args(options).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the number of allocations")
}

/// Drives the engine and prints its allocations per event. `count` tells how many the process has
/// made so far.
///
/// # Errors
/// Nothing ran.
pub fn count_allocations(arguments: &EngineArguments, count: impl Fn() -> usize) -> Result<()> {
    let mut world = World::new(arguments);
    let before = count();
    world.run(arguments.seconds);
    let made = count() - before;
    ensure!(world.finished > 0, "nothing ran");
    println!("{}", rounded(made as f64 / world.events as f64));
    Ok(())
}

// === impl World ===

impl World {
    fn new(arguments: &EngineArguments) -> Self {
        let mut fx = Effects::default();
        let engine = Engine::restore(Settings::default(), 1, START, Vec::new(), &mut fx);
        let mut world = Self {
            engine,
            fx,
            now: START,
            waiting: VecDeque::new(),
            agents: Agents::new(),
            events: 0,
            writes: 0,
            finished: 0,
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
        let offers = world.agents.offer_all(arguments.agents);
        world.waiting.push_back(offers);
        world.turns();
        (world.events, world.writes, world.finished) = (0, 0, 0);
        world
    }

    fn run(&mut self, seconds: u32) {
        for second in 0..seconds {
            self.now = START.saturating_add(u64::from(second) * 1_000);
            self.step(Event::Tick);
            self.turns();
        }
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

    /// Carries effects out at once.
    fn take(&mut self) {
        for effect in self.fx.take() {
            match effect {
                Effect::Write(_) => self.writes += 1,
                Effect::Action(action) => {
                    if let Action::Accept { launches, .. } = &action {
                        self.finished += launches.len() as u64;
                    }
                    self.agents.take(action, &mut self.waiting);
                }
                Effect::Trace(_) | Effect::Reply { .. } => {}
            }
        }
    }
}
