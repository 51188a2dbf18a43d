//! The command `offer-sim`: reads its options, starts master and local agent, and ends them on a
//! signal. No behaviour of its own.

mod options;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use options::Options;

/// As the scheduler: what it is measured with must not be what limits it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One thread: the world has one owner, and every call is a question to it. Two threads would spend
/// more on waking each other than either does for a call.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offer-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal, then until all is cleared away.
async fn run(options: Options) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Complaining of a log that cannot be written, on that very log, would panic.
        .log_internal_errors(false)
        .init();
    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let running = offer_sim::start(options.into_config()?, shutdown.clone()).await?;
    tracing::info!(address = %running.addr, "listening");
    if let Some(address) = running.admin {
        tracing::info!(%address, "admin API");
    }
    let has_lost = tokio::select! {
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
        () = running.lost() => true,
    };
    tracing::info!("shutting down");
    shutdown.cancel();
    running.wait().await;
    anyhow::ensure!(!has_lost, "another master may lead now; start this one again");
    Ok(())
}
