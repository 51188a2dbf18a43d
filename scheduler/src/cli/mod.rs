//! The commands that talk to a running scheduler: `shiftwork app`, `job`, `run` and so on, a file a
//! noun. Absent: commands that are a server (`main.rs`), and any logic the API has.

mod access;
mod agent;
mod app;
mod apply;
mod audit;
mod calendar;
mod client;
mod cluster;
mod error;
mod events;
mod export;
mod file;
mod job;
mod logs;
mod next;
mod output;
mod overall;
mod queue;
pub mod reference;
mod registry;
mod run;
mod show;
mod status;
mod table;
mod task;
mod trouble;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};

use client::Client;
use error::CliError;
pub use output::Output;
pub use registry::RegistryArgs;

/// Where a scheduler listens when nothing else is said.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:8899";

/// Options of every command that talks to a scheduler.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// Address of the scheduler
    #[arg(long, global = true, env = "SHIFTWORK_SERVER", value_name = "URL",
        default_value = SERVER_DEFAULT)]
    pub server: String,
    /// File that holds the token to show (or the token itself in `SHIFTWORK_TOKEN`)
    #[arg(long, global = true, env = "SHIFTWORK_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Authorities to trust for https, PEM, instead of the system's
    #[arg(long, global = true, env = "SHIFTWORK_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// A table for people, or what the API answers as JSON or YAML for programs
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// Show it again every so many seconds, 2 unless given, until Ctrl-C; for commands that only read
    #[arg(short, long, global = true, value_name = "SECONDS", num_args = 0..=1,
        require_equals = true, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub watch: Option<u64>,
}

/// Commands that talk to a scheduler.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientCommand {
    /// Deployable packages and their executors
    #[command(subcommand)]
    App(app::AppCommand),
    /// Days on which jobs do not fire
    #[command(subcommand)]
    Calendar(calendar::CalendarCommand),
    /// What runs when
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Create or update all apps, calendars and jobs of files
    Apply(apply::ApplyArgs),
    /// Show what apply would change, as a diff, and what would be refused
    Plan(apply::PlanArgs),
    /// Print or write all documents that are registered, as apply takes them
    Export(export::ExportArgs),
    /// Firings of jobs, past and present
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Single attempts of single shards
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// What waits and what runs
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// The nodes of the registry, read without a scheduler
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Mesos agents as the offers held show them
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// What Mesos offers, as long as it is held
    #[command(subcommand)]
    Offer(cluster::OfferCommand),
    /// Processes that run tasks, one per app and agent
    #[command(subcommand)]
    Executor(cluster::ExecutorCommand),
    /// Show what happens to runs and tasks, as it happens
    Events(events::EventsArgs),
    /// Count over time what became of tasks
    Statistics(overall::StatisticsArgs),
    /// Show which scheduler decides
    Leader,
    /// Have the Mesos master asked about every task now
    Reconcile,
    /// Compare the firings that were due with those that ran
    Audit(audit::AuditArgs),
    /// People with passwords, and what they may do
    #[command(subcommand)]
    User(access::UserCommand),
    /// What programs show, and what they may do
    #[command(subcommand)]
    Token(access::TokenCommand),
    /// Values for jobs that only their names show
    #[command(subcommand)]
    Secret(access::SecretCommand),
    /// Who the scheduler takes me for
    Whoami,
    /// Who changed what, newest first
    AuditLog(access::AuditLogArgs),
    /// The scheduler as a whole
    Status,
}

/// Carries out one command. The exit code is 0 when it did what it says, 1 when the scheduler
/// refused or could not be reached, 2 when the command itself was wrong.
pub async fn run(args: &ClientArgs, command: ClientCommand) -> ExitCode {
    match dispatch(args, command).await {
        Ok(code) => code,
        // Whoever reads has seen enough (`| head`): not an error.
        Err(CliError::ClosedOutput) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            error.exit_code()
        }
    }
}

