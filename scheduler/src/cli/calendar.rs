//! `shiftwork calendar`: register, show, change and remove the days on which jobs do not fire.

use clap::Subcommand;
use shiftwork_engine::ids::CalendarName;

use super::app::{self, DocumentArgs};
use super::client::{ApiPath, Client};
use super::error::CliError;
use super::file::Kind;
use super::output::Output;
use super::show;
use super::table::{self, Column, Row};

/// What to do with calendars.
#[derive(Debug, Clone, Subcommand)]
pub enum CalendarCommand {
    /// List all calendars
    List,
    /// Show one calendar and its document
    Get {
        /// The calendar
        #[arg(value_parser = CalendarName::parse)]
        name: CalendarName,
    },
    /// Register a calendar
    Create(DocumentArgs),
    /// Replace the document of a calendar, for all jobs that name it
    Update(DocumentArgs),
    /// Remove a calendar that no job names
    Delete {
        /// The calendar
        #[arg(value_parser = CalendarName::parse)]
        name: CalendarName,
    },
}

const COLUMNS: [Column; 4] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "JOBS", cell: |row| row.text("/jobs") },
    Column { title: "ZONE", cell: |row| row.text("/document/timeZone") },
    Column { title: "NOTE", cell: app::note },
];

/// Carries out a command.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: CalendarCommand,
) -> Result<(), CliError> {
    match command {
        CalendarCommand::List => {
            show::list(client, out, &ApiPath::of(&["calendars"]), None, &COLUMNS).await
        }
        CalendarCommand::Get { name } => {
            let answer = client.get(&ApiPath::of(&["calendars", name.as_str()])).await?;
            show::resource(client, out, answer.get(), |value| {
                render(&Row { value, now: show::now() })
            })
        }
        CalendarCommand::Create(document) => document.create(client, out, Kind::Calendar).await,
        CalendarCommand::Update(document) => document.update(client, out, Kind::Calendar).await,
        CalendarCommand::Delete { name } => {
            app::delete(client, out, Kind::Calendar, name.as_str()).await
        }
    }
}

fn render(row: &Row<'_>) -> String {
    let pairs =
        [("name", row.text("/name")), ("jobs", row.text("/jobs")), ("note", app::note(row))];
    format!("{}\n{}", table::render_pairs(&pairs), app::document(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn the_list_shows_users_and_zone() {
        let rows = [
            json!({"name": "holidays", "jobs": 2, "problem": null,
                "document": {"calendarName": "holidays", "timeZone": "Europe/Berlin"}}),
            json!({"name": "odd", "jobs": 0, "problem": "is not valid JSON", "document": "x"}),
        ];
        assert_eq!(
            table::render(&COLUMNS, &rows, Timestamp::from_millis(0)),
            "NAME      JOBS  ZONE           NOTE\n\
             holidays  2     Europe/Berlin  -\n\
             odd       0     -              is not valid JSON"
        );
    }
}
