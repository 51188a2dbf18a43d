//! The definition of the commands is sound, and what is made from it is in step.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Where the table stands in the documentation.
const CHAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const BEGIN: &str = "<!-- begin: made from the options -->\n";
const END: &str = "<!-- end: made from the options -->";

#[test]
fn the_documentation_lists_every_option() {
    let text = std::fs::read_to_string(CHAPTER).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let made = config::table(&Cli::command());
    if std::env::var_os("SHIFTWORK_WRITE_DOCS").is_some() {
        std::fs::write(CHAPTER, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, made, "run this test once with SHIFTWORK_WRITE_DOCS=1 and commit");
}

/// What is above it is written by hand.
const GENERATED: &str = "<!-- generated from the definition of the commands, see its test -->\n";

/// `SHIFTWORK_WRITE_DOCS=1 cargo test -p shiftwork-scheduler --bin shiftwork` writes it anew.
#[test]
fn the_reference_of_commands_is_in_step() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = std::fs::read_to_string(path).expect("the chapter is there");
    let (by_hand, generated) = page.split_once(GENERATED).expect("the marker is there");
    let wanted = format!("\n{}", reference::markdown(Cli::command()));
    if std::env::var_os("SHIFTWORK_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{by_hand}{GENERATED}{wanted}")).expect("it can be written");
        return;
    }
    assert!(
        generated == wanted,
        "docs/cli.md says something else than --help: write it anew with \
         SHIFTWORK_WRITE_DOCS=1 cargo test -p shiftwork-scheduler --bin shiftwork"
    );
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_file_to_begin_with_says_every_default_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.toml");
    for name in ["scheduler", "standalone"] {
        // What must be given, and what is as nothing else was said.
        let line = |file: bool| -> Vec<std::ffi::OsString> {
            let mut line = vec!["shiftwork".into(), name.into()];
            if file {
                line.extend(["--config".into(), path.clone().into_os_string()]);
            }
            line.extend((name == "scheduler").then(|| "--mesos=m:1".into()));
            line
        };
        let in_force = |line: Vec<std::ffi::OsString>| {
            let completed = config::complete(&Cli::command(), line, |_| None).unwrap();
            let matches = Cli::command().get_matches_from(&completed.arguments);
            let root = Cli::command();
            let command = root.find_subcommand(name).unwrap();
            config::in_force(command, matches.subcommand().unwrap().1, &completed.from_file)
        };
        let without = in_force(line(false));
        let made = config::default_file(&Cli::command(), name);
        let mut defaults = String::new();
        let mut keys = 0;
        for assignment in made.lines().filter_map(|line| line.strip_prefix('#')) {
            if assignment.starts_with(' ') {
                continue;
            }
            keys += 1;
            let (key, _) = assignment.split_once(" = ").unwrap();
            if without.lines().any(|it| it.starts_with(&format!("{key} = "))) {
                defaults.push_str(assignment);
                defaults.push('\n');
            }
        }
        assert!(keys > 40 && defaults.lines().count() > 20, "{made}");
        std::fs::write(&path, &defaults).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        // Where a value is from differs.
        let kept = |text: &str| {
            let lines = text.lines().filter_map(|it| it.split_once("  # "));
            lines.map(|(value, _)| value.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&in_force(line(true))), kept(&without), "{name}");
        std::fs::write(&path, made).unwrap();
        assert_eq!(
            in_force(line(true)),
            without,
            "{name}: nothing is set by what is commented out"
        );
    }
}

/// What `shiftwork config check standalone` says of these options.
fn checked(options: &[&str]) -> Result<(), String> {
    let line = ["shiftwork", "config", "check", "standalone"].iter().chain(options);
    let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
    let Command::Config(ConfigCommand::Check(what)) = cli.command else { return Ok(()) };
    check(what).map_err(|error| format!("{error:#}"))
}

#[test]
fn what_cannot_be_started_with_is_told_before() {
    assert_eq!(checked(&["--resources", "cpus:3;mem:512", "--attributes", "rack:a"]), Ok(()));
    assert_eq!(checked(&["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]), Ok(()));
    for (options, said) in [
        (["--resources", "cpus:-3"].as_slice(), "cpus"),
        (&["--attributes", "rack"], "rack"),
        (
            &["--http", "127.0.0.1:8890", "--grpc", "127.0.0.1:8890"],
            "--grpc is 127.0.0.1:8890, as --http",
        ),
        (&["--mesos", "127.0.0.1:8899"], "--mesos is 127.0.0.1:8899, as --http"),
        (&["--otlp", "collector"], "must be http://host:port"),
        (&["--secret-key-file", "/etc/passwd"], "/etc/passwd"),
    ] {
        let error = checked(options).unwrap_err();
        assert!(error.contains(said), "{options:?}: {error}");
    }
}
