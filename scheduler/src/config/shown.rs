//! What is made from the options for people: the table in the documentation, and a file to begin with.
//! Absent: reading one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, ArgAction, Args, Command};

use super::{options, takes_file};

/// How wide the comments of a file are.
const WIDTH: usize = 100;

/// Which file.
#[derive(Debug, Clone, Args)]
pub struct DefaultArgs {
    /// The command that it is for
    #[arg(value_parser = ["scheduler", "standalone"])]
    pub server: String,
}

/// A file with every option of a command, commented out: what it does, its variable, its default.
pub fn default_file(root: &Command, name: &str) -> String {
    let mut text = format!(
        "# Configuration of `shiftwork {name}`. Flags and variables of the environment win over it.\n\
         # Each key stands with its default; one that has none, with what it takes, in capitals.\n"
    );
    for arg in root.find_subcommand(name).into_iter().flat_map(options) {
        let Some(long) = arg.get_long() else { continue };
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(variable) = arg.get_env() {
            // Writing to a String cannot fail.
            let _ = write!(help, " [{}]", variable.to_string_lossy());
        }
        if arg.is_required_set() {
            help.push_str(" (must be given)");
        }
        text.push('\n');
        for line in wrapped(&help) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{long} = {}", toml_value(arg));
    }
    text
}

/// Its default, or in what form it is given.
fn toml_value(arg: &Arg) -> String {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return "false".to_owned();
    }
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let form = arg.get_value_names().and_then(|names| names.first());
    let form = quoted(form.map_or("VALUE", |name| name.as_str()));
    match arg.get_default_values() {
        [] if matches!(arg.get_action(), ArgAction::Append) => format!("[{form}]"),
        [] => form,
        [value, ..] => {
            let value = value.to_string_lossy();
            value.parse::<i64>().map_or_else(|_| quoted(&value), |number| number.to_string())
        }
    }
}

/// A text in lines of comments.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut().filter(|it| it.len() + word.len() + 3 <= WIDTH) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// All options of the commands that take a file, as a table in Markdown.
pub fn table(root: &Command) -> String {
    let servers: Vec<&Command> =
        root.get_subcommands().filter(|command| takes_file(command)).collect();
    let mut rows = BTreeMap::new();
    for command in &servers {
        for arg in options(command) {
            if let Some(long) = arg.get_long() {
                rows.entry(long.to_owned()).or_insert_with(|| (arg, Vec::new())).1.push(*command);
            }
        }
    }
    let mut text =
        "| key and flag | variable | default | what it does |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (long, (arg, commands)) in rows {
        let variable = arg
            .get_env()
            .map_or_else(|| "–".to_owned(), |name| format!("`{}`", name.to_string_lossy()));
        let default: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        let default = match (is_flag, default.is_empty()) {
            (true, _) => "`false`".to_owned(),
            (false, true) if arg.is_required_set() => "required".to_owned(),
            (false, true) => "–".to_owned(),
            (false, false) => default.join(", "),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|").replace('<', "&lt;");
        let only = match &commands[..] {
            [one] if servers.len() > 1 => format!(" (`{}` only)", one.get_name()),
            _ => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{long}` | {variable} | {default} | {help}{only} |");
    }
    text
}
