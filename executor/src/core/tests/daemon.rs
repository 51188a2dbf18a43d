//! Tasks that fire by their own schedule: every full minute, from 02:00:10 on.

use shiftwork_proto::shiftwork::v1::Schedule;

use super::*;

fn scene(misfire: bool, one_in: u32) -> Scene {
    let mut scene = Scene::subscribed();
    let launched = scene.launch("d", &daemon_payload(misfire, one_in));
    assert_eq!(launched, ["checkpoint #1 d RUNNING", "send #1 d RUNNING"]);
    scene
}

/// Ends the firing with exit code 0; what that brings about.
fn complete(scene: &mut Scene, work: u64) -> Vec<String> {
    assert_eq!(scene.ended("d", work, Exited::Code(0)), [format!("signal {work} Kill")]);
    scene.gone("d", work)
}

#[test]
fn each_firing_is_reported_with_its_moment() {
    let mut scene = scene(false, 0);
    assert_eq!(scene.pass(49_999), NOTHING);
    let expected =
        ["checkpoint #2 d RUNNING 'BEGIN'", "send #2 d RUNNING 'BEGIN'", "start 1 d 02:01:00Z"];
    assert_eq!(scene.pass(1), expected);
    assert_eq!(scene.started("d", 1), NOTHING);
    scene.mono_ms += 1_500;
    let text = "#3 d RUNNING 'COMPLETE' {code 0 1500ms 02:01:00Z}";
    assert_eq!(complete(&mut scene, 1), [format!("checkpoint {text}"), format!("send {text}")]);
    let effects = scene.pass(58_500);
    assert_eq!(effects[2], "start 2 d 02:02:00Z");
}

#[test]
fn with_sampling_one_in_n_is_reported_but_every_failure() {
    let mut scene = scene(false, 3);
    assert_eq!(scene.pass(50_000), ["start 1 d 02:01:00Z"]);
    assert_eq!(complete(&mut scene, 1), NOTHING);
    assert_eq!(scene.pass(60_000), ["start 2 d 02:02:00Z"]);
    scene.ended("d", 2, Exited::Code(1));
    let text = "#2 d RUNNING 'COMPLETE' {code 1 0ms 02:02:00Z}";
    assert_eq!(scene.gone("d", 2), [format!("checkpoint {text}"), format!("send {text}")]);
    let effects = scene.pass(60_000);
    assert_eq!(effects[1..], ["send #3 d RUNNING 'BEGIN'", "start 3 d 02:03:00Z"]);
    assert_eq!(complete(&mut scene, 3).len(), 2);
    assert_eq!(scene.pass(60_000), ["start 4 d 02:04:00Z"]);
}

#[test]
fn firings_never_overlap_and_missed_ones_are_skipped() {
    let mut scene = scene(false, 9);
    assert_eq!(scene.pass(50_000), ["start 1 d 02:01:00Z"]);
    assert_eq!(scene.pass(150_000), NOTHING);
    assert_eq!(complete(&mut scene, 1), NOTHING);
    assert_eq!(scene.pass(29_999), NOTHING);
    assert_eq!(scene.pass(1), ["start 2 d 02:04:00Z"]);
}

#[test]
fn with_misfire_the_latest_missed_firing_is_made_at_once_and_only_that() {
    let mut scene = scene(true, 9);
    assert_eq!(scene.pass(50_000), ["start 1 d 02:01:00Z"]);
    scene.pass(150_000);
    assert_eq!(complete(&mut scene, 1), ["start 2 d 02:03:00Z"]);
    assert_eq!(complete(&mut scene, 2), NOTHING);
    assert_eq!(scene.pass(30_000), ["start 3 d 02:04:00Z"]);
}

