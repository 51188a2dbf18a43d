//! Writes to the terminal or pipe: JSON as the API answered it, text with nothing in it that could
//! steer a terminal. Absent: what the tables hold.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: what the API answered; lists are one array over all pages.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Output {
    /// Whether programs read it.
    pub(super) fn is_for_programs(self) -> bool {
        self != Self::Table
    }
}

/// Prints text, as it is, and a line end.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Prints JSON for programs in the form they asked for.
pub(super) fn print_json(out: Output, json: &str) -> Result<(), CliError> {
    match out {
        Output::Yaml => print(yaml(json)?.trim_end()),
        Output::Json | Output::Table => print(json),
    }
}

/// Prints a list as one array, in JSON a line for each item.
pub(super) fn print_array(out: Output, items: &[Box<RawValue>]) -> Result<(), CliError> {
    print_json(out, &array(items))
}

/// The same as YAML, members in their order of names.
pub(super) fn yaml(json: &str) -> Result<String, CliError> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| CliError::Output(io::Error::other(error)))?;
    serde_norway::to_string(&value).map_err(|error| CliError::Output(io::Error::other(error)))
}

/// Begins a screen anew, where there is one; where the output goes elsewhere, an empty line parts what
/// comes from what was.
pub(super) fn begin_anew(first: bool) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        // Home, then clear to the end: what stays the same does not flicker.
        write!(out, "\x1b[H\x1b[J")?;
    } else if !first {
        writeln!(out)?;
    }
    Ok(())
}

fn array(items: &[Box<RawValue>]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<&str> = items.iter().map(|item| item.get()).collect();
    format!("[\n{}\n]", lines.join(",\n"))
}

/// Prints an error as one line. That nobody may read it changes nothing.
pub(super) fn complain(error: &CliError) {
    let _ = writeln!(io::stderr(), "error: {}", plain(&error.to_string()));
}

/// Prints a line of progress beside the output.
pub(super) fn progress(line: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(line));
}

/// Text as one line without control characters: what a server sends may not move the cursor or
/// pass for a line of ours.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_one_array_of_what_came() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(array(&[]), "[]");
        assert_eq!(array(&[raw("{\"b\":1.0,\"a\":2}"), raw("3")]), "[\n{\"b\":1.0,\"a\":2},\n3\n]");
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        let json = r#"[{"name":"a: b","n":1.5,"none":null,"off":"no"}]"#;
        let text = yaml(json).unwrap();
        let back: Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(json).unwrap(), "{text}");
        assert!(yaml("{").is_err());
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }
}
