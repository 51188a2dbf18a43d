//! From one release to the next: this program on the data of the release before, and a rolling
//! upgrade of two schedulers. Absent: formats of single records (the engine's and the stores' tests).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process};
use crate::harness::{Standalone, program, signal, wait_for};
use crate::zookeeper::{register, runs_done, second_of};

/// Data that each release left, as `tests/e2e/upgrade/make` packed it.
fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/upgrade");
    let entries = std::fs::read_dir(directory).expect("fixtures").flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    found.sort();
    found
}

#[test]
fn this_release_goes_on_from_what_each_release_before_left() {
    let fixtures = fixtures();
    assert!(!fixtures.is_empty(), "there are fixtures");
    for fixture in fixtures {
        println!("{}", fixture.display());
        goes_on_from(&fixture);
    }
}

/// What `make` did, seen with the eyes of this release.
fn goes_on_from(fixture: &Path) {
    let mut standalone = Standalone::start(&[]);
    standalone.interrupt();
    std::fs::remove_dir_all(standalone.data_dir()).expect("removed");
    std::fs::create_dir(standalone.data_dir()).expect("a directory");
    let unpacked =
        Command::new("tar").arg("-xzf").arg(fixture).arg("-C").arg(standalone.data_dir()).status();
    assert!(unpacked.expect("tar runs").success());
    let expected = std::fs::read(standalone.data_dir().join("expected.json")).expect("a file");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    standalone.start_again(&[]);

    // Every document as it was written, and none with a problem.
    for kind in ["apps", "jobs", "calendars"] {
        for (name, document) in expected[kind].as_object().expect("documents by name") {
            let (status, now) = standalone.get(&format!("/api/v1/{kind}/{name}"));
            assert_eq!(status, 200, "{kind} {name}: {now}");
            assert_eq!(&now["document"], document, "{kind} {name}");
            assert_eq!(now["problem"], Value::Null, "{kind} {name}");
        }
    }
    // Flags with their reasons.
    let (_, disabled) = standalone.get("/api/v1/jobs/off");
    assert_eq!(disabled["enabled"], false);
    assert_eq!(disabled["disabled"]["reason"], "kept for the upgrade");
    // Runs that had ended: in the history, with how they ended.
    for (run, state) in expected["runs"].as_object().expect("runs by id") {
        assert_eq!(&standalone.run(run)["state"], state, "{run}");
    }
    // A run that waited goes on waiting, and runs when there is room; its parameters are kept.
    let waiting = expected["waiting"].as_str().expect("a run");
    assert_eq!(standalone.run(waiting)["state"], "PENDING", "{waiting}");
    wait_for("the offers are there, and too small", || {
        let (_, why) = standalone.get("/api/v1/jobs/wide/why");
        why["answer"].as_str().is_some_and(|why| why.contains("cpus"))
    });
    let (_, job) = standalone.get("/api/v1/jobs/wide");
    let mut document = job["document"].clone();
    document["cpuCount"] = json!(0.1);
    let put = standalone.call(reqwest::Method::PUT, "/api/v1/jobs/wide", Some(&document));
    assert_eq!(put.0, 200, "{}", put.1);
    let run = standalone.trigger("quick");
    standalone.wait_for_run(&run, "SUCCEEDED");
    // A run that was interrupted is lost by the book and, with failover, done again by itself.
    let interrupted = expected["interrupted"].as_str().expect("a run");
    standalone.wait_for_run(interrupted, "SUCCEEDED");
    // Schedules go on, by their rules for what was missed.
    wait_for("the schedule fires", || {
        let runs = standalone.runs("ticks");
        runs.iter()
            .any(|run| expected["runs"].get(run["id"].as_str().unwrap_or_default()).is_none())
    });
    standalone.interrupt();
}

/// Tells a scheduler to stop, as a package's upgrade does.
fn stop(scheduler: &mut Process) {
    signal(&scheduler.process, Signal::TERM);
    let status = scheduler.process.wait().expect("it can be waited for");
    assert!(status.success(), "it ended with {status}");
}

/// `SHIFTWORK_TEST_OLD_PROGRAM` names the release before; without it this one stands for both.
#[test]
fn two_schedulers_are_upgraded_one_by_one_without_a_missed_firing() {
    let cluster = Cluster::start();
    let old = std::env::var_os("SHIFTWORK_TEST_OLD_PROGRAM")
        .map_or_else(|| program("shiftwork"), PathBuf::from);
    let start_old = |name: &str| {
        let mut command = Command::new(&old);
        command
            .args(["scheduler", "--http", "127.0.0.1:0", "--mesos", &cluster.master.address])
            .args(["--registry", &cluster.registry(), "--data-dir"])
            .arg(cluster.directory.path().join(name));
        Process::start(&mut command)
    };
    let mut a = start_old("a");
    wait_for("a leads", || a.leads());
    let mut b = start_old("b");
    wait_for("b stands by", || b.follows(&a));
    let done = cluster.directory.path().join("done");
    let mut job = register(&a, &done);
    wait_for("it fires", || done.exists());

    // First the one that stands by, then the one that leads.
    stop(&mut b);
    let b = cluster.scheduler("b");
    wait_for("the new b stands by", || b.follows(&a));
    std::thread::sleep(Duration::from_secs(2));
    stop(&mut a);
    wait_for("the new b leads", || b.leads());
    let a = cluster.scheduler("a");
    wait_for("the new a stands by", || a.follows(&b));
    let so_far = runs_done(&done).len();
    wait_for("it fires under the new leader", || runs_done(&done).len() > so_far + 2);

    job["cron"] = json!("0 0 0 1 1 ? 2099");
    assert_eq!(b.call(reqwest::Method::PUT, "/api/v1/jobs/tick", Some(job)).0, 200);
    let is_empty = |queue: &str| {
        let (status, answer) = b.get(&format!("/api/v1/queues/{queue}"));
        status == 200 && answer["items"].as_array().is_some_and(Vec::is_empty)
    };
    wait_for("nothing waits or runs", || is_empty("ready") && is_empty("running"));
    let done = runs_done(&done);
    let twice: Vec<_> = done.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "done more than once: {twice:?}");
    let mut seconds: Vec<i64> = done.keys().map(|run| second_of(run)).collect();
    seconds.sort_unstable();
    let gaps: Vec<_> = seconds.windows(2).filter(|pair| pair[1] - pair[0] != 1).collect();
    assert!(gaps.is_empty(), "firings are missing between {gaps:?}");
}
