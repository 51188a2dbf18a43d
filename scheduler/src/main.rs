//! The program `shiftwork`: a scheduler, everything in one process, or a client. Started under
//! the executor's name it is the executor.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use shiftwork_scheduler::app::{self, SchedulerConfig};
use shiftwork_scheduler::auth::AuthConfig;
use shiftwork_scheduler::auth_args::AuthArgs;
use shiftwork_scheduler::cli::reference::{self, CompletionArgs, ManArgs};
use shiftwork_scheduler::cli::{self, ClientArgs, ClientCommand, RegistryArgs};
use shiftwork_scheduler::config::{self, ConfigArgs, DefaultArgs};
use shiftwork_scheduler::demo::{self, Demo, say};
use shiftwork_scheduler::elastic_job_args::ElasticJobArgs;
use shiftwork_scheduler::engine_args::EngineArgs;
use shiftwork_scheduler::grpc_args::{GrpcArgs, GrpcListen, base_url};
use shiftwork_scheduler::history_args::HistoryArgs;
use shiftwork_scheduler::log_args::LogArgs;
use shiftwork_scheduler::mesos_args::MesosArgs;
use shiftwork_scheduler::oidc_args::OidcArgs;
use shiftwork_scheduler::otel::{self, Otel, OtelArgs};
use shiftwork_scheduler::secrets::Key as SecretKey;
use shiftwork_scheduler::standalone::{self, EXECUTOR_NAME, StandaloneConfig};
use shiftwork_scheduler::tls_server::ServerTls;
use shiftwork_scheduler::turn::Handle;
use shiftwork_scheduler::tzdb_args::TzdbArgs;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The engine and the shells around it make and drop a great many small pieces: with the system's
/// allocator a fifth of their time goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The version, and that of the time zone data within.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let tzdb = shiftwork_schedule::Tzdb::bundled();
    format!("{}\ntime zone data: {tzdb} (another with --tzdb)", env!("CARGO_PKG_VERSION"))
});

/// Sharded cron and batch jobs on Mesos resource offers
#[derive(Debug, Parser)]
#[command(name = "shiftwork", version, long_version = LONG_VERSION.as_str(), about,
    arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process: scheduler, Mesos master, one agent of this machine
    Standalone(Box<StandaloneArgs>),
    /// Run the scheduler for a Mesos cluster
    Scheduler(Box<SchedulerArgs>),
    /// The configuration of a scheduler
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Print what bash, zsh or fish needs to complete commands
    Completion(CompletionArgs),
    /// Write a man page for each command
    #[command(hide = true)]
    Man(ManArgs),
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check flags, environment and file, and print what is in force, without starting anything
    #[command(subcommand)]
    Check(Server),
    /// Print a file to begin with: every option, commented out, with its default
    Default(DefaultArgs),
}

/// What a configuration is for.
#[derive(Debug, Subcommand)]
enum Server {
    /// As `shiftwork standalone` would take it
    Standalone(Box<StandaloneArgs>),
    /// As `shiftwork scheduler` would take it
    Scheduler(Box<SchedulerArgs>),
}

/// Where a scheduler keeps its data and serves.
#[derive(Debug, Args)]
struct ServerArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Directory of the registry and the history
    #[arg(
        long,
        env = "SHIFTWORK_DATA_DIR",
        default_value = "./shiftwork-data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    /// Address to serve REST on
    #[arg(long, env = "SHIFTWORK_HTTP", default_value = "127.0.0.1:8899", value_name = "ADDR")]
    http: SocketAddr,
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    auth: AuthArgs,
    #[command(flatten)]
    oidc: OidcArgs,
    #[command(flatten)]
    tzdb: TzdbArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    elastic_job: ElasticJobArgs,
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    otel: OtelArgs,
}

impl ServerArgs {
    /// What only makes sense once the time zone data is there.
    fn choose_tzdb(&self) -> Result<(), String> {
        self.tzdb.install().map_err(|error| format!("--tzdb: {error}"))?;
        self.engine.settings().map(drop)
    }

