//! `shiftwork agent`: the agents as the offers held show them.

use clap::Subcommand;
use serde_json::Value;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::{self, Column, Row};

/// What to do with agents.
#[derive(Debug, Clone, Subcommand)]
pub enum AgentCommand {
    /// List the agents whose offers are held or which run executors
    List,
    /// Show one agent
    Get {
        /// Its id
        id: String,
    },
}

const COLUMNS: [Column; 5] = [
    Column { title: "ID", cell: |row| row.text("/id") },
    Column { title: "HOSTNAME", cell: |row| row.text("/hostname") },
    Column { title: "TASKS", cell: |row| row.text("/tasks") },
    Column { title: "EXECUTORS", cell: |row| row.array("/executors").len().to_string() },
    Column { title: "OFFERED", cell: |row| amounts(row, "offered") },
];

/// Amounts by kind, as `cpus 1.5, mem 512.0`.
pub(super) fn amounts(row: &Row<'_>, member: &str) -> String {
    pairs(row, member, |name, amount| format!("{name} {amount}"))
}

fn pairs(row: &Row<'_>, member: &str, pair: impl Fn(&str, String) -> String) -> String {
    match row.value.get(member).and_then(Value::as_object) {
        Some(members) if !members.is_empty() => {
            let members = members.iter().map(|(name, value)| pair(name, table::text(value)));
            members.collect::<Vec<_>>().join(", ")
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
    match command {
        AgentCommand::List => {
            show::list(client, out, &ApiPath::of(&["agents"]), None, &COLUMNS).await
        }
        AgentCommand::Get { id } => {
            let answer = client.get(&ApiPath::of(&["agents", &id])).await?;
            show::resource(client, out, answer.get(), |value| {
                render(&Row { value, now: show::now() })
            })
        }
    }
}

fn render(row: &Row<'_>) -> String {
    let executors = row.array("/executors").iter().map(table::text).collect::<Vec<_>>();
    let executors = if executors.is_empty() { "-".to_owned() } else { executors.join(", ") };
    table::render_pairs(&[
        ("id", row.text("/id")),
        ("hostname", row.text("/hostname")),
        ("attributes", pairs(row, "attributes", |name, value| format!("{name}:{value}"))),
        ("goes away", row.text("/unavailableFrom")),
        ("offered", amounts(row, "offered")),
        ("executors", executors),
        ("tasks", row.text("/tasks")),
    ])
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

    #[test]
    fn one_agent_shows_its_attributes() {
        let value = json!({"id": "S0", "hostname": "a", "tasks": 0, "executors": [],
            "attributes": {"rack": "r1", "zone": "z"}, "offered": {}});
        let text = render(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.contains("attributes:  rack:r1, zone:z\n"), "{text}");
    }
}
