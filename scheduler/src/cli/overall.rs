//! `shiftwork leader`, `statistics` and `reconcile`: the scheduler as a whole.

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::Value;

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::{self, Column, Row};

/// Which statistics.
#[derive(Debug, Clone, Args)]
pub struct StatisticsArgs {
    /// Only what happened since, RFC 3339 [default: a day ago]
    #[arg(long, value_name = "RFC3339")]
    since: Option<shiftwork_schedule::Timestamp>,
    /// How long an interval is
    #[arg(long, value_enum, default_value_t)]
    interval: Interval,
}

/// How long an interval is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Interval {
    /// A minute.
    Minute,
    /// An hour.
    #[default]
    Hour,
    /// A day.
    Day,
}

impl Interval {
    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

const COUNTS: [Column; 4] = [
    Column { title: "FROM", cell: |row| row.text("/from") },
    Column { title: "STARTED", cell: |row| row.text("/started") },
    Column { title: "SUCCEEDED", cell: |row| row.text("/succeeded") },
    Column { title: "FAILED", cell: |row| row.text("/failed") },
];

/// Shows what became of tasks over time.
pub(super) async fn statistics(
    client: &Client,
    out: Output,
    args: &StatisticsArgs,
) -> Result<(), CliError> {
    let since = args.since.map(|since| since.to_string());
    let path = ApiPath::of(&["statistics"])
        .with("interval", Some(args.interval.name()))
        .with("since", since.as_deref());
    let answer = client.get(&path).await?;
    show::resource(client, out, answer.get(), |value| {
        table::render(&COUNTS, Row { value, now: show::now() }.array("/tasks"), show::now())
    })
}

/// Shows which scheduler decides.
pub(super) async fn leader(client: &Client, out: Output) -> Result<(), CliError> {
    let answer = client.get(&ApiPath::of(&["leader"])).await?;
    show::resource(client, out, answer.get(), |value| {
        render_leader(&Row { value, now: show::now() })
    })
}

fn render_leader(row: &Row<'_>) -> String {
    let mut pairs = vec![("leader", row.text("/id"))];
    let addresses = row.array("/addresses").iter().filter_map(Value::as_str);
    pairs.extend(addresses.map(|address| ("address", address.to_owned())));
    pairs.push(("since", format!("{} ({})", row.text("/since"), row.age("/since"))));
    pairs.push(("asked itself", row.text("/isSelf")));
    table::render_pairs(&pairs)
}

/// Has the Mesos master asked about every task.
pub(super) async fn reconcile(client: &Client, out: Output) -> Result<(), CliError> {
    let path = ApiPath::of(&["reconcile"]);
    let answer = client.change(Method::POST, &path, Payload::default()).await?;
    show::done(out, &answer.text, "the Mesos master is asked about every task")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn every_address_of_the_leader_has_its_line() {
        let value = serde_json::json!({"id": "x", "since": "1970-01-01T00:00:00Z", "isSelf": true,
            "addresses": ["http://a:8899", "grpc://a:8898"]});
        let text = render_leader(&Row { value: &value, now: Timestamp::from_millis(5_000) });
        assert!(
            text.contains("address:       http://a:8899\naddress:       grpc://a:8898"),
            "{text}"
        );
        assert!(text.contains("(5s ago)"), "{text}");
    }
}
