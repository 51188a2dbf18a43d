//! Scripts that Mesos' own executor runs: their contract, ends, outputs and kills are those of any
//! other script, as far as that executor can tell.

use serde_json::{Value, json};

use crate::harness::{Standalone, wait_for};

fn command(extra: Value) -> Value {
    let mut document = json!({"executor": "command"});
    for (name, value) in extra.as_object().cloned().unwrap_or_default() {
        document[name] = value;
    }
    document
}

/// The output of the only shard of a run.
fn log(standalone: &Standalone, run: &Value, stream: &str) -> Value {
    let task = run["shards"][0]["taskId"].as_str().expect("a task");
    let (status, log) = standalone.get(&format!("/api/v1/tasks/{task}/logs?stream={stream}"));
    assert_eq!(status, 200, "{log}");
    log["data"].clone()
}

#[test]
fn a_command_gets_its_context_and_its_exit_code_decides() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let extra =
        command(json!({"shardingItemParameters": "0=it's $(b)", "env": {"COLOUR": "blue"}}));
    standalone.register_job("says", "echo \"$COLOUR $SHIFTWORK_ITEM\" >&2; printf %s", &extra);
    let run = standalone.trigger("says");
    let run = standalone.wait_for_run(&run, "SUCCEEDED");
    assert_eq!(run["shards"][0]["exitCode"], 0, "{run}");
    assert_eq!(log(&standalone, &run, "stderr"), "blue 0\n");
    let context = log(&standalone, &run, "stdout");
    let context: Value = serde_json::from_str(context.as_str().expect("text")).expect("JSON");
    assert_eq!(context["shardingParameter"], "it's $(b)");
    assert_eq!(context["runId"], run["id"]);

    let retry =
        json!({"retry": {"maxAttempts": 2, "exitCodes": [3], "backoff": {"initial": "100ms"}}});
    standalone.register_job("fails", "echo so far; exit 3", &command(retry));
    let run = standalone.trigger("fails");
    let run = standalone.wait_for_run(&run, "FAILED");
    let shard = &run["shards"][0];
    assert_eq!((&shard["exitCode"], &shard["attempt"]), (&json!(3), &json!(2)), "{run}");
    assert_eq!(shard["message"], "Command exited with status 3");
    assert_eq!(log(&standalone, &run, "stdout"), "so far\n");
    let executors = standalone.processes();
    let ours = executors.iter().find(|(_, command)| command.contains("shiftwork-executor"));
    assert_eq!(ours, None, "no executor of ours was started");
}

#[test]
fn a_command_is_killed_and_beside_it_the_apps_executor_goes_on() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("stays", "sleep 1004;", &command(json!({"killGracePeriod": "1s"})));
    standalone.register_job("sibling", "sleep 4;", &json!({}));
    let stays = standalone.trigger("stays");
    let sibling = standalone.trigger("sibling");
    standalone.wait_for_run(&stays, "RUNNING");
    standalone.wait_for_run(&sibling, "RUNNING");
    let (status, answer) = standalone.post(&format!("/api/v1/runs/{stays}/cancel"), None);
    assert!((200..300).contains(&status), "{status} {answer}");
    let run = standalone.wait_for_run(&stays, "CANCELLED");
    assert_eq!(run["shards"][0]["signal"], 15, "{run}");
    wait_for("it is gone", || {
        !standalone.processes().iter().any(|(_, command)| command.contains("sleep 1004"))
    });
    assert_eq!(standalone.wait_for_run(&sibling, "SUCCEEDED")["shards"][0]["attempt"], 1);
}
