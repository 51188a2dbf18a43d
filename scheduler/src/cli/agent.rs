//! `shiftwork agent`: the agents as the offers held show them.

use clap::Subcommand;
use serde_json::Value;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::{self, Column, Row};

/// What to do with agents.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AgentCommand {
    /// List the agents whose offers are held
    List,
}

const COLUMNS: [Column; 5] = [
    Column { title: "ID", cell: |row| row.text("/id") },
    Column { title: "HOSTNAME", cell: |row| row.text("/hostname") },
    Column { title: "TASKS", cell: |row| row.text("/tasks") },
    Column { title: "EXECUTORS", cell: |row| row.array("/executors").len().to_string() },
    Column { title: "OFFERED", cell: offered },
];

fn offered(row: &Row<'_>) -> String {
    match row.value.get("offered").and_then(Value::as_object) {
        Some(offered) if !offered.is_empty() => {
            let amounts =
                offered.iter().map(|(name, amount)| format!("{name} {}", table::text(amount)));
            amounts.collect::<Vec<_>>().join(", ")
        }
        _ => "-".to_owned(),
    }
}

/// Carries out a command.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: AgentCommand,
) -> Result<(), CliError> {
    let AgentCommand::List = command;
    show::list(client, out, &ApiPath::of(&["agents"]), None, &COLUMNS).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn the_list_shows_what_is_offered() {
        let rows = [
            json!({"id": "S0", "hostname": "a", "tasks": 2, "executors": ["x"],
                "offered": {"cpus": 1.5, "mem": 512.0}}),
            json!({"id": "S1", "hostname": "b", "tasks": 0, "executors": [], "offered": {}}),
        ];
        assert_eq!(
            table::render(&COLUMNS, &rows, Timestamp::from_millis(0)),
            "ID  HOSTNAME  TASKS  EXECUTORS  OFFERED\n\
             S0  a         2      1          cpus 1.5, mem 512.0\n\
             S1  b         0      0          -"
        );
    }
}