#[test]
fn a_daemon_keeps_its_window_and_its_count() {
    let minute = |number: i64| 1_795_140_000_000 + number * 60_000;
    let moments = |schedule: Schedule| {
        let mut scene = Scene::subscribed();
        scene.launch("d", &TaskPayload { schedule: Some(schedule), ..daemon_payload(false, 9) });
        scene.pass(0);
        let mut moments = Vec::new();
        for _ in 0..10 * 60 {
            for effect in scene.pass(1_000) {
                if let Some(rest) = effect.strip_prefix("start ") {
                    let (work, moment) = rest.split_once(" d ").expect("a start");
                    moments.push(moment.to_owned());
                    complete(&mut scene, work.parse().expect("a number"));
                }
            }
        }
        moments
    };
    let window = Schedule {
        start_after_ms: Some(minute(2)),
        end_before_ms: Some(minute(5)),
        ..daemon_payload(false, 9).schedule.expect("a schedule")
    };
    assert_eq!(moments(window), ["02:03:00Z", "02:04:00Z"]);
    let counted =
        Schedule { every_ms: 60_000, start_at_ms: minute(1), count: 3, ..Schedule::default() };
    assert_eq!(moments(counted), ["02:01:00Z", "02:02:00Z", "02:03:00Z"]);
}

#[test]
fn a_firing_that_fails_or_cannot_start_leaves_the_daemon_alive() {
    let mut scene = scene(false, 0);
    scene.pass(50_000);
    let failed = Event::StartFailed { task: id("d"), work: WorkId(1), reason: "no space".into() };
    let effects = scene.on(failed);
    assert_eq!(effects[1..], ["send #3 d RUNNING 'COMPLETE' {not begun 0ms 02:01:00Z}"]);
    assert_eq!(scene.pass(60_000)[2], "start 2 d 02:02:00Z");
}

#[test]
fn a_firing_that_takes_too_long_is_ended_and_the_daemon_goes_on() {
    let mut scene = Scene::subscribed();
    scene.launch("d", &TaskPayload { timeout_ms: 5_000, ..daemon_payload(false, 0) });
    scene.pass(50_000);
    scene.started("d", 1);
    assert_eq!(scene.pass(5_000), ["signal 1 Terminate"]);
    scene.ended("d", 1, Exited::Signal(15));
    let effects = scene.gone("d", 1);
    assert_eq!(effects[1..], ["send #3 d RUNNING 'COMPLETE' {signal 15 5000ms 02:01:00Z}"]);
    assert_eq!(scene.pass(55_000)[2], "start 2 d 02:02:00Z");
}

#[test]
fn a_clock_set_back_never_fires_a_moment_twice() {
    let mut scene = scene(true, 9);
    assert_eq!(scene.pass(50_000), ["start 1 d 02:01:00Z"]);
    complete(&mut scene, 1);
    scene.wall_offset_ms -= 600_000;
    assert_eq!(scene.tick(), NOTHING);
    for _ in 0..11 {
        assert_eq!(scene.pass(59_999), NOTHING);
    }
    assert_eq!(scene.pass(11), ["start 2 d 02:02:00Z"]);
}

#[test]
fn a_clock_set_forward_is_a_gap() {
    let mut without = scene(false, 9);
    without.wall_offset_ms += 3_600_000 + 90_000;
    // The moment that is just due is not lost with the gap.
    assert_eq!(without.tick(), ["start 1 d 03:01:00Z"]);
    let mut hourly = daemon_payload(false, 9);
    hourly.schedule.as_mut().expect("a schedule").cron = "0 0 * * * ?".into();
    let mut scene = Scene::subscribed();
    scene.launch("skips", &hourly);
    hourly.schedule.as_mut().expect("a schedule").misfire = true;
    scene.launch("makes up", &hourly);
    scene.wall_offset_ms += 3 * 3_600_000 + 120_000;
    assert_eq!(scene.tick(), ["start 1 makes up 05:00:00Z"]);
    assert_eq!(scene.pass(10_000), NOTHING);
}

