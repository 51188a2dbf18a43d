//! Restoring: the same path for start, take-over and doubt; what cannot be read stops nothing else.

use super::*;

fn restored(records: Vec<(Key, Vec<u8>)>) -> (Engine, Vec<Effect>) {
    let mut fx = Effects::default();
    let now = Timestamp::from_millis(START_MS);
    let engine = Engine::restore(Settings::default(), 1, now, records, &mut fx);
    (engine, fx.take())
}

#[test]
fn running_tasks_are_adopted_and_asked_about_before_anything_is_lost() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.wait(10_000);
    let tasks = world.tasks("j");
    world.status(&tasks[0], TaskState::Running);
    let before = world.active("j");
    world.restart();
    assert_eq!(world.active("j"), before);
    let turn = world.subscribe();
    assert_eq!(turn.said(), ["reconcile [j/0 j/1]", "reconcile []"]);
    world.status(&tasks[0], TaskState::Running);
    // The second one is not answered for: asked again, and in the end lost.
    assert_eq!(world.wait(5_000).said(), ["reconcile [j/1]"]);
    assert_eq!(world.active("j"), before);
    world.awake(5 * 60_000);
    assert_eq!(world.tasks("j"), [tasks[0].clone()]);
}

#[test]
fn a_launch_that_never_left_is_made_again_at_no_cost() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    // The record is committed, the process dies before ACCEPT.
    world.wait(10_000);
    let task = world.tasks("j").remove(0);
    world.restart();
    world.subscribe();
    let mut gone = update(&task, TaskState::Gone);
    gone.reason = StatusReason::Reconciliation;
    gone.uuid = None;
    let turn = world.turn(Event::Status(gone));
    assert_eq!(turn.said(), Vec::<String>::new(), "no uuid, no acknowledgement");
    assert_eq!(world.offer("a1", 4.0).said(), ["accept a1 [o2]: j/0#1"]);
}

#[test]
fn waiting_shards_keep_their_due_time() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1,"failover":true"#);
    world.offer("a1", 4.0);
    world.wait(10_000);
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    world.status(&task, TaskState::Lost);
    let due = world.engine.failover(None, 1)[0].due;
    world.restart();
    assert_eq!(world.engine.failover(None, 1)[0].due, due);
    world.subscribe();
    world.offer("a2", 4.0);
    assert_eq!(world.wait(1_200).said(), ["accept a2 [o2]: j/0#2"]);
}

#[test]
fn a_record_that_cannot_be_read_stops_only_what_it_describes() {
    let mut world = World::with_app();
    world.job("good", "");
    world.job("bad", "");
    world.command(trigger("good", Some("k"))).unwrap();
    let mut records = world.records.clone();
    records.insert(Key::Job(name("bad")), b"\x00 not json".to_vec());
    records.insert(Key::DisabledApp(AppName::parse("x").unwrap()), b"x".to_vec());
    let run = RunId::parse("good@z").unwrap();
    records.insert(Key::Ready(name("good"), run), b"{\"version\":99}".to_vec());
    records.insert(Key::Running(name("good")), b"[1,2".to_vec());
    records.insert(Key::Failover(name("good"), 3), b"x".to_vec());
    let (engine, effects) = restored(records.into_iter().collect());
    assert_eq!(engine.status().problems.len(), 3);
    assert!(engine.job(&name("bad")).unwrap().problem.is_some());
    assert_eq!(engine.ready(None, 9).len(), 1, "the readable run waits");
    let writes: Vec<String> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Write(write) if write.value.is_none() => Some(show(&write.key)),
            _ => None,
        })
        .collect();
    assert_eq!(writes, ["failover good/3"], "and nothing but the stale entry is removed");
}

