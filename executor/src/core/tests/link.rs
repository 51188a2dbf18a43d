//! The connection, what is sent again over a new one, and the executor's own end.

use shiftwork_proto::shiftwork::v1::{JobClass, task_payload::Work};

use super::*;

fn running(scene: &mut Scene, task: &str, work: u64) {
    scene.launch(task, &payload("sleep 100"));
    scene.started(task, work);
}

#[test]
fn subscribing_is_tried_again_after_growing_pauses() {
    let mut scene = Scene::unsubscribed(Some(600_000));
    assert_eq!(scene.tick(), ["subscribe [] []"]);
    for pause_ms in [200, 400, 800, 1_000, 1_000] {
        assert_eq!(scene.on(Event::Disconnected), NOTHING);
        assert_eq!(scene.core.wakeup_ms(scene.now()), Some(pause_ms));
        assert_eq!(scene.pass(pause_ms - 1), NOTHING);
        assert_eq!(scene.pass(1), ["subscribe [] []"]);
    }
}

#[test]
fn an_agent_that_never_answers_is_given_up() {
    let mut scene = Scene::unsubscribed(Some(600_000));
    scene.tick();
    assert_eq!(scene.pass(59_999), NOTHING);
    assert_eq!(scene.pass(1), ["exit AgentLost"]);
    assert_eq!(scene.pass(1_000), NOTHING);
}

#[test]
fn a_short_subscription_is_no_reason_to_hurry() {
    let mut scene = Scene::subscribed();
    for pause_ms in [200, 400, 800, 1_000] {
        scene.on(Event::Disconnected);
        assert_eq!(scene.core.wakeup_ms(scene.now()), Some(pause_ms));
        scene.pass(pause_ms);
        scene.on(Event::Subscribed { idle_timeout_ms: None });
    }
    scene.pass(10_000);
    scene.on(Event::Disconnected);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(100));
}

#[test]
fn what_is_not_acknowledged_is_sent_again_in_order() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    running(&mut scene, "u", 2);
    scene.launch("v", &payload("true"));
    assert_eq!(scene.acknowledge("t", 1), NOTHING);
    scene.on(Event::Disconnected);
    scene.ended("t", 1, Exited::Code(0));
    // Without an agent an update goes into the checkpoint and waits.
    assert_eq!(scene.gone("t", 1), ["checkpoint #3 t FINISHED {code 0 0ms}"]);
    let expected = ["subscribe [u, v] [#2 u RUNNING, #3 t FINISHED {code 0 0ms}]"];
    assert_eq!(scene.pass(1_000), expected);
    // Made while the answer is awaited: not in the subscription, so it follows it.
    assert_eq!(scene.started("v", 3), ["checkpoint #4 v RUNNING"]);
    assert_eq!(scene.on(Event::Subscribed { idle_timeout_ms: None }), ["send #4 v RUNNING"]);
    assert_eq!(scene.on(Event::Disconnected), NOTHING);
    let expected = ["subscribe [u, v] [#2 u RUNNING, #3 t FINISHED {code 0 0ms}, #4 v RUNNING]"];
    assert_eq!(scene.pass(1_000), expected);
}

#[test]
fn only_the_right_acknowledgement_counts_and_only_once() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    let ignored = ["ignored u: acknowledged, but not awaited"];
    assert_eq!(scene.acknowledge("u", 1), ignored);
    assert_eq!(scene.acknowledge("t", 1), ["rewrite []"]);
    assert_eq!(scene.acknowledge("t", 1), ["ignored t: acknowledged, but not awaited"]);
}

#[test]
fn the_checkpoint_is_written_anew_after_many_acknowledgements() {
    let mut scene = Scene::subscribed();
    for number in 1..=65 {
        running(&mut scene, &format!("t{number}"), number);
    }
    for number in 1..64 {
        assert_eq!(scene.acknowledge(&format!("t{number}"), number), NOTHING);
    }
    assert_eq!(scene.acknowledge("t64", 64), ["rewrite [#65 t65 RUNNING]"]);
}

#[test]
fn updates_left_by_an_earlier_executor_are_sent_with_the_subscription() {
    let mut earlier = Scene::subscribed();
    earlier.launch("t", &payload("true"));
    let effects = earlier.effects(Event::Started { task: id("t"), work: WorkId(1) });
    let Some(Effect::Checkpoint(update)) = effects.first() else { panic!("{effects:?}") };
    let mut scene = Scene::unsubscribed(Some(1));
    let limits = Limits {
        executor_id: "a@-@S0".into(),
        subscription_backoff_ms_max: 1_000,
        recovery_timeout_ms: None,
        shutdown_grace_ms: 5_000,
    };
    let left = vec![update.clone()];
    scene.core = Core::new(limits, Box::new(CountingIds(0)), left, scene.now());
    assert_eq!(scene.tick(), ["subscribe [] [#1 t RUNNING]"]);
    scene.on(Event::Subscribed { idle_timeout_ms: None });
    assert_eq!(scene.acknowledge("t", 1), ["rewrite []"]);
}

