//! `shiftwork job`: register, show, change, remove and trigger jobs, and say when and why.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use shiftwork_engine::ids::{AppName, JobName};

use super::app::{self, DocumentArgs};
use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::file::Kind;
use super::next::{self, NextArgs};
use super::output::{self, Output};
use super::table::{self, Column, Row};
use super::{show, wait};

/// What to do with jobs.
#[derive(Debug, Clone, Subcommand)]
pub enum JobCommand {
    /// List jobs
    List {
        /// Only those of this app
        #[arg(long, value_parser = AppName::parse)]
        app: Option<AppName>,
    },
    /// Show one job and its document
    Get {
        /// The job
        #[arg(value_parser = JobName::parse)]
        name: JobName,
    },
    /// Register a job
    Create(DocumentArgs),
    /// Replace the document of a job
    Update(DocumentArgs),
    /// Remove a job and kill its running tasks
    Delete {
        /// The job
        #[arg(value_parser = JobName::parse)]
        name: JobName,
    },
    /// Let a job run again
    Enable {
        /// The job
        #[arg(value_parser = JobName::parse)]
        name: JobName,
    },
    /// Keep a job from running and kill its running tasks
    Disable {
        /// The job
        #[arg(value_parser = JobName::parse)]
        name: JobName,
        /// Why, for those who wonder later
        #[arg(long)]
        reason: Option<String>,
    },
    /// Make a run now
    Trigger(TriggerArgs),
    /// Show the coming firings of a job, or of an expression without asking a scheduler
    Next(NextArgs),
    /// Say why a job does not run now
    Why {
        /// The job
        #[arg(value_parser = JobName::parse)]
        name: JobName,
    },
}

/// A trigger.
#[derive(Debug, Clone, Args)]
pub struct TriggerArgs {
    /// The job
    #[arg(value_parser = JobName::parse)]
    name: JobName,
    /// In place of the job parameter, for this run
    #[arg(long, value_name = "P")]
    param: Option<String>,
    /// Added to the environment, for this run; may be repeated
    #[arg(long, value_name = "K=V", value_parser = read_variable)]
    env: Vec<(String, String)>,
    /// Only these shards, as 1,3
    #[arg(long, value_name = "ITEMS", value_delimiter = ',')]
    items: Vec<u32>,
    /// In place of a shard's parameter, for this run; may be repeated
    #[arg(long, value_name = "ITEM=P", value_parser = read_item_parameter)]
    item_param: Vec<(u32, String)>,
    /// Idempotency key: the same key makes one run
    #[arg(long)]
    key: Option<String>,
    /// For whom the run is made; who watches events by submitter finds it by this name
    #[arg(long, value_name = "NAME")]
    submitter: Option<String>,
    /// Wait for the run to end; the exit code is 0 only if it succeeded
    #[arg(long)]
    wait: bool,
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be of the form NAME=VALUE".to_owned()),
    }
}

fn read_item_parameter(text: &str) -> Result<(u32, String), String> {
    let pair = text.split_once('=');
    pair.and_then(|(item, parameter)| Some((item.parse().ok()?, parameter.to_owned())))
        .ok_or_else(|| "must be of the form ITEM=PARAMETER, with the number of a shard".to_owned())
}

impl TriggerArgs {
    /// What was said of the same thing twice.
    fn said_twice(&self) -> Option<String> {
        let twice = |names: Vec<String>| {
            let mut seen = BTreeSet::new();
            names.into_iter().find(|name| !seen.insert(name.clone()))
        };
        let env = self.env.iter().map(|(name, _)| format!("--env {name}"));
        let items = self.item_param.iter().map(|(item, _)| format!("--item-param {item}"));
        twice(env.chain(items).collect())
    }

    fn payload(&self) -> Result<Payload, CliError> {
        if let Some(what) = self.said_twice() {
            return Err(CliError::Usage(format!("{what} is there more than once: say it once")));
        }
        let mut overrides = serde_json::Map::new();
        if let Some(param) = &self.param {
            overrides.insert("jobParameter".to_owned(), json!(param));
        }
        if !self.env.is_empty() {
            let env = self.env.iter().map(|(name, value)| (name.clone(), json!(value)));
            overrides.insert("env".to_owned(), Value::Object(env.collect()));
        }
        if !self.items.is_empty() {
            overrides.insert("items".to_owned(), json!(self.items));
        }
        if !self.item_param.is_empty() {
            let pairs = self.item_param.iter().map(|(item, text)| (item.to_string(), json!(text)));
            overrides.insert("shardingItemParameters".to_owned(), Value::Object(pairs.collect()));
        }
        if let Some(submitter) = &self.submitter {
            overrides.insert("submitter".to_owned(), json!(submitter));
        }
        let body = (!overrides.is_empty()).then(|| Value::Object(overrides).to_string());
        Ok(Payload { body, idempotency_key: self.key.clone() })
    }
}

