//! Tasks that fail, tasks that are killed, and siblings that never notice.

use serde_json::json;

use crate::harness::{Standalone, wait_for};

#[test]
fn a_failing_task_shows_its_exit_code_and_the_end_of_its_stderr() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let script = "echo so far; echo 'no such table' >&2; n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; exit 3";
    standalone.register_job("fails", script, &json!({}));
    let run = standalone.trigger("fails");
    let run = standalone.wait_for_run(&run, "FAILED");
    assert_eq!(run["shards"][0]["exitCode"], 3, "{run}");
    let message = run["shards"][0]["message"].as_str().expect("a message");
    assert!(message.contains("no such table"), "{message}");
    let shard = &run["shards"][0];
    assert_eq!(
        (&shard["stdoutTail"], &shard["stderrTail"]),
        (&json!("so far\n"), &json!("no such table\n"))
    );
    for figure in ["durationMs", "cpuTimeMs", "memoryPeakBytes"] {
        assert!(shard["usage"][figure].as_u64().is_some_and(|n| n > 0), "{figure}: {shard}");
    }
    let shown = standalone.cli(&["run", "get", run["id"].as_str().expect("an id")]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(" MB ") && shown.contains(" ms "), "{shown}");
}

#[test]
fn retries_run_as_new_attempts_of_the_same_run() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let extra = json!({"retry": {"maxAttempts": 3, "backoff": {"initial": "100ms"}}});
    standalone.register_job("third-time", "test \"$SHIFTWORK_ATTEMPT\" = 3;", &extra);
    let run = standalone.trigger("third-time");
    let run = standalone.wait_for_run(&run, "SUCCEEDED");
    assert_eq!(run["shards"][0]["attempt"], 3);
}

#[test]
fn a_killed_task_is_gone_with_its_children_and_its_sibling_goes_on() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    // One shard ignores SIGTERM and has children; one of them leaves the process group.
    let stubborn = "trap '' TERM; sleep 1001 & setsid sleep 1002 & wait; sleep 1003;";
    standalone.register_job("stubborn", stubborn, &json!({"killGracePeriod": "1s"}));
    standalone.register_job("sibling", "sleep 5;", &json!({}));
    let stubborn = standalone.trigger("stubborn");
    let sibling = standalone.trigger("sibling");
    standalone.wait_for_run(&stubborn, "RUNNING");
    standalone.wait_for_run(&sibling, "RUNNING");
    let sleeping =
        |seconds: &str| standalone.processes().iter().any(|(_, command)| command.contains(seconds));
    wait_for("its children run", || sleeping("sleep 1001") && sleeping("sleep 1002"));

    let task =
        standalone.run(&stubborn)["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let (status, answer) = standalone.post(&format!("/api/v1/tasks/{task}/kill"), None);
    assert!((200..300).contains(&status), "{status} {answer}");
    let run = standalone.wait_for_run(&stubborn, "CANCELLED");
    for seconds in ["sleep 1001", "sleep 1002", "sleep 1003"] {
        assert!(!sleeping(seconds), "{seconds} is left although the run is {}", run["state"]);
    }
    assert_eq!(standalone.wait_for_run(&sibling, "SUCCEEDED")["shards"][0]["attempt"], 1);
}

#[test]
fn what_a_script_is_given() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let file = standalone.directory.path().join("context");
    let script = r#"printf '%s\n%s\n%s\n' "$SHIFTWORK_CONTEXT" "$EXTRA" "$SHIFTWORK_JOB_PARAMETER" > "$FILE";"#;
    let extra = json!({
        "shardingItemParameters": "0=first", "jobParameter": "it's \"quoted\" $HOME",
        "env": {"FILE": file, "EXTRA": "a b"},
    });
    standalone.register_job("context", script, &extra);
    let run = standalone.trigger("context");
    standalone.wait_for_run(&run, "SUCCEEDED");
    let written = std::fs::read_to_string(file).expect("written");
    let mut lines = written.lines();
    let context: serde_json::Value =
        serde_json::from_str(lines.next().expect("a context")).expect("JSON");
    assert_eq!(context["jobName"], "context");
    assert_eq!(context["shardingParameter"], "first");
    assert_eq!(context["jobParameter"], "it's \"quoted\" $HOME");
    assert_eq!(context["runId"], run);
    assert_eq!(lines.next(), Some("a b"));
    assert_eq!(lines.next(), Some("it's \"quoted\" $HOME"));
}
