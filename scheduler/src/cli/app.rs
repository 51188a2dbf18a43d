//! `shiftwork app`: register, show, change and remove apps.

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;
use shiftwork_engine::ids::AppName;

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::file::{self, FileArg, Kind};
use super::output::Output;
use super::show;
use super::table::{self, Column, Row};

/// What to do with apps.
#[derive(Debug, Clone, Subcommand)]
pub enum AppCommand {
    /// List all apps
    List,
    /// Show one app and its document
    Get {
        /// The app
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Register an app
    Create(DocumentArgs),
    /// Replace the document of an app
    Update(DocumentArgs),
    /// Remove an app and all its jobs
    Delete {
        /// The app
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Let the jobs of an app run again
    Enable {
        /// The app
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Keep the jobs of an app from running
    Disable {
        /// The app
        #[arg(value_parser = AppName::parse)]
        name: AppName,
        /// Why, for those who wonder later
        #[arg(long)]
        reason: Option<String>,
    },
}

/// A document to send.
#[derive(Debug, Clone, clap::Args)]
pub struct DocumentArgs {
    #[command(flatten)]
    file: FileArg,
}

impl DocumentArgs {
    /// Creates what the file describes.
    pub(super) async fn create(
        &self,
        client: &Client,
        out: Output,
        kind: Kind,
    ) -> Result<(), CliError> {
        let text = self.file.read()?;
        let document = file::document(kind, &text).map_err(|problem| self.file.wrong(problem))?;
        let path = ApiPath::of(&[kind.collection()]);
        let answer = client.change(Method::POST, &path, Payload::json(document.text)).await?;
        show::done(out, &answer.text, &format!("{} {} created", kind.noun(), document.name))
    }

    /// Replaces what the file describes.
    pub(super) async fn update(
        &self,
        client: &Client,
        out: Output,
        kind: Kind,
    ) -> Result<(), CliError> {
        let text = self.file.read()?;
        let document = file::document(kind, &text).map_err(|problem| self.file.wrong(problem))?;
        let path = ApiPath::of(&[kind.collection(), &document.name]);
        let answer = client.change(Method::PUT, &path, Payload::json(document.text)).await?;
        show::done(out, &answer.text, &format!("{} {} updated", kind.noun(), document.name))
    }
}

const COLUMNS: [Column; 4] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "JOBS", cell: |row| row.text("/jobs") },
    Column { title: "ENABLED", cell: |row| row.text("/enabled") },
    Column { title: "NOTE", cell: note },
];

/// What stands in the way, if anything.
pub(super) fn note(row: &Row<'_>) -> String {
    match (row.value.pointer("/problem"), row.value.pointer("/disabled")) {
        (Some(Value::String(problem)), _) => problem.clone(),
        (_, Some(Value::Object(_))) => {
            let by =
                format!("disabled by {} {}", row.text("/disabled/by"), row.age("/disabled/at"));
            match row.value.pointer("/disabled/reason").and_then(Value::as_str) {
                Some(reason) => format!("{by}: {reason}"),
                None => by,
            }
        }
        _ => "-".to_owned(),
    }
}

/// Carries out a command.
pub(super) async fn run(client: &Client, out: Output, command: AppCommand) -> Result<(), CliError> {
    match command {
        AppCommand::List => show::list(client, out, &ApiPath::of(&["apps"]), None, &COLUMNS).await,
        AppCommand::Get { name } => {
            let answer = client.get(&ApiPath::of(&["apps", name.as_str()])).await?;
            show::resource(client, out, answer.get(), |value| {
                render(&Row { value, now: show::now() })
            })
        }
        AppCommand::Create(document) => document.create(client, out, Kind::App).await,
        AppCommand::Update(document) => document.update(client, out, Kind::App).await,
        AppCommand::Delete { name } => delete(client, out, Kind::App, name.as_str()).await,
        AppCommand::Enable { name } => {
            set_enabled(client, out, Kind::App, name.as_str(), true, None).await
        }
        AppCommand::Disable { name, reason } => {
            set_enabled(client, out, Kind::App, name.as_str(), false, reason).await
        }
    }
}

/// Removes an app or a job.
pub(super) async fn delete(
    client: &Client,
    out: Output,
    kind: Kind,
    name: &str,
) -> Result<(), CliError> {
    let path = ApiPath::of(&[kind.collection(), name]);
    let answer = client.change(Method::DELETE, &path, Payload::default()).await?;
    show::done(out, &answer.text, &format!("{} {name} deleted", kind.noun()))
}

/// Enables or disables an app or a job.
pub(super) async fn set_enabled(
    client: &Client,
    out: Output,
    kind: Kind,
    name: &str,
    enabled: bool,
    reason: Option<String>,
) -> Result<(), CliError> {
    let verb = if enabled { "enable" } else { "disable" };
    let path = ApiPath::of(&[kind.collection(), name, verb]);
    let payload = match reason {
        Some(reason) => Payload::json(serde_json::json!({ "reason": reason }).to_string()),
        None => Payload::default(),
    };
    let answer = client.change(Method::POST, &path, payload).await?;
    show::done(out, &answer.text, &format!("{} {name} {verb}d", kind.noun()))
}

fn render(row: &Row<'_>) -> String {
    let pairs = [
        ("name", row.text("/name")),
        ("jobs", row.text("/jobs")),
        ("enabled", row.text("/enabled")),
        ("note", note(row)),
    ];
    format!("{}\n{}", table::render_pairs(&pairs), document(row))
}

/// The stored document, indented.
pub(super) fn document(row: &Row<'_>) -> String {
    let document = row.value.get("document").unwrap_or(&Value::Null);
    format!("document:\n{document:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn the_list_says_who_disabled_what() {
        let rows = [
            json!({"name": "shop", "jobs": 2, "enabled": true, "disabled": null, "problem": null}),
            json!({"name": "bank", "jobs": 0, "enabled": false, "problem": null, "disabled":
                {"name": "bank", "by": "ann", "reason": "audit", "at": "1970-01-01T00:00:00Z"}}),
        ];
        assert_eq!(
            table::render(&COLUMNS, &rows, Timestamp::from_millis(5_000)),
            "NAME  JOBS  ENABLED  NOTE\n\
             shop  2     yes      -\n\
             bank  0     no       disabled by ann 5s ago: audit"
        );
    }

    #[test]
    fn one_app_shows_its_document() {
        let value = json!({"name": "a", "jobs": 0, "enabled": true, "document": {"appName": "a"}});
        let text = render(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.starts_with("name:     a\n"), "{text}");
        assert!(text.ends_with("document:\n{\n  \"appName\": \"a\"\n}"), "{text}");
    }
}
