//! The Shiftwork executor: runs the shards of one app on one Mesos agent. A pure core decides; the
//! shells around it speak the v1 executor API, run processes, requests and jobs, and keep the
//! checkpoint. [`Executor`] is where an app with jobs of its own begins. Absent: the
//! scheduler's side of anything, and any state that outlives the sandbox.

mod agent;
mod cgroup;
mod checkpoint;
pub mod config;
pub mod core;
mod http;
mod jobs;
mod logfile;
mod output;
mod owners;
pub mod process;
mod procfs;
mod run;
mod sandbox;
pub mod script;
mod sharding_context;
mod signals;
mod spawn;
pub mod transport;
mod user;
mod wire;
mod works;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::core::ExitReason;
pub use crate::jobs::{
    CancellationToken, DataflowJob, Executor, JobContext, JobError, JobOutput, JobResult, SimpleJob,
};

/// Exit code for an environment no Mesos agent would give.
const EXIT_USAGE: u8 = 2;
/// The environment variable with the log filter, in `tracing`'s syntax; `info` when absent.
const LOG_VARIABLE: &str = "SHIFTWORK_EXECUTOR_LOG";
/// Threads for the few things that would block: looking up the agent's name, removing directories.
const BLOCKING_THREADS_MAX: usize = 2;

/// Runs an executor without jobs of its own; see [`Executor::run`].
pub fn main_entry() -> ExitCode {
    Executor::new().run()
}

/// Reads the environment a Mesos agent gives the process, and works until there is nothing to do.
fn run_process(jobs: jobs::Registry) -> ExitCode {
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("shiftwork-executor: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call in one process keeps the first one's log.
    let _set_before = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // Or else a line that finds no space on the disk is complained of where there is none either,
        // which panics: a full disk must not end the work.
        .log_internal_errors(false)
        .try_init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shiftwork-executor: the kernel refused an event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run::run(config, jobs));
    // A directory that is just being removed is not waited for: it goes with the sandbox.
    runtime.shutdown_background();
    match ended {
        Ok(ExitReason::Idle | ExitReason::Shutdown) => ExitCode::SUCCESS,
        Ok(ExitReason::AgentLost | ExitReason::Stuck) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("shiftwork-executor: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
