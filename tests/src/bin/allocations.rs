//! Counts what the pure engine allocates: `bench engine` asks this program, because counting takes
//! time and the one that is timed must not count.

use std::alloc::System;

use anyhow::Result;
use clap::Parser;
use shiftwork_tests::bench::engine::{EngineArguments, count_allocations};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Prints the engine's allocations per event.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    engine: EngineArguments,
}

fn main() -> Result<()> {
    count_allocations(&Arguments::parse().engine, || ALLOCATOR.stats().allocations)
}
