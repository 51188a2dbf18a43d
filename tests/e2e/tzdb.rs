//! Time zone data that is not the bundled: where it shows, and what is said when it changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{Standalone, program};

/// A compiled zone (RFC 9636, version 2) without a past: the rule of its footer holds for ever.
fn compiled(offset_s: i32, rule: &str) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    for count in [0u32, 0, 0, 0, 1, 4] {
        block.extend(count.to_be_bytes());
    }
    block.extend(offset_s.to_be_bytes());
    block.extend(*b"\0\0LMT\0");
    let mut data = block.repeat(2);
    data.extend(format!("\n{rule}\n").bytes());
    data
}

/// A release in which Berlin has no summer time any more.
fn release_2031a(directory: &Path) {
    std::fs::create_dir(directory.join("Europe")).expect("a directory");
    let write =
        |name: &str, data: &[u8]| std::fs::write(directory.join(name), data).expect("a file");
    write("Europe/Berlin", &compiled(3_600, "CET-1"));
    write("tzdata.zi", b"# version 2031a\n");
}

fn shiftwork(args: &[&str]) -> Output {
    Command::new(program("shiftwork")).args(args).output().expect("shiftwork runs")
}

#[test]
fn an_expression_is_computed_by_the_data_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    release_2031a(directory.path());
    let expression = ["job", "next", "-o", "json", "-n", "1", "--cron", "0 30 2 * * ?"];
    let zone = ["--tz", "Europe/Berlin", "--from", "2027-03-27T12:00:00Z"];
    let next = |extra: &[&str]| -> BTreeMap<String, Value> {
        let output = shiftwork(&[&expression[..], &zone[..], extra].concat());
        assert!(output.status.success(), "{output:?}");
        let firings: Vec<_> = serde_json::from_slice(&output.stdout).expect("an array");
        firings.into_iter().next().expect("a firing")
    };
    let path = directory.path().to_str().expect("a path");
    assert_eq!(next(&[])["utc"], "2027-03-28T01:00:00Z", "the clocks go forward at two");
    assert_eq!(next(&["--tzdb", path])["utc"], "2027-03-28T01:30:00Z");

    let output = shiftwork(&[&expression[..], &["--tzdb", "/nowhere"]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere"), "{output:?}");
}

#[test]
fn a_server_says_by_which_data_it_fires_and_when_it_is_another() {
    let directory = tempfile::tempdir().expect("a directory");
    release_2031a(directory.path());
    let path = directory.path().to_str().expect("a path");
    let mut standalone = Standalone::start(&["--tzdb", path]);
    standalone.register_app();
    let berlin = json!({"cron": "0 30 2 28 3 ? 2027", "timeZone": "Europe/Berlin"});
    standalone.register_job("summer", "true", &berlin);
    let next = |standalone: &Standalone| {
        standalone.get("/api/v1/jobs/summer/next?n=1").1["items"][0]["utc"].clone()
    };
    let status = |standalone: &Standalone| standalone.get("/api/v1/status").1;
    assert_eq!(next(&standalone), "2027-03-28T01:30:00Z");
    assert_eq!(status(&standalone)["tzdb"], format!("{path} 2031a"));
    assert_eq!(status(&standalone)["problems"], json!([]));
    standalone.interrupt();

    standalone.start_again(&[]);
    assert_eq!(next(&standalone), "2027-03-28T01:00:00Z");
    let problems = status(&standalone)["problems"].to_string();
    assert!(problems.contains("the leader before fired by release 2031a"), "{problems}");
    assert!(status(&standalone)["tzdb"].as_str().is_some_and(|it| it.starts_with("bundled ")));
}

#[test]
fn a_server_is_not_started_without_the_data_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path");
    let said = |args: &[&str]| {
        let output = shiftwork(args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let server = ["standalone", "--http", "127.0.0.1:0", "--mesos", "127.0.0.1:0"];
    let empty = said(&[&server[..], &["--tzdb", path]].concat());
    assert!(empty.contains(&format!("--tzdb: there are no time zones in {path}")), "{empty}");
    release_2031a(directory.path());
    // It is a zone, but not one of this data.
    let zone = ["--tzdb", path, "--time-zone", "Asia/Tokyo"];
    let absent = said(&[&server[..], &zone[..]].concat());
    assert!(absent.contains("--time-zone") && absent.contains("2031a"), "{absent}");
}
