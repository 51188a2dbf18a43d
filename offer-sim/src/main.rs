//! The command `offer-sim`: reads its options, starts master and local agent, and ends them on a
//! signal. No behaviour of its own.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use offer_sim::{Config, LocalAgentConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A Mesos master to test against, with an agent that offers this machine.
#[derive(Debug, Parser)]
#[command(name = "offer-sim", version)]
struct Options {
    /// Address that master and agent listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:5050", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Offer this machine through a local agent.
    #[arg(long)]
    local: bool,
    /// Directory for sandboxes and the agent's memory.
    #[arg(long, default_value = "offer-sim-work", value_name = "DIR")]
    work_dir: PathBuf,
    /// What the agent offers, like cpus:4;mem:1024;ports:[31000-32000]; the machine's own for what
    /// is not named.
    #[arg(long, requires = "local", value_name = "LIST")]
    resources: Option<String>,
    /// The agent's attributes, like rack:a;zone:b.
    #[arg(long, requires = "local", value_name = "LIST")]
    attributes: Option<String>,
    /// The name the agent gives its host.
    #[arg(long, requires = "local", default_value = "localhost", value_name = "NAME")]
    hostname: String,
    /// Directory to put in front of the executors' PATH; may be given again.
    #[arg(long, requires = "local", value_name = "DIR")]
    extra_path: Vec<PathBuf>,
    /// Rescind offers not answered for this long.
    #[arg(long, value_name = "SECONDS")]
    offer_timeout: Option<u64>,
}

#[tokio::main]
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
        .init();
    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let running = offer_sim::start(config(options), shutdown.clone()).await?;
    tracing::info!(address = %running.addr, "listening");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("shutting down");
    shutdown.cancel();
    running.wait().await;
    Ok(())
}

fn config(options: Options) -> Config {
    let agent = LocalAgentConfig {
        hostname: options.hostname,
        resources: options.resources,
        attributes: options.attributes,
        extra_path: options.extra_path,
    };
    Config {
        listen: options.listen,
        work_dir: options.work_dir,
        agent: options.local.then_some(agent),
        offer_timeout: options.offer_timeout.map(Duration::from_secs),
        ..Config::default()
    }
}
