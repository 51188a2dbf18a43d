//! `/metrics` of a running scheduler: in a form Prometheus' own checker takes, and every metric that
//! has something to say says it. Absent: the engine's counting rules (its own tests).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Standalone, block_on, wait_for};

/// The text of `/metrics`.
fn scrape(standalone: &Standalone) -> String {
    let url = format!("{}/metrics", standalone.http);
    block_on(async move {
        let answer = reqwest::get(url).await.expect("it answers");
        assert_eq!(answer.status().as_u16(), 200);
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        answer.text().await.expect("text")
    })
}

/// Samples by name with labels; of histograms only the counts.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn metrics_move_and_pass_prometheus_own_check() {
    let mut standalone = Standalone::start(&["--launch-interval", "1s"]);
    standalone.register_app();
    standalone.register_job("ticks", "true;", &json!({"every": "1s"}));
    standalone.register_job("fails", "exit 3;", &json!({}));
    standalone.register_job("waits", "true;", &json!({"cpuCount": 1000}));
    standalone.trigger("fails");
    standalone.trigger("waits");
    // Their sum is what was due: nothing is left out of the count.
    standalone.register_job("off", "true;", &json!({"every": "1s", "misfire": {"policy": "skip"}}));
    assert_eq!(standalone.post("/api/v1/jobs/off/disable", None).0, 200);

    let moved = [
        r#"shiftwork_firings_total{decision="fired"}"#,
        r#"shiftwork_firings_total{decision="missed"}"#,
        r#"shiftwork_runs_ended_total{state="SUCCEEDED"}"#,
        r#"shiftwork_runs_ended_total{state="FAILED"}"#,
        "shiftwork_run_start_delay_seconds_count",
        "shiftwork_run_duration_seconds_count",
        "shiftwork_task_launches_total",
        r#"shiftwork_task_updates_total{state="TASK_STAGING"}"#,
        r#"shiftwork_task_updates_total{state="TASK_FINISHED"}"#,
        r#"shiftwork_queue_depth{queue="pending"}"#,
        r#"shiftwork_queue_oldest_wait_seconds{queue="pending"}"#,
        "shiftwork_launch_cycles_total",
        "shiftwork_launch_cycle_duration_seconds_count",
        "shiftwork_turn_duration_seconds_count",
        r#"shiftwork_placement_failures_total{cause="cpus"}"#,
        r#"shiftwork_commits_total{outcome="committed"}"#,
        "shiftwork_commit_duration_seconds_count",
        "shiftwork_commit_operations_sum",
        "shiftwork_leader",
        "shiftwork_leader_epoch",
        "shiftwork_tenures_total",
        "shiftwork_apps",
        "shiftwork_jobs",
        "shiftwork_agents",
        "shiftwork_executors",
        r#"shiftwork_mesos_driver_state{state="subscribed"}"#,
        "shiftwork_mesos_subscriptions_total",
        "shiftwork_mesos_heartbeats_total",
        r#"shiftwork_mesos_calls_total{outcome="accepted"}"#,
        "shiftwork_history_records_written_total",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    ];
    let unmoved = || {
        let samples = samples(&scrape(&standalone));
        let zero = |name: &&str| samples.get(*name).is_none_or(|value| *value <= 0.0);
        moved.iter().copied().filter(zero).collect::<Vec<_>>()
    };
    wait_for("every metric moved", || unmoved().is_empty());

    let text = scrape(&standalone);
    for absent in ["\"ticks\"", "\"waits\"", "\"app\""] {
        assert!(!text.contains(absent), "a name that users choose is a label: {absent}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian package prometheus; tests/run does it)");
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let checked = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && said.is_empty(), "{said}");
    standalone.interrupt();
}
