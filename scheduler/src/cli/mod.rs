//! The commands that talk to a running scheduler: `shiftwork app`, `job`, `run` and so on, a file a
//! noun. Absent: commands that are a server (`main.rs`), and any logic the API has.

mod agent;
mod app;
mod apply;
mod audit;
mod calendar;
mod client;
mod error;
mod file;
mod job;
mod logs;
mod next;
mod output;
mod queue;
mod registry;
mod run;
mod show;
mod status;
mod table;
mod task;
mod wait;

use std::process::ExitCode;

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
    /// A table for people, or the API's JSON for programs
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Output,
}

/// Commands that talk to a scheduler.
#[derive(Debug, Subcommand)]
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
    /// Create or update all apps and jobs of a file
    Apply(apply::ApplyArgs),
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
    /// Compare the firings that were due with those that ran
    Audit(audit::AuditArgs),
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
    // Needs no scheduler, not even a well-formed address of one.
    if let ClientCommand::Job(job::JobCommand::Next(next)) = &command
        && let Some(expression) = &next.cron
    {
        next::offline(expression, next, args.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let out = args.output;
    let client = Client::new(&args.server)?;
    match command {
        ClientCommand::App(command) => app::run(&client, out, command).await?,
        ClientCommand::Calendar(command) => calendar::run(&client, out, command).await?,
        ClientCommand::Job(command) => return job::run(&client, out, command).await,
        ClientCommand::Apply(command) => apply::run(&client, out, command).await?,
        ClientCommand::Run(command) => return run::run(&client, out, command).await,
        ClientCommand::Task(command) => task::run(&client, out, command).await?,
        ClientCommand::Queue(command) => queue::run(&client, out, command).await?,
        ClientCommand::Agent(command) => agent::run(&client, out, command).await?,
        ClientCommand::Audit(args) => return audit::run(&client, out, &args).await,
        ClientCommand::Status => status::run(&client, out).await?,
        ClientCommand::Registry(command) => registry::run(out, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