    /// Logs, and sends traces if that is asked for.
    fn begin_to_tell(&self, level: &str) -> anyhow::Result<Option<Otel>> {
        let otel = self.otel.start()?;
        self.log.init(level, otel.as_ref());
        Ok(otel)
    }

    /// Where its API is served, as far as that was said.
    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut addresses = vec![("--http", self.http)];
        if let Some(GrpcListen::At(address)) = self.grpc.grpc {
            addresses.push(("--grpc", address));
        }
        addresses
    }

    /// Who may use what is served.
    fn auth(&self) -> anyhow::Result<AuthConfig> {
        let addresses: Vec<_> = self.addresses().into_iter().map(|(_, address)| address).collect();
        if let Some(notice) = self.auth.notice(&addresses) {
            say(&notice);
        }
        self.auth.config(&addresses)
    }
}

#[derive(Debug, Args)]
struct StandaloneArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Address to serve the Mesos API on
    #[arg(
        long,
        env = "SHIFTWORK_MESOS_LISTEN",
        default_value = "127.0.0.1:5050",
        value_name = "ADDR"
    )]
    mesos: SocketAddr,
    /// What the agent offers, such as cpus:4;mem:8192 (default: this machine's)
    #[arg(long, value_name = "RESOURCES", value_parser = standalone::read_resources)]
    resources: Option<String>,
    /// The agent's attributes, such as rack:a;zone:b
    #[arg(long, value_name = "ATTRIBUTES", value_parser = standalone::read_attributes)]
    attributes: Option<String>,
    /// Register an example app with two jobs and print a line for each run
    #[arg(long)]
    demo: bool,
}

#[derive(Debug, Args)]
struct SchedulerArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    mesos: MesosArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Address at which other machines reach this scheduler, for the shared registry and redirects
    /// (default: http:// and what --http says)
    #[arg(long, env = "SHIFTWORK_ADVERTISE", value_name = "URL", value_parser = base_url)]
    advertise: Option<String>,
    /// Address at which other machines reach its gRPC, as grpc://host:port
    /// (default: the host of --advertise and the port of --grpc)
    #[arg(long, env = "SHIFTWORK_ADVERTISE_GRPC", value_name = "URL")]
    advertise_grpc: Option<String>,
}

