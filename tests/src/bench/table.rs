//! `bench table`: what `bench all --json` measured as the table of the documentation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::rows::{Bound, ROWS, Row};

/// What is rendered, and where it goes.
#[derive(Debug, Args)]
pub struct TableArguments {
    /// What `bench all --json` printed; of a row that was measured again the last counts.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Put it into this document, between its two marks, instead of printing it.
    #[arg(long, value_name = "DOCUMENT")]
    into: Option<PathBuf>,
}

/// Where the table stands in the document.
const MARKS: [&str; 2] = ["<!-- table of bench all -->", "<!-- end of the table -->"];

/// Reads, renders, and prints or puts.
///
/// # Errors
/// A file that cannot be read, that `bench all --json` did not print, or that has no marks.
pub fn run(arguments: &TableArguments) -> Result<()> {
    let read = |file: &PathBuf| -> Result<Value> {
        let text = fs::read(file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    };
    let table = render(&arguments.files.iter().map(read).collect::<Result<Vec<_>>>()?)?;
    match &arguments.into {
        None => println!("{table}"),
        Some(document) => {
            let text = fs::read_to_string(document)?;
            let put = put(&text, &table).with_context(|| document.display().to_string())?;
            fs::write(document, put)?;
        }
    }
    Ok(())
}

fn put(text: &str, table: &str) -> Result<String> {
    let (before, rest) = text.split_once(MARKS[0]).context("the first mark is missing")?;
    let (_, after) = rest.split_once(MARKS[1]).context("the second mark is missing")?;
    Ok(format!("{before}{}\n\n{table}\n{}{after}", MARKS[0], MARKS[1]))
}

/// The table in Markdown, rows in their own order, with the machines below.
pub(super) fn render(files: &[Value]) -> Result<String> {
    let mut measured: BTreeMap<usize, &Value> = BTreeMap::new();
    for entry in files.iter().map(|file| file.as_array().context("not of bench all --json")) {
        for entry in entry? {
            let row = row_of(entry)?;
            let place = ROWS.iter().position(|known| known.arguments == row.arguments);
            measured.insert(place.unwrap_or(ROWS.len()), entry);
        }
    }
    let mut table =
        String::from("| `bench` | load | measured | target | |\n| --- | --- | --- | --- | --- |\n");
    let mut machines: Vec<String> = Vec::new();
    for entry in measured.values() {
        writeln!(table, "{}", line(entry)?)?;
        let machine = machine(entry);
        if !machine.is_empty() && !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    for machine in machines {
        writeln!(table, "\n{machine}")?;
    }
    Ok(table)
}

fn row_of(entry: &Value) -> Result<&'static Row> {
    let words = entry.get("command").and_then(Value::as_array).context("a row without command")?;
    let words: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let Some(row) = Row::of(&words) else { bail!("no row is measured by {words:?}") };
    Ok(row)
}

fn line(entry: &Value) -> Result<String> {
    let row = row_of(entry)?;
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let words = entry.get("command").and_then(Value::as_array).into_iter().flatten();
    let command: Vec<&str> = words.filter_map(Value::as_str).collect();
    let command = command.join(" ");
    if let Some(error) = entry.get("error") {
        return Ok(format!("| `{command}` | | failed: {error} | | |"));
    }
    let (mut measured, mut targets, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    for goal in row.goals {
        let figure = entry.pointer(&format!("/answer/figures{}", goal.figure));
        let figure = figure.and_then(Value::as_f64);
        let told = figure.map_or_else(|| "–".to_owned(), number);
        measured.push(format!("{told} {}", goal.unit));
        match goal.bound {
            Bound::AtLeast(least) => targets.push(format!("≥ {}", number(least))),
            Bound::Below(most) => targets.push(format!("< {}", number(most))),
            Bound::None => continue,
        }
        verdicts.push(match figure.map(|figure| goal.bound.missed_by(figure)) {
            Some(None) => "met".to_owned(),
            Some(Some(share)) => format!("missed by {:.0} %", share * 100.0),
            None => "not measured".to_owned(),
        });
    }
    verdicts.dedup();
    Ok(format!(
        "| `{command}` | {} | {} | {} | {} |",
        text("/answer/load"),
        measured.join(", "),
        targets.join(", "),
        verdicts.join(", ")
    ))
}

/// What it was measured on, and when.
fn machine(entry: &Value) -> String {
    let text = |name: &str| {
        let value = entry.pointer(&format!("/answer/machine/{name}"));
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let (Some(processor), Some(cores)) = (text("processor"), text("cores")) else {
        return String::new();
    };
    let day = text("at").unwrap_or_default();
    let optimized =
        if text("isOptimized").as_deref() == Some("true") { "" } else { ", not optimized" };
    format!(
        "Measured on {}: {cores} cores of {processor}, {} of memory, Linux {}{optimized}.",
        day.split('T').next().unwrap_or_default(),
        text("memory").unwrap_or_default(),
        text("kernel").unwrap_or_default(),
    )
}

/// With separators of thousands, and no more digits than it has.
fn number(figure: f64) -> String {
    if figure < 1_000.0 {
        return format!("{figure}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(events_per_second: f64, day: &str) -> Value {
        json!([{"command": ["engine"], "answer": {
            "load": "200 jobs",
            "figures": {"eventsPerSecond": events_per_second, "allocationsPerEvent": 7.5},
            "machine": {"processor": "P", "cores": 2, "memory": "24 kB", "kernel": "6",
                "isOptimized": true, "at": format!("{day}T00:00:00Z")},
        }}])
    }

    #[test]
    fn the_last_measurement_of_a_row_counts() {
        let table = render(&[measured(10.0, "2026-01-01"), measured(750_000.0, "2026-01-02")]);
        let table = table.unwrap();
        assert!(
            table.contains(
                "| `engine` | 200 jobs | 750,000 events/s, 7.5 allocations an event | ≥ 1,000,000 \
                 | missed by 25 % |"
            ),
            "{table}"
        );
        assert!(table.contains("Measured on 2026-01-02: 2 cores of P"), "{table}");
        assert!(!table.contains("2026-01-01"), "{table}");
    }

    #[test]
    fn every_row_has_its_line() {
        let rows = ROWS.iter().map(|row| json!({"command": row.arguments, "error": "none"}));
        let table = render(&[rows.collect()]).unwrap();
        let of = |row: &Row| table.contains(&format!("| `{}` |", row.arguments.join(" ")));
        assert!(ROWS.iter().all(of), "{table}");
    }

    #[test]
    fn a_row_that_failed_says_so_and_an_unknown_one_is_refused() {
        let failed = json!([{"command": ["idle"], "error": "no disk"}]);
        assert!(render(&[failed]).unwrap().contains("| `idle` | | failed: \"no disk\" | | |"));
        assert!(render(&[json!([{"command": ["tea"]}])]).is_err());
        assert!(render(&[json!({})]).is_err());
    }

    #[test]
    fn a_table_goes_between_its_marks() {
        let text = format!("a\n{}\nold\n{}\nb\n", MARKS[0], MARKS[1]);
        let put = put(&text, "new\n").unwrap();
        assert_eq!(put, format!("a\n{}\n\nnew\n\n{}\nb\n", MARKS[0], MARKS[1]));
        assert!(super::put("none", "new").is_err());
    }
}
