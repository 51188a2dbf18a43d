//! `shiftwork task`: list, show and end single tasks, and show what one wrote.

use clap::Subcommand;
use reqwest::Method;
use shiftwork_engine::ids::{AppName, JobName};

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::output::Output;
use super::table::{self, Column, Row};
use super::{logs, show};

/// What to do with tasks.
#[derive(Debug, Clone, Subcommand)]
pub enum TaskCommand {
    /// List the tasks that live
    List {
        /// Only those of this job
        #[arg(long, value_parser = JobName::parse)]
        job: Option<JobName>,
        /// Only those of this app
        #[arg(long, value_parser = AppName::parse)]
        app: Option<AppName>,
        /// Only those on this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Only those in this state, as RUNNING
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one task, also one that has ended
    Get {
        /// The task
        id: String,
    },
    /// End one task; the shard of a daemon is launched again
    Kill {
        /// The task
        id: String,
    },
    /// Show what one task wrote
    Logs {
        /// The task
        id: String,
        /// What was written to stderr
        #[arg(long)]
        stderr: bool,
    },
}

const COLUMNS: [Column; 7] = [
    Column { title: "RUN", cell: |row| row.text("/run") },
    Column { title: "ITEM", cell: |row| row.text("/item") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "ATTEMPT", cell: |row| row.text("/attempt") },
    Column { title: "SINCE", cell: |row| row.age("/since") },
    Column { title: "AGENT", cell: |row| row.text("/agent") },
    Column { title: "ID", cell: |row| row.text("/id") },
];

/// Carries out a command.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: TaskCommand,
) -> Result<(), CliError> {
    match command {
        TaskCommand::List { job, app, agent, state } => {
            let path = ApiPath::of(&["tasks"])
                .with("job", job.as_ref().map(JobName::as_str))
                .with("app", app.as_ref().map(AppName::as_str))
                .with("agent", agent.as_deref())
                .with("state", state.map(|state| show::state_name(&state)).as_deref());
            show::list(client, out, &path, None, &COLUMNS).await
        }
        TaskCommand::Get { id } => {
            let answer = client.get(&ApiPath::of(&["tasks", &id])).await?;
            show::resource(client, out, answer.get(), |value| {
                render(&Row { value, now: show::now() })
            })
        }
        TaskCommand::Kill { id } => {
            let path = ApiPath::of(&["tasks", &id, "kill"]);
            let answer = client.change(Method::POST, &path, Payload::default()).await?;
            show::done(out, &answer.text, &format!("task {id} is being killed"))
        }
        TaskCommand::Logs { id, stderr } => logs::of_task(client, id, stderr).await,
    }
}

fn render(row: &Row<'_>) -> String {
    table::render_pairs(&[
        ("task", row.text("/id")),
        ("run", row.text("/run")),
        ("job", row.text("/job")),
        ("app", row.text("/app")),
        ("item", row.text("/item")),
        ("state", row.text("/state")),
        ("since", row.text("/since")),
        ("idle", row.text("/idle")),
        ("attempt", row.text("/attempt")),
        ("agent", row.text("/agent")),
        ("exit code", row.text("/exitCode")),
        ("message", row.text("/message")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn one_task_shows_how_it_ended() {
        let value = json!({"id": "t", "run": "j@k", "item": 0, "state": "FAILED", "exitCode": 3});
        let text = render(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.starts_with("task:       t\n"), "{text}");
        assert!(text.contains("exit code:  3\n"), "{text}");
    }
}
