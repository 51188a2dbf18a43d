//! kill -9 of the whole process at arbitrary moments: nothing is lost, nothing finished runs
//! again, nothing of the old life goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Standalone, wait_for};

/// Lives that are ended; more by `SHIFTWORK_TEST_KILLS`.
const KILLS_DEFAULT: usize = 4;

/// The last thing a shard does is one appended line. A shard that is killed between that line and its
/// end writes it again; one whose end was recorded never does.
const SCRIPT: &str = r#"sleep 0.4; echo "$SHIFTWORK_RUN_ID $SHIFTWORK_ITEM" >> "$DONE";"#;

#[test]
fn no_run_is_lost_and_no_finished_shard_runs_again() {
    let kills = std::env::var("SHIFTWORK_TEST_KILLS").ok().and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(KILLS_DEFAULT);
    let mut standalone = Standalone::start(&[]);
    let done = standalone.directory.path().join("done");
    standalone.register_app();
    let extra = json!({
        "cron": "* * * * * ?", "shardingTotalCount": 2, "failover": true, "misfire": true,
        "env": {"DONE": done},
    });
    standalone.register_job("every-second", SCRIPT, &extra);
    // The runs that were known to have succeeded when a life ended, and how many lines they had written.
    let mut recorded: BTreeMap<String, usize> = BTreeMap::new();
    for life in 0..kills {
        wait_for("a run is active", || {
            !standalone.get("/api/v1/queues/running").1["items"]
                .as_array()
                .is_none_or(Vec::is_empty)
        });
        // At another phase of a run in each life.
        std::thread::sleep(Duration::from_millis(1_300 + 170 * life as u64));
        let old = standalone.processes();
        let runs = standalone.runs("every-second");
        let written = std::fs::read_to_string(&done).unwrap_or_default();
        for run in runs.iter().filter_map(succeeded) {
            let lines = written.lines().filter(|line| line.starts_with(&format!("{run} "))).count();
            recorded.entry(run).or_insert(lines);
        }
        standalone.kill();
        standalone.start_again(&[]);
        let left = standalone.processes();
        let survivors: Vec<_> = old.iter().filter(|process| left.contains(process)).collect();
        assert!(survivors.is_empty(), "of the former life: {survivors:?}");
    }
    let disable = "/api/v1/jobs/every-second/disable";
    // Runs take about as long as the time between firings: the backlog goes down slowly, so the
    // schedule is slowed down first.
    let mut slow = extra.clone();
    slow["cron"] = json!("0 0 0 1 1 ?");
    let mut document = standalone.get("/api/v1/jobs/every-second").1["document"].clone();
    document["cron"] = slow["cron"].clone();
    let put = standalone.call(reqwest::Method::PUT, "/api/v1/jobs/every-second", Some(&document));
    assert_eq!(put.0, 200, "{}", put.1);
    // Asked of the runs and not of the queues: between two looks a shard goes from one to the other.
    wait_for("every run has ended", || {
        standalone.runs("every-second").iter().all(|run| !run["finishedAt"].is_null())
    });
    assert_eq!(standalone.post(disable, None).0, 200);

    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in std::fs::read_to_string(&done).expect("something was done").lines() {
        *times.entry(line.to_owned()).or_default() += 1;
    }
    let repeated: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    for (run, lines) in &recorded {
        let now: usize = (0..2).filter_map(|item| times.get(&format!("{run} {item}"))).sum();
        assert_eq!(now, *lines, "{run} had succeeded and ran again");
    }
    assert!(!recorded.is_empty(), "runs ended before a kill");
    // Only what was under way when a life ended can be among them: two shards of one run.
    assert!(repeated.len() <= kills * 2, "{repeated:?}");
    let mut runs = standalone.runs("every-second");
    runs.sort_by_key(|run| run["logicalTime"].to_string());
    for run in &runs {
        assert_eq!(run["state"], "SUCCEEDED", "{run}");
        for item in 0..2 {
            let line = format!("{} {item}", run["id"].as_str().expect("an id"));
            assert!(times.contains_key(&line), "{line} was never done");
        }
    }
    assert_eq!(times.len(), runs.len() * 2, "every line belongs to a run");
    // Each second from the first firing to the last has its run.
    let seconds: Vec<i64> = runs.iter().map(|run| seconds(&run["logicalTime"])).collect();
    for pair in seconds.windows(2) {
        assert_eq!(pair[1] - pair[0], 1, "a firing is missing or doubled");
    }
    println!("{} firings over {} lives, each run once", runs.len(), kills + 1);
}

fn succeeded(run: &serde_json::Value) -> Option<String> {
    (run["state"] == "SUCCEEDED").then(|| run["id"].as_str().map(str::to_owned))?
}

fn seconds(time: &serde_json::Value) -> i64 {
    let time: shiftwork_schedule::Timestamp =
        time.as_str().and_then(|text| text.parse().ok()).expect("a timestamp");
    time.as_millis() / 1000
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_disturbs_nothing() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("long", "sleep 3;", &json!({}));
    let run = standalone.trigger("long");
    standalone.wait_for_run(&run, "RUNNING");
    let data_dir = standalone.data_dir();
    let second = std::process::Command::new(crate::harness::program("shiftwork"))
        .args(["standalone", "--http", "127.0.0.1:0", "--mesos", "127.0.0.1:0", "--data-dir"])
        .arg(&data_dir)
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use") && said.lines().count() == 1, "{said}");
    let run = standalone.wait_for_run(&run, "SUCCEEDED");
    assert_eq!(run["shards"][0]["attempt"], 1);
}
