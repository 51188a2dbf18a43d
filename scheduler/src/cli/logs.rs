//! `shiftwork run logs`: what the shards of a run write. Absent: where it is kept; the API knows.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use shiftwork_engine::ids::RunId;

use super::client::{ApiPath, Client};
use super::error::CliError;

/// How often a followed run is looked at: soon enough for people.
const POLL: Duration = Duration::from_millis(500);

/// Which output of which shards.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The run
    #[arg(value_parser = RunId::parse)]
    id: RunId,
    /// Only this shard; all of them otherwise, one after the other
    #[arg(long)]
    shard: Option<u64>,
    /// What was written to stderr
    #[arg(long)]
    stderr: bool,
    /// Go on until the run has ended
    #[arg(short, long)]
    follow: bool,
}

/// How far one task has been shown.
struct Shown {
    task: String,
    offset: u64,
    /// How far the file that was put aside for a new one has been shown, while it comes first.
    aside: Option<u64>,
}

/// Shows what the shards wrote.
pub(super) async fn run(client: &Client, args: LogsArgs) -> Result<(), CliError> {
    let path = ApiPath::of(&["runs", args.id.as_str()]);
    let stream = if args.stderr { "stderr" } else { "stdout" };
    let mut shown: Vec<Shown> = Vec::new();
    loop {
        let answer = client.get(&path).await?;
        let run: Value = client.parse(answer.get())?;
        let shards = run.get("shards").and_then(Value::as_array).into_iter().flatten();
        let wanted: Vec<(u64, String)> = shards
            .filter_map(|shard| {
                let item = shard.get("item")?.as_u64()?;
                Some((item, shard.get("taskId")?.as_str()?.to_owned()))
            })
            .filter(|(item, _)| args.shard.is_none_or(|only| only == *item))
            .collect();
        let several = wanted.len() > 1;
        for (item, task) in wanted {
            let at = shown.iter().position(|shown| shown.task == task).unwrap_or_else(|| {
                shown.push(Shown { task, offset: 0, aside: Some(0) });
                shown.len() - 1
            });
            if let Some(shown) = shown.get_mut(at) {
                show_rest(client, shown, stream, several.then_some(item)).await?;
            }
        }
        let state = run.get("state").and_then(Value::as_str).unwrap_or_default();
        if !args.follow || !matches!(state, "PENDING" | "LAUNCHING" | "RUNNING") {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Shows what one task wrote.
pub(super) async fn of_task(client: &Client, task: String, stderr: bool) -> Result<(), CliError> {
    let stream = if stderr { "stderr" } else { "stdout" };
    show_rest(client, &mut Shown { task, offset: 0, aside: Some(0) }, stream, None).await
}

/// Shows what a task wrote since it was last looked at.
async fn show_rest(
    client: &Client,
    shown: &mut Shown,
    stream: &str,
    item: Option<u64>,
) -> Result<(), CliError> {
    loop {
        let offset = shown.aside.unwrap_or(shown.offset).to_string();
        let path = ApiPath::of(&["tasks", &shown.task, "logs"])
            .with("stream", Some(stream))
            .with("rotated", shown.aside.map(|_| "true"))
            .with("offset", Some(&offset));
        let answer = client.get(&path).await?;
        let log: Value = client.parse(answer.get())?;
        let text = |name: &str| log.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| log.get(name).and_then(Value::as_u64);
        if let Some(at) = shown.aside.filter(|_| text("source") == "agent") {
            print(text("data"), item);
            let next = number("next").filter(|next| *next > at);
            shown.aside = next;
            continue;
        }
        if text("source") != "agent" {
            if shown.offset == 0 {
                eprintln!(
                    "the task's file cannot be read: {}; what its status said:",
                    text("note")
                );
                println!("{}", text("data"));
            }
            shown.offset = u64::MAX;
            shown.aside = None;
            return Ok(());
        }
        let data = text("data");
        if data.is_empty() {
            if number("size").is_none_or(|size| size >= shown.offset) {
                return Ok(());
            }
            // It was begun anew: the rest of the old one is in the file put aside.
            shown.aside = Some(std::mem::take(&mut shown.offset));
            continue;
        }
        print(data, item);
        shown.offset = number("next").unwrap_or(shown.offset);
    }
}

/// Prints a part of an output, each line with its shard if there are several.
fn print(data: &str, item: Option<u64>) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone, as `head` does, needs nothing more.
    let _gone = match item {
        None => out.write_all(data.as_bytes()),
        Some(item) => data.lines().try_for_each(|line| writeln!(out, "{item} | {line}")),
    };
    let _gone = out.flush();
}