/// Firings go on by the data of whoever leads; that it is another is said until the leader after.
#[test]
fn a_leader_with_other_time_zone_data_than_the_one_before_says_so() {
    let mut world = World::with_app();
    world.job("j", "");
    let stored = |world: &World| String::from_utf8(world.records[&Key::Watermark].clone()).unwrap();
    let ours = shiftwork_schedule::tzdb().release();
    assert!(stored(&world).contains(&format!(r#""tzdb":"{ours}""#)), "{}", stored(&world));
    world.restart();
    assert_eq!(world.engine.status().problems, Vec::<String>::new());

    let other = stored(&world).replace(ours, "1999z");
    world.records.insert(Key::Watermark, other.into_bytes());
    world.restart();
    let status = world.engine.status();
    assert_eq!(status.problems.len(), 1);
    let said =
        format!("the leader before fired by release 1999z, this one fires by {}", status.tzdb);
    assert!(status.problems[0].contains(&said), "{}", status.problems[0]);
    world.wait(10_000);
    assert_eq!(world.engine.status().pending_runs, 1, "it fires all the same");
    assert!(stored(&world).contains(&format!(r#""tzdb":"{ours}""#)), "{}", stored(&world));
    world.restart();
    assert_eq!(world.engine.status().problems, Vec::<String>::new());

    // Written before the data was noted: nothing is known, so nothing is said.
    let watermark = r#"{"version":1,"watermark":"2026-11-20T02:00:00Z"}"#;
    world.records.insert(Key::Watermark, watermark.into());
    world.restart();
    assert_eq!(world.engine.status().problems, Vec::<String>::new());
}

#[test]
fn half_a_launch_counts_as_none() {
    let mut world = World::with_app();
    world.job("j", "");
    world.wait(10_000);
    let pending = world.records.clone();
    world.offer("a1", 4.0);
    // The part that creates was committed, the part that removes was not.
    let mut records = world.records.clone();
    records.extend(pending);
    let (engine, effects) = restored(records.into_iter().collect());
    assert_eq!(engine.status().pending_runs, 1);
    assert_eq!(engine.status().active_runs, 0);
    let removed = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Write(write) if write.value.is_none()));
    assert_eq!(removed.count(), 3, "the run and its two shards");
}

/// A large step is stored in parts, and the leader may die between the runs and the watermark.
#[test]
fn a_firing_that_has_its_run_is_not_met_again_by_the_next_leader() {
    for extra in [
        r#""concurrency":"replace""#,
        r#""concurrency":"skip""#,
        r#""misfire":{"policy":"skip"}"#,
        r#""misfire":{"policy":"all","maxPending":1}"#,
    ] {
        for launched in [true, false] {
            let mut world = World::with_app();
            world.job("j", extra);
            let before = world.records[&Key::Watermark].clone();
            if launched {
                world.offer("a1", 4.0);
            }
            world.wait(10_000);
            let runs = world.runs("j");
            assert_eq!(runs.len(), 1, "{extra}: {runs:?}");
            world.records.insert(Key::Watermark, before);
            let turn = world.restart();
            assert_eq!(turn.said(), Vec::<String>::new(), "{extra}: it goes on as it is");
            let missed = turn.traces.iter().any(|trace| matches!(trace, Trace::Missed { .. }));
            assert!(!missed, "{extra}: {:?}", turn.traces);
            assert_eq!(world.runs("j"), runs, "{extra}");
        }
    }
}

#[test]
fn a_run_whose_job_is_gone_or_disabled_is_ended() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    world.wait(10_000);
    world.records.remove(&Key::Job(name("j")));
    let turn = world.restart();
    assert_eq!(turn.said(), ["kill j/0"]);
}

/// What the executors of a turn's launches are charged.
fn charged(turn: &Turn) -> Vec<Resources> {
    let launches = turn.actions.iter().flat_map(|action| match action {
        Action::Accept { launches, .. } => launches.as_slice(),
        _ => &[],
    });
    launches.map(|launch| launch.executor.resources.clone()).collect()
}

#[test]
fn an_executor_that_took_reserved_resources_is_described_so_by_the_next_leader() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1,"concurrency":"allow""#);
    let mut offer = world.make_offer("a1", 4.0, 10_000.0, &[]);
    // Enough for the task and half of its executor, whichever of them is served first.
    let origin = Origin { role: "*".into(), reserved: true, wire: b"r".as_slice().into() };
    let reserved = Piece { kind: Kind::Cpus, amount: Milli(1_050), origin: Arc::new(origin) };
    offer.resources.pieces.push(reserved);
    world.turn(Event::Offers(vec![offer]));
    let first = charged(&world.wait(10_000));
    assert!(first[0].has_reserved());
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    world.restart();
    world.subscribe();
    world.status(&task, TaskState::Running);
    // What is offered now tells nothing of it.
    let offer = world.make_offer("a1", 4.0, 10_000.0, &["app@-@a1"]);
    let at_once = charged(&world.turn(Event::Offers(vec![offer])));
    let later = charged(&world.wait(10_000));
    let again: Vec<Resources> = at_once.into_iter().chain(later).collect();
    assert!(!again.is_empty());
    assert!(again.iter().all(|resources| *resources == first[0]), "{again:?} is not {first:?}");
}
