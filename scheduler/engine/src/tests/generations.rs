//! An app that changes while its executor lives: the old executor ends what it has, the next launch starts
//! another one beside it.

use super::*;
use crate::ids::ExecutorId;

const FIRST: &str = "app@-@a1";
const SECOND: &str = "app@-@a1@-@2";

/// A job without a schedule whose shard lasts, launched on `a1`; gives its task.
fn launched(world: &mut World, job: &str) -> TaskId {
    world.job(job, r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger(job, Some("k"))).unwrap();
    let offer = world.make_offer("a1", 4.0, 4096.0, &[]);
    world.turn(Event::Offers(vec![offer]));
    let task = world.tasks(job).remove(0);
    world.status(&task, TaskState::Running);
    task
}

fn update_app(world: &mut World, cpus: &str) -> Turn {
    let document = format!(r#"{{"appName":"app","cpuCount":{cpus},"memoryMB":32}}"#).into_bytes();
    let (reply, turn) = world.command_turn(Command::UpdateApp { app: app_name(), document });
    assert!(is_done(&reply, &Done::Changed));
    turn
}

/// Launches one more run of a job on `a1`, which names `executors`; gives what starts it.
fn launch_again(world: &mut World, job: &str, key: &str, executors: &[&str]) -> (String, i64) {
    world.command(trigger(job, Some(key))).unwrap();
    let offer = world.make_offer("a1", 2.0, 2048.0, executors);
    let turn = world.turn(Event::Offers(vec![offer]));
    let launch = turn.actions.iter().find_map(|action| match action {
        Action::Accept { launches, .. } => launches.first(),
        _ => None,
    });
    let executor = &launch.unwrap_or_else(|| panic!("no launch in {:?}", turn.said())).executor;
    (executor.id.to_string(), executor.resources.total(Kind::Cpus).0)
}

#[test]
fn a_changed_app_gets_an_executor_of_its_own_and_the_old_one_ends_when_it_is_idle() {
    let mut world = World::with_app();
    let task = launched(&mut world, "long");
    world.job("next", r#""cron":null,"shardingTotalCount":1"#);
    assert_eq!(update_app(&mut world, "0.3").said(), Vec::<String>::new(), "it has work");
    assert_eq!(launch_again(&mut world, "next", "n1", &[FIRST]), (SECOND.to_owned(), 300));

    let second = world.tasks("next").remove(0);
    world.status(&second, TaskState::Running);
    world.exit(&second, 0);
    let both = [FIRST, SECOND];
    assert_eq!(launch_again(&mut world, "next", "n2", &both), (SECOND.to_owned(), 300));

    let turn = world.exit(&task, 0);
    assert!(turn.said().contains(&format!("shutdown {FIRST}")), "{:?}", turn.said());
    // The call got lost: it is said again as long as an offer names it.
    let offer = world.make_offer("a1", 1.0, 1024.0, &both);
    let turn = world.turn(Event::Offers(vec![offer]));
    assert_eq!(turn.said(), [format!("shutdown {FIRST}")]);
    let offer = world.make_offer("a1", 1.0, 1024.0, &[SECOND]);
    assert_eq!(world.turn(Event::Offers(vec![offer])).said(), Vec::<String>::new());
    let agents = world.engine.agents(None, 10);
    assert_eq!(agents[0].executors, [SECOND]);
}

#[test]
fn the_first_id_is_used_again_when_no_executor_is_left() {
    let mut world = World::with_app();
    let task = launched(&mut world, "long");
    world.job("next", r#""cron":null,"shardingTotalCount":1"#);
    update_app(&mut world, "0.3");
    world.exit(&task, 0);
    let (agent, executor) = (AgentId::new("a1"), Some(ExecutorId::new(FIRST)));
    world.turn(Event::Failure { agent, executor });
    assert_eq!(launch_again(&mut world, "next", "n", &[]).0, FIRST);
}

/// The launch starts it again, with the document it was described with.
#[test]
fn an_executor_that_ended_with_a_launch_on_its_way_may_be_there() {
    let mut world = World::with_app();
    launched(&mut world, "long");
    for job in ["next", "third"] {
        world.job(job, r#""cron":null,"shardingTotalCount":1"#);
    }
    assert_eq!(launch_again(&mut world, "next", "n", &[FIRST]).0, FIRST);
    let on_its_way = world.tasks("next").remove(0);
    let (agent, executor) = (AgentId::new("a1"), Some(ExecutorId::new(FIRST)));
    world.turn(Event::Failure { agent, executor });
    update_app(&mut world, "0.3");
    assert_eq!(launch_again(&mut world, "third", "n", &[]), (SECOND.to_owned(), 300));
    world.status(&on_its_way, TaskState::Killed);
    let known = |world: &World| world.engine.agents(None, 10).remove(0).executors;
    assert_eq!(known(&world), [FIRST, SECOND], "until an offer tells");
    let offer = world.make_offer("a1", 1.0, 1024.0, &[SECOND]);
    world.turn(Event::Offers(vec![offer]));
    assert_eq!(known(&world), [FIRST, SECOND], "the first one's other task is still to be told of");
}

/// The task may have met the end of an executor with the same id before.
#[test]
fn a_task_that_never_came_up_does_not_tell_the_end_of_an_executor_in_which_others_run() {
    let mut world = World::with_app();
    launched(&mut world, "long");
    for job in ["next", "third"] {
        world.job(job, r#""cron":null,"shardingTotalCount":1"#);
    }
    assert_eq!(launch_again(&mut world, "next", "n", &[FIRST]).0, FIRST);
    let mut status = update(&world.tasks("next").remove(0), TaskState::Dropped);
    status.reason = StatusReason::ExecutorLost;
    world.turn(Event::Status(status));
    update_app(&mut world, "0.3");
    assert_eq!(launch_again(&mut world, "third", "n", &[]), (SECOND.to_owned(), 300));
}

#[test]
fn an_executor_that_was_launched_and_not_seen_is_not_launched_in_with_another_document() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1"#);
    world.job("k", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    update_app(&mut world, "0.3");
    assert_eq!(launch_again(&mut world, "k", "k", &[]), (SECOND.to_owned(), 300));
    let ids = world.engine.agents(None, 10).remove(0).executors;
    assert_eq!(ids, [FIRST, SECOND]);
}

#[test]
fn a_new_leader_launches_in_the_executor_of_now_and_lets_the_one_before_end() {
    let mut world = World::with_app();
    let old = launched(&mut world, "long");
    world.job("next", r#""cron":null,"shardingTotalCount":1"#);
    world.job("other", r#""cron":null,"shardingTotalCount":1"#);
    update_app(&mut world, "0.3");
    launch_again(&mut world, "next", "n", &[FIRST]);
    let running = world.tasks("next").remove(0);
    world.status(&running, TaskState::Running);
    world.restart();
    world.subscribe();
    world.status(&old, TaskState::Running);
    world.status(&running, TaskState::Running);
    let (executor, cpus) = launch_again(&mut world, "other", "o", &[FIRST, SECOND]);
    assert_eq!((executor.as_str(), cpus), (SECOND, 300));
    let shards = world.active("next").shards;
    assert_eq!(shards[0].executor_generation, 2, "where its output is read");
    let turn = world.exit(&old, 0);
    assert!(turn.said().contains(&format!("shutdown {FIRST}")), "{:?}", turn.said());
}

#[test]
fn a_task_whose_executor_runs_as_another_is_launched_in_one_of_its_own_at_no_cost() {
    let mut world = World::with_app();
    launched(&mut world, "long");
    world.job("next", r#""cron":null,"shardingTotalCount":1"#);
    assert_eq!(launch_again(&mut world, "next", "n", &[FIRST]).0, FIRST);
    let refused = world.tasks("next").remove(0);
    let mut status = update(&refused, TaskState::Error);
    status.reason = StatusReason::ExecutorDiffers;
    world.turn(Event::Status(status));
    let offer = world.make_offer("a1", 2.0, 2048.0, &[FIRST]);
    let turn = world.turn(Event::Offers(vec![offer]));
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!((launches[0].executor.id.as_str(), launches[0].attempt), (SECOND, 1));
}