fn main() -> ExitCode {
    let name = std::env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == EXECUTOR_NAME) {
        return shiftwork_executor::main_entry();
    }
    let (cli, in_force) = parse();
    let server = match &cli.command {
        Command::Standalone(args)
        | Command::Config(ConfigCommand::Check(Server::Standalone(args))) => Some(&args.server),
        Command::Scheduler(args)
        | Command::Config(ConfigCommand::Check(Server::Scheduler(args))) => Some(&args.server),
        Command::Client(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Config(ConfigCommand::Default(_)) => None,
    };
    if let Some(Err(problem)) = server.map(ServerArgs::choose_tzdb) {
        Cli::command().error(ErrorKind::ValueValidation, problem).exit();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shiftwork: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(dispatch(cli, &in_force))
}

/// Reads the command line, with what a configuration file adds to it; and which values a server would
/// have, for people.
fn parse() -> (Cli, String) {
    let arguments = std::env::args_os().collect();
    let complete = config::complete(&Cli::command(), arguments, |name| std::env::var_os(name));
    let completed = match complete {
        Ok(completed) => completed,
        Err(error) => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    let matches = Cli::command().get_matches_from(&completed.arguments);
    let in_force = server_of(&matches).map_or_else(String::new, |(name, matches)| {
        let root = Cli::command();
        let command = root.find_subcommand(name);
        command.map_or_else(String::new, |it| config::in_force(it, matches, &completed.from_file))
    });
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => (cli, in_force),
        Err(error) => error.exit(),
    }
}

/// The server that is to be checked, and what is said of it.
fn server_of(matches: &ArgMatches) -> Option<(&str, &ArgMatches)> {
    let (_, config) = matches.subcommand().filter(|(name, _)| *name == "config")?;
    config.subcommand()?.1.subcommand()
}

/// Looks at everything that can be looked at without starting.
fn check(what: Server) -> anyhow::Result<()> {
    let server = match &what {
        Server::Standalone(args) => &args.server,
        Server::Scheduler(args) => &args.server,
    };
    server.engine.settings().map_err(anyhow::Error::msg)?;
    server.elastic_job.config()?;
    server.auth.check()?;
    server.auth.tls()?;
    server.oidc.config("http://127.0.0.1")?;
    let shares = match &what {
        Server::Standalone(_) => false,
        Server::Scheduler(args) => args.registry.config()?.is_some(),
    };
    // One that is not there is made at the start, unless others need the same.
    if let Some(file) = server.auth.secret_key_file()
        && (shares || file.exists())
    {
        SecretKey::of_file(&file, false)?;
    }
    let mut addresses = server.addresses();
    if let Server::Standalone(args) = &what {
        addresses.push(("--mesos", args.mesos));
    }
    check_addresses(&addresses)?;
    match what {
        Server::Standalone(args) => args.server.auth.check_mesos(args.mesos),
        Server::Scheduler(args) => args.mesos.config().map(drop),
    }
}

/// Each is listened on: none may be taken by another. Port 0 is any free one.
fn check_addresses(addresses: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    for (i, (name, address)) in addresses.iter().enumerate() {
        let taken = addresses[..i].iter().find(|(_, other)| other == address && other.port() != 0);
        if let Some((other, _)) = taken {
            anyhow::bail!(
                "{name} is {address}, as {other} is: choose another port for one of them"
            );
        }
    }
    Ok(())
}

async fn dispatch(cli: Cli, in_force: &str) -> ExitCode {
    let result = match cli.command {
        Command::Client(command) => return cli::run(&cli.client, *command).await,
        Command::Config(ConfigCommand::Check(what)) => {
            check(what).map(|()| say(in_force.trim_end()))
        }
        Command::Config(ConfigCommand::Default(args)) => {
            say(config::default_file(&Cli::command(), &args.server).trim_end());
            Ok(())
        }
        Command::Completion(args) => {
            reference::completion(Cli::command(), &args).context("cannot write the completion")
        }
        Command::Man(args) => reference::man(Cli::command(), &args)
            .with_context(|| format!("cannot write man pages to {}", args.dir.display())),
        Command::Standalone(args) => match args.server.begin_to_tell("warn") {
            Ok(otel) => with_traces(otel.clone(), run_standalone(*args, otel)).await,
            Err(error) => Err(error),
        },
        Command::Scheduler(args) => match args.server.begin_to_tell("info") {
            Ok(otel) => with_traces(otel.clone(), run_scheduler(*args, otel)).await,
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shiftwork: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Sends the last traces when a server has ended.
async fn with_traces(
    otel: Option<Otel>,
    server: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let result = server.await;
    if let Some(otel) = otel {
        otel.close().await;
    }
    result
}

/// Sends traces of the runs of a scheduler.
fn export_runs(otel: Option<Otel>, handle: &Handle) {
    if let Some(otel) = otel {
        tokio::spawn(otel::export_runs(otel, handle.watch()));
    }
}

/// Cancelled by the first SIGINT or SIGTERM.
fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}

async fn run_scheduler(args: SchedulerArgs, otel: Option<Otel>) -> anyhow::Result<()> {
    let (auth, tls) = (args.server.auth()?, args.server.auth.tls()?);
    anyhow::ensure!(
        args.registry.registry.is_none()
            || args.advertise.is_some()
            || !args.server.http.ip().is_unspecified(),
        "the other schedulers of a shared registry must know where this one is: say --advertise \
         with an address at which they reach it"
    );
    let public = args.advertise.clone();
    let public =
        public.unwrap_or_else(|| format!("{}://{}", scheme(tls.as_ref()), args.server.http));
    let shutdown = shutdown_on_signal()?;
    let config = SchedulerConfig {
        data_dir: args.server.data_dir,
        registry: args.registry.config()?,
        http: args.server.http,
        auth,
        tls: tls.clone(),
        secret_key_file: args.server.auth.secret_key_file(),
        requests_per_second_max: args.server.auth.requests_per_second_max(),
        oidc: args.server.oidc.config(&public)?,
        advertise: args.advertise,
        grpc: args.server.grpc.grpc,
        advertise_grpc: args.advertise_grpc,
        driver: args.mesos.config()?,
        settings: args.server.engine.settings().map_err(anyhow::Error::msg)?,
        elastic_job: args.server.elastic_job.config()?,
        history: args.server.history.config(),
        audit_every: args.server.history.audit_every(),
    };
    let scheduler = app::start(config, shutdown).await?;
    export_runs(otel, &scheduler.handle);
    say(&format!("API      {}://{}/api/v1", scheme(tls.as_ref()), scheduler.http));
    say_grpc(scheduler.grpc);
    scheduler.wait().await
}

fn say_grpc(address: Option<SocketAddr>) {
    if let Some(address) = address {
        say(&format!("gRPC     {address}"));
    }
}

async fn run_standalone(args: StandaloneArgs, otel: Option<Otel>) -> anyhow::Result<()> {
    args.server.auth.check_mesos(args.mesos)?;
    let (auth, tls) = (args.server.auth()?, args.server.auth.tls()?);
    let shutdown = shutdown_on_signal()?;
    let data_dir = args.server.data_dir.clone();
    let config = StandaloneConfig {
        data_dir: data_dir.clone(),
        http: args.server.http,
        grpc: args.server.grpc.grpc,
        auth,
        tls: tls.clone(),
        secret_key_file: args.server.auth.secret_key_file(),
        requests_per_second_max: args.server.auth.requests_per_second_max(),
        oidc: args.server.oidc.config(&format!(
            "{}://{}",
            scheme(tls.as_ref()),
            args.server.http
        ))?,
        mesos: args.mesos,
        resources: args.resources,
        attributes: args.attributes,
        settings: args.server.engine.settings().map_err(anyhow::Error::msg)?,
        elastic_job: args.server.elastic_job.config()?,
        history: args.server.history.config(),
        audit_every: args.server.history.audit_every(),
    };
    let standalone = standalone::start(config, shutdown.clone()).await?;
    export_runs(otel, &standalone.scheduler.handle);
    let scheme = scheme(tls.as_ref());
    say(&format!("API      {scheme}://{}/api/v1", standalone.scheduler.http));
    say_grpc(standalone.scheduler.grpc);
    say(&format!("Mesos    http://{}", standalone.mesos));
    say(&format!("Data     {}", data_dir.display()));
    let mut printer = None;
    if args.demo {
        let handle = standalone.scheduler.handle.clone();
        let started = start_demo(&data_dir, &handle, shutdown.clone()).await;
        match started {
            Ok(task) => printer = Some(task),
            Err(error) => {
                shutdown.cancel();
                standalone.wait().await?;
                return Err(error);
            }
        }
    }
    say("Ctrl-C stops everything.");
    let result = standalone.wait().await;
    if let Some(printer) = printer {
        printer.abort();
    }
    say("stopped");
    result
}

fn scheme(tls: Option<&ServerTls>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

async fn start_demo(
    data_dir: &Path,
    handle: &Handle,
    shutdown: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let demo = Demo::unpack(data_dir)?;
    say(&format!("Results  {}", demo.results().display()));
    let traces = handle.watch();
    demo.register(handle).await?;
    Ok(tokio::spawn(demo::print_runs(traces, shutdown)))
}

#[cfg(test)]
mod main_tests;
