//! The walk through all commit boundaries: one fixed scenario, in which the leader dies at one chosen
//! boundary and another takes over.

use std::collections::BTreeMap;

use serde_json::json;
use shiftwork_engine::command::Command;

use super::commits::{Boundary, CrashPlan};
use super::env::Happening;
use super::faults::Fault;
use super::options::{ClusterKind, LINES_MAX, Violation};
use super::setup::Setup;
use super::story::Story;
use super::users::Users;
use super::world::World;

/// How long the scenario lasts before everything may come to its end, milliseconds.
const LASTS_MS: i64 = 85_000;
/// Each schedule fires this often.
pub const FIRINGS: usize = 3;
/// Jobs that fire, of the scenario.
pub const JOBS: [&str; 3] = ["plain", "failover", "retry"];

/// What a walk over the scenario came to.
#[derive(Debug)]
pub struct Walk {
    /// How many boundaries of each kind were passed, in the order of [`Boundary::ALL`].
    pub passed: [u64; 3],
    /// How each run ended, as told to the history after its commit.
    pub ended: BTreeMap<String, &'static str>,
    /// Shards that were launched once more: after a failure or a loss.
    pub launched_again: u64,
    /// The broken rule, if there is one.
    pub violation: Option<Violation>,
    /// The last lines before it.
    pub story: Vec<String>,
}

/// Plays the scenario; the leader dies at the given boundary, counted from 0 among its kind.
pub fn walk(cluster: ClusterKind, crash: Option<(Boundary, u64)>) -> Walk {
    let setup = Setup::fixed(cluster, Users::with_script(script()));
    let mut world = World::new(setup, Story::from(0, LINES_MAX));
    world.crash = CrashPlan::new(crash);
    // One executor dies and one machine restarts while work is going on.
    world.env.calendar.after(22_000, Happening::Fault(Fault::ExecutorExit));
    world.env.calendar.after(37_500, Happening::Fault(Fault::AgentRestart));
    let until = world.env.now() + LASTS_MS;
    let mut goes_on = true;
    while goes_on && world.env.now() < until {
        goes_on = world.step();
    }
    if goes_on {
        world.settle();
    }
    Walk {
        passed: Boundary::ALL.map(|boundary| world.crash.passed(boundary)),
        ended: world.audit.ended(),
        launched_again: world.audit.launched_again(),
        violation: world.violation(),
        story: world.env.story.lines(),
    }
}

/// A transient job without any safety net, one with failover, one with retries, and a daemon.
fn script() -> Vec<Command> {
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
    let job = |name: &str, shards: u32, extra: serde_json::Value| {
        let mut document = json!({
            "jobName": name,
            "appName": "app",
            "jobExecutionType": "TRANSIENT",
            "shardingTotalCount": shards,
            "scriptCommandLine": "work",
            "cpuCount": 0.2,
            "memoryMB": 64,
            "every": "15s",
            "startAt": "2026-11-20T00:00:20Z",
            "count": FIRINGS,
            "misfire": true,
        });
        if let (Some(fields), Some(extra)) = (document.as_object_mut(), extra.as_object()) {
            fields.extend(extra.clone());
        }
        Command::CreateJob { document: document.to_string().into_bytes() }
    };
    let retry = json!({"maxAttempts": 5, "backoff": {"initial": "1s"}});
    vec![
        Command::CreateApp { document: app.to_string().into_bytes() },
        job("plain", 2, json!({})),
        job("failover", 3, json!({"failover": true, "retry": retry})),
        job("retry", 2, json!({"retry": retry})),
        job("daemon", 2, json!({"jobExecutionType": "DAEMON", "count": null, "misfire": false})),
    ]
}
