//! Registration over REST and the same over the command line.

use serde_json::json;

use crate::harness::Standalone;

fn document() -> serde_json::Value {
    json!({
        "jobName": "report", "appName": "app", "jobType": "SCRIPT",
        "jobExecutionType": "TRANSIENT", "scriptCommandLine": "true",
        "cron": "0 0 2 * * ?", "shardingTotalCount": "2", "cpuCount": 0.1, "memoryMB": 16,
    })
}

#[test]
fn mistakes_are_refused_by_field_and_nothing_is_stored() {
    let standalone = Standalone::start(&[]);
    let refused = |change: &dyn Fn(&mut serde_json::Value), field: &str| {
        let mut job = document();
        change(&mut job);
        let (status, problem) = standalone.post("/api/v1/jobs", Some(&job));
        assert!((400..500).contains(&status), "{status} {problem}");
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["field"] == field), "{field}: {problem}");
    };
    refused(&|_| {}, "appName");
    standalone.register_app();
    refused(&|job| job["cron"] = json!("0 0 25 * * ?"), "cron");
    refused(&|job| job["colour"] = json!("red"), "colour");
    refused(&|job| job["appName"] = json!("nobody"), "appName");
    assert_eq!(standalone.get("/api/v1/jobs").1["items"], json!([]));
    assert_eq!(standalone.post("/api/v1/jobs", Some(&document())).0, 201);
    refused(&|_| {}, "jobName");
    assert_eq!(standalone.get("/api/v1/jobs").1["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_command_line_shows_the_same() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("report", "true", &json!({"shardingTotalCount": 2}));
    let run = standalone.trigger("report");
    standalone.wait_for_run(&run, "SUCCEEDED");
    for (args, words) in [
        (&["job", "list"][..], &["report"][..]),
        (&["run", "list"], &["report@", "SUCCEEDED"]),
        (&["queue", "running"], &[]),
        (&["status"], &[]),
    ] {
        let output = standalone.cli(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {output:?}");
        for word in words {
            assert!(text.contains(word), "{args:?}: {text}");
        }
        let output = standalone.cli(&[args, &["-o", "json"]].concat());
        let parsed = serde_json::from_slice::<serde_json::Value>(&output.stdout);
        assert!(parsed.is_ok(), "{args:?}: {output:?}");
    }
    let output = standalone.cli(&["job", "get", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("nothing"), "{said}");
}
