//! What Elastic-Job-Cloud left behind is carried on: its counters, its daemons, its lost shards.

use super::*;

const DAEMON: &str = r#""jobExecutionType":"DAEMON","shardingTotalCount":3"#;

fn task(job: &str, item: u32, agent: &str) -> String {
    format!("{job}@-@{item}@-@READY@-@{agent}@-@8f3c4e5a-0000-4000-8000-00000000000{item}")
}

/// Documents as they stand, and nothing of ours.
fn left(jobs: &[(&str, &str)]) -> World {
    let mut world = World::with_app();
    for (job, extra) in jobs {
        let key = Key::Job(name(job));
        world.records.insert(key, job_document(job, extra));
    }
    world.records.remove(&Key::Watermark);
    world.records.insert(Key::FrameworkId, b"fw".to_vec());
    world
}

impl World {
    fn put(&mut self, key: Key, text: &str) {
        self.records.insert(key, text.as_bytes().to_vec());
    }
}

#[test]
fn counters_become_runs_once() {
    let mut world = left(&[("j", r#""shardingTotalCount":1,"misfire":true"#)]);
    world.put(Key::ReadyCount(name("j")), "3\n");
    world.put(Key::ReadyCount(name("ghost")), "3");
    let turn = world.restart();
    assert!(turn.writes.contains(&"+watermark".to_owned()), "{:?}", turn.writes);
    assert_eq!(world.engine.status().pending_runs, 3);
    world.assert_durable();
    world.restart();
    assert_eq!(world.engine.status().pending_runs, 3, "it happens once");
    world.subscribe();
    world.offer("a1", 4.0);
    let first = world.tasks("j").remove(0);
    world.exit(&first, 0);
    assert_eq!(world.engine.status().pending_runs, 2);
    assert_eq!(world.records[&Key::ReadyCount(name("j"))], b"2");
    world.restart();
    assert_eq!(world.engine.status().pending_runs + world.engine.status().active_runs, 2);
}

#[test]
fn half_of_it_is_made_whole() {
    let mut world = left(&[("j", r#""shardingTotalCount":1,"misfire":true"#)]);
    world.put(Key::ReadyCount(name("j")), "3");
    world.restart();
    // The commit was cut before the watermark and the last run.
    world.records.remove(&Key::Watermark);
    let last = RunId::triggered(&name("j"), "inherited-3").unwrap();
    world.records.remove(&Key::Ready(name("j"), last));
    world.restart();
    assert_eq!(world.engine.status().pending_runs, 3);
}

#[test]
fn a_daemon_keeps_its_tasks_and_gets_the_missing_ones() {
    let mut world = left(&[("d", DAEMON)]);
    world.put(Key::RunningShard(name("d"), 0), &task("d", 0, "a1"));
    world.put(Key::Failover(name("d"), 1), &task("d", 1, "a1"));
    world.put(Key::ReadyCount(name("d")), "1");
    let turn = world.restart();
    assert_eq!(turn.said(), Vec::<String>::new());
    assert_eq!(world.tasks("d"), [TaskId::new(task("d", 0, "a1"))]);
    assert_eq!(world.engine.status().pending_runs, 0, "the counter is for daemons that run not");
    assert_eq!(world.subscribe().said(), ["reconcile [d/0]", "reconcile []"]);
    let task_0 = world.tasks("d").remove(0);
    world.status(&task_0, TaskState::Running);
    // On another agent: the executor of the old one is not known to take our tasks.
    let said = world.offer("a2", 4.0).said();
    assert_eq!(said, ["accept a2 [o1]: d/1#2 d/2#1"]);
    world.assert_durable();
}

#[test]
fn lost_shards_of_a_transient_job_are_launched_again() {
    let mut world = left(&[("j", r#""shardingTotalCount":4,"failover":true"#)]);
    world.put(Key::Failover(name("j"), 2), &task("j", 2, "a1"));
    world.put(Key::Failover(name("j"), 7), &task("j", 7, "a1"));
    world.put(Key::Failover(name("j"), 1), "nonsense");
    world.put(Key::ReadyCount(name("j")), "1");
    let turn = world.restart();
    assert!(turn.writes.contains(&"-failover j/7".to_owned()), "no such shard: {:?}", turn.writes);
    world.subscribe();
    assert_eq!(world.offer("a1", 8.0).said(), ["accept a1 [o1]: j/2#2"]);
    let failed_over = world.tasks("j").remove(0);
    assert!(failed_over.as_str().contains("@-@FAILOVER@-@"), "{failed_over}");
    // The run that waited follows when that has ended.
    world.offer("a1", 8.0);
    assert_eq!(world.tasks("j").len(), 1);
    world.exit(&failed_over, 0);
    world.offer("a1", 8.0);
    assert_eq!(world.tasks("j").len(), 4);
    world.assert_durable();
}

#[test]
fn what_our_own_records_say_is_not_taken_twice() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1,"misfire":true"#);
    world.job("d", DAEMON);
    world.offer("a1", 8.0);
    world.wait(30_000);
    let before = world.engine.status();
    // Even without the watermark: the runs are there.
    world.records.remove(&Key::Watermark);
    world.restart();
    let after = world.engine.status();
    assert_eq!(
        (after.pending_runs, after.active_runs, after.tasks),
        (before.pending_runs, before.active_runs, before.tasks)
    );
}

#[test]
fn more_than_may_pile_up_is_reported() {
    let mut world = left(&[("j", "")]);
    world.put(Key::ReadyCount(name("j")), "5000");
    world.restart();
    let status = world.engine.status();
    assert_eq!((status.pending_runs, status.problems.len()), (1_000, 1));
}