#[test]
fn a_lost_agent_is_waited_for_and_then_everything_ends_in_silence() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    scene.on(Event::Disconnected);
    assert_eq!(scene.pass(200).len(), 1);
    assert_eq!(scene.pass(599_799), NOTHING);
    assert_eq!(scene.pass(1), ["exit AgentLost"]);
    assert_eq!(scene.ended("t", 1, Exited::Signal(9)), NOTHING);
    assert_eq!(scene.gone("t", 1), NOTHING);
}

#[test]
fn without_checkpointing_a_lost_agent_ends_everything_at_once() {
    let mut scene = Scene::subscribed_with(None, None);
    running(&mut scene, "t", 1);
    assert_eq!(scene.on(Event::Disconnected), ["exit AgentLost"]);
}

#[test]
fn the_wait_for_an_agent_begins_anew_with_each_loss() {
    let mut scene = Scene::subscribed();
    for _ in 0..3 {
        scene.on(Event::Disconnected);
        let [subscribe] = &scene.pass(599_999)[..] else { panic!("no subscription") };
        assert_eq!(subscribe, "subscribe [] []");
        assert_eq!(scene.on(Event::Subscribed { idle_timeout_ms: None }), NOTHING);
    }
}

#[test]
fn an_idle_executor_leaves_when_the_agent_knows_everything() {
    let mut scene = Scene::subscribed_with(Some(600_000), Some(30_000));
    assert_eq!(scene.pass(29_999), NOTHING);
    running(&mut scene, "t", 1);
    assert_eq!(scene.pass(60_000), NOTHING);
    scene.ended("t", 1, Exited::Code(0));
    scene.gone("t", 1);
    assert_eq!(scene.pass(60_000), NOTHING);
    scene.acknowledge("t", 1);
    scene.acknowledge("t", 2);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(30_000));
    assert_eq!(scene.pass(29_999), NOTHING);
    assert_eq!(scene.pass(1), ["exit Idle"]);
}

#[test]
fn a_shutdown_asks_first_kills_before_the_agent_would_and_reports_nothing() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    running(&mut scene, "u", 2);
    scene.launch("d", &daemon_payload(false, 0));
    assert_eq!(scene.on(Event::Shutdown), ["signal 1 Terminate", "signal 2 Terminate"]);
    assert_eq!(scene.ended("t", 1, Exited::Signal(15)), NOTHING);
    assert_eq!(scene.gone("t", 1), NOTHING);
    assert_eq!(scene.launch("w", &payload("true")), ["ignored w: launched during shutdown"]);
    assert_eq!(scene.on(Event::Disconnected), NOTHING);
    assert_eq!(scene.pass(4_000), ["signal 2 Kill"]);
    scene.ended("u", 2, Exited::Signal(9));
    assert_eq!(scene.gone("u", 2), ["exit Shutdown"]);
}

#[test]
fn a_shutdown_does_not_wait_for_what_cannot_be_killed() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    scene.on(Event::Shutdown);
    assert_eq!(scene.pass(4_000), ["signal 1 Kill"]);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(500));
    assert_eq!(scene.pass(500), ["exit Shutdown"]);
}

#[test]
fn a_shutdown_without_tasks_is_over_at_once() {
    let mut scene = Scene::subscribed();
    assert_eq!(scene.on(Event::Shutdown), ["exit Shutdown"]);
}

#[test]
fn a_job_that_does_not_heed_its_kill_ends_with_the_executor_once_it_is_alone() {
    let mut scene = Scene::subscribed();
    let class = JobClass { name: "stubborn".into(), ..JobClass::default() };
    let job = TaskPayload { work: Some(Work::JobClass(class)), ..payload("") };
    scene.launch("j", &job);
    scene.started("j", 1);
    running(&mut scene, "sibling", 2);
    assert_eq!(scene.kill("j"), ["signal 1 Terminate"]);
    assert_eq!(scene.pass(5_000), ["signal 1 Kill"]);
    for number in [1, 2] {
        scene.acknowledge(if number == 1 { "j" } else { "sibling" }, number);
    }
    assert_eq!(scene.pass(600_000), NOTHING, "that would end the sibling");
    scene.ended("sibling", 2, Exited::Code(0));
    scene.gone("sibling", 2);
    assert_eq!(scene.pass(600_000), NOTHING, "the agent does not know of its end yet");
    scene.acknowledge("sibling", 3);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(5_000));
    assert_eq!(scene.pass(4_999), NOTHING);
    assert_eq!(scene.pass(1), ["exit Stuck"]);
}

#[test]
fn a_script_that_outlives_its_kill_is_waited_for() {
    let mut scene = Scene::subscribed();
    running(&mut scene, "t", 1);
    scene.acknowledge("t", 1);
    scene.kill("t");
    assert_eq!(scene.pass(5_000), ["signal 1 Kill"]);
    assert_eq!(scene.pass(600_000), NOTHING);
}
