//! Runs of some shards only, runs made once more, and work that says "later".

use super::*;
use crate::command::EndedRun;
use crate::view::ShardState;

/// What the history would say of a run that has ended.
fn ended(world: &World, run: &str) -> EndedRun {
    let view = &world.history[&RunId::parse(run).unwrap()];
    assert!(view.state.is_final());
    let failed = |shard: &&crate::view::ShardView| shard.state != ShardState::Succeeded;
    EndedRun {
        submitter: None,
        run: view.id.clone(),
        logical_time: view.logical_time,
        generation: view.attempt,
        last_generation: view.attempt,
        document: view.document.clone(),
        overrides: view.overrides.clone(),
        sharding_total_count: view.sharding_total_count,
        failed_items: view.shards.iter().filter(failed).map(|shard| shard.item).collect(),
    }
}

fn rerun(world: &mut World, run: &str, failed_only: bool) -> Reply {
    let ended = ended(world, run);
    world.command(Command::Rerun { ended: Box::new(ended), failed_only })
}

/// A job of three shards whose run `j@k` ended with shard 1 failed.
fn failed() -> World {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":3"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 8.0);
    for (task, code) in world.tasks("j").iter().zip([0, 1, 0]) {
        world.exit(task, code);
    }
    assert_eq!(world.runs("j"), [("j@k".to_owned(), RunState::Failed)]);
    world
}

fn created(run: &str) -> Done {
    Done::RunCreated(RunId::parse(run).unwrap())
}

#[test]
fn a_trigger_runs_the_shards_it_names() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":4"#);
    let of = |items: &[u32]| Command::Trigger {
        job: name("j"),
        key: Some("k".to_owned()),
        overrides: Overrides { items: items.iter().copied().collect(), ..Overrides::default() },
        submitter: None,
    };
    assert_eq!(refused_fields(world.command(of(&[1, 4]))), ["items"]);
    world.command(of(&[1, 3])).unwrap();
    world.restart();
    world.subscribe();
    let turn = world.offer("a1", 2.5);
    assert_eq!(turn.said(), ["accept a1 [o1]: j/1#1 j/3#1"], "two of four, as one gang");
    world.assert_durable();
    world.restart();
    world.subscribe();
    let tasks = world.tasks("j");
    world.exit(&tasks[0], 0);
    world.exit(&tasks[1], 0);
    assert_eq!(world.runs("j"), [("j@k".to_owned(), RunState::Succeeded)]);
    let items: Vec<u32> =
        world.history.values().flat_map(|run| &run.shards).map(|shard| shard.item).collect();
    assert_eq!(items, [1, 3]);
}

#[test]
fn a_run_of_some_shards_does_not_stand_for_a_firing() {
    let mut world = World::with_app();
    world.job("j", "");
    let overrides = Overrides { items: [0].into(), ..Overrides::default() };
    let key = Some("k".to_owned());
    world.command(Command::Trigger { job: name("j"), key, overrides, submitter: None }).unwrap();
    world.wait(10_000);
    let waiting: Vec<String> = world.runs("j").into_iter().map(|(id, _)| id).collect();
    assert_eq!(waiting, ["j@20261120T020010Z", "j@k"]);
}

/// What was asked for with parameters of its own is other work than the schedule's.
#[test]
fn a_run_with_parameters_of_its_own_does_not_stand_for_a_firing() {
    let env = [("DAY".to_owned(), "2026-11-01".to_owned())];
    let parameters = [(0, "x".to_owned())];
    for overrides in [
        Overrides { job_parameter: Some("old".to_owned()), ..Overrides::default() },
        Overrides { env: env.into(), ..Overrides::default() },
        Overrides { sharding_item_parameters: parameters.into(), ..Overrides::default() },
    ] {
        let mut world = World::with_app();
        world.job("j", "");
        let key = Some("k".to_owned());
        world
            .command(Command::Trigger { job: name("j"), key, overrides, submitter: None })
            .unwrap();
        world.wait(10_000);
        assert_eq!(world.runs("j").len(), 2, "the firing has its run");
        world.wait(10_000);
        assert_eq!(world.runs("j").len(), 2, "which stands for the next one");
    }
}

