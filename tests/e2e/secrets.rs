//! A secret reaches the task that needs it, and nobody else: not the API's answers, the registry, the
//! history, the logs, or the arguments of any process.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Standalone, program};

/// What is looked for everywhere.
const SECRET: &str = "Zq8-never-to-be-seen-7Yk";

#[test]
fn a_secret_reaches_its_task_and_nobody_else() {
    let mut standalone = Standalone::start(&["--log-format", "json"]);
    standalone.register_app();
    let set = |name: &str| {
        let mut process = Command::new(program("shiftwork"))
            .args(["secret", "set", name])
            .env("SHIFTWORK_SERVER", &standalone.http)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("shiftwork runs");
        let mut stdin = process.stdin.take().expect("its stdin is piped");
        writeln!(stdin, "{SECRET}").expect("it reads");
        drop(stdin);
        assert!(process.wait().expect("it ends").success());
    };
    // A job that names what is not there is refused where it is registered.
    let job = |secret: &str| {
        json!({
            "jobName": "j", "appName": "app", "jobType": "SCRIPT",
            "jobExecutionType": "TRANSIENT", "shardingTotalCount": 1, "cpuCount": 0.1,
            "memoryMB": 16, "env": {"TOKEN": {"secret": secret}, "PLAIN": "seen"},
            // Its length alone, so that the output holds nothing.
            "scriptCommandLine":
                "printf '%s-%s\\n' \"$PLAIN\" \"$(printf %s \"$TOKEN\" | wc -c)\" >\"$OUT\"; \
                 tr '\\0' '\\n' </proc/$PPID/cmdline >>\"$OUT\"; exit 3;",
        })
    };
    let out = standalone.directory.path().join("out");
    let mut good = job("db");
    good["env"]["OUT"] = json!(out.display().to_string());
    let (status, answer) = standalone.post("/api/v1/jobs", Some(&good));
    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("env.TOKEN")), "{answer}");
    set("db");
    let (status, answer) = standalone.post("/api/v1/jobs", Some(&good));
    assert_eq!(status, 201, "{answer}");
    let run = standalone.trigger("j");
    standalone.wait_for_run(&run, "FAILED");
    let said = std::fs::read_to_string(&out).expect("the task wrote it");
    assert!(said.starts_with(&format!("seen-{}\n", SECRET.len())), "{said}");
    assert!(!said.contains(SECRET), "in the arguments of the executor");

    for path in [
        "/api/v1/secrets",
        "/api/v1/secrets/db",
        "/api/v1/jobs/j",
        "/api/v1/jobs/j/why",
        "/api/v1/runs",
        &format!("/api/v1/runs/{run}"),
        &format!("/api/v1/runs/{run}/events"),
        "/api/v1/audit-log",
        "/api/v1/tasks",
        "/api/v1/executors",
        "/api/job/jobs/j",
        "/api/job/events/executions",
    ] {
        let (status, answer) = standalone.get(path);
        assert_eq!(status, 200, "{path}");
        assert!(!answer.to_string().contains(SECRET), "{path}");
    }
    let registry = standalone.cli(&["registry", "get", "auth/secret/db", "-o", "json"]);
    assert!(!String::from_utf8_lossy(&registry.stdout).contains(SECRET));

    // A task whose secret is gone does not leave, and says why.
    let (status, _) = standalone.call(reqwest::Method::DELETE, "/api/v1/secrets/db", None);
    assert_eq!(status, 204);
    let run = standalone.trigger("j");
    let failed = standalone.wait_for_run(&run, "FAILED");
    let message = failed["shards"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("the secret db") && message.contains("does not exist"), "{failed}");

    standalone.interrupt();
    // Everything the scheduler has kept; the agent, as Mesos', keeps what it launches.
    let found = holding(&standalone.data_dir(), SECRET.as_bytes());
    let kept: Vec<_> = found
        .iter()
        .filter(|file| !file.starts_with(standalone.data_dir().join("agent")))
        .collect();
    assert!(kept.is_empty(), "{kept:?}");
}

/// The files below a directory that hold some bytes.
fn holding(directory: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("what it is");
        if kind.is_dir() {
            found.extend(holding(&path, bytes));
        } else if kind.is_file() {
            let content = std::fs::read(&path).unwrap_or_default();
            if content.windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}
