//! Two schedulers, one ZooKeeper, one Mesos master: whoever leads, and however the lead changes,
//! each firing happens once. Absent: what one scheduler does; the other tests show that.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process};
use crate::harness::{program, signal, wait_for};

/// Leaders that are killed; more by `SHIFTWORK_TEST_KILLS`.
const KILLS_DEFAULT: u64 = 3;

/// The last thing a shard does is one appended line: a line more than once is a finished shard
/// that ran again.
const SCRIPT: &str = r#"sleep 0.3; echo "$SHIFTWORK_RUN_ID" >> "$DONE";"#;

/// The runs that were done, each with how often.
pub(crate) fn runs_done(file: &Path) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for line in std::fs::read_to_string(file).expect("something was done").lines() {
        *times.entry(line.to_owned()).or_default() += 1;
    }
    times
}

/// Registers an app and a job that fires every second.
pub(crate) fn register(scheduler: &Process, done: &Path) -> Value {
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/apps", Some(app));
    assert_eq!(status, 201, "{answer}");
    let job = json!({
        "jobName": "tick", "appName": "app", "jobType": "SCRIPT", "cron": "* * * * * ?",
        "jobExecutionType": "TRANSIENT", "scriptCommandLine": SCRIPT, "misfire": true,
        "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16, "failover": true,
        "env": {"DONE": done},
    });
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/jobs", Some(job.clone()));
    assert_eq!(status, 201, "{answer}");
    job
}

pub(crate) fn second_of(run: &str) -> i64 {
    let (_, time) = run.split_once('@').expect("a run id");
    let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default().to_owned();
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    let time: shiftwork_schedule::Timestamp = text.parse().expect("a logical time");
    time.as_millis() / 1000
}

#[test]
fn each_firing_happens_once_however_the_lead_changes() {
    let kills = std::env::var("SHIFTWORK_TEST_KILLS").ok().and_then(|text| text.parse().ok());
    let kills: u64 = kills.unwrap_or(KILLS_DEFAULT);
    let mut cluster = Cluster::start();
    let done = cluster.directory.path().join("done");
    let mut first = cluster.scheduler("first");
    wait_for("the first leads", || first.leads());
    let mut second = cluster.scheduler("second");
    wait_for("the second stands by", || second.follows(&first));
    // Through the one that stands by: its answer leads to the leader.
    let mut job = register(&second, &done);
    wait_for("it fires", || done.exists());

    let mut names = ["first", "second"];
    for life in 0..kills {
        // At another phase of a run in each life.
        std::thread::sleep(Duration::from_millis(1_100 + 270 * life));
        first.kill();
        wait_for("the second leads after a kill", || second.leads());
        first = cluster.scheduler(names[0]);
        wait_for("the first stands by", || first.follows(&second));
        std::mem::swap(&mut first, &mut second);
        names.swap(0, 1);
    }
    std::mem::swap(&mut first, &mut second);

    signal(&second.process, Signal::STOP);
    wait_for("the first leads while the second is frozen", || first.leads());
    std::thread::sleep(Duration::from_secs(2));
    signal(&second.process, Signal::CONT);
    wait_for("the second finds that it does not lead", || second.follows(&first));
    assert!(first.leads(), "the one that woke up took nothing away");
    std::thread::sleep(Duration::from_secs(2));

    cluster.zookeeper = cluster.zookeeper.restart();
    wait_for("one leads after ZooKeeper was away", || first.leads() || second.leads());

    // Slowed down first: what has been due meanwhile is worked off.
    job["cron"] = json!("0 0 0 1 1 ?");
    wait_for("the job is slowed down", || {
        first.call(reqwest::Method::PUT, "/api/v1/jobs/tick", Some(job.clone())).0 == 200
    });
    let is_empty = |queue: &str| {
        let (status, answer) = first.get(&format!("/api/v1/queues/{queue}"));
        status == 200 && answer["items"].as_array().is_some_and(Vec::is_empty)
    };
    wait_for("nothing waits or runs", || {
        ["ready", "failover", "running"].into_iter().all(is_empty)
    });

    let times = runs_done(&done);
    let repeated: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "finished runs that ran again: {repeated:?}");
    let seconds: Vec<i64> = times.keys().map(|run| second_of(run)).collect();
    for pair in seconds.windows(2) {
        assert_eq!(pair[1] - pair[0], 1, "a firing is missing: {times:?}");
    }
    println!("{} firings under a handful of leaders, each once", seconds.len());

    let mut third = Command::new(program("shiftwork"));
    third.args(["scheduler", "--http", "127.0.0.1:0", "--mesos", "127.0.0.1:1", "--data-dir"]);
    let output = third.arg(cluster.directory.path().join(names[0])).output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another scheduler uses"), "{said}");

    let output = Command::new(program("shiftwork"))
        .args(["registry", "get", "config/job/tick", "--registry", &cluster.registry()])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 0 0 1 1 ?"), "{output:?}");
}
