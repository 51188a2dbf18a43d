//! `shiftwork run`: list, show, cancel and rerun runs.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use shiftwork_engine::ids::{AppName, JobName, RunId};

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::logs::{self, LogsArgs};
use super::output::Output;
use super::table::{self, Column, Row};
use super::{job, show};

/// What to do with runs.
#[derive(Debug, Clone, Subcommand)]
pub enum RunCommand {
    /// List runs, newest first
    List {
        /// Only those of this job
        #[arg(long, value_parser = JobName::parse)]
        job: Option<JobName>,
        /// Only those of jobs of this app
        #[arg(long, value_parser = AppName::parse)]
        app: Option<AppName>,
        /// Only those in this state, as RUNNING or FAILED
        #[arg(long)]
        state: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = super::at_least_one())]
        limit: usize,
    },
    /// Show one run and its shards
    Get {
        /// The run
        #[arg(value_parser = RunId::parse)]
        id: RunId,
    },
    /// End a run, pending or running
    Cancel {
        /// The run
        #[arg(value_parser = RunId::parse)]
        id: RunId,
    },
    /// Make a run that has ended once more
    Rerun {
        /// The run
        #[arg(value_parser = RunId::parse)]
        id: RunId,
        /// Only the shards that did not succeed
        #[arg(long)]
        failed_only: bool,
        /// Wait for the new run to end; the exit code is 0 only if it succeeded
        #[arg(long)]
        wait: bool,
    },
    /// Show what the shards of a run write
    Logs(LogsArgs),
    /// Show what happened to a run
    Events {
        /// The run
        #[arg(value_parser = RunId::parse)]
        id: RunId,
    },
}

const COLUMNS: [Column; 6] = [
    Column { title: "ID", cell: |row| row.text("/id") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "SHARDS", cell: shards },
    Column { title: "CREATED", cell: |row| row.age("/createdAt") },
    Column { title: "TOOK", cell: |row| row.span("/startedAt", "/finishedAt") },
    Column { title: "REASON", cell: |row| row.text("/reason") },
];

const SHARD_COLUMNS: [Column; 10] = [
    Column { title: "ITEM", cell: |row| row.text("/item") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "ATTEMPT", cell: |row| row.text("/attempt") },
    Column { title: "EXIT", cell: exit },
    Column { title: "TOOK", cell: |row| row.millis("/usage/durationMs") },
    Column { title: "CPU", cell: |row| row.millis("/usage/cpuTimeMs") },
    Column { title: "MEMORY", cell: |row| row.megabytes("/usage/memoryPeakBytes") },
    Column { title: "AGENT", cell: |row| row.text("/agent") },
    Column { title: "TASK", cell: |row| row.text("/taskId") },
    Column { title: "MESSAGE", cell: |row| row.text("/message") },
];

const EVENT_COLUMNS: [Column; 6] = [
    Column { title: "AT", cell: |row| row.text("/at") },
    Column { title: "KIND", cell: |row| row.text("/kind") },
    Column { title: "ITEM", cell: |row| row.text("/item") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "TASK", cell: |row| row.text("/taskId") },
    Column { title: "MESSAGE", cell: |row| row.text("/message") },
];

/// Shards that succeeded, of all.
pub(super) fn shards(row: &Row<'_>) -> String {
    let shards = row.array("/shards");
    let is_done = |shard: &&Value| shard.get("state").and_then(Value::as_str) == Some("SUCCEEDED");
    format!("{}/{}", shards.iter().filter(is_done).count(), shards.len())
}

/// How the task of a shard ended: its exit code, the signal, or the status of the answer.
fn exit(row: &Row<'_>) -> String {
    let forms = [("/exitCode", ""), ("/signal", "signal "), ("/httpStatus", "HTTP ")];
    let given =
        forms.iter().find(|(member, _)| row.value.pointer(member).is_some_and(Value::is_i64));
    given.map_or_else(
        || row.text("/exitCode"),
        |(member, kind)| format!("{kind}{}", row.text(member)),
    )
}

