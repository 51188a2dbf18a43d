//! `shiftwork events`: what happens to runs and tasks, as it happens. It survives a scheduler that
//! restarts or hands over: it goes on behind the last event it showed. Absent: what happened to one run
//! (`shiftwork run events`).

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use serde_json::Value;
use shiftwork_engine::ids::{JobName, RunId};

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::{self, Output};
use super::show;
use super::table::Row;

/// How long the scheduler may be away in between: a restart or an election takes less.
const AWAY_MAX: Duration = Duration::from_mins(2);
/// How often it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// Only of this job
    #[arg(long, value_parser = JobName::parse)]
    job: Option<JobName>,
    /// Only of this run
    #[arg(long, value_parser = RunId::parse)]
    run: Option<RunId>,
    /// Only of runs that this submitter asked for
    #[arg(long, value_name = "NAME")]
    submitter: Option<String>,
    /// Only of runs, or only of tasks
    #[arg(long, value_enum)]
    kind: Option<EventKind>,
    /// Begin behind the event with this id; 0.0 for all that are still kept [default: now]
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End after this many events
    #[arg(short, long, value_name = "COUNT")]
    n: Option<u64>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EventKind {
    /// A run.
    Run,
    /// A task of a run.
    Task,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "RUN",
            Self::Task => "TASK",
        }
    }
}

/// One block of server-sent events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
}

/// Shows events until it has shown enough, or for ever.
pub(super) async fn run(client: &Client, out: Output, args: &EventsArgs) -> Result<(), CliError> {
    let mut after = args.after.clone();
    let mut left = args.n.unwrap_or(u64::MAX);
    let mut away_since: Option<Instant> = None;
    while left > 0 {
        let path = ApiPath::of(&["events"])
            .with("job", args.job.as_ref().map(JobName::as_str))
            .with("run", args.run.as_ref().map(RunId::as_str))
            .with("submitter", args.submitter.as_deref())
            .with("kind", args.kind.map(EventKind::name))
            .with("after", after.as_deref());
        match follow(client, out, &path, &mut after, &mut left).await {
            Ok(true) => away_since = None,
            Ok(false) => {}
            Err(error) if !error.is_passing() => return Err(error),
            Err(error) => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > AWAY_MAX {
                    return Err(error);
                }
                output::progress(&format!("{error}; trying again"));
            }
        }
        if left > 0 {
            tokio::time::sleep(RETRY).await;
        }
    }
    Ok(())
}

/// Shows the events of one connection; tells whether anything came over it.
async fn follow(
    client: &Client,
    out: Output,
    path: &ApiPath,
    after: &mut Option<String>,
    left: &mut u64,
) -> Result<bool, CliError> {
    let mut parts = client.stream(path).await?;
    let mut unread: Vec<u8> = Vec::new();
    let mut heard = false;
    while *left > 0 {
        // A connection that breaks is taken up again.
        let Some(Ok(part)) = parts.next().await else { break };
        unread.extend_from_slice(&part);
        while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
            let text: Vec<u8> = unread.drain(..end + 2).collect();
            let block = block(&String::from_utf8_lossy(&text));
            heard = true;
            if block.event.as_deref() == Some("reset") {
                output::progress("that id is of another history: the events begin now");
            } else if let Some(data) = &block.data {
                if *left == 0 {
                    break;
                }
                show(client, out, data)?;
                *left -= 1;
            }
            if block.id.is_some() {
                *after = block.id;
            }
        }
    }
    Ok(heard)
}

/// Reads the fields of a block that are used.
fn block(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => block.id = Some(value.to_owned()),
            "event" => block.event = Some(value.to_owned()),
            "data" => match &mut block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => block.data = Some(value.to_owned()),
            },
            _ => {}
        }
    }
    block
}

fn show(client: &Client, out: Output, data: &str) -> Result<(), CliError> {
    match out {
        Output::Json => output::print(data),
        Output::Yaml => output::print(&format!("---\n{}", output::yaml(data)?.trim_end())),
        Output::Table => {
            let value: Value = client.parse(data)?;
            output::print(&output::plain(&line(&Row { value: &value, now: show::now() })))
        }
    }
}

/// An event on a line: the columns that are always there first.
fn line(row: &Row<'_>) -> String {
    let what = match row.text("/item").as_str() {
        "-" => row.text("/run"),
        item => format!("{}/{item}", row.text("/run")),
    };
    let text = format!(
        "{}  {:<4}  {:<16}  {what}",
        row.text("/at"),
        row.text("/kind"),
        row.text("/state")
    );
    match row.text("/message").as_str() {
        "-" => text,
        message => format!("{text}  {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn blocks_are_read_as_the_standard_says() {
        let read = block("event: run\nid: 1.2\ndata: {\"a\":\ndata:1}\n: a comment");
        let expected = Block {
            id: Some("1.2".to_owned()),
            event: Some("run".to_owned()),
            data: Some("{\"a\":\n1}".to_owned()),
        };
        assert_eq!(read, expected);
        assert_eq!(block("id: 1.3").data, None, "only says how far it has come");
        assert_eq!(block(""), Block::default());
    }

    #[test]
    fn an_event_is_a_line() {
        let value = serde_json::json!({"at": "T", "kind": "TASK", "run": "j@k", "item": 1,
            "state": "TASK_FAILED", "message": "exit code 1"});
        let text = line(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert_eq!(text, "T  TASK  TASK_FAILED       j@k/1  exit code 1");
    }
}
