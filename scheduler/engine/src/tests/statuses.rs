//! The table of states: what each does to shard, run, registry and master.

use super::*;
use crate::record::Usage;

/// One shard running on `a1`; more capacity on `a2`.
fn running(extra: &str) -> (World, TaskId) {
    let mut world = World::with_app();
    let extra = if extra.is_empty() { String::new() } else { format!(",{extra}") };
    world.job("j", &format!(r#""shardingTotalCount":1,"cron":"0 0 3 * * ?"{extra}"#));
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    (world, task)
}

fn final_state(world: &World) -> (RunState, Option<String>) {
    let view = &world.history[&RunId::parse("j@k").unwrap()];
    (view.state, view.reason.clone())
}

#[test]
fn failed_work_is_tried_again_with_growing_delay_and_then_fails() {
    let retry = r#""retry":{"maxAttempts":3,"backoff":{"initial":"1s","jitter":0}}"#;
    let (mut world, task) = running(retry);
    let turn = world.exit(&task, 3);
    assert_eq!(turn.writes, ["+failover j/0", "-running j/0", "+running j"]);
    world.assert_durable();
    world.offer("a1", 4.0);
    assert_eq!(world.wait(999).launched(), []);
    assert_eq!(world.wait(1).said(), ["accept a1 [o2]: j/0#2"]);
    let task = world.tasks("j").remove(0);
    assert!(task.as_str().contains("@-@FAILOVER@-@"));
    world.exit(&task, 3);
    world.offer("a1", 4.0);
    assert_eq!(world.wait(1_999).launched(), []);
    assert_eq!(world.wait(1).said(), ["accept a1 [o3]: j/0#3"]);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 3);
    assert_eq!(
        final_state(&world),
        (RunState::Failed, Some("shard 0: exited with code 3".to_owned()))
    );
    assert_eq!(world.history[&RunId::parse("j@k").unwrap()].shards[0].exit_code, Some(3));
}

#[test]
fn other_exit_codes_are_not_tried_again() {
    let (mut world, task) = running(r#""retry":{"maxAttempts":3,"exitCodes":[75]}"#);
    world.exit(&task, 3);
    assert_eq!(final_state(&world).0, RunState::Failed);
}

#[test]
fn a_failed_sibling_lets_the_others_end_and_fails_the_run() {
    let mut world = World::with_app();
    world.job("j", "");
    world.offer("a1", 4.0);
    world.wait(10_000);
    let tasks = world.tasks("j");
    let turn = world.exit(&tasks[0], 1);
    assert_eq!(turn.said(), ["ack j/0"], "the sibling is left alone");
    world.exit(&tasks[1], 0);
    assert_eq!(world.runs("j")[0].1, RunState::Failed);
}

#[test]
fn infrastructure_loss_follows_failover_and_never_uses_up_retries() {
    for state in [
        TaskState::Lost,
        TaskState::Dropped,
        TaskState::Gone,
        TaskState::GoneByOperator,
        TaskState::Unknown,
    ] {
        let (mut world, task) = running("");
        world.status(&task, state);
        assert_eq!(final_state(&world).0, RunState::Failed, "{state:?}");

        let (mut world, mut task) = running(r#""failover":true,"retry":{"maxAttempts":1}"#);
        for attempt in 2..8 {
            world.status(&task, state);
            world.wait(6 * 60_000);
            let turn = world.offer("a2", 4.0);
            assert!(turn.said()[0].ends_with(&format!("j/0#{attempt}")), "{state:?}");
            task = world.tasks("j").remove(0);
            world.status(&task, TaskState::Running);
        }
        world.exit(&task, 0);
        assert_eq!(final_state(&world).0, RunState::Succeeded);
    }
}

#[test]
fn a_task_that_failed_with_its_executor_is_a_loss() {
    let (mut world, task) = running(r#""failover":true,"retry":{"maxAttempts":1}"#);
    let mut lost = update(&task, TaskState::Failed);
    lost.reason = StatusReason::ExecutorLost;
    world.turn(Event::Status(lost));
    world.offer("a2", 4.0);
    assert!(world.wait(1_200).said()[0].ends_with("j/0#2"));
}

#[test]
fn losses_in_a_row_wait_longer_and_longer() {
    let (mut world, mut task) = running(r#""failover":true"#);
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.status(&task, TaskState::Lost);
        let due = world.engine.failover(None, 1)[0].due;
        waits.push(due.since(world.now) / 1000);
        world.now = due;
        world.offer("a2", 4.0);
        task = world.tasks("j").remove(0);
    }
    assert_eq!(waits, [1, 2, 4, 8]);
}

#[test]
fn an_unreachable_task_is_given_time_and_killed_if_it_comes_back_late() {
    let (mut world, task) = running(r#""failover":true"#);
    world.status(&task, TaskState::Unreachable);
    world.offer("a2", 4.0);
    assert_eq!(world.awake(59_999).launched(), []);
    world.wait(1);
    world.offer("a2", 4.0);
    let turn = world.wait(2_000);
    assert!(turn.said().iter().any(|said| said.ends_with("j/0#2")), "{:?}", turn.said());
    let turn = world.status(&task, TaskState::Running);
    assert_eq!(turn.said(), ["kill j/0", "ack j/0"]);
    assert_eq!(turn.writes, Vec::<String>::new());
}

#[test]
fn an_unreachable_task_that_comes_back_in_time_goes_on() {
    let (mut world, task) = running(r#""failover":true"#);
    world.status(&task, TaskState::Unreachable);
    world.wait(30_000);
    world.status(&task, TaskState::Running);
    world.wait(120_000);
    world.exit(&task, 0);
    assert_eq!(final_state(&world).0, RunState::Succeeded);
}

/// The process stood still, or its clock was set forward: what came meanwhile is heard first.
#[test]
fn time_in_which_nobody_could_be_heard_is_nobody_s_silence() {
    let (mut world, task) = running(r#""failover":true"#);
    world.status(&task, TaskState::Unreachable);
    world.awake(30_000);
    world.wait(300_000);
    assert_eq!(world.tasks("j"), std::slice::from_ref(&task));
    world.exit(&task, 0);
    assert_eq!(final_state(&world).0, RunState::Succeeded);

    let (mut world, task) = running(r#""failover":true"#);
    world.status(&task, TaskState::Unreachable);
    world.awake(30_000);
    world.wait(300_000);
    world.awake(29_000);
    assert_eq!(world.tasks("j"), [task]);
    world.awake(1_000);
    assert!(world.tasks("j").is_empty(), "the rest of its time is over");
}

/// Also under a new leader; until the master knows what became of it, or it is to end.
#[test]
fn an_unreachable_task_is_waited_for_if_its_job_says_so() {
    let (mut world, task) = running(r#""failover":true,"onUnreachable":"wait""#);
    world.status(&task, TaskState::Unreachable);
    world.offer("a2", 4.0);
    assert_eq!(world.awake(300_000).launched(), []);
    world.restart();
    world.subscribe();
    world.status(&task, TaskState::Unreachable);
    world.awake(300_000);
    assert_eq!(world.tasks("j"), std::slice::from_ref(&task));
    world.status(&task, TaskState::GoneByOperator);
    world.offer("a2", 4.0);
    assert!(world.wait(2_000).said().iter().any(|said| said.ends_with("j/0#2")));

    let (mut world, task) = running(r#""onUnreachable":"wait""#);
    world.status(&task, TaskState::Unreachable);
    let run = world.active("j").id;
    world.command(Command::CancelRun { run }).unwrap();
    world.awake(59_000);
    assert_eq!(world.tasks("j"), [task]);
    world.awake(60_000);
    assert_eq!(final_state(&world).0, RunState::Cancelled);
}

#[test]
fn updates_of_an_older_task_change_nothing() {
    let (mut world, task) = running(r#""failover":true"#);
    world.status(&task, TaskState::Lost);
    world.wait(2_000);
    world.offer("a2", 4.0);
    let before = world.active("j");
    let turn = world.exit(&task, 0);
    assert_eq!(turn.said(), ["ack j/0"]);
    assert_eq!(turn.writes, Vec::<String>::new());
    assert_eq!(world.active("j"), before);
}

#[test]
fn a_killed_task_means_what_it_was_killed_for() {
    let (mut world, task) = running(r#""failover":true"#);
    let run = RunId::parse("j@k").unwrap();
    let (reply, turn) = world.command_turn(Command::CancelRun { run });
    assert!(is_done(&reply, &Done::Accepted));
    assert_eq!(turn.said(), ["kill j/0"]);
    assert_eq!(turn.writes, ["+running j"], "the intent is recorded first");
    world.assert_durable();
    world.status(&task, TaskState::Killed);
    assert_eq!(final_state(&world).0, RunState::Cancelled);
}

#[test]
fn a_kill_nobody_asked_for_is_a_failure() {
    let (mut world, task) = running("");
    world.status(&task, TaskState::Killed);
    assert_eq!(final_state(&world).0, RunState::Failed);
}

#[test]
fn a_run_that_takes_too_long_is_killed_and_timed_out() {
    let (mut world, task) = running(r#""timeout":"30s""#);
    assert_eq!(world.wait(29_999).said(), Vec::<String>::new());
    assert_eq!(world.wait(1).said(), ["kill j/0"]);
    // It may as well fail by the signal: the intent decides.
    world.exit(&task, 143);
    assert_eq!(final_state(&world).0, RunState::TimedOut);
}

#[test]
fn a_daemon_shard_is_launched_again_by_itself() {
    let mut world = World::with_app();
    world.job("d", r#""jobExecutionType":"DAEMON""#);
    let turn = world.offer("a1", 4.0);
    assert_eq!(turn.said(), ["accept a1 [o1]: d/0#1 d/1#1"]);
    let tasks = world.tasks("d");
    for task in &tasks {
        world.status(task, TaskState::Running);
    }
    for state in [TaskState::Killed, TaskState::Failed, TaskState::Finished, TaskState::Lost] {
        let task = world.tasks("d").remove(1);
        world.status(&task, state);
        world.wait(10_000);
        let turn = world.offer("a1", 4.0);
        assert!(turn.said()[0].contains("d/1#"), "{state:?}: {:?}", turn.said());
        assert_eq!(world.tasks("d")[0], tasks[0], "the sibling is left alone");
    }
    let begin = |message: &str| {
        let mut update = update(&tasks[0], TaskState::Running);
        update.message = Some(message.to_owned());
        Event::Status(update)
    };
    let idle = |world: &World| {
        let rows = world.engine.running(None, 9);
        rows.iter().find(|row| row.item == 0).unwrap().idle
    };
    let failed = Outcome {
        exit_code: Some(3),
        stderr_tail: "no such table".to_owned(),
        usage: Some(Usage { duration_ms: 12, ..Usage::default() }),
        ..Outcome::default()
    };
    let mut complete = update(&tasks[0], TaskState::Running);
    complete.message = Some("COMPLETE".to_owned());
    complete.outcome = Some(failed);
    let turn = world.turn(Event::Status(complete));
    let Some(Trace::Task { message, .. }) = turn.traces.first() else { panic!("no trace") };
    assert_eq!(message.as_deref(), Some("COMPLETE: exited with code 3: no such table (ran 12 ms)"));
    let view = world.active("d");
    assert_eq!(view.shards[0].exit_code, Some(3), "a failing daemon is seen");
    assert_eq!(view.shards[0].usage.map(|usage| usage.duration_ms), Some(12));
    world.turn(begin("COMPLETE"));
    assert_eq!(idle(&world), Some(true));
    let turn = world.turn(begin("BEGIN"));
    assert_eq!(idle(&world), Some(false));
    assert_eq!(turn.writes, Vec::<String>::new(), "firings of a daemon are history, not state");
}

#[test]
fn a_failed_executor_is_asked_about_and_not_guessed() {
    let (mut world, task) = running(r#""failover":true"#);
    let failure = Event::Failure {
        agent: AgentId::new("a1"),
        executor: Some(crate::ids::ExecutorId::new("app@-@a1")),
    };
    assert_eq!(world.turn(failure).said(), ["reconcile [j/0]"]);
    // Its last update was on the way.
    world.exit(&task, 0);
    assert_eq!(final_state(&world).0, RunState::Succeeded);
}

#[test]
fn a_removed_framework_loses_its_tasks_and_starts_anew() {
    let (mut world, _) = running(r#""failover":true"#);
    let turn = world.turn(Event::FrameworkRemoved);
    assert_eq!(turn.said(), ["subscribe anew"]);
    assert!(turn.writes.contains(&"-framework".to_owned()));
    assert_eq!(world.engine.framework_id(), None);
    world.turn(Event::Subscribed { framework: FrameworkId::new("fw2") });
    world.wait(2_000);
    assert!(world.offer("a1", 4.0).said()[0].ends_with("j/0#2"));
}
