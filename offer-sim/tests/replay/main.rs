//! Replays what schedulers and executors sent in the recordings against the world, at the recorded
//! times, and compares what comes back with what the real master and agent answered. HTTP is not
//! involved.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used)]

mod recording;
mod session;

use recording::Recording;
use session::{Script, Session};

/// Plays recordings and compares every stream. Each script is a recording with its start, in
/// seconds after the first one's.
fn check(scripts: &[(&str, f64)], executor_side: Option<&str>) {
    let recordings: Vec<Recording> =
        scripts.iter().map(|(name, _)| Recording::read(name)).collect();
    let scripts: Vec<Script<'_>> = recordings
        .iter()
        .zip(scripts)
        .map(|(recording, (_, start))| Script { recording, start_seconds: *start })
        .collect();
    let executor = executor_side.map(Recording::read);
    let answers = Session::new(&scripts).play(&scripts, executor.as_ref());
    for (recording, answers) in recordings.iter().zip(answers) {
        let expected = recording.answers();
        assert!(!expected.is_empty(), "{} says something", recording.name);
        assert_eq!(answers, expected, "{}", recording.name);
    }
}

#[test]
fn subscribe_decline_and_the_offers_return() {
    check(&[("01-subscribe-protobuf", 0.0)], None);
}

#[test]
fn command_tasks_invalid_tasks_and_unknown_tasks() {
    check(&[("02-command-tasks", 0.0)], None);
}

#[test]
fn one_executor_with_several_tasks_and_unacknowledged_updates() {
    check(&[("03-custom-executor", 0.0)], Some("03-custom-executor.executor-side"));
}

#[test]
fn suppress_revive_rescind_and_a_second_framework() {
    check(&[("04-suppress-revive", 0.0), ("04b-second-framework", 8.03)], None);
}

#[test]
fn failover_reconnect_and_removal() {
    check(
        &[
            ("05-failover", 0.0),
            ("05b-failover-second", 0.2365),
            ("05c-reconnect", 3.0),
            ("05d-removed-framework", 4.0),
        ],
        None,
    );
}

#[test]
fn executor_info_and_a_name_that_is_still_taken() {
    check(&[("12-executor-info", 0.0)], Some("12-executor-info.executor-side"));
}
