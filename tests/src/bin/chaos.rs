//! Chaos from the command line: how long, and with which seed.

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use shiftwork_tests::chaos::{self, Options};

/// Kills and freezes real schedulers, ZooKeeper, master and executors at random, and audits what
/// became of each firing. Needs the workspace's programs built beside it, and ZooKeeper installed.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long things go wrong.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// What goes wrong when; any if not given.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one("chaos") % 1_000_000);
    println!("seed {seed}, {} minutes", arguments.minutes);
    let lasts = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let verdict = chaos::run(&Options { lasts, seed }).await?;
    println!("{verdict}");
    Ok(if verdict.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