async fn dispatch(args: &ClientArgs, command: ClientCommand) -> Result<ExitCode, CliError> {
    let Some(seconds) = args.watch else { return once(args, command).await };
    if !command.only_reads() {
        let problem = "--watch shows again and again what only reads: leave it out here";
        return Err(CliError::Usage(problem.to_owned()));
    }
    let mut first = true;
    loop {
        output::begin_anew(first)?;
        first = false;
        match once(args, command.clone()).await {
            // It may be back the next time.
            Err(error) if error.is_passing() => output::complain(&error),
            shown => drop(shown?),
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// Reads how many rows are wanted: none is a mistake, and not an empty list.
fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

impl ClientCommand {
    /// Whether it changes nothing and comes to an end.
    fn only_reads(&self) -> bool {
        match self {
            Self::App(command) => {
                matches!(command, app::AppCommand::List | app::AppCommand::Get { .. })
            }
            Self::Calendar(command) => matches!(
                command,
                calendar::CalendarCommand::List | calendar::CalendarCommand::Get { .. }
            ),
            Self::Job(command) => matches!(
                command,
                job::JobCommand::List { .. }
                    | job::JobCommand::Get { .. }
                    | job::JobCommand::Next(_)
                    | job::JobCommand::Why { .. }
            ),
            Self::Run(command) => matches!(
                command,
                run::RunCommand::List { .. }
                    | run::RunCommand::Get { .. }
                    | run::RunCommand::Events { .. }
            ),
            Self::Task(command) => {
                matches!(command, task::TaskCommand::List { .. } | task::TaskCommand::Get { .. })
            }
            Self::User(command) => matches!(command, access::UserCommand::List),
            Self::Token(command) => matches!(command, access::TokenCommand::List),
            Self::Secret(command) => matches!(command, access::SecretCommand::List),
            Self::Whoami
            | Self::AuditLog(_)
            | Self::Plan(_)
            | Self::Queue(_)
            | Self::Registry(_)
            | Self::Agent(_)
            | Self::Offer(_)
            | Self::Executor(_)
            | Self::Statistics(_)
            | Self::Leader
            | Self::Audit(_)
            | Self::Status => true,
            Self::Apply(_) | Self::Export(_) | Self::Events(_) | Self::Reconcile => false,
        }
    }
}

async fn once(args: &ClientArgs, command: ClientCommand) -> Result<ExitCode, CliError> {
    // Needs no scheduler, not even a well-formed address of one.
    if let ClientCommand::Job(job::JobCommand::Next(next)) = &command
        && let Some(expression) = &next.cron
    {
        next::offline(expression, next, args.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let out = args.output;
    let client = Client::connect(args)?;
    match command {
        ClientCommand::App(command) => app::run(&client, out, command).await?,
        ClientCommand::Calendar(command) => calendar::run(&client, out, command).await?,
        ClientCommand::Job(command) => return job::run(&client, out, command).await,
        ClientCommand::Apply(command) => return apply::run(&client, out, command).await,
        ClientCommand::Plan(args) => return apply::plan(&client, out, args).await,
        ClientCommand::Export(args) => export::run(&client, out, &args).await?,
        ClientCommand::Offer(command) => cluster::offers(&client, out, command).await?,
        ClientCommand::Executor(command) => cluster::executors(&client, out, command).await?,
        ClientCommand::Events(args) => events::run(&client, out, &args).await?,
        ClientCommand::Statistics(args) => overall::statistics(&client, out, &args).await?,
        ClientCommand::Leader => overall::leader(&client, out).await?,
        ClientCommand::Reconcile => overall::reconcile(&client, out).await?,
        ClientCommand::Run(command) => return run::run(&client, out, command).await,
        ClientCommand::Task(command) => task::run(&client, out, command).await?,
        ClientCommand::Queue(command) => queue::run(&client, out, command).await?,
        ClientCommand::Agent(command) => agent::run(&client, out, command).await?,
        ClientCommand::Audit(args) => return audit::run(&client, out, &args).await,
        ClientCommand::User(command) => access::user(&client, out, command).await?,
        ClientCommand::Token(command) => access::token(&client, out, command).await?,
        ClientCommand::Secret(command) => access::secret(&client, out, command).await?,
        ClientCommand::Whoami => access::whoami(&client, out).await?,
        ClientCommand::AuditLog(args) => access::audit_log(&client, out, &args).await?,
        ClientCommand::Status => status::run(&client, out).await?,
        ClientCommand::Registry(command) => registry::run(out, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
