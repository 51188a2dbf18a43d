//! `allow`: several active runs of one job, where each is stored, and what a new leader makes of it.

use super::*;

fn world(max: u32) -> World {
    let mut world = World::with_app();
    world.job("j", &of(&format!(r#"{{"policy":"allow","max":{max}}}"#)));
    world
}

fn of(concurrency: &str) -> String {
    format!(r#""cron":null,"shardingTotalCount":2,"failover":true,"concurrency":{concurrency}"#)
}

fn start(world: &mut World, keys: &[&str]) {
    for key in keys {
        world.command(trigger("j", Some(key))).unwrap();
    }
}

fn active(world: &World) -> Vec<String> {
    let runs = world.engine.live_runs(&crate::RunFilter::default(), None, usize::MAX);
    let mut active: Vec<String> = runs
        .into_iter()
        .filter(|run| run.state != RunState::Pending)
        .map(|run| run.id.to_string())
        .collect();
    active.sort();
    active
}

/// The tasks of one run, by shard.
fn tasks_of(world: &World, run: &str) -> Vec<TaskId> {
    let rows = world.engine.running(None, usize::MAX).into_iter();
    let mut rows: Vec<_> = rows.filter(|row| row.run.as_str() == run).collect();
    rows.sort_by_key(|row| row.item);
    rows.into_iter().map(|row| row.task_id).collect()
}

#[test]
fn runs_overlap_up_to_the_limit_and_the_others_say_why_they_wait() {
    let mut world = world(2);
    start(&mut world, &["a", "b", "c"]);
    let turn = world.offer("a1", 20.0);
    assert_eq!(turn.launched().len(), 4, "two runs in one cycle");
    assert_eq!(active(&world), ["j@a", "j@b"]);
    let next = world.engine.next_pending(&name("j")).unwrap();
    assert_eq!(
        next.reason.unwrap(),
        "waiting for one of 2 active runs to end (concurrency allow, max 2)"
    );
    assert_eq!(world.engine.job(&name("j")).unwrap().running_count, 2);
    for task in tasks_of(&world, "j@a") {
        world.exit(&task, 0);
    }
    world.offer("a1", 20.0);
    assert_eq!(active(&world), ["j@b", "j@c"]);
    world.assert_durable();
}

#[test]
fn the_first_run_has_the_jobs_place_and_the_others_theirs() {
    let mut world = world(3);
    start(&mut world, &["a", "b"]);
    world.offer("a1", 20.0);
    let keys = |world: &World| -> Vec<String> {
        world.records.keys().map(show).filter(|key| key.contains("running")).collect()
    };
    assert_eq!(
        keys(&world),
        [
            "running j",
            "running j/0",
            "running j/1",
            "running j@b",
            "running j@b/0",
            "running j@b/1"
        ]
    );
    for task in tasks_of(&world, "j@a") {
        world.exit(&task, 0);
    }
    assert_eq!(keys(&world), ["running j@b", "running j@b/0", "running j@b/1"]);
    start(&mut world, &["c"]);
    world.offer("a1", 20.0);
    assert_eq!(keys(&world).len(), 6);
    assert!(world.records.contains_key(&Key::Running(name("j"))), "the free place is taken again");
    world.assert_durable();
}

#[test]
fn a_new_leader_takes_over_all_of_them() {
    let mut world = world(3);
    start(&mut world, &["a", "b", "c"]);
    world.offer("a1", 20.0);
    let lost = tasks_of(&world, "j@b").remove(1);
    world.status(&lost, TaskState::Running);
    world.status(&lost, TaskState::Lost);
    assert_eq!(world.records.keys().filter(|key| show(key) == "failover j@b/1").count(), 1);
    world.restart();
    world.subscribe();
    assert_eq!(active(&world), ["j@a", "j@b", "j@c"]);
    world.assert_durable();
    world.offer("a2", 20.0);
    world.wait(2_000);
    assert_eq!(tasks_of(&world, "j@b").len(), 2, "the lost shard runs again");
    assert!(!world.records.keys().any(|key| show(key).starts_with("failover")));
    for run in ["j@c", "j@a", "j@b"] {
        for task in tasks_of(&world, run) {
            world.exit(&task, 0);
        }
    }
    let left = world.records.keys().map(show).filter(|key| key.contains("running")).count();
    assert_eq!(left, 0);
    assert!(world.runs("j").iter().all(|(_, state)| *state == RunState::Succeeded));
}

#[test]
fn half_a_launch_beside_another_run_counts_as_none() {
    let mut world = world(2);
    start(&mut world, &["a"]);
    world.offer("a1", 20.0);
    start(&mut world, &["b"]);
    let before = world.records.clone();
    world.offer("a1", 20.0);
    assert_eq!(active(&world).len(), 2);
    world.records.extend(before);
    let turn = world.restart();
    assert_eq!(turn.writes, ["-running j@b/1", "-running j@b/0", "-running j@b"]);
    assert_eq!(active(&world), ["j@a"]);
    world.assert_durable();
}

#[test]
fn each_is_cancelled_by_itself_and_all_when_the_job_is_disabled() {
    let mut world = world(3);
    start(&mut world, &["a", "b", "c"]);
    world.offer("a1", 20.0);
    let run = RunId::parse("j@b").unwrap();
    let (_, turn) = world.command_turn(Command::CancelRun { run });
    assert_eq!(turn.said(), ["kill j/0", "kill j/1"]);
    for task in tasks_of(&world, "j@b") {
        world.status(&task, TaskState::Killed);
    }
    assert_eq!(active(&world), ["j@a", "j@c"]);
    let set = Command::SetJobEnabled { job: name("j"), enabled: false, reason: None };
    let (_, turn) = world.command_turn(set);
    assert_eq!(turn.said().len(), 4);
}

#[test]
fn the_limit_is_that_of_the_document_of_now() {
    let mut world = world(2);
    start(&mut world, &["a", "b", "c", "d"]);
    world.offer("a1", 20.0);
    let set = |world: &mut World, concurrency: &str| {
        let document = job_document("j", &of(concurrency));
        world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    };
    set(&mut world, r#""forbid""#);
    for task in tasks_of(&world, "j@a") {
        world.exit(&task, 0);
    }
    world.offer("a1", 20.0);
    assert_eq!(active(&world), ["j@b"], "the next waits for all that run");
    // `c` was made under `allow` and is stored in the job's place, which is free.
    set(&mut world, r#""allow""#);
    world.offer("a1", 20.0);
    assert_eq!(active(&world), ["j@b", "j@c", "j@d"]);
    world.assert_durable();
}