#[test]
fn a_rerun_is_the_next_generation_of_the_same_logical_time() {
    let mut world = failed();
    assert_eq!(rerun(&mut world, "j@k", false).unwrap(), created("j@k.2"));
    assert_eq!(
        rerun(&mut world, "j@k", false),
        Ok(Done::RunExists(RunId::parse("j@k.2").unwrap())),
        "a request sent twice makes one run"
    );
    let turn = world.offer("a1", 8.0);
    assert_eq!(turn.launched().len(), 3, "whole");
    let Action::Accept { launches, .. } = &turn.actions[0] else { panic!("no accept") };
    let first = world.history[&RunId::parse("j@k").unwrap()].logical_time;
    assert_eq!((launches[0].run.as_str(), launches[0].logical_time), ("j@k.2", first));
    world.assert_durable();
    for task in world.tasks("j") {
        world.exit(&task, 0);
    }
    assert_eq!(world.history[&RunId::parse("j@k.2").unwrap()].attempt, 2);
    // From either generation, whatever the history has heard so far.
    assert_eq!(rerun(&mut world, "j@k", false).unwrap(), created("j@k.3"));
    world.command(Command::CancelRun { run: RunId::parse("j@k.3").unwrap() }).unwrap();
    assert_eq!(rerun(&mut world, "j@k.2", false).unwrap(), created("j@k.4"));
}

#[test]
fn a_rerun_of_what_failed_runs_only_that() {
    let mut world = failed();
    assert_eq!(rerun(&mut world, "j@k", true).unwrap(), created("j@k.2"));
    assert_eq!(world.offer("a1", 8.0).said(), ["accept a1 [o2]: j/1#1"]);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 0);
    let reply = rerun(&mut world, "j@k.2", true);
    assert!(matches!(reply, Err(Refusal::Conflict { .. })), "nothing of it failed: {reply:?}");
    assert_eq!(rerun(&mut world, "j@k.2", false).unwrap(), created("j@k.3"));
    assert_eq!(world.offer("a1", 8.0).said(), ["accept a1 [o3]: j/1#1"], "whole, as it was");
}

#[test]
fn a_rerun_has_the_parameters_of_then() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"jobParameter":"then""#);
    let overrides =
        Overrides { env: [("A".to_owned(), "then".to_owned())].into(), ..Overrides::default() };
    let key = Some("k".to_owned());
    world.command(Command::Trigger { job: name("j"), key, overrides, submitter: None }).unwrap();
    world.command(Command::CancelRun { run: RunId::parse("j@k").unwrap() }).unwrap();
    let document = job_document("j", r#""cron":null,"jobParameter":"now""#);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    rerun(&mut world, "j@k", true).unwrap();
    world.restart();
    world.subscribe();
    let turn = world.offer("a1", 8.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    let given = (launches[0].job_parameter.as_str(), launches[0].env["A"].as_str());
    assert_eq!(given, ("then", "then"));
}

#[test]
fn a_rerun_needs_a_job_that_may_run_and_a_run_that_has_ended() {
    let mut world = failed();
    let mut live = ended(&world, "j@k");
    world.command(trigger("j", Some("live"))).unwrap();
    live.run = RunId::parse("j@live").unwrap();
    let reply = world.command(Command::Rerun { ended: Box::new(live), failed_only: false });
    assert!(matches!(reply, Err(Refusal::Conflict { .. })));
    let set = Command::SetJobEnabled { job: name("j"), enabled: false, reason: None };
    world.command(set).unwrap();
    assert!(matches!(rerun(&mut world, "j@k", false), Err(Refusal::Conflict { .. })));
    world.command(Command::DeleteJob { job: name("j") }).unwrap();
    assert!(matches!(rerun(&mut world, "j@k", false), Err(Refusal::NotFound { .. })));
}

#[test]
fn a_pending_rerun_stands_for_no_firing() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.wait(10_000);
    world.command(Command::CancelRun { run: RunId::parse("j@20261120T020010Z").unwrap() }).unwrap();
    rerun(&mut world, "j@20261120T020010Z", false).unwrap();
    world.wait(10_000);
    assert_eq!(world.engine.status().pending_runs, 2);
    world.offer("a1", 8.0);
    assert_eq!(world.active("j").id.as_str(), "j@20261120T020010Z.2", "the older time first");
}

