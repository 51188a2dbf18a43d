//! The configuration of a scheduler: flags, then `SHIFTWORK_*` in the environment, then a TOML file. The
//! keys of the file are the names of the flags: what they are, and what values they take, is written
//! down once, with the flags. Absent: what any of them means.
//!
//! What a file says and neither flag nor variable does is added to the command line before it is read,
//! so that it is checked by the same rules. Nobody else sees that: the arguments of the process stay
//! what they were.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

mod shown;

pub use shown::{DefaultArgs, default_file, table};

/// The option that names the file.
pub const OPTION: &str = "config";
/// The variable that does.
pub const VARIABLE: &str = "SHIFTWORK_CONFIG";
/// How alike a key must be to one that is known to be taken for it.
const ALIKE: f32 = 0.6;
/// The administrator's user id.
const ROOT: u32 = 0;

/// The file.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// TOML file with values for options that are given neither here nor in the environment; its keys
    /// are their names
    #[arg(long, env = VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration file {} ({source}): check --{OPTION}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
    /// It has a key that is none.
    #[error("{}: there is no option {key:?}{hint}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What may be meant.
        hint: String,
    },
    /// A value of the wrong kind.
    #[error("{}: {key} {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file that others may read holds a secret.
    #[error(
        "{} holds {key}, which is secret, and others may read it: chmod 600 {} (640 if it is root's)",
        path.display(), path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
}

/// A command line with what the file adds, and what that is.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    /// The command line.
    pub arguments: Vec<OsString>,
    /// The options that have their value from the file.
    pub from_file: BTreeSet<String>,
}

/// Adds to a command line what the file it names says and nothing else does. A command that takes no
/// file is left as it is.
///
/// # Errors
/// [`ConfigError`].
pub fn complete(
    command: &Command,
    arguments: Vec<OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Completed, ConfigError> {
    let target = target(command, &arguments);
    let given = |arg: &Arg| {
        let by_flag = arg.get_long().is_some_and(|long| value_of(&arguments, long).is_some());
        let by_variable = |name: &OsStr| variable(&name.to_string_lossy()).is_some();
        by_flag || arg.get_env().is_some_and(by_variable)
    };
    let file = target
        .get_arguments()
        .any(|arg| arg.get_long() == Some(OPTION))
        .then(|| value_of(&arguments, OPTION).or_else(|| variable(VARIABLE)))
        .flatten();
    let mut completed = Completed { arguments: arguments.clone(), from_file: BTreeSet::new() };
    let Some(path) = file.map(PathBuf::from) else { return Ok(completed) };
    for (key, value) in read(&path)? {
        let arg = option(target, &path, &key, command)?;
        let values = texts(&path, &key, arg, &value)?;
        if arg.is_hide_env_values_set() && is_readable_by_others(&path) {
            return Err(ConfigError::Readable { path, key });
        }
        if given(arg) {
            continue;
        }
        // In front of what may follow a `--`.
        let end = completed.arguments.iter().position(|it| it == "--");
        let end = end.unwrap_or(completed.arguments.len());
        completed.arguments.splice(end..end, values);
        completed.from_file.insert(key);
    }
    Ok(completed)
}

/// The command that a command line names, however deep.
fn target<'c>(command: &'c Command, arguments: &[OsString]) -> &'c Command {
    let mut target = command;
    for argument in arguments.iter().skip(1) {
        if let Some(inner) = argument.to_str().and_then(|name| target.find_subcommand(name)) {
            target = inner;
        }
    }
    target
}

/// What a command line says for an option; empty for one without a value.
fn value_of(arguments: &[OsString], long: &str) -> Option<OsString> {
    let flag = format!("--{long}");
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if *argument == *flag {
            return Some(arguments.next().cloned().unwrap_or_default());
        }
        let text = argument.to_string_lossy();
        if let Some(value) = text.strip_prefix(&flag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.into(), source })?;
    // The message without the lines it quotes: one of them may hold a secret.
    text.parse::<Table>().map_err(|error| {
        let before = error.span().map(|span| text.get(..span.start).unwrap_or(&text));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let problem = format!("line {line}: {}", error.message());
        ConfigError::Syntax { path: path.into(), problem }
    })
}

