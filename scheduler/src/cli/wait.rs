//! Waits for a run to end, telling how it goes. Absent: cancelling it when the waiting is given up.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::{self, Output};
use super::run;
use super::show;
use super::table::Row;

/// How often the run is looked at: soon enough for people, seldom enough for a scheduler that a
/// hundred scripts wait on.
const POLL: Duration = Duration::from_millis(500);

/// How long the scheduler may be away in between: a restart or an election takes less.
const AWAY_MAX: Duration = Duration::from_mins(2);

/// Waits and shows how it ended. The exit code is 0 if the run succeeded.
pub(super) async fn until_ended(
    client: &Client,
    out: Output,
    id: &str,
) -> Result<ExitCode, CliError> {
    let path = ApiPath::of(&["runs", id]);
    let mut told = String::new();
    let mut away_since: Option<Instant> = None;
    loop {
        match client.get(&path).await {
            Ok(answer) => {
                away_since = None;
                let value: Value = client.parse(answer.get())?;
                if let Some(succeeded) = outcome(&value) {
                    run::show_run(client, out, answer.get())?;
                    return Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
                let line = progress(&value);
                if line != told {
                    output::progress(&line);
                    told = line;
                }
            }
            Err(error) => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if !error.is_passing() || since.elapsed() > AWAY_MAX {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the run succeeded, once it has ended.
fn outcome(run: &Value) -> Option<bool> {
    match run.get("state").and_then(Value::as_str)? {
        "PENDING" | "LAUNCHING" | "RUNNING" => None,
        state => Some(state == "SUCCEEDED"),
    }
}

fn progress(run: &Value) -> String {
    let row = Row { value: run, now: show::now() };
    let state = format!("{} {} of its shards succeeded", row.text("/state"), run::shards(&row));
    match run.get("reason").and_then(Value::as_str) {
        Some(reason) => format!("{state}: {reason}"),
        None => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_success_is_success() {
        for (state, expected) in [
            ("PENDING", None),
            ("LAUNCHING", None),
            ("RUNNING", None),
            ("SUCCEEDED", Some(true)),
            ("FAILED", Some(false)),
            ("EXPIRED", Some(false)),
        ] {
            assert_eq!(outcome(&json!({ "state": state })), expected, "{state}");
        }
    }

    #[test]
    fn progress_is_a_line() {
        let run = json!({"state": "RUNNING", "reason": null,
            "shards": [{"state": "SUCCEEDED"}, {"state": "RUNNING"}]});
        assert_eq!(progress(&run), "RUNNING 1/2 of its shards succeeded");
        let run = json!({"state": "PENDING", "reason": "insufficient cpus", "shards": []});
        assert_eq!(progress(&run), "PENDING 0/0 of its shards succeeded: insufficient cpus");
    }
}