#[test]
fn a_clock_that_was_wrongly_ahead_does_not_silence_the_daemon() {
    let mut hourly = daemon_payload(false, 9);
    hourly.schedule.as_mut().expect("a schedule").cron = "0 0 * * * ?".into();
    let mut scene = Scene::subscribed();
    scene.launch("d", &hourly);
    let year_ms = 365 * 86_400_000 + 600_000;
    scene.wall_offset_ms += year_ms;
    assert_eq!(scene.tick(), NOTHING);
    scene.wall_offset_ms -= year_ms;
    assert_eq!(scene.tick(), NOTHING);
    assert_eq!(scene.pass(3_590_000), ["start 1 d 03:00:00Z"]);
}

#[test]
fn killed_between_firings_it_ends_at_once() {
    let mut scene = scene(false, 0);
    let text = "#2 d KILLED 'killed before its process ran'";
    assert_eq!(scene.kill("d"), [format!("checkpoint {text}"), format!("send {text}")]);
    assert_eq!(scene.pass(600_000), NOTHING);
}

#[test]
fn killed_while_firing_it_ends_with_the_firing() {
    let mut scene = scene(true, 9);
    scene.pass(50_000);
    scene.started("d", 1);
    assert_eq!(scene.kill("d"), ["signal 1 Terminate"]);
    assert_eq!(scene.pass(5_000), ["signal 1 Kill"]);
    scene.ended("d", 1, Exited::Signal(9));
    assert!(scene.gone("d", 1)[1].starts_with("send #2 d KILLED"));
    assert_eq!(scene.pass(600_000), NOTHING);
}

#[test]
fn killed_while_a_finished_firing_is_cleared_away_it_ends_as_well() {
    let mut scene = scene(true, 0);
    scene.pass(50_000);
    scene.started("d", 1);
    scene.ended("d", 1, Exited::Code(0));
    assert_eq!(scene.kill("d"), NOTHING);
    scene.mono_ms += 600_000;
    let effects = scene.gone("d", 1);
    let expected = [
        "checkpoint #3 d RUNNING 'COMPLETE' {code 0 0ms 02:01:00Z}",
        "send #3 d RUNNING 'COMPLETE' {code 0 0ms 02:01:00Z}",
        "checkpoint #4 d KILLED 'killed before its process ran'",
        "send #4 d KILLED 'killed before its process ran'",
    ];
    assert_eq!(effects, expected);
}

#[test]
fn a_fixed_rate_fires_on_its_own_grid() {
    let mut payload = daemon_payload(false, 9);
    let schedule = payload.schedule.as_mut().expect("a schedule");
    schedule.cron = String::new();
    schedule.every_ms = 7_000;
    schedule.start_at_ms = EPOCH_MS;
    let mut scene = Scene::subscribed();
    scene.launch("d", &payload);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(4_000));
    assert_eq!(scene.pass(4_000), ["start 1 d 02:00:14Z"]);
}

#[test]
fn the_wall_clock_is_looked_at_often_enough_to_notice_its_steps() {
    let scene = scene(false, 0);
    assert_eq!(scene.core.wakeup_ms(scene.now()), Some(10_000));
}

#[test]
fn firings_go_on_without_the_agent_and_reports_stay_bounded() {
    let mut scene = Scene::subscribed_with(Some(u64::MAX / 2), None);
    scene.launch("d", &daemon_payload(false, 0));
    scene.on(Event::Disconnected);
    scene.pass(49_000);
    scene.mono_ms += 1_000;
    let mut reports = 0;
    for work in 1..=300 {
        let effects = scene.tick();
        let starts = effects.iter().filter(|effect| effect.starts_with("start")).count();
        assert_eq!(starts, 1, "{effects:?}");
        reports += complete(&mut scene, work).len();
        scene.mono_ms += 60_000;
    }
    // RUNNING, then BEGIN and COMPLETE until 256 updates wait; a pair is never torn.
    assert_eq!(reports, 128);
}
