//! `shiftwork status`: the scheduler as a whole.

use serde_json::Value;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::Output;
use super::show;
use super::table::{self, Row};

/// Shows it.
pub(super) async fn run(client: &Client, out: Output) -> Result<(), CliError> {
    let answer = client.get(&ApiPath::of(&["status"])).await?;
    show::resource(client, out, answer.get(), |value| render(&Row { value, now: show::now() }))
}

fn render(row: &Row<'_>) -> String {
    let mut pairs = vec![
        ("connected to Mesos", row.text("/connected")),
        ("framework id", row.text("/frameworkId")),
        ("watermark", format!("{} ({})", row.text("/watermark"), row.age("/watermark"))),
        ("apps", row.text("/apps")),
        ("jobs", row.text("/jobs")),
        ("pending runs", row.text("/pendingRuns")),
        ("active runs", row.text("/activeRuns")),
        ("tasks", row.text("/tasks")),
        ("offers held", row.text("/offers")),
        ("time zone data", row.text("/tzdb")),
    ];
    let problems = row.array("/problems").iter().filter_map(Value::as_str);
    pairs.extend(problems.map(|problem| ("problem", problem.to_owned())));
    table::render_pairs(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_schedule::Timestamp;

    #[test]
    fn every_problem_has_its_line() {
        let value = serde_json::json!({"connected": true, "frameworkId": null, "jobs": 3,
            "watermark": "1970-01-01T00:00:00Z", "problems": ["a", "b"]});
        let text = render(&Row { value: &value, now: Timestamp::from_millis(1_000) });
        assert!(text.starts_with("connected to Mesos:  yes\n"), "{text}");
        assert!(text.contains("1970-01-01T00:00:00Z (1s ago)\n"), "{text}");
        assert!(text.ends_with("problem:             a\nproblem:             b"), "{text}");
    }
}
