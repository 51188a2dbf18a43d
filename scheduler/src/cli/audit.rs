//! `shiftwork audit`: what was due against what ran. The exit code tells a script whether all was well.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::{self, Row};

/// How far back.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// How far to look back, such as 24h, or from which moment on (RFC 3339)
    #[arg(long, default_value = "24h", value_name = "DURATION|TIME")]
    since: String,
}

/// Shows the report; exit code 1 if anything was found, or may have been lost from sight.
pub(super) async fn run(
    client: &Client,
    out: Output,
    args: &AuditArgs,
) -> Result<ExitCode, CliError> {
    let answer = client.get(&ApiPath::of(&["audit"]).with("since", Some(&args.since))).await?;
    show::resource(client, out, answer.get(), |value| render(&Row { value, now: show::now() }))?;
    let report: Value = client.parse(answer.get())?;
    let is_well = report["findingsTotal"] == 0 && report["historyIncomplete"] == false;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(row: &Row<'_>) -> String {
    let found = row.array("/findings");
    let mut pairs = vec![
        ("judged from", row.text("/since")),
        ("until", row.text("/until")),
        ("due", row.text("/due")),
        ("fired", row.text("/fired")),
        ("left out by rule", row.text("/leftOut")),
        ("jobs not judged", row.text("/jobsUnknown")),
        ("findings", row.text("/findingsTotal")),
    ];
    if row.value["historyIncomplete"] == true {
        let warning = "the history has lost records: what seems missing may be that";
        pairs.push(("incomplete", warning.to_owned()));
    }
    let line = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} ({})", text("kind"), text("run"), text("detail"))
    };
    pairs.extend(found.iter().map(|finding| ("finding", line(finding))));
    table::render_pairs(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn every_finding_has_its_line() {
        let value = json!({"since": "a", "until": "b", "due": 3, "fired": 2, "leftOut": 0,
            "jobsUnknown": 0, "historyIncomplete": true, "findingsTotal": 1,
            "findings": [{"kind": "MISSED", "job": "j", "run": "j@x", "detail": "why"}]});
        let text = render(&Row { value: &value, now: Timestamp::from_millis(0) });
        assert!(text.ends_with("MISSED j@x (why)"), "{text}");
        assert!(text.contains("the history has lost records"), "{text}");
    }
}
