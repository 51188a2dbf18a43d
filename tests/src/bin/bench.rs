//! Benchmarks from the command line; each subcommand stands in a file of its own.

use anyhow::Result;
use clap::{Parser, Subcommand};
use shiftwork_tests::bench::executor::{self, ExecutorArguments};
use shiftwork_tests::bench::place::{self, PlaceArguments};
use shiftwork_tests::bench::registry::{self, RegistryArguments};
use shiftwork_tests::bench::rest::{self, RestArguments};
use shiftwork_tests::bench::timers::{self, TimersArguments};

/// Measures parts of Shiftwork on this machine. Build with `--release`.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The executor: its size, its memory, how fast a task is started.
    Executor(ExecutorArguments),
    /// Placement of tasks on offered agents.
    Place(PlaceArguments),
    /// The registry in ZooKeeper: commits, round trips of launches, take-over, memory.
    Registry(RegistryArguments),
    /// REST: mixed requests at a fixed rate while jobs run.
    Rest(RestArguments),
    /// Schedules: memory of idle jobs, many due at once, turns with none due.
    Timers(TimersArguments),
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Executor(arguments) => executor::run(&arguments),
        What::Place(arguments) => place::run(&arguments),
        What::Registry(arguments) => registry::run(&arguments),
        What::Rest(arguments) => rest::run(&arguments),
        What::Timers(arguments) => timers::run(&arguments),
    }
}
