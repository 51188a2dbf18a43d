//! `shiftwork export`: all documents that are registered, in the form that `apply` takes.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shiftwork_engine::ids::AppName;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::file::Kind;
use super::output::{self, Output};
use super::show;

/// What to export, and where to.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Only this app and its jobs
    #[arg(long, value_parser = AppName::parse)]
    app: Option<AppName>,
    /// Write a file for each document into this directory instead of printing them all
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The documents of all kinds.
#[derive(Debug, Default, Serialize)]
struct Bundle {
    apps: Vec<Value>,
    calendars: Vec<Value>,
    jobs: Vec<Value>,
}

/// Prints or writes the documents.
pub(super) async fn run(client: &Client, out: Output, args: &ExportArgs) -> Result<(), CliError> {
    let bundle = read(client, args.app.as_ref()).await?;
    let Some(dir) = &args.dir else {
        let failed = |error: serde_json::Error| CliError::Output(error.into());
        return match out {
            Output::Yaml => {
                output::print_json(out, &serde_json::to_string(&bundle).map_err(failed)?)
            }
            Output::Json | Output::Table => {
                output::print(&serde_json::to_string_pretty(&bundle).map_err(failed)?)
            }
        };
    };
    std::fs::create_dir_all(dir).map_err(|source| cannot_write(dir, source))?;
    let mut count = 0;
    for (kind, documents) in
        [(Kind::App, &bundle.apps), (Kind::Calendar, &bundle.calendars), (Kind::Job, &bundle.jobs)]
    {
        for document in documents {
            write(dir, kind, document, out)?;
            count += 1;
        }
    }
    show::done(Output::Table, "", &format!("{count} documents written to {}", dir.display()))
}

async fn read(client: &Client, app: Option<&AppName>) -> Result<Bundle, CliError> {
    let app_name = app.map(AppName::as_str);
    let apps = match app_name {
        Some(name) => vec![client.get(&ApiPath::of(&["apps", name])).await?],
        None => client.list(&ApiPath::of(&["apps"]), None).await?,
    };
    let jobs = client.list(&ApiPath::of(&["jobs"]).with("app", app_name), None).await?;
    let jobs = documents(client, &jobs)?;
    let mut calendars = documents(client, &client.list(&ApiPath::of(&["calendars"]), None).await?)?;
    if app.is_some() {
        calendars.retain(|calendar| names(&jobs, calendar));
    }
    Ok(Bundle { apps: documents(client, &apps)?, calendars, jobs })
}

/// Whether one of these jobs names a calendar.
fn names(jobs: &[Value], calendar: &Value) -> bool {
    jobs.iter().any(|job| {
        let named = job.get("calendars").and_then(Value::as_array).into_iter().flatten();
        named.into_iter().any(|name| Some(name) == calendar.get("calendarName"))
    })
}

/// The documents in views.
fn documents(client: &Client, views: &[Box<RawValue>]) -> Result<Vec<Value>, CliError> {
    let document = |view: &RawValue| {
        let view: Value = client.parse(view.get())?;
        Ok(view.get("document").cloned().unwrap_or_default())
    };
    views.iter().map(|view| document(view)).collect()
}

/// Writes a document into a file of its own, `job-{name}.json`.
fn write(dir: &Path, kind: Kind, document: &Value, out: Output) -> Result<(), CliError> {
    let name = document.get(kind.name_field()).and_then(Value::as_str).unwrap_or_default();
    let (text, extension) = match out {
        Output::Yaml => (output::yaml(&document.to_string())?, "yaml"),
        Output::Json | Output::Table => (format!("{document:#}\n"), "json"),
    };
    // Names hold no separators, so that none leads out of the directory.
    let path = dir.join(format!("{}-{name}.{extension}", kind.noun()));
    std::fs::write(&path, text).map_err(|source| cannot_write(&path, source))
}

fn cannot_write(path: &Path, source: std::io::Error) -> CliError {
    CliError::Write { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_is_named_for_its_document() {
        let dir = tempfile::tempdir().unwrap();
        let job = json!({"jobName": "j", "appName": "a"});
        write(dir.path(), Kind::Job, &job, Output::Yaml).unwrap();
        write(dir.path(), Kind::App, &json!({"appName": "a"}), Output::Table).unwrap();
        let text = std::fs::read_to_string(dir.path().join("job-j.yaml")).unwrap();
        assert_eq!(text, "appName: a\njobName: j\n");
        assert!(dir.path().join("app-a.json").exists());
    }

    #[test]
    fn an_app_takes_the_calendars_of_its_jobs_along() {
        let jobs = [json!({"jobName": "j", "calendars": ["off"]}), json!({"jobName": "k"})];
        assert!(names(&jobs, &json!({"calendarName": "off"})));
        assert!(!names(&jobs, &json!({"calendarName": "other"})));
    }
}