/// The option of a key.
fn option<'c>(
    target: &'c Command,
    path: &Path,
    key: &str,
    root: &Command,
) -> Result<&'c Arg, ConfigError> {
    if let Some(arg) = options(target).find(|arg| arg.get_long() == Some(key)) {
        return Ok(arg);
    }
    let elsewhere = root.get_subcommands().find(|command| {
        options(command).any(|arg| arg.get_long() == Some(key)) && takes_file(command)
    });
    let names: Vec<&str> = options(target).filter_map(Arg::get_long).collect();
    let hint = match (elsewhere, similar::get_close_matches(key, &names, 1, ALIKE).first()) {
        (Some(command), _) => {
            format!(" of `{}`: it is one of `{}`", target.get_name(), command.get_name())
        }
        (None, Some(close)) => format!(": is {close:?} meant?"),
        (None, None) => format!(": `shiftwork {} --help` lists all", target.get_name()),
    };
    Err(ConfigError::Unknown { path: path.into(), key: key.to_owned(), hint })
}

fn takes_file(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(OPTION))
}

/// The options that a file may set.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let long = arg.get_long();
        long.is_some_and(|long| !matches!(long, OPTION | "help" | "version"))
            && !arg.is_global_set()
    })
}

/// A value as the command line would have it.
fn texts(path: &Path, key: &str, arg: &Arg, value: &Value) -> Result<Vec<OsString>, ConfigError> {
    let wrong = |problem| ConfigError::Value { path: path.into(), key: key.to_owned(), problem };
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            _ => Err(wrong("must be true or false")),
        };
    }
    let one = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{key}={text}").into()),
        Value::Integer(number) => Ok(format!("--{key}={number}").into()),
        Value::Float(number) => Ok(format!("--{key}={number}").into()),
        _ => Err(wrong("must be text or a number")),
    };
    match value {
        Value::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
            values.iter().map(one).collect()
        }
        Value::Array(_) => Err(wrong("takes one value, and not a list")),
        value => Ok(vec![one(value)?]),
    }
}

/// Whether somebody reads it whom its owner need not mean. A group that the administrator gave it, as
/// packages do for the user of a service (root:shiftwork, 0640), is meant.
fn is_readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| is_open(it.permissions().mode(), it.uid()))
}

fn is_open(mode: u32, owner: u32) -> bool {
    let open = if owner == ROOT { 0o027 } else { 0o077 };
    mode & open != 0
}

// === what is in force ===

