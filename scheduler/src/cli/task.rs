//! `shiftwork task`: end one task.

use clap::Subcommand;
use reqwest::Method;

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::output::Output;
use super::show;

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// End one task; the shard of a daemon is launched again
    Kill {
        /// The task
        id: String,
    },
}

/// Carries out a command.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: TaskCommand,
) -> Result<(), CliError> {
    let TaskCommand::Kill { id } = command;
    let path = ApiPath::of(&["tasks", &id, "kill"]);
    let answer = client.change(Method::POST, &path, Payload::default()).await?;
    show::done(out, &answer.text, &format!("task {id} is being killed"))
}