const COLUMNS: [Column; 8] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "APP", cell: |row| row.text("/app") },
    Column { title: "SCHEDULE", cell: schedule },
    Column { title: "SHARDS", cell: |row| row.text("/document/shardingTotalCount") },
    Column { title: "PENDING", cell: |row| row.text("/pending") },
    Column { title: "RUNNING", cell: |row| row.text("/running") },
    Column { title: "NEXT", cell: |row| row.age("/nextFiring") },
    Column { title: "NOTE", cell: app::note },
];

/// The one of the fields that say when a job fires.
fn schedule(row: &Row<'_>) -> String {
    let document = row.value.get("document");
    let field = |name: &str| document?.get(name)?.as_str().filter(|text| !text.is_empty());
    let calendars = document.and_then(|it| it.get("calendars")?.as_array());
    let names = calendars.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let names: Vec<&str> = names.collect();
    let except =
        if names.is_empty() { String::new() } else { format!(" except {}", names.join(", ")) };
    format!("{}{except}", rhythm(&field))
}

fn rhythm<'a>(field: &impl Fn(&str) -> Option<&'a str>) -> String {
    if let Some(cron) = field("cron") {
        match field("timeZone") {
            Some(zone) => format!("{cron} ({zone})"),
            None => cron.to_owned(),
        }
    } else if let Some(every) = field("every") {
        format!("every {every}")
    } else if let Some(at) = field("at") {
        format!("at {at}")
    } else {
        "on trigger".to_owned()
    }
}

