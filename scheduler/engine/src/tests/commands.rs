//! Commands: what is refused and why, what is stored, and what happens to runs under way.

use super::*;

#[test]
fn refusals_name_the_field() {
    let mut world = World::with_app();
    world.job("j", "");
    let create =
        |extra: &str, name: &str| Command::CreateJob { document: job_document(name, extra) };
    for (command, field) in [
        (create(r#""cron":"0 0 25 * * ?""#, "k"), "cron"),
        (create(r#""colour":"red""#, "k"), "colour"),
        (create(r#""appName":"nobody""#, "k"), "appName"),
        (create("", "j"), "jobName"),
        (Command::UpdateJob { job: name("j"), document: job_document("k", "") }, "jobName"),
        (trigger("j", Some("a/b")), "Idempotency-Key"),
        (trigger("j", Some("20261120T030000Z")), "Idempotency-Key"),
        (trigger("j", Some("20261120T030000Z.2")), "Idempotency-Key"),
    ] {
        let before = world.records.clone();
        let reply = world.command(command);
        assert_eq!(refused_fields(reply), [field]);
        assert_eq!(world.records, before, "nothing is stored");
    }
    for command in [
        Command::DeleteJob { job: name("x") },
        Command::UpdateJob { job: name("x"), document: job_document("x", "") },
        trigger("x", None),
        Command::CancelRun { run: RunId::parse("x@1").unwrap() },
        Command::KillTask { task: TaskId::new("x") },
    ] {
        assert!(matches!(world.command(command), Err(Refusal::NotFound { .. })));
    }
}

#[test]
fn a_trigger_with_the_same_key_makes_one_run() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    let run = RunId::parse("j@k").unwrap();
    let exists = Done::RunExists(run.clone());
    assert_eq!(world.command(trigger("j", Some("k"))), Ok(Done::RunCreated(run)));
    assert!(is_done(&world.command(trigger("j", Some("k"))), &exists));
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 0);
    assert!(is_done(&world.command(trigger("j", Some("k"))), &exists), "also when it ended");
}

#[test]
fn a_parameter_is_for_a_shard_that_runs() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":3"#);
    let asked = |items: &[u32]| Command::Trigger {
        job: name("j"),
        key: None,
        overrides: Overrides {
            items: items.iter().copied().collect(),
            sharding_item_parameters: [(2, "x".to_owned())].into(),
            ..Overrides::default()
        },
        submitter: None,
    };
    assert_eq!(refused_fields(world.command(asked(&[1]))), ["shardingItemParameters"]);
    for items in [&[][..], &[1, 2]] {
        assert!(world.command(asked(items)).is_ok(), "{items:?}");
    }
}

#[test]
fn a_key_that_made_a_run_makes_no_other_one() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    let asked = |parameter: &str, submitter: Option<&str>| Command::Trigger {
        job: name("j"),
        key: Some("k".to_owned()),
        overrides: Overrides {
            job_parameter: Some(parameter.to_owned()),
            items: [0].into(),
            ..Overrides::default()
        },
        submitter: submitter.map(str::to_owned),
    };
    let run = RunId::parse("j@k").unwrap();
    assert_eq!(world.command(asked("x", Some("s"))), Ok(Done::RunCreated(run.clone())));
    let reused = Err(Refusal::KeyReused { key: "k".to_owned(), run: run.clone() });
    let exists = Ok(Done::RunExists(run.clone()));
    for ended in [false, true] {
        assert_eq!(world.command(asked("y", Some("s"))), reused, "{ended}");
        assert_eq!(world.command(asked("x", Some("t"))), reused, "{ended}");
        assert_eq!(world.command(trigger("j", Some("k"))), reused, "{ended}");
        assert_eq!(world.command(asked("x", Some("s"))), exists, "{ended}");
        // Whoever names no submitter asks for themselves, and may do so from elsewhere.
        assert_eq!(world.command(asked("x", None)), exists, "{ended}");
        let _ = world.command(Command::CancelRun { run: run.clone() });
    }
}

#[test]
fn a_run_keeps_the_document_it_was_made_with() {
    let mut world = World::with_app();
    world.job("j", r#""jobParameter":"old""#);
    world.command(trigger("j", None)).unwrap();
    let document = job_document("j", r#""jobParameter":"new","shardingTotalCount":5"#);
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    let turn = world.offer("a1", 8.0);
    let Action::Accept { launches, .. } = &turn.actions[0] else { panic!("no accept") };
    assert_eq!(launches.len(), 2);
    assert_eq!(launches[0].job_parameter, "old");
}

#[test]
fn overrides_reach_the_task() {
    let mut world = World::with_app();
    world.job("j", r#""env":{"A":"1","B":"1"}"#);
    let overrides = Overrides {
        job_parameter: Some("p".to_owned()),
        env: [("B".to_owned(), "2".to_owned())].into(),
        sharding_item_parameters: [(1, "one".to_owned())].into(),
        ..Overrides::default()
    };
    world
        .command(Command::Trigger { job: name("j"), key: None, overrides, submitter: None })
        .unwrap();
    world.restart();
    world.subscribe();
    let turn = world.offer("a1", 8.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!(launches[0].job_parameter, "p");
    let env: Vec<_> = launches[0].env.values().map(String::as_str).collect();
    assert_eq!(env, ["1", "2"]);
    let parameters: Vec<_> = launches.iter().map(|it| it.sharding_parameter.as_str()).collect();
    assert_eq!(parameters, ["", "one"]);
}

#[test]
fn disabling_stops_running_tasks_and_a_daemon_comes_back_when_enabled() {
    let mut world = World::with_app();
    world.job("d", r#""jobExecutionType":"DAEMON","shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    let task = world.tasks("d").remove(0);
    world.status(&task, TaskState::Running);
    let set = |enabled| Command::SetAppEnabled { app: app_name(), enabled, reason: None };
    let (_, turn) = world.command_turn(set(false));
    assert_eq!(turn.said(), ["kill d/0"]);
    world.status(&task, TaskState::Killed);
    assert_eq!(world.runs("d")[0].1, RunState::Cancelled);
    assert_eq!(world.offer("a1", 4.0).launched(), []);
    let (_, turn) = world.command_turn(set(true));
    assert_eq!(turn.launched().len(), 1);
}

#[test]
fn a_daemon_takes_up_a_new_document() {
    let mut world = World::with_app();
    world.job("d", r#""jobExecutionType":"DAEMON","shardingTotalCount":1"#);
    world.offer("a1", 4.0);
    let task = world.tasks("d").remove(0);
    world.status(&task, TaskState::Running);
    let extra = r#""jobExecutionType":"DAEMON","shardingTotalCount":1,"jobParameter":"new""#;
    let document = job_document("d", extra);
    let update = Command::UpdateJob { job: name("d"), document };
    let (_, turn) = world.command_turn(update.clone());
    assert_eq!(turn.said(), ["kill d/0"]);
    world.status(&task, TaskState::Killed);
    let turn = world.offer("a1", 4.0);
    let Some(Action::Accept { launches, .. }) = turn.actions.first() else { panic!("no accept") };
    assert_eq!(launches[0].job_parameter, "new");
    let (_, turn) = world.command_turn(update);
    assert_eq!(turn.said(), Vec::<String>::new(), "the same document again changes nothing");
}

#[test]
fn deleting_an_app_ends_everything_of_it() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    let (_, turn) = world.command_turn(Command::DeleteApp { app: app_name() });
    assert_eq!(turn.said(), ["kill j/0"]);
    // The run is known until its task has ended: a successor would wait for it.
    world.assert_durable();
    let turn = world.status(&task, TaskState::Killed);
    assert_eq!(turn.writes, ["-running j/0", "-running j"]);
    let left: Vec<_> = world.records.keys().map(show).collect();
    assert_eq!(left, ["watermark", "framework"]);
}

#[test]
fn an_app_that_changed_gets_a_new_executor_while_the_old_one_ends() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.command(trigger("j", None)).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    let document = br#"{"appName":"app","cpuCount":0.2,"memoryMB":32}"#.to_vec();
    let (_, turn) = world.command_turn(Command::UpdateApp { app: app_name(), document });
    assert_eq!(turn.said(), Vec::<String>::new());
    let turn = world.exit(&task, 0);
    assert_eq!(turn.said(), ["shutdown app@-@a1", "ack j/0"]);
    world.command(trigger("j", None)).unwrap();
    let offer = world.make_offer("a1", 4.0, 900.0, &["app@-@a1"]);
    let turn = world.turn(Event::Offers(vec![offer]));
    let [Action::ShutdownExecutor { .. }, Action::Accept { launches, .. }] = &turn.actions[..]
    else {
        panic!("{:?}", turn.said())
    };
    assert_eq!(launches[0].executor.id.as_str(), "app@-@a1@-@2");
    assert_eq!(launches[0].executor.resources.total(Kind::Cpus), Milli(200));
}
