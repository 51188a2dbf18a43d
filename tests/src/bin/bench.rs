//! Benchmarks from the command line; each subcommand stands in a file of its own.

use anyhow::Result;
use clap::{Parser, Subcommand};
use shiftwork_tests::bench::all::{self, AllArguments};
use shiftwork_tests::bench::burst::{self, BurstArguments};
use shiftwork_tests::bench::console::{self, ConsoleArguments};
use shiftwork_tests::bench::engine::{self, EngineArguments};
use shiftwork_tests::bench::executor::{self, ExecutorArguments};
use shiftwork_tests::bench::idle::{self, IdleArguments};
use shiftwork_tests::bench::latency::{self, LatencyArguments};
use shiftwork_tests::bench::launch::{self, LaunchArguments};
use shiftwork_tests::bench::machine;
use shiftwork_tests::bench::place::{self, PlaceArguments};
use shiftwork_tests::bench::recover::{self, RecoverArguments};
use shiftwork_tests::bench::registry::{self, RegistryArguments};
use shiftwork_tests::bench::rest::{self, RestArguments};
use shiftwork_tests::bench::table::{self, TableArguments};
use shiftwork_tests::bench::timers::{self, TimersArguments};
use shiftwork_tests::bench::watchers::{self, WatchersArguments};

/// As the scheduler has it: what is measured in this process is its code.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures parts of Shiftwork on this machine. Build with `--release`.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every figure that matters, as a table or as JSON for one.
    All(AllArguments),
    /// Many jobs due at the same moment: the last ACCEPT, the record of the firings.
    Burst(BurstArguments),
    /// Pages of the console: how long they take and how large they are, with very many jobs.
    Console(ConsoleArguments),
    /// Events a second of the pure engine.
    Engine(EngineArguments),
    /// The executor: its size, its memory, how fast a task is started.
    Executor(ExecutorArguments),
    /// What a scheduler costs while nothing is due.
    Idle(IdleArguments),
    /// From due to ACCEPT while many jobs wait.
    Latency(LatencyArguments),
    /// Tasks from due to finished, over real HTTP or in this process.
    Launch(LaunchArguments),
    /// Placement of tasks on offered agents.
    Place(PlaceArguments),
    /// The registry in ZooKeeper: commits, round trips of launches, take-over, memory.
    Registry(RegistryArguments),
    /// REST: mixed requests at a fixed rate while jobs run.
    Rest(RestArguments),
    /// From a leader's death to the first launch of its successor.
    Recover(RecoverArguments),
    /// What `all --json` measured as the table of the documentation.
    Table(TableArguments),
    /// Schedules: memory of idle jobs, many due at once, turns with none due.
    Timers(TimersArguments),
    /// gRPC watchers: how soon they are told, and what they cost.
    Watchers(WatchersArguments),
}

fn main() -> Result<()> {
    let what = Arguments::parse().what;
    machine::begin();
    match what {
        What::All(arguments) => all::run(&arguments),
        What::Burst(arguments) => runtime()?.block_on(burst::run(&arguments)),
        What::Executor(arguments) => executor::run(&arguments),
        What::Console(arguments) => runtime()?.block_on(console::run(&arguments)),
        What::Engine(arguments) => engine::run(&arguments),
        What::Idle(arguments) => runtime()?.block_on(idle::run(&arguments)),
        What::Latency(arguments) => runtime()?.block_on(latency::run(&arguments)),
        What::Launch(arguments) => launch::run(&arguments),
        What::Recover(arguments) => runtime()?.block_on(recover::run(&arguments)),
        What::Place(arguments) => place::run(&arguments),
        What::Registry(arguments) => registry::run(&arguments),
        What::Rest(arguments) => rest::run(&arguments),
        What::Table(arguments) => table::run(&arguments),
        What::Timers(arguments) => timers::run(&arguments),
        What::Watchers(arguments) => watchers::run(&arguments),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
