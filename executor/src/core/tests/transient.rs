//! Tasks that run once.

use bytes::Bytes;

use super::*;

#[test]
fn a_task_runs_and_finishes() {
    let mut scene = Scene::subscribed();
    assert_eq!(scene.launch("t", &payload("true")), ["start 1 t"]);
    assert_eq!(scene.started("t", 1), ["checkpoint #1 t RUNNING", "send #1 t RUNNING"]);
    scene.mono_ms += 700;
    // Whatever it may have left behind is killed before its end is told.
    assert_eq!(scene.ended("t", 1, Exited::Code(0)), ["signal 1 Kill"]);
    let expected = ["checkpoint #2 t FINISHED {code 0 700ms}", "send #2 t FINISHED {code 0 700ms}"];
    assert_eq!(scene.gone("t", 1), expected);
    assert_eq!(scene.acknowledge("t", 1), NOTHING);
    assert_eq!(scene.acknowledge("t", 2), ["rewrite []"]);
    assert_eq!(scene.core.task_count(), 0);
}

#[test]
fn a_failure_says_how_and_ends_with_stderr() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("false"));
    scene.started("t", 1);
    scene.ended("t", 1, Exited::Code(3));
    let effects = scene.gone("t", 1);
    assert_eq!(effects[1], "send #2 t FAILED 'exited with code 3: oh no' {code 3 0ms}");
    scene.launch("u", &payload("false"));
    scene.started("u", 2);
    scene.ended("u", 2, Exited::Signal(9));
    let effects = scene.gone("u", 2);
    let expected = "send #4 u FAILED 'ended by signal 9 (SIGKILL): oh no' {signal 9 0ms}";
    assert_eq!(effects[1], expected);
}

#[test]
fn a_status_carries_all_that_mesos_asks_of_an_executor() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    let effects = scene.effects(Event::Started { task: id("t"), work: WorkId(1) });
    let [Effect::Checkpoint(kept), Effect::Send(sent)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(kept, sent);
    let status = &sent.status;
    assert_eq!(status.source(), shiftwork_proto::mesos::v1::task_status::Source::Executor);
    assert_eq!(status.executor_id.as_ref().map(|id| id.value.as_str()), Some("a@-@S0"));
    assert_eq!(status.timestamp, Some((EPOCH_MS + 10_000) as f64 / 1_000.0));
    assert_eq!(status.uuid.as_ref().map(Bytes::len), Some(16));
}

#[test]
fn a_process_that_cannot_be_started_fails_its_task_only() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    scene.launch("u", &payload("true"));
    let failed = Event::StartFailed { task: id("t"), work: WorkId(1), reason: "no space".into() };
    let text = "#1 t FAILED 'cannot start: no space' {not begun 0ms}";
    assert_eq!(scene.on(failed), [format!("checkpoint {text}"), format!("send {text}")]);
    assert_eq!(scene.started("u", 2), ["checkpoint #2 u RUNNING", "send #2 u RUNNING"]);
}

