//! Firings: misfire policies, concurrency rules, the watermark.

use super::*;

fn skipped(turn: &Turn) -> Vec<(u64, String)> {
    turn.traces
        .iter()
        .filter_map(|trace| match trace {
            Trace::Missed { count, reason, .. } => Some((*count, reason.clone())),
            _ => None,
        })
        .collect()
}

fn pending(world: &World, job: &str) -> Vec<String> {
    let filter = crate::RunFilter { job: Some(name(job)), ..Default::default() };
    let mut runs: Vec<_> = world
        .engine
        .live_runs(&filter, None, usize::MAX)
        .into_iter()
        .map(|run| run.id.to_string())
        .collect();
    runs.sort();
    runs
}

#[test]
fn without_misfire_one_run_waits_for_all_firings() {
    let mut world = World::with_app();
    world.job("j", "");
    world.wait(10_000);
    let turn = world.wait(10_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020010Z"]);
    assert_eq!(
        skipped(&turn),
        [(1, "run j@20261120T020010Z is pending and stands for it".to_owned())]
    );
}

#[test]
fn with_misfire_every_firing_waits_up_to_the_bound() {
    let mut world = World::with_app();
    world.job("j", r#""misfire":{"policy":"all","maxPending":3}"#);
    for _ in 0..4 {
        world.wait(10_000);
    }
    assert_eq!(pending(&world, "j").len(), 3);
    assert_eq!(world.records[&Key::ReadyCount(name("j"))], b"3");
}

#[test]
fn a_gap_is_dealt_with_by_the_policy_whoever_leads() {
    for (misfire, expected) in [
        ("false", vec!["j@20261120T020100Z"]),
        (r#"{"policy":"skip"}"#, vec![]),
        (r#"{"policy":"all","window":"25s"}"#, vec!["j@20261120T020050Z", "j@20261120T020100Z"]),
        (
            "true",
            vec![
                "j@20261120T020010Z",
                "j@20261120T020020Z",
                "j@20261120T020030Z",
                "j@20261120T020040Z",
                "j@20261120T020050Z",
                "j@20261120T020100Z",
            ],
        ),
    ] {
        let mut world = World::with_app();
        world.job("j", &format!(r#""misfire":{misfire}"#));
        world.now = world.now.plus_millis(68_000);
        world.restart();
        assert_eq!(pending(&world, "j"), expected, "{misfire}");
        // Once more from the same records: nothing is doubled.
        world.restart();
        assert_eq!(pending(&world, "j"), expected, "{misfire}");
    }
}

#[test]
fn catching_up_after_a_long_gap_never_floods() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1,"misfire":{"policy":"all","maxPending":5}"#);
    // A day without a leader is 8,640 firings.
    world.now = world.now.plus_millis(86_400_000);
    let turn = world.restart();
    assert_eq!(pending(&world, "j").len(), 5);
    assert_eq!(pending(&world, "j")[0], "j@20261120T020010Z", "the oldest first");
    assert_eq!(
        skipped(&turn),
        [(8_635, "maxPending: 5 runs are pending already".to_owned())],
        "and what is left out is told, with its number"
    );
    let status = world.engine.status();
    assert_eq!((status.firings.fired, status.firings.missed), (5, 8_635));
    world.subscribe();
    assert_eq!(world.offer("a1", 50.0).launched().len(), 1, "one at a time, as the job says");
    let ready = turn.writes.iter().filter(|write| write.starts_with("+ready j@"));
    assert_eq!(ready.count(), 5);
}

#[test]
fn a_document_never_fires_for_the_past() {
    let mut world = World::with_app();
    world.now = world.now.plus_millis(35_000);
    world.job("j", r#""misfire":true"#);
    assert_eq!(pending(&world, "j"), Vec::<String>::new());
    world.restart();
    assert_eq!(pending(&world, "j"), Vec::<String>::new());
    world.wait(5_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020040Z"]);
}

#[test]
fn a_backward_step_of_the_clock_never_fires_twice() {
    let mut world = World::with_app();
    world.job("j", r#""misfire":true"#);
    world.wait(20_000);
    world.wait(-15_000);
    world.wait(5_000);
    world.restart();
    world.wait(10_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020010Z", "j@20261120T020020Z"]);
    world.wait(10_000);
    assert_eq!(pending(&world, "j").len(), 3);
}

#[test]
fn a_clock_that_is_behind_what_has_been_fired_is_told_of() {
    let mut world = World::with_app();
    world.job("j", "");
    world.wait(600_000);
    world.now = world.now.plus_millis(-300_000);
    world.restart();
    let problem = world.engine.clock_problem().unwrap();
    assert!(problem.starts_with("the clock shows 2026-11-20T02:05:00Z, and"), "{problem}");
    assert_eq!(world.engine.status().problems, [problem]);
    world.wait(239_999);
    assert!(world.engine.clock_problem().is_some());
    world.wait(1);
    assert_eq!(world.engine.clock_problem(), None, "clocks are never quite the same");
}

#[test]
fn concurrency_skip_leaves_out_and_replace_cancels() {
    let mut world = World::with_app();
    world.job("s", r#""shardingTotalCount":1,"concurrency":"skip""#);
    world.job("r", r#""shardingTotalCount":1,"concurrency":"replace""#);
    world.offer("a1", 8.0);
    world.wait(10_000);
    let turn = world.wait(10_000);
    assert_eq!(skipped(&turn), [(1, "run s@20261120T020010Z has not ended".to_owned())]);
    assert_eq!(turn.said()[0], "kill r/0");
    let task = world.tasks("r").remove(0);
    world.status(&task, TaskState::Killed);
    world.offer("a1", 8.0);
    assert_eq!(world.active("r").id.as_str(), "r@20261120T020020Z");
    assert_eq!(world.runs("r")[0].1, RunState::Cancelled);
}

fn set_enabled(world: &mut World, job: &str, enabled: bool) -> Turn {
    let (reply, turn) =
        world.command_turn(Command::SetJobEnabled { job: name(job), enabled, reason: None });
    reply.unwrap();
    turn
}

#[test]
fn what_was_due_while_a_job_was_disabled_follows_its_misfire_policy() {
    let mut world = World::with_app();
    world.job("one", "");
    world.job("each", r#""misfire":true"#);
    world.job("none", r#""misfire":{"policy":"skip"}"#);
    for job in ["one", "each", "none"] {
        set_enabled(&mut world, job, false);
    }
    world.offer("a1", 64.0);
    for seconds in [10, 20, 30] {
        let turn = world.wait(10_000);
        assert_eq!(skipped(&turn).len(), if seconds == 10 { 1 } else { 2 });
    }
    assert_eq!(pending(&world, "one"), ["one@20261120T020010Z"]);
    let each = ["each@20261120T020010Z", "each@20261120T020020Z", "each@20261120T020030Z"];
    assert_eq!(pending(&world, "each"), each);
    assert_eq!(pending(&world, "none"), Vec::<String>::new());
    world.restart();
    world.subscribe();
    world.offer("a1", 64.0);
    for job in ["one", "each", "none"] {
        assert!(world.tasks(job).is_empty(), "{job} is disabled");
        set_enabled(&mut world, job, true);
    }
    world.offer("a1", 64.0);
    assert_eq!(world.active("one").id.as_str(), "one@20261120T020010Z");
    assert_eq!(world.active("each").id.as_str(), "each@20261120T020010Z");
    assert!(world.tasks("none").is_empty());
}

#[test]
fn what_waited_beyond_the_misfire_window_expires_when_its_job_is_enabled() {
    let mut world = World::with_app();
    for (job, policy) in [("one", "coalesce"), ("each", "all")] {
        world.job(job, &format!(r#""misfire":{{"policy":"{policy}","window":"25s"}}"#));
        set_enabled(&mut world, job, false);
    }
    for _ in 0..5 {
        world.wait(10_000);
    }
    // Those of 10 and 20 s, or that of 10 s: the window ends in between.
    assert_eq!(pending(&world, "one"), ["one@20261120T020040Z"]);
    let each = ["each@20261120T020030Z", "each@20261120T020040Z", "each@20261120T020050Z"];
    assert_eq!(pending(&world, "each"), each);
    world.now = world.now.plus_millis(6_000);
    let turn = set_enabled(&mut world, "each", true);
    assert_eq!(pending(&world, "each"), each[1..]);
    let ended = turn.traces.iter().find_map(|trace| match trace {
        Trace::Run(run) if run.state == RunState::Expired => run.reason.clone(),
        _ => None,
    });
    assert_eq!(ended.as_deref(), Some("older than the misfire window"));
    // It stands for the one of 50 s, which is not too old.
    world.now = world.now.plus_millis(12_000);
    world.engine.now = world.now;
    set_enabled(&mut world, "one", true);
    assert_eq!(pending(&world, "one").len(), 1);
}

#[test]
fn a_deleted_job_is_forgotten() {
    let mut world = World::with_app();
    world.job("j", "");
    world.wait(10_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020010Z"]);
    world.command(Command::DeleteJob { job: name("j") }).unwrap();
    world.wait(60_000);
    assert_eq!(world.records.keys().filter(|key| format!("{key:?}").contains("\"j\"")).count(), 0);
    assert_eq!(world.engine.timers.at(&crate::timers::Deadline::LaunchCycle), None);
}

#[test]
fn a_run_that_waits_too_long_expires() {
    let mut world = World::with_app();
    world.job("j", r#""queueTimeout":"5s""#);
    world.wait(10_000);
    world.wait(5_000);
    assert_eq!(world.runs("j"), [("j@20261120T020010Z".to_owned(), RunState::Expired)]);
    assert!(!world.records.contains_key(&Key::ReadyCount(name("j"))));
}

/// Whoever asked for it and whoever leads; what was launched in time has waited long enough.
#[test]
fn every_kind_of_run_expires_and_none_that_was_launched() {
    let mut world = World::with_app();
    let extra = r#""cron":null,"shardingTotalCount":1,"queueTimeout":"5s","failover":true"#;
    for job in ["in-time", "late"] {
        world.job(job, extra);
    }
    world.command(trigger("in-time", Some("k"))).unwrap();
    world.offer("a1", 1.5);
    let task = world.tasks("in-time").remove(0);
    world.status(&task, TaskState::Running);
    world.wait(4_000);
    world.command(trigger("late", Some("k"))).unwrap();
    world.status(&task, TaskState::Lost);
    world.restart();
    world.subscribe();
    world.wait(4_999);
    assert_eq!(world.runs("late"), [("late@k".to_owned(), RunState::Pending)]);
    world.wait(1);
    assert_eq!(world.runs("late"), [("late@k".to_owned(), RunState::Expired)]);
    assert!(!world.runs("in-time")[0].1.is_final(), "its lost shard waits, the run does not");
    world.assert_durable();
}

#[test]
fn a_firing_that_expired_makes_room_for_the_next_one() {
    let mut world = World::with_app();
    world.job("j", r#""queueTimeout":"5s""#);
    world.wait(10_000);
    world.wait(5_000);
    world.wait(5_000);
    assert_eq!(
        world.runs("j"),
        [
            ("j@20261120T020010Z".to_owned(), RunState::Expired),
            ("j@20261120T020020Z".to_owned(), RunState::Pending),
        ]
    );
}

/// A firing replaces what runs, and what waits for its next attempt, which no kill can end.
#[test]
fn replace_ends_a_run_whose_shards_are_in_back_off() {
    let mut world = World::with_app();
    let retry = r#""retry":{"maxAttempts":2,"backoff":{"initial":"1h","max":"1h","jitter":0}}"#;
    world.job("j", &format!(r#""shardingTotalCount":2,"concurrency":"replace",{retry}"#));
    world.offer("a1", 8.0);
    world.wait(10_000);
    let tasks = world.tasks("j");
    world.exit(&tasks[0], 1);
    world.status(&tasks[1], TaskState::Running);
    world.wait(10_000);
    assert!(!world.runs("j")[0].1.is_final(), "shard 1 has yet to end");
    world.status(&tasks[1], TaskState::Killed);
    assert_eq!(world.runs("j")[0], ("j@20261120T020010Z".to_owned(), RunState::Cancelled));
    world.offer("a2", 8.0);
    assert_eq!(world.active("j").id.as_str(), "j@20261120T020020Z");
    world.assert_durable();
}

#[test]
fn whoever_asks_for_a_run_waits_for_the_active_one_whatever_the_rule() {
    for concurrency in ["forbid", "skip", "replace"] {
        let mut world = World::with_app();
        let extra = format!(r#""cron":null,"concurrency":"{concurrency}""#);
        world.job("j", &extra);
        world.command(trigger("j", Some("a"))).unwrap();
        world.offer("a1", 8.0);
        let (_, turn) = world.command_turn(trigger("j", Some("b")));
        assert_eq!(turn.said(), Vec::<String>::new(), "{concurrency}");
        for task in world.tasks("j") {
            world.exit(&task, 0);
        }
        world.offer("a1", 8.0);
        assert_eq!(world.active("j").id.as_str(), "j@b", "{concurrency}");
    }
}

#[test]
fn jobs_with_one_schedule_share_one_timer() {
    let mut world = World::with_app();
    for index in 0..50 {
        world.job(&format!("j{index}"), r#""shardingTotalCount":1"#);
    }
    let turn = world.wait(10_000);
    let watermarks = turn.writes.iter().filter(|write| *write == "+watermark").count();
    assert_eq!((watermarks, world.engine.status().pending_runs), (1, 50));
}

#[test]
fn a_fixed_rate_counts_from_its_registration_and_keeps_its_phase() {
    let mut world = World::with_app();
    world.now = world.now.plus_millis(3_500);
    world.job("j", r#""cron":null,"every":"10s","count":2,"misfire":true"#);
    world.wait(10_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020013.500Z"]);
    let extra = r#""cron":null,"every":"10s","count":2,"misfire":true,"priority":60"#;
    let document = job_document("j", extra);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    world.wait(60_000);
    assert_eq!(pending(&world, "j"), ["j@20261120T020013.500Z", "j@20261120T020023.500Z"]);
}

#[test]
fn a_job_that_would_never_fire_is_refused() {
    let mut world = World::with_app();
    for (extra, field) in [
        (r#""cron":null,"at":"2026-11-20T01:59:59Z""#, "at"),
        (r#""cron":"0 0 0 31 2 ?""#, "cron"),
        (r#""endBefore":"2026-11-20T02:00:01Z""#, "cron"),
        (r#""cron":"""#, "cron"),
        (r#""count":3"#, "count"),
        (r#""timeout":"0s""#, "timeout"),
    ] {
        let reply = world.command(Command::CreateJob { document: job_document("j", extra) });
        assert_eq!(refused_fields(reply), [field], "{extra}");
    }
}

/// What became of firings is counted by job and over all, and said of each in the history.
#[test]
fn each_decision_about_a_misfire_is_counted_once() {
    use crate::statistics::{FiringCounts, Misfire};
    let counts = |world: &World, job: &str| world.engine.job(&name(job)).unwrap().firings;
    let mut world = World::with_app();
    world.job("coalesce", r#""misfire":false"#);
    world.job("skip", r#""misfire":{"policy":"skip"}"#);
    world.job("all", r#""misfire":{"policy":"all","maxPending":2}"#);
    world.job("stopped", "");
    world.job("never", r#""misfire":{"policy":"skip"}"#);
    set_enabled(&mut world, "stopped", false);
    set_enabled(&mut world, "never", false);
    assert_eq!(counts(&world, "all"), FiringCounts::default());
    // Four firings that nobody dealt with in time, the last of them 8 s ago.
    let turn = world.wait(48_000);
    let expected =
        |fired, skipped, coalesced, missed| FiringCounts { fired, skipped, coalesced, missed };
    assert_eq!(counts(&world, "coalesce"), expected(1, 0, 3, 0));
    assert_eq!(counts(&world, "skip"), expected(0, 4, 0, 0));
    assert_eq!(counts(&world, "all"), expected(2, 0, 0, 2));
    assert_eq!(counts(&world, "stopped"), expected(1, 0, 3, 0));
    assert_eq!(counts(&world, "never"), expected(0, 0, 0, 4));
    let total = world.engine.status().firings;
    assert_eq!((total, total.due()), (expected(4, 4, 6, 6), 20));
    let told = |wanted: Misfire| -> u64 {
        let counts = turn.traces.iter().map(|trace| match trace {
            Trace::Missed { misfire, count, .. } if *misfire == wanted => *count,
            _ => 0,
        });
        counts.sum()
    };
    assert_eq!([Misfire::Skipped, Misfire::Coalesced, Misfire::Missed].map(told), [4, 6, 6]);
}

#[test]
fn the_backlog_tells_how_much_waits_and_how_long() {
    let mut world = World::with_app();
    world
        .job("j", r#""cron":null,"retry":{"maxAttempts":2,"backoff":{"initial":"1s","jitter":0}}"#);
    world.job("k", r#""cron":null"#);
    world.command(trigger("k", Some("1"))).unwrap();
    world.offer("a1", 8.0);
    world.command(trigger("j", Some("1"))).unwrap();
    world.wait(4_000);
    world.command(trigger("j", Some("2"))).unwrap();
    world.wait(3_000);
    let backlog = world.engine.backlog();
    assert_eq!((backlog.pending.depth, backlog.pending.oldest_wait_ms), (2, 7_000));
    assert_eq!((backlog.ready.depth, backlog.ready.oldest_wait_ms), (1, 7_000), "one at a time");
    assert_eq!(backlog.failover.depth, 0);
    world.offer("a2", 2.1);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    world.wait(6_000);
    let backlog = world.engine.backlog();
    assert_eq!((backlog.pending.depth, backlog.ready.depth), (1, 0));
    assert_eq!((backlog.failover.depth, backlog.failover.oldest_wait_ms), (1, 5_000));
}
