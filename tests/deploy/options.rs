//! Options and variables that units, containers and Marathon give are those the programs take.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::{program, read, succeeds};

/// Variables that the commands of a server read.
fn variables() -> BTreeSet<String> {
    // Help does not list the first.
    let mut known = BTreeSet::from(["SHIFTWORK_LOG".to_owned()]);
    for command in ["scheduler", "standalone"] {
        let help = succeeds(Command::new(program("shiftwork")).args([command, "--help"]));
        for part in help.split("[env: ").skip(1) {
            let name = part.split(['=', ']']).next().unwrap_or_default();
            known.insert(name.to_owned());
        }
    }
    assert!(known.len() > 30, "the variables were found: {known:?}");
    known
}

/// Words that look like our variables.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_word(c))
        .filter(|word| word.starts_with("SHIFTWORK_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_variable_is_one_that_is_read() {
    let known = variables();
    for file in [
        "deploy/debian/default",
        "deploy/systemd/shiftwork.service",
        "deploy/systemd/shiftwork-standalone.service",
        "deploy/docker/Dockerfile",
        "deploy/compose/compose.yml",
        "deploy/marathon/shiftwork.json",
    ] {
        let mentioned = mentioned(&read(file));
        assert!(!mentioned.is_empty(), "{file} mentions variables");
        let unknown: Vec<_> = mentioned.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: nothing reads {unknown:?}");
    }
}

#[test]
fn the_program_takes_what_marathon_gives_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = directory.path().display().to_string();
    let made = rcgen::generate_simple_self_signed(vec!["h".to_owned()]).expect("a certificate");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("written");
    };
    write("tls.crt", &made.cert.pem());
    write("tls.key", &made.signing_key.serialize_pem());
    write("zookeeper", "shiftwork:secret");
    write("admin-token", "0123456789abcdef0123456789abcdef");
    // 32 bytes, in base64.
    write("secret-key", &format!("{}=", "A".repeat(43)));
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(directory.path().join("secret-key"), only_mine).expect("its mode");

    let app: Value = serde_json::from_str(&read("deploy/marathon/shiftwork.json")).expect("JSON");
    let line = app["cmd"].as_str().expect("a command");
    assert_eq!(
        line.split_whitespace().take(3).collect::<Vec<_>>(),
        ["exec", "./shiftwork", "scheduler"]
    );
    let mut check = Command::new(program("shiftwork"));
    check.env_clear().args(["config", "check", "scheduler"]);
    for word in line.split_whitespace().skip(3) {
        let word = word.replace("$PORT_API", "1").replace("$HOST", "h");
        check.arg(word.replace("$MESOS_SANDBOX", &files));
    }
    for (name, value) in app["env"].as_object().expect("variables") {
        // What is a secret, Marathon puts in.
        let value = value.as_str().unwrap_or("postgres://shiftwork:secret@db/shiftwork");
        check.env(name, value.replace("/etc/shiftwork", &files));
    }
    let said = succeeds(&mut check);
    assert!(said.contains("advertise = \"https://h:1\"  # flag"), "{said}");
    for key in ["admin-token-file", "tls-cert-file", "registry", "history", "secret-key-file"] {
        let given = said.lines().any(|line| line.starts_with(key) && line.ends_with("environment"));
        assert!(given, "{key}: {said}");
    }
}

/// The options parse: whatever is not known is refused before `--help` is looked at.
fn parses(command_line: &str) {
    let words: Vec<&str> = command_line.split_whitespace().collect();
    let at = words.iter().position(|word| word.ends_with("shiftwork")).expect("the program");
    let mut command = Command::new(program("shiftwork"));
    for word in &words[at + 1..] {
        // What the shell would put in.
        command.arg(word.replace("$PORT_API", "1").replace("$HOST", "h"));
    }
    succeeds(command.arg("--help"));
}

#[test]
fn every_command_line_parses() {
    for unit in ["shiftwork", "shiftwork-standalone"] {
        let unit = read(&format!("deploy/systemd/{unit}.service"));
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
        parses(start.expect("a command"));
    }
    let marathon: Value =
        serde_json::from_str(&read("deploy/marathon/shiftwork.json")).expect("JSON");
    parses(marathon["cmd"].as_str().expect("a command"));
}

#[test]
fn marathon_runs_three_that_are_checked_and_replaced_one_by_one() {
    let app: Value = serde_json::from_str(&read("deploy/marathon/shiftwork.json")).expect("JSON");
    assert_eq!(app["instances"], 3);
    assert_eq!(app["constraints"], serde_json::json!([["hostname", "UNIQUE"]]));
    let check = &app["healthChecks"][0];
    // That of /readyz would end every scheduler that stands by.
    assert_eq!(
        (check["protocol"].as_str(), check["path"].as_str()),
        (Some("MESOS_HTTPS"), Some("/healthz"))
    );
    let kept = app["upgradeStrategy"]["minimumHealthCapacity"].as_f64().expect("a share");
    assert!(kept * 3.0 > 2.0, "two stay while one is replaced");
    let ports = app["portDefinitions"].as_array().expect("ports");
    assert_eq!(ports[0]["name"], "api", "PORT_API is its variable");
}
