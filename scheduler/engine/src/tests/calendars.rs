//! Calendars and jitter: which firings there are, and when their runs may start.

use super::*;

fn create(document: &str) -> Command {
    Command::CreateCalendar { document: document.as_bytes().to_vec() }
}

fn update(document: &str) -> Command {
    let calendar = crate::ids::CalendarName::parse("off").unwrap();
    Command::UpdateCalendar { calendar, document: document.as_bytes().to_vec() }
}

/// The test begins on Friday 2026-11-20 at 02:00 UTC; the job fires at 03:00 each day.
fn daily() -> World {
    let mut world = World::with_app();
    world.command(create(r#"{"calendarName":"off","weekdays":["SAT","SUN"]}"#)).unwrap();
    world.job(
        "j",
        r#""cron":"0 0 3 * * ?","calendars":["off"],"misfire":true,"shardingTotalCount":1"#,
    );
    world
}

fn pending(world: &World) -> Vec<String> {
    let mut runs: Vec<String> = world
        .engine
        .live_runs(&crate::RunFilter::default(), None, usize::MAX)
        .into_iter()
        .map(|run| run.id.as_str().split_once('@').unwrap().1.to_owned())
        .collect();
    runs.sort();
    runs
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[test]
fn an_excluded_firing_is_none_whoever_leads() {
    let mut world = daily();
    let mut copy = daily();
    for _ in 0..5 {
        let turn = world.wait(DAY_MS);
        let missed = turn.traces.iter().any(|trace| matches!(trace, Trace::Missed { .. }));
        assert!(!missed, "an excluded day is not missed");
    }
    assert_eq!(pending(&world), ["20261120T030000Z", "20261123T030000Z", "20261124T030000Z"]);
    // The same when nobody led in between.
    copy.now = copy.now.plus_millis(5 * DAY_MS);
    copy.restart();
    assert_eq!(pending(&copy), pending(&world));
    let next = world.engine.job(&name("j")).unwrap().next_firing.unwrap();
    assert_eq!(next.to_string(), "2026-11-25T03:00:00Z");
}

#[test]
fn a_change_of_a_calendar_counts_from_then_on() {
    let mut world = daily();
    world.wait(DAY_MS);
    // Saturday 02:00: from now on Saturdays are worked and Sundays are not; Friday's run stays.
    let document = r#"{"calendarName":"off","weekdays":["FRI","SUN"]}"#;
    world.command(update(document)).unwrap();
    world.wait(DAY_MS);
    world.restart();
    world.wait(DAY_MS);
    assert_eq!(pending(&world), ["20261120T030000Z", "20261121T030000Z"]);
    world.command(update(r#"{"calendarName":"off"}"#)).unwrap();
    world.restart();
    assert_eq!(pending(&world).len(), 2, "what was excluded is not made up for");
    world.wait(DAY_MS);
    assert_eq!(pending(&world).len(), 3);
}

#[test]
fn a_calendar_in_use_stays_and_an_unknown_one_is_refused() {
    let mut world = daily();
    let delete =
        Command::DeleteCalendar { calendar: crate::ids::CalendarName::parse("off").unwrap() };
    let reply = world.command(delete.clone());
    let Err(Refusal::Conflict { detail, .. }) = reply else { panic!("not refused: {reply:?}") };
    assert!(detail.starts_with("calendar off is in use by j:"), "{detail}");
    let document = job_document("k", r#""calendars":["on"]"#);
    assert_eq!(refused_fields(world.command(Command::CreateJob { document })), ["calendars"]);
    let document = job_document("d", r#""calendars":["off"],"jobExecutionType":"DAEMON""#);
    assert_eq!(refused_fields(world.command(Command::CreateJob { document })), ["calendars"]);
    let document = job_document("j", "");
    world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
    world.command(delete).unwrap();
    assert!(!world.records.keys().any(|key| matches!(key, Key::Calendar(_))));
}

#[test]
fn a_job_whose_calendar_cannot_be_read_does_not_fire_and_says_so() {
    let mut world = daily();
    for key in world.records.keys().cloned().collect::<Vec<_>>() {
        if matches!(key, Key::Calendar(_)) {
            world.records.insert(key, b"[]".to_vec());
        }
    }
    world.restart();
    let turn = world.wait(DAY_MS);
    assert_eq!(pending(&world), Vec::<String>::new());
    let told = turn.traces.iter().any(|trace| {
        matches!(trace, Trace::Missed { reason, .. } if reason.starts_with("calendar off cannot"))
    });
    assert!(told);
    let job = world.engine.job(&name("j")).unwrap();
    assert!(job.problem.unwrap().starts_with("calendar off cannot be read"));
    world.command(update(r#"{"calendarName":"off"}"#)).unwrap();
    world.wait(DAY_MS);
    assert_eq!(pending(&world), ["20261121T030000Z"]);
}

/// How long the job `j` is held back: by its name, up to its jitter of 5 s.
fn delay_ms() -> i64 {
    let document = job_document("j", r#""jitter":"5s""#);
    let zone = shiftwork_schedule::Zone::utc();
    let job = crate::document::Job::parse(&document, crate::document::Strictness::Request, &zone)
        .unwrap();
    let delay = i64::try_from(job.jitter_delay_ms()).unwrap();
    assert!((1_000..5_000).contains(&delay), "{delay}");
    delay
}

#[test]
fn jitter_holds_a_run_back_and_leaves_its_logical_time() {
    let mut world = World::with_app();
    world.job("j", r#""jitter":"5s","shardingTotalCount":1,"queueTimeout":"500ms""#);
    world.offer("a1", 4.0);
    let turn = world.wait(10_000);
    assert_eq!(turn.launched(), []);
    let held = world.engine.next_pending(&name("j")).unwrap();
    assert_eq!(held.id.as_str(), "j@20261120T020010Z");
    let until = Timestamp::from_millis(START_MS + 10_000 + delay_ms());
    assert_eq!(held.reason.unwrap(), format!("held until {until} by the job's jitter"));
    world.assert_durable();
    world.offer("a1", 4.0);
    assert_eq!(world.wait(delay_ms() - 1).launched(), []);
    let turn = world.wait(1);
    assert_eq!(turn.launched().len(), 1, "{:?}", world.runs("j"));
    assert_eq!(world.active("j").logical_time.as_millis(), START_MS + 10_000);
}

#[test]
fn a_leader_change_while_a_run_is_held_loses_and_doubles_nothing() {
    let mut world = World::with_app();
    world.job("j", r#""jitter":"5s","shardingTotalCount":1"#);
    for at in [10_000, 10_001, 10_000 + delay_ms() - 1] {
        world.now = Timestamp::from_millis(START_MS + at);
        world.restart();
        world.subscribe();
        assert_eq!(world.offer("a1", 4.0).launched(), [], "at {at}");
        assert_eq!(pending(&world), ["20261120T020010Z"]);
    }
    world.restart();
    world.subscribe();
    world.offer("a1", 4.0);
    assert_eq!(world.wait(1).launched().len(), 1);
    assert_eq!(world.runs("j").len(), 1);
}

#[test]
fn nobody_who_asks_for_a_run_waits_for_jitter() {
    let mut world = World::with_app();
    world.job("j", r#""jitter":"5s","shardingTotalCount":1"#);
    world.wait(10_000);
    world.command(trigger("j", Some("k"))).unwrap();
    assert_eq!(world.offer("a1", 4.0).launched().len(), 1);
    assert_eq!(world.active("j").id.as_str(), "j@k");
}
