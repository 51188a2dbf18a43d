//! The story a new user sees first: `shiftwork standalone --demo`.

use std::collections::BTreeSet;

use crate::harness::{Standalone, wait_for};

fn succeeded(standalone: &Standalone) -> Vec<serde_json::Value> {
    let runs = standalone.runs("word-count").into_iter();
    runs.filter(|run| run["state"] == "SUCCEEDED").collect()
}

/// The number behind `words` or `lines` in the result files of a job.
fn results(standalone: &Standalone, job: &str, key: &str) -> Vec<u64> {
    let directory = standalone.data_dir().join("demo/results").join(job);
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("results are there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let number = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
        line.and_then(|line| line.trim().parse().ok()).expect("a number")
    };
    files.iter().map(|file| number(std::fs::read_to_string(file).expect("readable"))).collect()
}

#[test]
fn the_demo_counts_stops_cleanly_and_goes_on() {
    let mut standalone = Standalone::start(&["--demo"]);
    standalone.line(|line| line.starts_with("Results"));
    wait_for("three runs succeeded", || succeeded(&standalone).len() >= 3);
    for run in succeeded(&standalone) {
        let shards = run["shards"].as_array().expect("shards");
        assert_eq!(shards.len(), 3);
        assert!(shards.iter().all(|shard| shard["exitCode"] == 0), "{run}");
    }
    let text = include_str!("../../deploy/demo/text.txt");
    let words = text.split_whitespace().count() as u64;
    let lines = text.lines().count() as u64;
    assert_eq!(results(&standalone, "word-count", "words ").iter().sum::<u64>(), words);
    assert_eq!(results(&standalone, "line-count", "lines ").iter().sum::<u64>(), lines);
    standalone.line(|line| line.contains("word-count@") && line.contains("SUCCEEDED"));

    let documents = standalone.get("/api/v1/jobs/word-count").1["document"].clone();
    let before: BTreeSet<String> = ids(&standalone);
    standalone.interrupt();
    assert_eq!(standalone.processes(), [], "no process is left behind");

    standalone.start_again(&["--demo"]);
    assert_eq!(standalone.get("/api/v1/jobs/word-count").1["document"], documents);
    wait_for("a new run succeeded", || {
        let now = ids(&standalone);
        assert!(before.is_subset(&now), "the history is kept");
        now.len() > before.len()
    });
    let all = standalone.runs("word-count");
    let distinct: BTreeSet<_> = all.iter().map(|run| run["logicalTime"].to_string()).collect();
    assert_eq!(distinct.len(), all.len(), "no firing has two runs");
    standalone.interrupt();
    assert_eq!(standalone.processes(), []);
}

fn ids(standalone: &Standalone) -> BTreeSet<String> {
    let runs = succeeded(standalone);
    runs.iter().filter_map(|run| run["id"].as_str().map(str::to_owned)).collect()
}
