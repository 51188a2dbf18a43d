//! `shiftwork queue`: what is ready, what waits to be launched again, what runs.

use clap::Subcommand;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::Column;

/// Which queue.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum QueueCommand {
    /// Jobs with pending runs
    Ready,
    /// Shards that wait to be launched again
    Failover,
    /// Tasks that run
    Running,
}

const READY: [Column; 4] = [
    Column { title: "JOB", cell: |row| row.text("/job") },
    Column { title: "TIMES", cell: |row| row.text("/times") },
    Column { title: "NEXT", cell: |row| row.text("/next") },
    Column { title: "REASON", cell: |row| row.text("/reason") },
];

const FAILOVER: [Column; 5] = [
    Column { title: "RUN", cell: |row| row.text("/run") },
    Column { title: "ITEM", cell: |row| row.text("/item") },
    Column { title: "DUE", cell: |row| row.age("/due") },
    Column { title: "ORIGINAL TASK", cell: |row| row.text("/originalTaskId") },
    Column { title: "REASON", cell: |row| row.text("/reason") },
];

const RUNNING: [Column; 7] = [
    Column { title: "RUN", cell: |row| row.text("/run") },
    Column { title: "ITEM", cell: |row| row.text("/item") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "SINCE", cell: |row| row.age("/since") },
    Column { title: "IDLE", cell: |row| row.text("/idle") },
    Column { title: "AGENT", cell: |row| row.text("/agent") },
    Column { title: "TASK", cell: |row| row.text("/taskId") },
];

/// Carries out a command.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: QueueCommand,
) -> Result<(), CliError> {
    let (name, columns): (&str, &[Column]) = match command {
        QueueCommand::Ready => ("ready", &READY),
        QueueCommand::Failover => ("failover", &FAILOVER),
        QueueCommand::Running => ("running", &RUNNING),
    };
    show::list(client, out, &ApiPath::of(&["queues", name]), None, columns).await
}