/// The value of each option that a command line gives or that has one by default, and where it is from.
/// Secrets are not shown.
pub fn in_force(command: &Command, matches: &ArgMatches, from_file: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for arg in options(command) {
        let Some(long) = arg.get_long() else { continue };
        let id = arg.get_id().as_str();
        let Some(source) = matches.value_source(id) else { continue };
        let values: Vec<String> = match matches.get_raw(id) {
            Some(values) => values.map(|value| value.to_string_lossy().into_owned()).collect(),
            None => continue,
        };
        let origin = match source {
            _ if from_file.contains(long) => "file",
            clap::parser::ValueSource::CommandLine => "flag",
            clap::parser::ValueSource::EnvVariable => "environment",
            _ => "default",
        };
        let value =
            if arg.is_hide_env_values_set() { "(hidden)".to_owned() } else { values.join(",") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{long} = {value:?}  # {origin}");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "x")]
    enum Line {
        /// Serve.
        Serve {
            #[command(flatten)]
            config: ConfigArgs,
            /// Where.
            #[arg(long, env = "X_HTTP", default_value = "here")]
            http: String,
            /// Loud.
            #[arg(long)]
            loud: bool,
            /// Many.
            #[arg(long)]
            many: Vec<String>,
            /// Secret.
            #[arg(long, env = "X_SECRET", hide_env_values = true)]
            secret: Option<String>,
        },
        /// Serve otherwise.
        Other {
            #[command(flatten)]
            config: ConfigArgs,
            /// Only here.
            #[arg(long)]
            special: Option<u32>,
        },
        /// Ask.
        Ask,
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        (directory, path.display().to_string())
    }

    fn with(
        text: &str,
        line: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Completed, ConfigError> {
        let (_directory, path) = file(text);
        let mut arguments: Vec<OsString> = line.iter().map(OsString::from).collect();
        arguments.extend(["--config".into(), path.into()]);
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        complete(&Line::command(), arguments, variable)
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let text = "http = \"file\"\nloud = true\nmany = [\"a\", \"b\"]\n";
        let added = |line: &[&str], variables: &[(&str, &str)]| {
            let completed = with(text, line, variables).unwrap();
            completed.from_file.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(added(&["x", "serve"], &[]), ["http", "loud", "many"]);
        assert_eq!(added(&["x", "serve"], &[("X_HTTP", "env")]), ["loud", "many"]);
        assert_eq!(added(&["x", "serve", "--http=flag", "--loud"], &[]), ["many"]);
        let completed = with(text, &["x", "serve"], &[]).unwrap();
        let Line::Serve { http, loud, many, .. } = Line::parse_from(&completed.arguments) else {
            panic!("another command")
        };
        assert_eq!((http.as_str(), loud, many.join("+")), ("file", true, "a+b".to_owned()));
        let matches = Line::command().get_matches_from(&completed.arguments);
        let (_, matches) = matches.subcommand().unwrap();
        let shown = in_force(
            Line::command().find_subcommand("serve").unwrap(),
            matches,
            &completed.from_file,
        );
        assert!(shown.contains("http = \"file\"  # file"), "{shown}");
    }

    #[test]
    fn a_mistake_names_the_file_the_key_and_the_closest_one() {
        let said = |text: &str, line: &[&str]| with(text, line, &[]).unwrap_err().to_string();
        let serve = ["x", "serve"];
        assert!(said("htp = \"a\"", &serve).ends_with("no option \"htp\": is \"http\" meant?"));
        assert!(said("special = 1", &serve).contains("it is one of `other`"));
        assert!(said("zzz = 1", &serve).contains("--help"));
        assert!(said("loud = \"yes\"", &serve).contains("loud must be true or false"));
        assert!(said("http = [\"a\"]", &serve).contains("http takes one value"));
        assert!(said("[http]\na = 1", &serve).contains("http must be text or a number"));
        let syntax = said("http = \"a\"\nsecret = \"pass\"word\"", &serve);
        assert!(syntax.contains("line 2") && !syntax.contains("pass"), "{syntax}");
        let nowhere = vec!["x".into(), "serve".into(), "--config=/no/such".into()];
        let error = complete(&Line::command(), nowhere, |_| None).unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }

    #[test]
    fn a_secret_is_not_taken_from_a_file_that_others_read_and_not_shown() {
        let (directory, path) = file("secret = \"s3cret\"");
        let line = || vec!["x".into(), "serve".into(), "--config".into(), path.clone().into()];
        let completed = complete(&Line::command(), line(), |_| None).unwrap();
        let matches = Line::command().get_matches_from(&completed.arguments);
        let (_, matches) = matches.subcommand().unwrap();
        let serve = Line::command();
        let shown =
            in_force(serve.find_subcommand("serve").unwrap(), matches, &completed.from_file);
        assert!(shown.contains("(hidden)") && !shown.contains("s3cret"), "{shown}");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(directory.path().join("config.toml"), open).unwrap();
        let refused = complete(&Line::command(), line(), |_| None).unwrap_err().to_string();
        assert!(refused.contains("chmod 600") && !refused.contains("s3cret"), "{refused}");
    }

    #[test]
    fn a_group_reads_what_root_gave_it_and_nothing_else() {
        let (root, somebody) = (0, 1000);
        assert!(!is_open(0o100_640, root) && is_open(0o100_640, somebody));
        assert!(!is_open(0o100_600, root) && !is_open(0o100_600, somebody));
        // Writing is more than it needs, and others are not its group.
        assert!(is_open(0o100_660, root) && is_open(0o100_644, root));
    }

    #[test]
    fn a_command_that_takes_no_file_is_left_alone() {
        let line: Vec<OsString> = vec!["x".into(), "ask".into()];
        let variable = |name: &str| (name == VARIABLE).then(|| "/no/such".into());
        assert_eq!(complete(&Line::command(), line.clone(), variable).unwrap().arguments, line);
    }

    #[test]
    fn the_table_has_a_row_an_option() {
        let table = table(&Line::command());
        assert!(table.contains("| `http` | `X_HTTP` | `here` | Where (`serve` only) |"), "{table}");
        assert!(table.contains("| `special` | – | – | Only here (`other` only) |"), "{table}");
        assert!(!table.contains("`config`"), "{table}");
    }
}
