//! `shiftwork offer` and `shiftwork executor`: what is held, and what runs tasks.

use clap::Subcommand;
use shiftwork_engine::ids::AppName;

use super::agent;
use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::Column;

/// What to do with offers.
#[derive(Debug, Clone, Subcommand)]
pub enum OfferCommand {
    /// List the offers that are held
    List {
        /// Only those of this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
    },
}

/// What to do with executors.
#[derive(Debug, Clone, Subcommand)]
pub enum ExecutorCommand {
    /// List the executors of this framework
    List {
        /// Only those of this app
        #[arg(long, value_parser = AppName::parse)]
        app: Option<AppName>,
        /// Only those on this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
    },
}

const OFFERS: [Column; 5] = [
    Column { title: "ID", cell: |row| row.text("/id") },
    Column { title: "AGENT", cell: |row| row.text("/agent") },
    Column { title: "HOSTNAME", cell: |row| row.text("/hostname") },
    Column { title: "HELD", cell: |row| row.age("/since") },
    Column { title: "RESOURCES", cell: |row| agent::amounts(row, "resources") },
];

const EXECUTORS: [Column; 6] = [
    Column { title: "ID", cell: |row| row.text("/id") },
    Column { title: "APP", cell: |row| row.text("/app") },
    Column { title: "AGENT", cell: |row| row.text("/agent") },
    Column { title: "STATE", cell: |row| row.text("/state") },
    Column { title: "TASKS", cell: |row| row.text("/tasks") },
    Column { title: "RESOURCES", cell: |row| agent::amounts(row, "resources") },
];

/// Carries out a command about offers.
pub(super) async fn offers(
    client: &Client,
    out: Output,
    command: OfferCommand,
) -> Result<(), CliError> {
    let OfferCommand::List { agent } = command;
    let path = ApiPath::of(&["offers"]).with("agent", agent.as_deref());
    show::list(client, out, &path, None, &OFFERS).await
}

/// Carries out a command about executors.
pub(super) async fn executors(
    client: &Client,
    out: Output,
    command: ExecutorCommand,
) -> Result<(), CliError> {
    let ExecutorCommand::List { app, agent } = command;
    let path = ApiPath::of(&["executors"])
        .with("app", app.as_ref().map(AppName::as_str))
        .with("agent", agent.as_deref());
    show::list(client, out, &path, None, &EXECUTORS).await
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn both_lists_show_resources() {
        let now = Timestamp::from_millis(3_000);
        let offer = json!({"id": "O1", "agent": "S0", "hostname": "a",
            "since": "1970-01-01T00:00:01Z", "resources": {"cpus": 2.0}});
        assert_eq!(
            table::render(&OFFERS, &[offer], now),
            "ID  AGENT  HOSTNAME  HELD    RESOURCES\nO1  S0     a         2s ago  cpus 2.0"
        );
        let executor = json!({"id": "app@-@S0", "app": "app", "agent": "S0", "state": "RUNNING",
            "tasks": 1, "resources": null});
        assert!(table::render(&EXECUTORS, &[executor], now).ends_with("RUNNING  1      -"));
    }
}
