//! Launching: gangs, the executor's cost, failover, and what is written before it is done.

use super::*;

#[test]
fn a_due_run_is_recorded_then_launched_whole_then_finished() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    let turn = world.wait(10_000);
    let run = "j@20261120T020010Z";
    assert_eq!(
        turn.writes,
        [
            "+ready j".to_owned(),
            format!("+ready {run}"),
            "+watermark".to_owned(),
            // The launch: what is created comes first, the queue's entry goes last.
            "+running j".to_owned(),
            "+running j/0".to_owned(),
            "+running j/1".to_owned(),
            format!("-ready {run}"),
            "-ready j".to_owned(),
        ]
    );
    assert_eq!(turn.said(), ["accept a1 [o1]: j/0#1 j/1#1"]);
    world.assert_durable();

    let tasks = world.tasks("j");
    for task in &tasks {
        let turn = world.status(task, TaskState::Running);
        assert_eq!(turn.said().len(), 1, "acknowledged and nothing else");
        assert_eq!(turn.writes, ["+running j"]);
    }
    assert_eq!(world.active("j").state, RunState::Running);
    let turn = world.exit(&tasks[0], 0);
    assert_eq!(turn.writes, ["-running j/0", "+running j"]);
    let turn = world.exit(&tasks[1], 0);
    assert_eq!(turn.writes, ["-running j/1", "-running j"]);
    assert_eq!(turn.said(), ["ack j/1"]);
    assert_eq!(world.runs("j"), [(run.to_owned(), RunState::Succeeded)]);
    world.assert_durable();
}