#[test]
fn work_that_says_later_runs_again_and_uses_up_no_attempt() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1,"retry":{"maxAttempts":1}"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    for _ in 0..3 {
        let task = world.tasks("j").remove(0);
        world.exit(&task, 75);
        world.restart();
        world.subscribe();
        world.wait(10_000);
        world.offer("a1", 4.0);
    }
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    assert_eq!(world.runs("j"), [("j@k".to_owned(), RunState::Failed)]);
}

#[test]
fn later_has_an_end_and_can_be_switched_off() {
    let mut world = World::with_app();
    let backoff = r#""backoff":{"initial":"1s","max":"1s"}"#;
    world.job("a", &format!(r#""cron":null,"shardingTotalCount":1,"retry":{{{backoff}}}"#));
    world.job("b", r#""cron":null,"shardingTotalCount":1,"retry":{"laterExitCodes":[]}"#);
    for job in ["a", "b"] {
        world.command(trigger(job, Some("k"))).unwrap();
    }
    world.offer("a1", 4.0);
    let task = world.tasks("b").remove(0);
    world.exit(&task, 75);
    assert_eq!(world.runs("b")[0].1, RunState::Failed);
    for count in 0..=100 {
        assert!(!world.runs("a")[0].1.is_final(), "after {count}");
        let task = world.tasks("a").remove(0);
        world.exit(&task, 75);
        world.wait(2_000);
        world.offer("a1", 4.0);
    }
    assert_eq!(world.runs("a")[0].1, RunState::Failed);
}

#[test]
fn a_rerun_is_made_with_the_document_the_run_was_made_with() {
    let mut world = failed();
    let document = job_document("j", r#""cron":null,"shardingTotalCount":5,"priority":9"#);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    assert_eq!(rerun(&mut world, "j@k", true).unwrap(), created("j@k.2"), "its shards are as then");
    assert_eq!(world.offer("a1", 8.0).said(), ["accept a1 [o2]: j/1#1"]);
    let view = world.engine.run(&RunId::parse("j@k.2").unwrap()).unwrap();
    assert_eq!(view.sharding_total_count, 3);
    let text = view.document.unwrap();
    assert!(text.0.get().contains(r#""shardingTotalCount":3"#), "{text:?}");
    // A trigger takes the document of now.
    world.command(trigger("j", Some("l"))).unwrap();
    let view = world.engine.run(&RunId::parse("j@l").unwrap()).unwrap();
    assert_eq!(view.sharding_total_count, 5);
    let list = world.engine.live_runs(&crate::RunFilter::default(), None, 10);
    assert!(list.iter().all(|run| run.document.is_none()), "lists stay short");
}

#[test]
fn a_rerun_without_a_document_of_its_own_takes_that_of_now() {
    let mut world = failed();
    let document = job_document("j", r#""cron":null,"shardingTotalCount":5"#);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    let mut ended = ended(&world, "j@k");
    ended.document = None;
    let reply = world.command(Command::Rerun { ended: Box::new(ended.clone()), failed_only: true });
    assert!(matches!(reply, Err(Refusal::Conflict { .. })), "shard 1 is another now: {reply:?}");
    world.command(Command::Rerun { ended: Box::new(ended), failed_only: false }).unwrap();
    assert_eq!(world.offer("a1", 8.0).launched().len(), 5);
}

#[test]
fn a_rerun_whose_app_is_gone_or_whose_document_is_damaged_is_refused() {
    let mut world = failed();
    let app = br#"{"appName":"other","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    world.command(Command::CreateApp { document: app }).unwrap();
    let document = job_document("j", r#""cron":null,"appName":"other""#);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    world.command(Command::DeleteApp { app: app_name() }).unwrap();
    let Err(Refusal::Conflict { detail, .. }) = rerun(&mut world, "j@k", false) else {
        panic!("made without its app");
    };
    assert!(detail.contains("app app is not registered"), "{detail}");
    let mut damaged = ended(&world, "j@k");
    let text = serde_json::value::RawValue::from_string(r#"{"jobName":"j"}"#.to_owned()).unwrap();
    damaged.document = Some(crate::view::DocumentText(text.into()));
    let reply = world.command(Command::Rerun { ended: Box::new(damaged), failed_only: false });
    let Err(Refusal::Conflict { detail, .. }) = reply else { panic!("made of nothing") };
    assert!(detail.contains("trigger its job"), "{detail}");
}
