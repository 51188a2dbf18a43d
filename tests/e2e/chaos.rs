//! Chaos, short: real schedulers, ZooKeeper, master and executors are killed and frozen at random, and
//! each firing is audited. The same program goes on for as long as one likes.

use std::process::Command;

use crate::harness::program;

/// How long things go wrong, minutes: some of each kind in most runs.
const MINUTES: &str = "0.3";

#[test]
fn nothing_is_lost_or_doubled_whatever_is_killed_or_frozen() {
    // A seed of its own in each run; it is printed.
    let output = Command::new(program("chaos")).args(["--minutes", MINUTES]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
}