#[test]
fn a_payload_that_cannot_be_run_fails_its_task_only() {
    let mut scene = Scene::subscribed();
    scene.launch("ok", &payload("true"));
    let broken: [(&str, TaskPayload); 8] = [
        ("version 0", TaskPayload { version: 0, ..payload("true") }),
        ("version 9", TaskPayload { version: 9, ..payload("true") }),
        ("no work", TaskPayload { work: None, ..payload("true") }),
        ("blank", payload("  \n")),
        ("execution type 0", TaskPayload { execution_type: 0, ..payload("true") }),
        ("env entry \"A=B\"", {
            let mut payload = payload("true");
            payload.env.insert("A=B".into(), "c".into());
            payload
        }),
        ("either a cron", TaskPayload { schedule: None, ..daemon_payload(false, 0) }),
        ("\"at noon\" cannot be read: ", {
            let mut payload = daemon_payload(false, 0);
            payload.schedule.as_mut().expect("a schedule").cron = "at noon".into();
            payload
        }),
    ];
    for (number, (why, payload)) in broken.iter().enumerate() {
        let effects = scene.launch(why, payload);
        let expected = format!("send #{} {why} FAILED '", number + 1);
        assert_eq!(effects.len(), 2, "{effects:?}");
        assert!(effects[1].starts_with(&expected), "{effects:?}");
        assert!(effects[1].matches(why).count() > 1, "{effects:?}");
    }
    let mut garbage = task_info("garbage", &payload("true"));
    garbage.data = Some(b"\xff\xff\xff".as_slice().into());
    let mut absent = garbage.clone();
    absent.task_id.value = "absent".into();
    absent.data = None;
    for (info, why) in [(garbage, "not a Shiftwork task payload"), (absent, "no payload")] {
        let effects = scene.on(Event::Launch(Box::new(info)));
        assert!(effects[1].contains(why) && effects[1].contains(" FAILED "), "{effects:?}");
    }
    assert_eq!(scene.core.task_count(), 1);
}

#[test]
fn a_kill_is_said_to_be_done_only_when_nothing_is_left() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("trap '' TERM; sleep 100"));
    scene.started("t", 1);
    assert_eq!(scene.kill("t"), ["signal 1 Terminate"]);
    assert_eq!(scene.pass(4_999), NOTHING);
    assert_eq!(scene.pass(1), ["signal 1 Kill"]);
    assert_eq!(scene.pass(60_000), NOTHING);
    assert_eq!(scene.ended("t", 1, Exited::Signal(9)), NOTHING);
    let text = "#2 t KILLED 'killed (ended by signal 9 (SIGKILL)): oh no' {signal 9 65000ms}";
    assert_eq!(scene.gone("t", 1), [format!("checkpoint {text}"), format!("send {text}")]);
}

#[test]
fn the_children_of_a_killed_script_keep_the_rest_of_the_grace() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("sleep 100"));
    scene.started("t", 1);
    scene.kill("t");
    assert_eq!(scene.ended("t", 1, Exited::Signal(15)), NOTHING);
    assert_eq!(scene.pass(5_000), ["signal 1 Kill"]);
    assert_eq!(scene.gone("t", 1).len(), 2);
}

#[test]
fn a_kill_policy_shortens_the_grace_and_a_second_kill_never_lengthens_it() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("sleep 100"));
    scene.started("t", 1);
    let kill = |grace_ms| Event::Kill { task: id("t"), grace_ms: Some(grace_ms) };
    assert_eq!(scene.on(kill(2_000)), ["signal 1 Terminate"]);
    assert_eq!(scene.on(kill(60_000)), NOTHING);
    assert_eq!(scene.pass(1_000), NOTHING);
    assert_eq!(scene.on(kill(500)), NOTHING);
    assert_eq!(scene.pass(500), ["signal 1 Kill"]);
    scene.launch("u", &payload("sleep 100"));
    scene.started("u", 2);
    let at_once = Event::Kill { task: id("u"), grace_ms: Some(0) };
    assert_eq!(scene.on(at_once), ["signal 2 Terminate", "signal 2 Kill"]);
}

#[test]
fn a_kill_before_the_start_is_answered_waits_for_the_end_all_the_same() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    assert_eq!(scene.kill("t"), ["signal 1 Terminate"]);
    assert_eq!(scene.started("t", 1), NOTHING);
    scene.ended("t", 1, Exited::Signal(15));
    let text = "#1 t KILLED 'killed (ended by signal 15 (SIGTERM)): oh no' {signal 15 0ms}";
    assert_eq!(scene.gone("t", 1)[1], format!("send {text}"));
    scene.launch("u", &payload("true"));
    scene.kill("u");
    let failed = Event::StartFailed { task: id("u"), work: WorkId(2), reason: "no".into() };
    assert_eq!(scene.on(failed)[1], "send #2 u KILLED 'killed before its process ran'");
}

