//! What is made from the definition of the commands: completion for shells, man pages, and the chapter
//! of the documentation. Absent: the definition.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::{Arg, Args, Command};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Where man pages go.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The directory, which must exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// Writes what a shell reads to complete commands.
///
/// # Errors
/// When it cannot be written.
pub fn completion(mut command: Command, args: &CompletionArgs) -> io::Result<()> {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    match io::Write::write_all(&mut io::stdout().lock(), &text) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a page for each command.
///
/// # Errors
/// When they cannot be written.
pub fn man(command: Command, args: &ManArgs) -> io::Result<()> {
    clap_mangen::generate_to(command, &args.dir)
}

/// The reference as Markdown: a section a command, subcommands below their command.
pub fn markdown(mut command: Command) -> String {
    command.build();
    let mut text = String::new();
    let global: Vec<&Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    let _ = writeln!(text, "## Options of every command\n");
    options(&mut text, global.iter().copied());
    for sub in visible(&command) {
        section(&mut text, sub, command.get_name(), 2);
    }
    text.trim_end().to_owned() + "\n"
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn section(text: &mut String, command: &Command, parent: &str, depth: usize) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "\n{} {name}\n\n{about}.\n", "#".repeat(depth));
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_help(arg));
    let has_subcommands = visible(command).next().is_some();
    if !has_subcommands {
        let _ = writeln!(text, "```\n{}\n```\n", usage(command, &name));
    }
    if own().next().is_some() {
        options(text, own());
    }
    for sub in visible(command) {
        section(text, sub, &name, (depth + 1).min(4));
    }
}

fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn usage(command: &Command, name: &str) -> String {
    let mut usage = name.to_owned();
    if command.get_arguments().any(|arg| !arg.is_positional() && !is_help(arg)) {
        usage.push_str(" [OPTIONS]");
    }
    for arg in command.get_positionals() {
        let value = value_name(arg).unwrap_or_else(|| arg.get_id().as_str().to_uppercase());
        let shown =
            if arg.is_required_set() { format!(" <{value}>") } else { format!(" [{value}]") };
        usage.push_str(&shown);
    }
    usage
}

fn value_name(arg: &Arg) -> Option<String> {
    if !arg.get_action().takes_values() {
        return None;
    }
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    Some(if names.is_empty() { arg.get_id().to_string() } else { names.join(" ") })
}

fn options<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    for arg in args.filter(|arg| !arg.is_hide_set()) {
        let name = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => String::new(),
        };
        let value = value_name(arg).map(|value| format!(" <{value}>")).unwrap_or_default();
        let name = format!("{name}{value}");
        let name = name.trim_start();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = write!(text, "- `{name}`: {}", escaped(&help));
        let values = arg.get_possible_values();
        let is_flag = !arg.get_action().takes_values();
        if !values.is_empty() && !is_flag {
            let names: Vec<_> =
                values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            let _ = write!(text, "; one of {}", names.join(", "));
        }
        let defaults = arg.get_default_values();
        if !defaults.is_empty() && !is_flag {
            let shown: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
            let _ = write!(text, "; default `{}`", shown.join(" "));
        }
        if let Some(env) = arg.get_env() {
            let _ = write!(text, "; environment `{}`", env.to_string_lossy());
        }
        text.push('\n');
    }
}

/// Help texts are plain text; what Markdown would take for markup stays as it is.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('[', "\\[").replace('*', "\\*").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Command {
        let name = Arg::new("name").required(true).value_name("NAME").help("The job [one]");
        let n = Arg::new("n").short('n').long("count").default_value("5").help("How many");
        let get = Command::new("get").about("Show one").arg(name).arg(n);
        let job = Command::new("job").about("Jobs").subcommand(get);
        let server = Arg::new("server").long("server").global(true).help("Where");
        let hidden = Command::new("man").hide(true);
        Command::new("x").arg(server).subcommand(job).subcommand(hidden)
    }

    #[test]
    fn every_command_has_a_section() {
        let text = markdown(example());
        assert!(text.starts_with("## Options of every command\n\n- `--server <server>`: Where\n"));
        assert!(text.contains("\n## x job\n\nJobs.\n"), "{text}");
        assert!(
            text.contains("### x job get\n\nShow one.\n\n```\nx job get [OPTIONS] <NAME>\n```\n")
        );
        assert!(text.contains("- `<NAME>`: The job \\[one]\n"), "{text}");
        assert!(text.contains("- `-n, --count <n>`: How many; default `5`\n"), "{text}");
        assert!(!text.contains("x man"), "{text}");
    }

    #[test]
    fn man_pages_are_written_for_every_command() {
        let dir = tempfile::tempdir().unwrap();
        man(example(), &ManArgs { dir: dir.path().to_owned() }).unwrap();
        let page = std::fs::read_to_string(dir.path().join("x-job-get.1")).unwrap();
        assert!(page.contains("Show one"), "{page}");
    }
}
