//! Jobs are found by part of their names, by what they do and by when they fire next; and what the
//! cluster is used for adds up.

use shiftwork_schedule::Timestamp;

use super::{START_MS, World, app_name, name, trigger};
use crate::command::Command;
use crate::query::Order;
use crate::search::{JobFilter, JobState};

fn found(world: &World, filter: &JobFilter, order: Order) -> Vec<String> {
    let rows = world.engine.find_jobs(filter, None, order, 10).rows;
    rows.into_iter().map(|job| job.name).collect()
}

fn in_state(world: &World, state: JobState) -> Vec<String> {
    found(world, &JobFilter { state: Some(state), ..JobFilter::default() }, Order::Ascending)
}

#[test]
fn part_of_a_name_is_enough() {
    let mut world = World::with_app();
    for job in ["daily-Report", "nightly", "report.weekly"] {
        world.job(job, "");
    }
    let filter = |text: &str| JobFilter { text: Some(text.to_owned()), ..JobFilter::default() };
    assert_eq!(
        found(&world, &filter("REPORT"), Order::Ascending),
        ["daily-Report", "report.weekly"]
    );
    assert_eq!(
        found(&world, &filter("ly"), Order::Descending),
        ["report.weekly", "nightly", "daily-Report"]
    );
    assert!(found(&world, &filter("monthly"), Order::Ascending).is_empty());
    assert_eq!(found(&world, &filter(""), Order::Ascending).len(), 3);
    let of_app = |app| JobFilter { app: Some(app), ..filter("night") };
    assert_eq!(found(&world, &of_app(app_name()), Order::Ascending), ["nightly"]);
    let other = crate::ids::AppName::parse("other").unwrap();
    assert!(found(&world, &of_app(other), Order::Ascending).is_empty());
    let behind = world.engine.find_jobs(&filter("ly"), Some(&name("nightly")), Order::Ascending, 1);
    assert_eq!((behind.rows.len(), behind.rows[0].name.as_str()), (1, "report.weekly"));
}

#[test]
fn what_jobs_do_can_be_asked_for() {
    let mut world = World::with_app();
    for job in ["off", "on", "waiting"] {
        world.job(job, "");
    }
    let off = Command::SetJobEnabled { job: name("off"), enabled: false, reason: None };
    world.command(off).unwrap();
    world.command(trigger("waiting", None)).unwrap();
    assert_eq!(in_state(&world, JobState::Disabled), ["off"]);
    assert_eq!(in_state(&world, JobState::Enabled), ["on", "waiting"]);
    assert_eq!(in_state(&world, JobState::Pending), ["waiting"]);
    assert!(in_state(&world, JobState::Running).is_empty());
    assert!(in_state(&world, JobState::Broken).is_empty());
    world.offer("S1", 8.0);
    assert_eq!(in_state(&world, JobState::Running), ["waiting"]);
    let app = Command::SetAppEnabled { app: app_name(), enabled: false, reason: None };
    world.command(app).unwrap();
    assert_eq!(in_state(&world, JobState::Disabled).len(), 3);
}

#[test]
fn jobs_come_in_the_order_in_which_they_fire() {
    let mut world = World::with_app();
    for (job, cron) in [
        ("hourly-b", "0 0 * * * ?"),
        ("soon", "30 0 * * * ?"),
        ("hourly-a", "0 0 * * * ?"),
        ("hourly-c", "0 0 0-23 * * ?"),
        ("off", "1 * * * * ?"),
    ] {
        world.job(job, &format!(r#""cron":"{cron}""#));
    }
    let off = Command::SetJobEnabled { job: name("off"), enabled: false, reason: None };
    world.command(off).unwrap();
    let all = JobFilter::default();
    let whole = world.engine.jobs_by_next_firing(&all, None, 10);
    let names: Vec<&str> = whole.iter().map(|(_, job)| job.name.as_str()).collect();
    assert_eq!(names, ["soon", "hourly-a", "hourly-b", "hourly-c"]);
    assert_eq!(whole[0].0, Timestamp::from_millis(START_MS + 30_000));
    // Page by page it is the same list.
    let mut seen: Vec<(Timestamp, String)> = Vec::new();
    loop {
        let after = seen.last().map(|(at, job)| (*at, name(job)));
        let page = world.engine.jobs_by_next_firing(&all, after.as_ref(), 1);
        let Some((at, job)) = page.into_iter().next() else { break };
        seen.push((at, job.name));
        assert!(seen.len() < 9);
    }
    assert_eq!(seen.iter().map(|(_, job)| job.as_str()).collect::<Vec<_>>(), names);
    let coming = world.engine.coming(Timestamp::from_millis(START_MS + 3_600_000));
    assert!(!coming.more);
    let jobs: usize = coming.timetables.iter().map(|(_, jobs)| jobs).sum();
    assert_eq!(jobs, 4);
    assert_eq!(world.engine.coming(Timestamp::from_millis(START_MS + 30_000)).timetables.len(), 1);
}

#[test]
fn what_is_used_is_what_tasks_and_their_executors_hold() {
    let mut world = World::with_app();
    assert_eq!(world.engine.utilisation().used["cpus"].to_bits(), 0.0_f64.to_bits());
    world.job("a", r#""shardingTotalCount":2"#);
    world.command(trigger("a", None)).unwrap();
    world.offer("S1", 8.0);
    let used = world.engine.utilisation().used;
    // Two shards of 1 cpu and 100 MB, and the executor's 0.1 and 32.
    assert!((used["cpus"] - 2.1).abs() < 1e-9, "{used:?}");
    assert!((used["mem"] - 232.0).abs() < 1e-9, "{used:?}");
}
