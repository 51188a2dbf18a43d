//! `shiftwork job next`: the coming firings of a job, or of an expression, which needs no scheduler.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use shiftwork_engine::ids::JobName;
use shiftwork_schedule::{BoundedSchedule, Cron, PREVIEW_COUNT_MAX, Schedule, Timestamp, Zone};

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::{self, Output};
use super::show;
use super::table::{self, Column};
use crate::tzdb_args::TzdbChoice;

/// Which firings.
#[derive(Debug, Clone, Args)]
pub struct NextArgs {
    /// The job
    #[arg(value_parser = JobName::parse, required_unless_present = "cron", conflicts_with = "cron")]
    pub(super) name: Option<JobName>,
    /// A Quartz expression, seconds first; no scheduler is asked
    #[arg(long, value_name = "EXPR")]
    pub(super) cron: Option<String>,
    /// The IANA time zone of the expression [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "name")]
    pub(super) tz: Option<String>,
    /// Time zone data to compute by: bundled, system, or a directory of compiled zones
    /// [default: bundled]
    #[arg(long, value_name = "SOURCE", conflicts_with = "name")]
    pub(super) tzdb: Option<TzdbChoice>,
    /// Firings after this instant, RFC 3339 [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub(super) from: Option<Timestamp>,
    /// How many
    #[arg(short, default_value_t = 5, value_parser = read_count)]
    pub(super) n: usize,
}

fn read_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=PREVIEW_COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {PREVIEW_COUNT_MAX}")),
    }
}

/// A firing as the API shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Firing {
    utc: Timestamp,
    local: String,
    note: Option<String>,
}

const COLUMNS: [Column; 4] = [
    Column { title: "UTC", cell: |row| row.text("/utc") },
    Column { title: "LOCAL", cell: |row| row.text("/local") },
    Column { title: "WHEN", cell: |row| row.age("/utc") },
    Column { title: "NOTE", cell: |row| row.text("/note") },
];

/// Shows the firings of an expression.
pub(super) fn offline(expression: &str, args: &NextArgs, out: Output) -> Result<(), CliError> {
    if let Some(choice) = &args.tzdb {
        choice.install().map_err(|error| CliError::Usage(format!("--tzdb: {error}")))?;
    }
    let now = show::now();
    let firings = firings(expression, args, now)?;
    let failed = |error: serde_json::Error| CliError::Output(error.into());
    match out {
        Output::Json | Output::Yaml => {
            let items: Result<Vec<_>, _> = firings.iter().map(to_raw_value).collect();
            output::print_array(out, &items.map_err(failed)?)
        }
        Output::Table => {
            let rows: Result<Vec<_>, _> = firings.iter().map(serde_json::to_value).collect();
            output::print(&table::render(&COLUMNS, &rows.map_err(failed)?, now))
        }
    }
}

fn firings(expression: &str, args: &NextArgs, now: Timestamp) -> Result<Vec<Firing>, CliError> {
    let cron =
        Cron::parse(expression).map_err(|error| CliError::Usage(format!("--cron: {error}")))?;
    let zone = match &args.tz {
        Some(name) => {
            Zone::parse(name).map_err(|error| CliError::Usage(format!("--tz: {error}")))?
        }
        None => Zone::utc(),
    };
    let schedule = BoundedSchedule {
        schedule: Schedule::Cron { cron, zone },
        start_after: None,
        end_before: None,
    };
    let firings = shiftwork_schedule::preview(&schedule.into(), args.from.unwrap_or(now), args.n);
    let firings = firings.into_iter();
    Ok(firings.map(|it| Firing { utc: it.at, local: it.local, note: it.note }).collect())
}

/// Shows the firings of a job.
pub(super) async fn of_job(client: &Client, out: Output, args: &NextArgs) -> Result<(), CliError> {
    let Some(name) = &args.name else {
        return Err(CliError::Usage("name a job, or give --cron".to_owned()));
    };
    let from = args.from.map(|from| from.to_string());
    let path = ApiPath::of(&["jobs", name.as_str(), "next"])
        .with("n", Some(&args.n.to_string()))
        .with("from", from.as_deref());
    #[derive(Deserialize)]
    struct Answer {
        items: Vec<Box<RawValue>>,
    }
    let answer = client.get(&path).await?;
    let answer: Answer = client.parse(answer.get())?;
    show::items(client, out, &answer.items, &COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(tz: Option<&str>, from: &str, n: usize) -> NextArgs {
        NextArgs {
            name: None,
            cron: None,
            tz: tz.map(str::to_owned),
            tzdb: None,
            from: Some(from.parse().unwrap()),
            n,
        }
    }

    #[test]
    fn an_expression_needs_no_scheduler() {
        let args = args(Some("America/New_York"), "2026-11-20T00:00:00Z", 2);
        let firings = firings("0 0 9 ? * MON-FRI", &args, Timestamp::from_millis(0)).unwrap();
        let shown: Vec<_> =
            firings.iter().map(|it| (it.utc.to_string(), it.local.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("2026-11-20T14:00:00Z".to_owned(), "2026-11-20T09:00:00-05:00[America/New_York]"),
                ("2026-11-23T14:00:00Z".to_owned(), "2026-11-23T09:00:00-05:00[America/New_York]"),
            ]
        );
    }

    #[test]
    fn a_gap_is_noted() {
        let args = args(Some("Europe/Berlin"), "2027-03-27T12:00:00Z", 1);
        let firings = firings("0 30 2 * * ?", &args, Timestamp::from_millis(0)).unwrap();
        assert_eq!(firings[0].utc.to_string(), "2027-03-28T01:00:00Z");
        assert!(firings[0].note.is_some());
    }

    #[test]
    fn a_wrong_expression_names_field_and_position_and_is_a_usage_error() {
        let args = args(None, "2026-11-20T00:00:00Z", 1);
        let error = firings("0 75 2 * * ?", &args, Timestamp::from_millis(0)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("minutes") && text.contains('2'), "{text}");
        assert!(matches!(error, CliError::Usage(_)));
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(read_count("5"), Ok(5));
        assert!(read_count("0").is_err() && read_count("1001").is_err());
    }
}
