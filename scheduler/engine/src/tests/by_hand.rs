//! Records changed by another program: they take effect as through a command, and whoever restores
//! from them comes to the same state.

use super::*;
use crate::Order;

impl World {
    /// What a hand does in the registry, and what its watch then says.
    fn hand(&mut self, key: Key, value: Option<&[u8]>) -> Turn {
        self.records.remove(&key);
        if let Some(value) = value {
            self.records.insert(key.clone(), value.to_vec());
        }
        let value = value.map(<[u8]>::to_vec);
        let turn = self.turn(Event::RegistryChanged(Write { key, value }));
        self.assert_restores_alike();
        turn
    }

    /// The jobs, apps and problems of an engine restored from the records are those of this one.
    fn assert_restores_alike(&self) {
        let mut fx = Effects::default();
        let records = self.records.clone().into_iter().collect();
        let copy = Engine::restore(Settings::default(), 9, self.now, records, &mut fx);
        let of = |engine: &Engine| {
            let jobs: Vec<_> = engine
                .jobs(None, None, Order::Ascending, usize::MAX)
                .into_iter()
                .map(|job| (job.name, job.problem, job.disabled.is_some(), job.pending))
                .collect();
            let apps: Vec<_> = engine
                .apps(None, Order::Ascending, usize::MAX)
                .into_iter()
                .map(|app| (app.name, app.problem, app.disabled.is_some()))
                .collect();
            (jobs, apps, engine.status().problems)
        };
        assert_eq!(of(&copy), of(&self.engine));
    }
}

fn job_key() -> Key {
    Key::Job(name("j"))
}

