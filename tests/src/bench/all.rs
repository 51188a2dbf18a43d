//! `bench all`: every figure that matters, one after the other, each by a process of its own so that
//! none inherits another's memory. A row that fails is told and the others go on.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::rows::ROWS;
use super::table;

/// How thoroughly, and what is printed.
#[derive(Debug, Args)]
pub struct AllArguments {
    /// Smaller and shorter: whether everything works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// Only rows of these subcommands; may be given again.
    #[arg(long, value_name = "SUBCOMMAND")]
    only: Vec<String>,
    /// JSON, from which `bench table` makes the table, instead of the table itself.
    #[arg(long)]
    json: bool,
}

/// Runs them and prints.
///
/// # Errors
/// A row could not be measured; all others are printed.
pub fn run(arguments: &AllArguments) -> Result<()> {
    let mut measured = Vec::new();
    let mut failed = Vec::new();
    for row in ROWS {
        let name = row.arguments.first().copied().unwrap_or_default();
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == name) {
            continue;
        }
        let quick = if arguments.quick { row.quick } else { &[] };
        let command: Vec<&str> = row.arguments.iter().chain(quick).copied().collect();
        eprintln!("bench {}", command.join(" "));
        match measure(&command) {
            Ok(answer) => measured.push(json!({"command": command, "answer": answer})),
            Err(error) => {
                eprintln!("  {error:#}");
                measured.push(json!({"command": command, "error": format!("{error:#}")}));
                failed.push(command.join(" "));
            }
        }
    }
    let measured = Value::Array(measured);
    if arguments.json {
        println!("{measured:#}");
    } else {
        println!("{}", table::render(&[measured])?);
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

fn measure(command: &[&str]) -> Result<Value> {
    let mut this = Command::new(std::env::current_exe()?);
    this.args(command).arg("--json").stdin(Stdio::null());
    let output = this.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim());
    serde_json::from_slice(&output.stdout).context("its answer")
}
