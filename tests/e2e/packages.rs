//! The example app of `deploy/example`, as its chapter tells it: packed, fetched, run, replaced by a
//! new version and rolled back, with scripts and with jobs in Rust. Absent: the chapter's own
//! commands (`docs.rs`).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Standalone, program, wait_for};

fn example() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(|root| root.join("deploy/example")).expect("a parent")
}

/// Packs a version with the jobs in Rust, and registers its documents.
fn roll_out(standalone: &Standalone, version: &str) {
    let packages = standalone.directory.path().join("packages");
    if !packages.join(format!("example-{version}.tar.gz")).exists() {
        let built = program("shiftwork").parent().map(|dir| dir.join("examples/word-app"));
        let packed = Command::new(example().join("pack"))
            .arg(version)
            .arg(&packages)
            .arg(built.expect("a directory"))
            .output()
            .expect("it runs");
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    }
    for documents in ["documents", "rust"] {
        let file = packages.join(format!("{documents}-{version}.json"));
        let applied = standalone.cli(&["apply", "-f", &file.to_string_lossy()]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
}

/// What the first shard of a new run of a job writes.
fn output(standalone: &Standalone, job: &str) -> String {
    let run = standalone.trigger(job);
    let ended = standalone.wait_for_run(&run, "SUCCEEDED");
    let task = ended["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let (status, log) = standalone.get(&format!("/api/v1/tasks/{task}/logs"));
    assert_eq!(status, 200, "{log}");
    log["data"].as_str().unwrap_or_default().to_owned()
}

/// Executors of the app with the scripts.
fn executors(standalone: &Standalone) -> usize {
    let (status, page) = standalone.get("/api/v1/executors");
    assert_eq!(status, 200, "{page}");
    let executors = page["items"].as_array().into_iter().flatten();
    executors.filter(|executor| executor["app"] == "example").count()
}

#[test]
fn a_package_is_fetched_run_replaced_and_rolled_back() {
    let standalone = Standalone::start(&[]);
    roll_out(&standalone, "1.0");
    assert!(output(&standalone, "greet").starts_with("example 1.0 greets the north in greet@"));
    assert!(output(&standalone, "words").starts_with("3 words in shard 0 of words@"));
    assert_eq!(output(&standalone, "lines"), "first\nsecond\nthird\n");
    // A daemon keeps the executor of the version it was launched with.
    wait_for("the daemon runs", || {
        let (_, job) = standalone.get("/api/v1/jobs/watch");
        job["running"].is_string() || job["running"].is_object()
    });

    roll_out(&standalone, "1.1");
    assert!(output(&standalone, "greet").starts_with("example 1.1 greets the north"));
    assert_eq!(executors(&standalone), 2, "the old version's executor serves its daemon still");

    roll_out(&standalone, "1.0");
    assert!(output(&standalone, "greet").starts_with("example 1.0 greets the north"));

    // What the chapter says to move a daemon at once.
    let watched = |standalone: &Standalone| -> Value {
        let mut runs = standalone.runs("watch").into_iter();
        runs.find(|run| run["state"] == "RUNNING").unwrap_or_default()
    };
    let before = watched(&standalone)["id"].clone();
    assert!(standalone.cli(&["job", "disable", "watch", "--reason", "version"]).status.success());
    assert!(standalone.cli(&["job", "enable", "watch"]).status.success());
    wait_for("it runs anew", || {
        let run = watched(&standalone);
        run["id"].is_string() && run["id"] != before
    });
}

#[test]
fn a_version_packed_twice_is_the_same() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pack = |name: &str| {
        let place = directory.path().join(name);
        let packed = Command::new(example().join("pack")).arg("7").arg(&place).status();
        assert!(packed.expect("it runs").success());
        std::fs::read(place.join("example-7.tar.gz")).expect("a package")
    };
    assert_eq!(pack("one"), pack("two"));
}