/// Carries out a command.
/// Only a rerun that waits has an exit code of its own.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: RunCommand,
) -> Result<ExitCode, CliError> {
    match command {
        RunCommand::Rerun { id, failed_only, wait } => {
            let path = ApiPath::of(&["runs", id.as_str(), "rerun"]);
            let payload = Payload::json(json!({ "failedOnly": failed_only }).to_string());
            let verbs = ["made", "is under way already"];
            return job::make_run(client, out, &path, payload, verbs, wait).await;
        }
        RunCommand::List { job, app, state, limit } => {
            let state = state.map(|state| show::state_name(&state));
            let path = ApiPath::of(&["runs"])
                .with("job", job.as_ref().map(JobName::as_str))
                .with("app", app.as_ref().map(AppName::as_str))
                .with("state", state.as_deref());
            show::list(client, out, &path, Some(limit), &COLUMNS).await?;
        }
        RunCommand::Get { id } => {
            let answer = client.get(&ApiPath::of(&["runs", id.as_str()])).await?;
            show_run(client, out, answer.get())?;
        }
        RunCommand::Cancel { id } => {
            let path = ApiPath::of(&["runs", id.as_str(), "cancel"]);
            let answer = client.change(Method::POST, &path, Payload::default()).await?;
            show::done(out, &answer.text, &format!("run {id} is being cancelled"))?;
        }
        RunCommand::Logs(args) => logs::run(client, args).await?,
        RunCommand::Events { id } => {
            let path = ApiPath::of(&["runs", id.as_str(), "events"]);
            show::list(client, out, &path, None, &EVENT_COLUMNS).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows one run.
pub(super) fn show_run(client: &Client, out: Output, answer: &str) -> Result<(), CliError> {
    show::resource(client, out, answer, |value| render(&Row { value, now: show::now() }))
}

fn render(row: &Row<'_>) -> String {
    let pairs = [
        ("run", row.text("/id")),
        ("job", row.text("/job")),
        ("logical time", row.text("/logicalTime")),
        ("state", row.text("/state")),
        ("reason", row.text("/reason")),
        ("attempt", row.text("/attempt")),
        ("submitter", row.text("/submitter")),
        ("created", row.text("/createdAt")),
        ("started", row.text("/startedAt")),
        ("finished", row.text("/finishedAt")),
        ("took", row.span("/startedAt", "/finishedAt")),
    ];
    let shards = table::render(&SHARD_COLUMNS, row.array("/shards"), row.now);
    format!("{}\n\n{shards}", table::render_pairs(&pairs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    fn example() -> Value {
        json!({"id": "foo@20261120T020000Z", "job": "foo", "logicalTime": "2026-11-20T02:00:00Z",
            "state": "FAILED", "reason": "shard 1 failed", "attempt": 1, "shards": [
            {"item": 0, "state": "SUCCEEDED", "taskId": "t0", "agent": "S0", "attempt": 1,
                "exitCode": 0, "message": null,
                "usage": {"durationMs": 8200, "cpuTimeMs": 950, "memoryPeakBytes": 7_500_000}},
            {"item": 1, "state": "FAILED", "taskId": "t1", "agent": "S1", "attempt": 3,
                "exitCode": null, "signal": 9, "message": "no space\nleft"}],
            "createdAt": "2026-11-20T02:00:00Z", "startedAt": "2026-11-20T02:00:01Z",
            "finishedAt": "2026-11-20T02:00:09Z"})
    }

    #[test]
    fn the_list_counts_shards_and_time() {
        let now = "2026-11-20T02:01:00Z".parse::<Timestamp>().unwrap();
        assert_eq!(
            table::render(&COLUMNS, &[example()], now),
            "ID                    STATE   SHARDS  CREATED  TOOK  REASON\n\
             foo@20261120T020000Z  FAILED  1/2     60s ago  8s    shard 1 failed"
        );
    }

    #[test]
    fn one_run_shows_its_shards() {
        let value = example();
        let text = render(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.starts_with("run:           foo@20261120T020000Z\n"), "{text}");
        let shards: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!(
            shards,
            [
                "1     FAILED     3        signal 9  -     -       -       S1     t1    no space left",
                "0     SUCCEEDED  1        0         8s    950 ms  8 MB    S0     t0    -"
            ]
        );
    }
}