#[test]
fn a_gang_that_does_not_fit_takes_nothing_and_says_why() {
    let mut world = World::with_app();
    world.job("big", r#""shardingTotalCount":3"#);
    world.job("small", r#""shardingTotalCount":1,"priority":10"#);
    world.offer("a1", 2.5);
    let turn = world.wait(10_000);
    assert_eq!(turn.said(), ["accept a1 [o1]: small/0#1"]);
    let reason = || world.engine.ready(None, 10)[0].reason.clone().unwrap();
    let too_large = "needs 3 shards at once, more than all agents seen offer together: \
                     1 empty agents hold 2";
    assert_eq!(reason(), too_large);
    // With another agent it could be placed, though not while the small one runs there.
    world.offer("a2", 1.2);
    world.offer("a1", 1.4);
    let unfit = "only 2 of 3 shards fit, all start together; for one more, \
                 2 agents: insufficient cpus (needs 1, largest has 0.3)";
    assert_eq!(world.engine.ready(None, 10)[0].reason.as_deref(), Some(unfit));
}

#[test]
fn the_executor_is_charged_once_an_agent() {
    let mut world = World::with_app();
    // Two shards of 1 cpu and one executor of 0.1 need 2.1.
    world.job("j", "");
    world.wait(9_000);
    world.offer("a1", 2.09);
    assert_eq!(world.wait(1_000).said(), Vec::<String>::new());
    let turn = world.offer("a1", 0.01);
    assert_eq!(turn.said(), ["accept a1 [o1 o2]: j/0#1 j/1#1"]);
    let Action::Accept { launches, .. } = &turn.actions[0] else { panic!("no accept") };
    for launch in launches {
        assert_eq!(launch.executor.resources.total(Kind::Cpus), Milli(100));
    }
    // It runs now: the next run needs no more than its shards.
    for task in world.tasks("j") {
        world.status(&task, TaskState::Running);
        world.exit(&task, 0);
    }
    let offer = world.make_offer("a1", 2.0, 1000.0, &["app@-@a1"]);
    world.turn(Event::Offers(vec![offer]));
    assert_eq!(world.wait(10_000).said(), ["accept a1 [o3]: j/0#1 j/1#1"]);
}

#[test]
fn mesos_own_executor_is_not_charged_and_does_not_stand_for_the_apps() {
    let mut world = World::with_app();
    let command = r#""scriptCommandLine":"true","executor":"command""#;
    world.job("c", command);
    world.job("j", "");
    // Two shards of 1 cpu each; those of the app's executor need 0.1 more, whatever runs there.
    world.offer("a1", 4.0);
    let turn = world.wait(10_000);
    assert_eq!(turn.said(), ["accept a1 [o1]: c/0#1 c/1#1"]);
    let Action::Accept { launches, .. } = &turn.actions[0] else { panic!("no accept") };
    assert!(launches.iter().all(|launch| launch.executor.resources.pieces.is_empty()));
    for task in world.tasks("c") {
        world.status(&task, TaskState::Running);
        world.exit(&task, 0);
    }
    assert_eq!(world.offer("a1", 2.09).said(), Vec::<String>::new());
    assert_eq!(world.offer("a1", 0.01).said(), ["accept a1 [o2 o3]: j/0#1 j/1#1"]);
}

#[test]
fn runs_of_one_job_never_overlap() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.wait(10_000);
    world.offer("a1", 4.0);
    assert_eq!(world.wait(10_000).launched(), []);
    let second = RunId::parse("j@20261120T020020Z").unwrap();
    let reason = world.engine.run(&second).unwrap().reason.unwrap();
    assert_eq!(reason, "waiting for run j@20261120T020010Z to end");
    for task in world.tasks("j") {
        world.exit(&task, 0);
    }
    world.offer("a1", 4.0);
    assert_eq!(world.active("j").id, second);
}

#[test]
fn priority_goes_first_and_waiting_makes_up_for_it() {
    let mut world = World::with_app();
    world.job("low", r#""shardingTotalCount":1,"priority":0"#);
    world.job("high", r#""shardingTotalCount":1,"priority":100"#);
    world.wait(10_000);
    let turn = world.offer("a1", 1.2);
    assert_eq!(turn.said(), ["accept a1 [o1]: high/0#1"]);
    // Ten minutes of waiting outweigh a hundred steps of priority.
    for task in world.tasks("high") {
        world.exit(&task, 0);
    }
    world.wait(11 * 60_000);
    let turn = world.offer("a1", 1.2);
    assert_eq!(turn.said(), ["accept a1 [o2]: low/0#1"]);
}

#[test]
fn offers_nobody_needs_go_back_and_are_asked_for_again_on_demand() {
    let mut world = World::with_app();
    world.job("j", r#""cron":"0 0 3 * * ?""#);
    world.offer("a1", 4.0);
    assert_eq!(world.wait(4_999).said(), Vec::<String>::new());
    assert_eq!(world.wait(1).said(), ["decline [o1] 3593000", "suppress"]);
    let turn = world.command_turn(trigger("j", None)).1;
    assert_eq!(turn.said(), ["revive"]);
    assert_eq!(world.offer("a1", 4.0).said(), ["accept a1 [o2]: j/0#1 j/1#1"]);
}

#[test]
fn a_rescinded_offer_is_not_used() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.turn(Event::Rescinded(OfferId::new("o1")));
    assert_eq!(world.wait(10_000).said(), Vec::<String>::new());
    assert_eq!(world.offer("a2", 4.0).said(), ["accept a2 [o2]: j/0#1 j/1#1"]);
}

#[test]
fn a_launch_that_lost_the_race_costs_nothing() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    world.wait(10_000);
    let task = world.tasks("j").remove(0);
    let turn = world.status(&task, TaskState::Dropped);
    assert_eq!(turn.writes, ["+failover j/0", "-running j/0", "+running j"]);
    // At once, as the same attempt, though the job has no failover.
    assert_eq!(world.offer("a1", 4.0).said(), ["accept a1 [o2]: j/0#1"]);
    world.assert_durable();
    // If it goes on like that, it waits: a launch that never happens is no hot loop.
    let mut waits = Vec::new();
    for _ in 0..3 {
        let task = world.tasks("j").remove(0);
        world.status(&task, TaskState::Dropped);
        let due = world.engine.failover(None, 1)[0].due;
        waits.push(due.since(world.now) / 1000);
        world.now = due;
        world.offer("a1", 4.0);
    }
    assert_eq!(waits, [1, 2, 4]);
}

#[test]
fn a_launch_without_an_answer_is_killed_and_placed_elsewhere() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    world.wait(10_000);
    let task = world.tasks("j").remove(0);
    assert_eq!(world.awake(5 * 60_000).said().last().unwrap(), "kill j/0");
    assert!(world.wait(16_000).said().contains(&"kill j/0".to_owned()), "killed again");
    world.status(&task, TaskState::Killed);
    let mut offers = vec![world.make_offer("a1", 4.0, 9000.0, &[])];
    offers.push(world.make_offer("a2", 8.0, 9000.0, &[]));
    let turn = world.turn(Event::Offers(offers));
    assert_eq!(turn.said(), ["accept a2 [o3]: j/0#2"]);
}

#[test]
fn nothing_is_launched_while_not_subscribed() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.turn(Event::Disconnected);
    assert_eq!(world.wait(10_000).actions.len(), 0);
    let turn = world.subscribe();
    assert_eq!(turn.said(), ["reconcile []"]);
    assert_eq!(world.offer("a1", 4.0).said(), ["accept a1 [o2]: j/0#1 j/1#1"]);
}

#[test]
fn launches_that_are_put_off_come_when_that_time_is_over() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.engine.put_off_launches(world.now.plus_millis(10_700));
    assert_eq!(world.wait(10_000).said(), Vec::<String>::new(), "it is due, and put off");
    assert_eq!(world.engine.status().pending_runs, 1, "its firing is not");
    assert_eq!(world.wait(600).said(), Vec::<String>::new());
    assert_eq!(world.wait(200).said(), ["accept a1 [o1]: j/0#1 j/1#1"]);
}