#[test]
fn a_script_that_had_ended_before_the_kill_keeps_its_own_end() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    scene.started("t", 1);
    scene.ended("t", 1, Exited::Code(0));
    assert_eq!(scene.kill("t"), NOTHING);
    assert_eq!(scene.gone("t", 1)[1], "send #2 t FINISHED {code 0 0ms}");
}

#[test]
fn kills_that_need_no_doing_are_ignored_with_a_reason() {
    let mut scene = Scene::subscribed();
    assert_eq!(scene.kill("x"), ["ignored x: killed, but not known here"]);
    scene.launch("t", &payload("true"));
    scene.started("t", 1);
    scene.ended("t", 1, Exited::Code(0));
    scene.gone("t", 1);
    let expected = ["ignored t: killed after its end; its terminal update is on its way"];
    assert_eq!(scene.kill("t"), expected);
}

#[test]
fn a_timeout_takes_the_same_ladder_and_fails_the_task() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &TaskPayload { timeout_ms: 3_000, ..payload("sleep 100") });
    scene.started("t", 1);
    assert_eq!(scene.pass(2_999), NOTHING);
    assert_eq!(scene.pass(1), ["signal 1 Terminate"]);
    assert_eq!(scene.pass(5_000), ["signal 1 Kill"]);
    scene.ended("t", 1, Exited::Signal(9));
    let effects =
        scene.effects(Event::Gone { task: id("t"), work: WorkId(1), usage: Usage::default() });
    let text = "#2 t FAILED 'timed out after 3 s (ended by signal 9 (SIGKILL)): oh no' \
                {signal 9 8000ms}";
    let shown: Vec<String> = effects.iter().map(show).collect();
    assert_eq!(shown, [format!("checkpoint {text}"), format!("send {text}")]);
    let Some(Effect::Send(update)) = effects.last() else { panic!("{effects:?}") };
    let tail = outcome_of(update).expect("an outcome").stderr_tail;
    assert_eq!(tail, "oh no\n\nshiftwork: timed out after 3 s\n");
}

#[test]
fn a_kill_during_a_timeouts_ladder_makes_it_a_kill() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &TaskPayload { timeout_ms: 500, ..payload("sleep 100") });
    scene.started("t", 1);
    assert_eq!(scene.pass(500), ["signal 1 Terminate"]);
    assert_eq!(scene.kill("t"), NOTHING);
    scene.ended("t", 1, Exited::Code(0));
    assert!(scene.gone("t", 1)[1].starts_with("send #2 t KILLED"));
}

#[test]
fn the_same_launch_twice_runs_once() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    assert_eq!(scene.launch("t", &payload("true")), ["ignored t: launched before"]);
    scene.started("t", 1);
    scene.ended("t", 1, Exited::Code(0));
    scene.gone("t", 1);
    assert_eq!(scene.launch("t", &payload("true")), ["ignored t: launched before"]);
}

#[test]
fn a_word_about_another_start_changes_nothing() {
    let mut scene = Scene::subscribed();
    scene.launch("t", &payload("true"));
    assert_eq!(scene.started("t", 9), NOTHING);
    assert_eq!(scene.ended("t", 9, Exited::Code(0)), NOTHING);
    assert_eq!(scene.gone("t", 9), NOTHING);
    assert_eq!(scene.started("t", 1).len(), 2);
}

#[test]
fn the_next_wakeup_is_the_nearest_deadline() {
    let mut scene = Scene::subscribed();
    assert_eq!(scene.core.wakeup_ms(scene.now()), None);
    scene.launch("t", &TaskPayload { timeout_ms: 3_000, ..payload("sleep 100") });
    scene.started("t", 1);
    scene.mono_ms += 1_000;
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(2_000));
    scene.kill("t");
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(5_000));
}
