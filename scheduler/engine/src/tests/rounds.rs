//! Much that is due at once: so many firings and launches a turn, and what may not come in between.

use super::*;

/// A leader with few firings and launches a turn, and five jobs of one shard.
fn five_jobs(extra: &str) -> World {
    let bounds = Settings { firings_per_turn_max: 2, launches_per_cycle_max: 2, ..settings() };
    let mut world = World::with(bounds);
    let document = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    world.command(Command::CreateApp { document }).unwrap();
    for job in ["a", "b", "c", "d", "e"] {
        world.job(job, &format!(r#""shardingTotalCount":1{extra}"#));
    }
    world
}

/// The next turn, at once: the engine must want it.
fn next(world: &mut World) -> Turn {
    assert!(world.engine.next_deadline().unwrap() <= world.now, "it wants to go on");
    world.turn(Event::Tick)
}

/// The runs that a turn stores, in the order of their writes, and whether the watermark is raised.
fn made(turn: &Turn) -> (usize, bool) {
    let runs =
        turn.writes.iter().filter(|write| write.starts_with("+ready ") && write.contains('@'));
    (runs.count(), turn.writes.iter().any(|write| write.contains("watermark")))
}

fn launched(turn: &Turn) -> usize {
    let launches = turn.actions.iter().map(|action| match action {
        Action::Accept { launches, .. } => launches.len(),
        _ => 0,
    });
    launches.sum()
}

#[test]
fn firings_of_one_moment_are_made_turn_by_turn_and_launched_behind_the_watermark() {
    let mut world = five_jobs("");
    for agent in ["s0", "s1", "s2", "s3"] {
        world.offer(agent, 1.5);
    }
    let first = world.wait(10_000);
    assert_eq!((made(&first), launched(&first)), ((2, false), 0), "{:?}", first.writes);
    // What happens meanwhile does not make more of them in the same turn.
    let second = world.offer("s4", 1.5);
    assert_eq!((made(&second), launched(&second)), ((2, false), 0), "{:?}", second.writes);
    let third = next(&mut world);
    assert_eq!((made(&third), launched(&third)), ((1, true), 2), "{:?}", third.writes);
    assert_eq!([launched(&next(&mut world)), launched(&next(&mut world))], [2, 1]);
    assert!(world.engine.next_deadline().unwrap() > world.now, "all is done");
    let ids: Vec<_> = world.history.values().map(|run| run.logical_time).collect();
    assert_eq!(ids, [Timestamp::from_millis(START_MS + 10_000); 5], "of the same moment");
}

#[test]
fn whoever_takes_over_in_between_makes_the_rest() {
    for turns in 0..3 {
        let mut world = five_jobs("");
        world.wait(10_000);
        for _ in 0..turns {
            next(&mut world);
        }
        world.now = world.now.plus_millis(3_000);
        world.restart();
        while world.engine.next_deadline().unwrap() <= world.now {
            world.turn(Event::Tick);
        }
        let runs: Vec<String> = world.history.keys().map(ToString::to_string).collect();
        let expected = ["a", "b", "c", "d", "e"].map(|job| format!("{job}@20261120T020010Z"));
        assert_eq!(runs, expected, "after {turns} more turns");
        world.assert_durable();
    }
}

/// What ends before the watermark covers it is made again by the next leader, too.
#[test]
fn a_run_that_waited_too_long_ends_behind_the_watermark() {
    let mut world = five_jobs(r#","queueTimeout":"5s""#);
    world.wait(10_000);
    world.now = world.now.plus_millis(7_000);
    world.restart();
    let mut ended = Vec::new();
    while ended.is_empty() {
        let turn = next(&mut world);
        let left = turn.writes.iter().filter(|write| write.starts_with("-ready "));
        ended = left.filter(|write| write.contains('@')).cloned().collect();
        assert!(ended.is_empty() || made(&turn).1, "{:?}", turn.writes);
    }
    assert_eq!(ended.len(), 2, "{ended:?}");
    for job in ["a", "b"] {
        let once = vec![(format!("{job}@20261120T020010Z"), RunState::Expired)];
        assert_eq!(world.runs(job), once);
    }
    assert_eq!(world.engine.status().pending_runs, 3);
}

/// What is launched before the watermark covers it may have ended when the next leader looks.
#[test]
fn a_clock_that_is_behind_makes_nothing_twice() {
    let mut world = five_jobs("");
    world.wait(10_000);
    world.now = world.now.plus_millis(-5_000);
    world.restart();
    world.subscribe();
    world.offer("s0", 16.0);
    for _ in 0..8 {
        world.turn(Event::Tick);
    }
    let watermark = &world.records[&Key::Watermark];
    assert!(String::from_utf8_lossy(watermark).contains("02:00:10"), "{watermark:?}");
    world.now = world.now.plus_millis(6_000);
    for job in ["a", "b"] {
        for task in world.tasks(job) {
            world.status(&task, TaskState::Running);
            world.status(&task, TaskState::Finished);
        }
    }
    world.restart();
    world.turn(Event::Tick);
    for job in ["a", "b"] {
        let once = vec![(format!("{job}@20261120T020010Z"), RunState::Succeeded)];
        assert_eq!(world.runs(job), once);
    }
    let status = world.engine.status();
    assert_eq!((status.pending_runs, status.active_runs), (3, 0));
}

#[test]
fn a_run_of_a_far_moment_does_not_stop_the_clock() {
    let mut world = five_jobs("");
    world.wait(10_000);
    world.now = world.now.plus_millis(-2 * 60 * 60_000);
    world.restart();
    world.turn(Event::Tick);
    let watermark = &world.records[&Key::Watermark];
    assert!(String::from_utf8_lossy(watermark).contains("02:00:00"), "{watermark:?}");
}

/// Time stands still for the firings, and for nobody else: an agent has all of its time to come back.
#[test]
fn what_is_heard_while_firings_are_under_way_is_timed_by_the_clock() {
    let go_on = |world: &mut World, millis| {
        world.wait(millis);
        while world.engine.next_deadline().unwrap() <= world.now {
            world.turn(Event::Tick);
        }
    };
    let mut world = five_jobs(r#","failover":true"#);
    for agent in ["s0", "s1", "s2", "s3", "s4"] {
        world.offer(agent, 1.5);
    }
    go_on(&mut world, 10_000);
    let [task] = world.tasks("a").try_into().unwrap();
    world.status(&task, TaskState::Running);
    assert_eq!(made(&world.wait(10_000)), (2, false));
    world.now = world.now.plus_millis(7_000);
    let turn = world.status(&task, TaskState::Unreachable);
    assert_eq!(made(&turn), (2, false), "{:?}", turn.writes);
    for millis in [0, 15_000, 15_000, 15_000, 14_999] {
        go_on(&mut world, millis);
        assert_eq!(world.tasks("a"), std::slice::from_ref(&task));
    }
    go_on(&mut world, 1);
    assert!(world.tasks("a").is_empty());
}

#[test]
fn a_new_document_passes_over_no_firing() {
    let mut world = five_jobs("");
    world.wait(10_000);
    // It moves the watermark, so that all must have been made before.
    let document = job_document("f", "");
    let (reply, turn) = world.command_turn(Command::CreateJob { document });
    reply.unwrap();
    assert_eq!(made(&turn), (3, true), "{:?}", turn.writes);
    world.restart();
    assert_eq!(world.engine.status().pending_runs, 5);
}

#[test]
fn what_finds_no_place_does_not_keep_the_rest_from_theirs() {
    let mut world = five_jobs("");
    for job in ["0", "1", "2"] {
        world.job(job, r#""constraints":[["rack","LIKE","none"]]"#);
    }
    for agent in ["s0", "s1", "s2", "s3", "s4"] {
        world.offer(agent, 1.5);
    }
    world.wait(10_000);
    let mut all = 0;
    while world.engine.next_deadline().unwrap() <= world.now {
        all += launched(&world.turn(Event::Tick));
    }
    assert_eq!(all, 5);
    assert_eq!(world.engine.status().pending_runs, 3);
}