/// Carries out a command. Only a trigger that waits has an exit code of its own.
pub(super) async fn run(
    client: &Client,
    out: Output,
    command: JobCommand,
) -> Result<ExitCode, CliError> {
    match command {
        JobCommand::List { app } => {
            let path = ApiPath::of(&["jobs"]).with("app", app.as_ref().map(AppName::as_str));
            show::list(client, out, &path, None, &COLUMNS).await?;
        }
        JobCommand::Get { name } => {
            let answer = client.get(&ApiPath::of(&["jobs", name.as_str()])).await?;
            show::resource(client, out, answer.get(), |value| {
                render(&Row { value, now: show::now() })
            })?;
        }
        JobCommand::Create(document) => document.create(client, out, Kind::Job).await?,
        JobCommand::Update(document) => document.update(client, out, Kind::Job).await?,
        JobCommand::Delete { name } => app::delete(client, out, Kind::Job, name.as_str()).await?,
        JobCommand::Enable { name } => {
            app::set_enabled(client, out, Kind::Job, name.as_str(), true, None).await?;
        }
        JobCommand::Disable { name, reason } => {
            app::set_enabled(client, out, Kind::Job, name.as_str(), false, reason).await?;
        }
        JobCommand::Trigger(args) => return trigger(client, out, &args).await,
        JobCommand::Next(args) => next::of_job(client, out, &args).await?,
        JobCommand::Why { name } => {
            let answer = client.get(&ApiPath::of(&["jobs", name.as_str(), "why"])).await?;
            show::resource(client, out, answer.get(), |value| {
                render_why(&Row { value, now: show::now() })
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn trigger(client: &Client, out: Output, args: &TriggerArgs) -> Result<ExitCode, CliError> {
    let path = ApiPath::of(&["jobs", args.name.as_str(), "trigger"]);
    make_run(
        client,
        out,
        &path,
        args.payload()?,
        ["triggered", "had been triggered before"],
        args.wait,
    )
    .await
}

/// Asks for a run and, if so wished, waits for its end. `verbs`: what is said of a new run, and of
/// one that was there.
pub(super) async fn make_run(
    client: &Client,
    out: Output,
    path: &ApiPath,
    payload: Payload,
    verbs: [&str; 2],
    wait: bool,
) -> Result<ExitCode, CliError> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let answer = client.change(Method::POST, path, payload).await?;
    let Made { id } = client.parse(&answer.text)?;
    let [new, old] = verbs;
    let sentence = format!("run {id} {}", if answer.created { new } else { old });
    if !wait {
        show::done(out, &answer.text, &sentence)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::progress(&sentence);
    wait::until_ended(client, out, &id).await
}

fn render(row: &Row<'_>) -> String {
    let pairs = [
        ("name", row.text("/name")),
        ("app", row.text("/app")),
        ("schedule", schedule(row)),
        ("enabled", row.text("/enabled")),
        ("pending runs", row.text("/pending")),
        ("running", row.text("/running")),
        ("next firing", moment(row, "/nextFiring")),
        ("note", app::note(row)),
    ];
    format!("{}\n{}", table::render_pairs(&pairs), app::document(row))
}

fn render_why(row: &Row<'_>) -> String {
    let pairs = [
        ("answer", row.text("/answer")),
        ("enabled", row.text("/enabled")),
        ("running", row.text("/running/run")),
        ("pending runs", row.text("/pendingRuns")),
        ("next of them", row.text("/pending/run")),
        ("next firing", moment(row, "/nextFiring")),
    ];
    table::render_pairs(&pairs)
}

/// An instant and how far away it is.
fn moment(row: &Row<'_>, pointer: &str) -> String {
    match row.text(pointer).as_str() {
        "-" => "-".to_owned(),
        at => format!("{at} ({})", row.age(pointer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn the_list_shows_schedule_and_next_firing() {
        let rows = [
            json!({"name": "nightly", "app": "shop", "pending": 0, "running": null,
                "nextFiring": "1970-01-01T02:00:00Z", "document":
                {"cron": "0 0 2 * * ?", "timeZone": "Europe/Berlin", "shardingTotalCount": 3}}),
            json!({"name": "daily", "app": "shop", "pending": 0, "running": null, "document":
                {"every": "1h", "calendars": ["off"], "shardingTotalCount": 1}}),
            json!({"name": "poll", "app": "shop", "pending": 2, "running": "poll@x",
                "nextFiring": null, "document": {"every": "90s", "shardingTotalCount": 1}}),
            json!({"name": "broken", "app": null, "pending": 0, "running": null,
                "problem": "cron is empty", "document": {"cron": ""}}),
        ];
        assert_eq!(
            table::render(&COLUMNS, &rows, Timestamp::from_millis(0)),
            "NAME     APP   SCHEDULE                     SHARDS  PENDING  RUNNING  NEXT      NOTE\n\
             nightly  shop  0 0 2 * * ? (Europe/Berlin)  3       0        -        in 2h00m  -\n\
             daily    shop  every 1h except off          1       0        -        -         -\n\
             poll     shop  every 90s                    1       2        poll@x   -         -\n\
             broken   -     on trigger                   -       0        -        -         cron is empty"
        );
    }

    #[test]
    fn a_trigger_sends_only_what_was_given() {
        let args = |env: &[(&str, &str)], param: Option<&str>| TriggerArgs {
            name: JobName::parse("foo").unwrap(),
            param: param.map(str::to_owned),
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            items: Vec::new(),
            item_param: Vec::new(),
            key: None,
            submitter: None,
            wait: false,
        };
        assert_eq!(args(&[], None).payload().unwrap().body, None);
        assert_eq!(
            args(&[("A", "1"), ("B", "x=y")], Some("p")).payload().unwrap().body.as_deref(),
            Some(r#"{"env":{"A":"1","B":"x=y"},"jobParameter":"p"}"#)
        );
        let mut some = args(&[], None);
        (some.items, some.item_param) = (vec![1, 3], vec![(1, "x".to_owned())]);
        assert_eq!(
            some.payload().unwrap().body.as_deref(),
            Some(r#"{"items":[1,3],"shardingItemParameters":{"1":"x"}}"#)
        );
        some.item_param.push((1, "y".to_owned()));
        assert!(
            some.payload().is_err() && args(&[("A", "1"), ("A", "2")], None).payload().is_err()
        );
        assert_eq!(read_item_parameter("1=x=y"), Ok((1, "x=y".to_owned())));
        assert!(read_item_parameter("x=1").is_err() && read_item_parameter("1").is_err());
        assert_eq!(read_variable("B=x=y"), Ok(("B".to_owned(), "x=y".to_owned())));
        assert!(read_variable("=x").is_err() && read_variable("A").is_err());
    }

    #[test]
    fn why_begins_with_the_answer() {
        let value = json!({"answer": "app shop is disabled: enable it", "enabled": false,
            "running": null, "pendingRuns": 1, "pending": {"run": "foo@x"},
            "nextFiring": "1970-01-01T00:01:00Z"});
        let text = render_why(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.starts_with("answer:        app shop is disabled: enable it\n"), "{text}");
        assert!(text.ends_with("next firing:   1970-01-01T00:01:00Z (in 60s)"), "{text}");
    }
}
