//! Replays what schedulers and executors sent in the recordings against the world, at the recorded
//! times, and compares what comes back with what the real master and agent answered. HTTP is not
//! involved.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used)]

mod recording;
mod session;

use offer_sim::world::{AgentId, Fault, MaintenanceWindow, WorldConfig};
use recording::Recording;
use session::{Script, Session};

/// Plays recordings and compares every stream. Each script is a recording with its start, in
/// seconds after the first one's.
fn check(scripts: &[(&str, f64)], executor_side: Option<&str>) {
    check_with(scripts, executor_side, WorldConfig::default(), |_| Vec::new());
}

/// The same while something goes wrong: faults with their times, made for the agent's id.
fn check_with(
    scripts: &[(&str, f64)],
    executor_side: Option<&str>,
    config: WorldConfig,
    faults: impl FnOnce(AgentId) -> Vec<(f64, Fault)>,
) {
    let recordings: Vec<Recording> =
        scripts.iter().map(|(name, _)| Recording::read(name)).collect();
    let scripts: Vec<Script<'_>> = recordings
        .iter()
        .zip(scripts)
        .map(|(recording, (_, start))| Script { recording, start_seconds: *start })
        .collect();
    let executor = executor_side.map(Recording::read);
    let session = Session::new(&scripts, config);
    let faults = faults(session.agent());
    let answers = session.play(&scripts, executor.as_ref(), faults);
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

#[test]
fn a_maintenance_window_and_its_inverse_offers() {
    let window = MaintenanceWindow {
        hostnames: vec!["127.0.0.1".to_owned()],
        start_ms: 1_795_000_060_000,
        duration_ms: Some(3_600_000),
    };
    // This master's allocation interval beat earlier than those of the others.
    let start = 0.08;
    check_with(&[("08-maintenance", start)], None, WorldConfig::default(), |_| {
        vec![
            (start + 0.2135, Fault::SetMaintenance(vec![window])),
            (start + 2.089, Fault::SetMaintenance(Vec::new())),
        ]
    });
}

#[test]
fn an_agent_frozen_past_its_health_checks_back_and_marked_gone() {
    // Five pings unanswered, half a second each.
    let config = WorldConfig { agent_ping_timeout_ms: 500, ..WorldConfig::default() };
    check_with(&[("09-agent-loss", 0.0)], None, config, |agent| {
        vec![
            (3.959 - 2.5, Fault::FreezeAgents(vec![agent.clone()])),
            (9.753, Fault::ThawAgents(vec![agent.clone()])),
            (9.974, Fault::MarkAgentsGone(vec![agent])),
        ]
    });
}

#[test]
fn a_master_that_restarts_and_its_agents_that_register_again() {
    check_with(
        &[("10-master-restart", 0.0), ("10b-after-restart", 5.0)],
        None,
        WorldConfig::default(),
        |_| vec![(0.5, Fault::FailOverMaster)],
    );
}
