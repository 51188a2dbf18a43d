//! What a new document of a job or an app applies to: runs that are pending, running or in back-off.
//! The rules stand in `commands`; each test shows one.

use super::*;

fn update(world: &mut World, extra: &str) -> Turn {
    let document = job_document("j", extra);
    let (reply, turn) = world.command_turn(Command::UpdateJob { job: name("j"), document });
    assert!(is_done(&reply, &Done::Changed));
    turn
}

fn live(world: &World) -> Vec<(String, RunState)> {
    let runs = world.engine.live_runs(&crate::RunFilter::default(), None, usize::MAX);
    runs.into_iter().map(|run| (run.id.to_string(), run.state)).collect()
}

#[test]
fn the_schedule_changes_at_once_and_never_for_the_past() {
    let mut world = World::with_app();
    world.job("j", r#""misfire":true,"shardingTotalCount":1"#);
    world.wait(9_000);
    update(&mut world, r#""misfire":true,"shardingTotalCount":1,"cron":"0/4 * * * * ?""#);
    world.wait(3_000);
    assert_eq!(live(&world), [("j@20261120T020012Z".to_owned(), RunState::Pending)]);
    world.restart();
    assert_eq!(live(&world).len(), 1);
}

#[test]
fn pending_runs_stay_and_keep_their_document_and_deadlines() {
    let mut world = World::with_app();
    world.job("j", r#""jobParameter":"old","shardingTotalCount":1,"queueTimeout":"15s""#);
    world.wait(10_000);
    // No schedule, no parameter, no queue timeout any more: for runs to come.
    update(&mut world, r#""cron":null,"shardingTotalCount":3"#);
    let mut copy = World::with_app();
    std::mem::swap(&mut copy.records, &mut world.records);
    copy.now = world.now;
    copy.restart();
    copy.subscribe();
    copy.wait(15_000);
    assert_eq!(copy.runs("j"), [("j@20261120T020010Z".to_owned(), RunState::Expired)]);
    let turn = world.offer("a1", 4.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!((launches.len(), launches[0].job_parameter.as_str()), (1, "old"));
}

#[test]
fn running_shards_are_left_alone_and_keep_their_timeout() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1,"timeout":"30s""#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    let turn = update(&mut world, r#""cron":null,"shardingTotalCount":2,"timeout":"1h""#);
    assert_eq!(turn.said(), Vec::<String>::new());
    assert_eq!(world.wait(30_000).said(), ["kill j/0"], "the timeout it was started with");
}

#[test]
fn shards_in_back_off_are_tried_again_as_they_were_and_by_the_old_policy() {
    let mut world = World::with_app();
    world.job(
        "j",
        r#""cron":null,"shardingTotalCount":1,"jobParameter":"old","retry":{"maxAttempts":2}"#,
    );
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    update(&mut world, r#""cron":null,"shardingTotalCount":1,"jobParameter":"new""#);
    world.restart();
    world.subscribe();
    world.wait(2_000);
    let turn = world.offer("a1", 4.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!((launches[0].job_parameter.as_str(), launches[0].attempt), ("old", 2));
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    assert_eq!(world.runs("j"), [("j@k".to_owned(), RunState::Failed)]);
}

#[test]
fn rules_between_runs_are_those_of_the_document_of_now() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    world.wait(10_000);
    update(&mut world, r#""shardingTotalCount":1,"concurrency":"replace""#);
    assert_eq!(world.wait(10_000).said()[0], "kill j/0");
    update(&mut world, r#""shardingTotalCount":1,"misfire":{"policy":"all","maxPending":2}"#);
    world.wait(10_000);
    world.wait(10_000);
    assert_eq!(world.engine.status().pending_runs, 2);
}

#[test]
fn an_app_changes_for_executors_to_come_and_a_pending_run_takes_it_up() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("j", Some("k"))).unwrap();
    let document = br#"{"appName":"app","cpuCount":0.3,"memoryMB":32}"#.to_vec();
    world.command(Command::UpdateApp { app: app_name(), document }).unwrap();
    let turn = world.offer("a1", 4.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!(launches[0].executor.resources.total(Kind::Cpus), Milli(300));
}

#[test]
fn an_app_changes_while_a_shard_is_in_back_off_and_its_next_attempt_takes_it_up() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1,"retry":{"maxAttempts":2}"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    let document = br#"{"appName":"app","cpuCount":0.3,"memoryMB":32}"#.to_vec();
    world.command(Command::UpdateApp { app: app_name(), document }).unwrap();
    world.restart();
    world.subscribe();
    world.wait(2_000);
    let turn = world.offer("a2", 4.0);
    let accept = turn.actions.iter().find_map(|action| match action {
        Action::Accept { launches, .. } => launches.first(),
        _ => None,
    });
    let launch = accept.expect("it is launched again");
    assert_eq!(launch.executor.resources.total(Kind::Cpus), Milli(300));
    assert_eq!((launch.run.as_str(), launch.attempt), ("j@k", 2));
}

/// A run goes on in the app it was made for, and the next one in the job's new app.
#[test]
fn a_job_moves_to_another_app_with_the_runs_to_come() {
    let mut world = World::with_app();
    let other = br#"{"appName":"other","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    world.command(Command::CreateApp { document: other }).unwrap();
    world.job("j", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("j", Some("a"))).unwrap();
    update(&mut world, r#""cron":null,"shardingTotalCount":1,"appName":"other""#);
    world.command(trigger("j", Some("b"))).unwrap();
    let executor = |turn: &Turn| match turn.actions.last() {
        Some(Action::Accept { launches, .. }) => launches[0].executor.id.as_str().to_owned(),
        _ => panic!("{:?}", turn.said()),
    };
    assert_eq!(executor(&world.offer("a1", 1.5)), "app@-@a1");
    let task = world.tasks("j").remove(0);
    world.exit(&task, 0);
    assert_eq!(executor(&world.offer("a2", 1.5)), "other@-@a2");
}

#[test]
fn a_delay_is_counted_from_registration_and_stored_as_an_instant() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"delay":"90s","shardingTotalCount":1"#);
    let stored = String::from_utf8(world.records[&Key::Job(name("j"))].clone()).unwrap();
    assert!(stored.contains(r#""at":"2026-11-20T02:01:30Z""#), "{stored}");
    assert!(!stored.contains("delay"), "{stored}");
    world.wait(60_000);
    world.restart();
    assert_eq!(live(&world), []);
    world.wait(30_000);
    assert_eq!(live(&world), [("j@20261120T020130Z".to_owned(), RunState::Pending)]);
    for extra in [
        r#""cron":null,"delay":"soon""#,
        r#""cron":null,"delay":9"#,
        r#""cron":null,"delay":"1s","at":"2026-11-21T00:00:00Z""#,
    ] {
        let document = job_document("k", extra);
        assert_eq!(refused_fields(world.command(Command::CreateJob { document })), ["delay"]);
    }
    let document = job_document("k", r#""delay":"1s""#);
    assert_eq!(refused_fields(world.command(Command::CreateJob { document })), ["cron"]);
}