#[test]
fn a_job_made_changed_and_removed_by_hand() {
    let mut world = World::with_app();
    let turn = world.hand(job_key(), Some(&job_document("j", r#""shardingTotalCount":1"#)));
    assert!(!turn.writes.contains(&"+job j".to_owned()), "it is there: {:?}", turn.writes);
    assert!(turn.writes.contains(&"+watermark".to_owned()), "it does not fire for the past");
    world.wait(10_000);
    assert_eq!(world.engine.status().pending_runs, 1);
    // A new schedule counts at once, and the old one is forgotten.
    let document = job_document("j", r#""shardingTotalCount":1,"cron":"0 0 0 1 1 ?""#);
    world.hand(job_key(), Some(&document));
    world.wait(60_000);
    assert_eq!(world.engine.status().firings.fired, 1);
    world.offer("a1", 4.0);
    assert_eq!(world.tasks("j").len(), 1);
    let turn = world.hand(job_key(), None);
    assert_eq!(turn.said(), ["kill j/0"]);
    assert!(world.engine.job(&name("j")).is_none());
}

#[test]
fn a_document_that_cannot_be_read_is_reported_on_the_job_and_ends_nothing() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    world.job("other", "");
    world.offer("a1", 4.0);
    world.wait(10_000);
    assert_eq!(world.tasks("j").len(), 1);
    let turn = world.hand(job_key(), Some(b"{\"jobName\":\"j\""));
    assert_eq!(turn.said(), Vec::<String>::new(), "what runs goes on");
    let problem = world.engine.job(&name("j")).unwrap().problem.unwrap();
    assert!(problem.contains("not valid JSON"), "{problem}");
    assert_eq!(world.engine.status().problems.len(), 1);
    let fired = world.engine.status().firings.fired;
    world.wait(10_000);
    assert_eq!(world.engine.status().firings.fired, fired + 1, "the other one fires on");
    // Mended, by hand or through the API, nothing is said any more.
    world.hand(job_key(), Some(&job_document("j", r#""shardingTotalCount":1"#)));
    assert_eq!(world.engine.status().problems, Vec::<String>::new());
    assert!(world.engine.job(&name("j")).unwrap().problem.is_none());
    for slip in [b"x".as_slice(), b""] {
        assert_eq!(world.hand(job_key(), Some(slip)).said(), Vec::<String>::new());
        assert!(world.engine.job(&name("j")).unwrap().problem.is_some());
        let document = job_document("j", r#""shardingTotalCount":1"#);
        world.command(Command::UpdateJob { job: name("j"), document }).unwrap();
        assert_eq!(world.engine.status().problems, Vec::<String>::new());
    }
}

#[test]
fn what_counts_from_registration_is_stored_as_the_instant_it_means() {
    let mut world = World::with_app();
    let document = job_document("j", r#""cron":null,"every":"90s""#);
    let turn = world.hand(job_key(), Some(&document));
    assert!(turn.writes.contains(&"+job j".to_owned()), "{:?}", turn.writes);
    world.wait(89_999);
    assert_eq!(world.engine.status().firings.fired, 0);
    world.wait(1);
    assert_eq!(world.engine.status().firings.fired, 1);
    let wrong = job_document("j", r#""cron":null,"delay":"soon""#);
    world.hand(job_key(), Some(&wrong));
    let problem = world.engine.job(&name("j")).unwrap().problem.unwrap();
    assert!(problem.contains("delay"), "{problem}");
}

#[test]
fn what_was_not_changed_does_nothing() {
    let mut world = World::with_app();
    world.job("j", "");
    let same = world.records[&job_key()].clone();
    let turn = world.hand(job_key(), Some(&same));
    assert_eq!((turn.writes, turn.actions.len()), (Vec::new(), 0));
}

#[test]
fn flags_by_hand_stop_and_start_what_they_name() {
    for flag in [Key::DisabledJob(name("j")), Key::DisabledApp(app_name())] {
        let mut world = World::with_app();
        world.job("j", r#""shardingTotalCount":1,"misfire":{"policy":"skip"}"#);
        world.offer("a1", 4.0);
        world.wait(10_000);
        // As Elastic-Job-Cloud writes it: the name and nothing else.
        let turn = world.hand(flag.clone(), Some(b"j"));
        assert_eq!(turn.said(), ["kill j/0"]);
        let task = world.tasks("j").remove(0);
        world.status(&task, TaskState::Killed);
        let fired = world.engine.status().firings.fired;
        world.wait(20_000);
        assert_eq!(world.engine.status().firings.fired, fired);
        world.hand(flag, None);
        world.wait(10_000);
        assert_eq!(world.engine.status().firings.fired, fired + 1);
    }
}

#[test]
fn a_flag_of_nothing_is_kept_and_forgotten_with_its_node() {
    let mut world = World::with_app();
    let flag = Key::DisabledJob(name("ghost"));
    world.hand(flag.clone(), Some(b"ghost"));
    assert!(world.engine.job(&name("ghost")).is_some());
    world.hand(flag, None);
    assert!(world.engine.job(&name("ghost")).is_none());
    let flag = Key::DisabledApp(AppName::parse("ghost").unwrap());
    world.hand(flag.clone(), Some(b"ghost"));
    world.hand(flag, None);
    assert_eq!(world.engine.apps(None, Order::Ascending, 9).len(), 1);
}

#[test]
fn jobs_of_an_app_that_was_removed_by_hand_wait_for_it() {
    let mut world = World::with_app();
    world.job("j", r#""shardingTotalCount":1"#);
    let document = world.records[&Key::App(app_name())].clone();
    world.hand(Key::App(app_name()), None);
    world.offer("a1", 4.0);
    world.wait(10_000);
    assert_eq!(world.tasks("j"), []);
    assert_eq!(world.engine.status().pending_runs, 1);
    world.hand(Key::App(app_name()), Some(&document));
    world.offer("a1", 4.0);
    assert_eq!(world.tasks("j").len(), 1);
}

#[test]
fn a_calendar_by_hand_counts_from_now_on() {
    let mut world = World::with_app();
    let calendar = Key::Calendar(CalendarName::parse("c").unwrap());
    world.hand(calendar.clone(), Some(br#"{"calendarName":"c","dates":[]}"#));
    world.job("j", r#""calendars":["c"]"#);
    world.wait(10_000);
    let fired = world.engine.status().firings.fired;
    assert_eq!(fired, 1);
    world.hand(calendar.clone(), Some(b"never"));
    world.wait(10_000);
    assert_eq!(world.engine.status().firings.fired, fired, "nobody knows when it may fire");
    world.hand(calendar, None);
    assert_eq!(world.engine.status().problems, Vec::<String>::new());
    world.wait(10_000);
    assert_eq!(world.engine.status().firings.fired, fired);
}

#[test]
fn a_daemon_takes_up_a_document_by_hand() {
    let mut world = World::with_app();
    let daemon = r#""jobExecutionType":"DAEMON","shardingTotalCount":1"#;
    world.job("j", daemon);
    world.offer("a1", 4.0);
    world.wait(1_000);
    assert_eq!(world.tasks("j").len(), 1);
    let turn = world.hand(job_key(), Some(b"{}"));
    assert_eq!(turn.said(), Vec::<String>::new());
    let document = job_document("j", &format!(r#"{daemon},"jobParameter":"x""#));
    assert_eq!(world.hand(job_key(), Some(&document)).said(), ["kill j/0"]);
}
