//! The judgement: it finds what should not be, and nothing else. Absent: the history and the engine
//! (end-to-end tests).

use shiftwork_schedule::{Timestamp, Zone};

use super::judge::{FindingKind, Slice, Verdict, judge, must_have_been};
use super::timeline::Timeline;
use crate::trace::{ChangeRow, LeftOutRow, RanRow};

/// A job that fires each second, from second 0 of 1970 on.
fn document(extra: &str) -> String {
    format!(
        r#"{{"jobName":"j","appName":"a","jobType":"SCRIPT","jobExecutionType":"TRANSIENT",
        "scriptCommandLine":"true;","shardingTotalCount":1,"cpuCount":0.1,"memoryMB":16,
        "cron":"* * * * * ?"{extra}}}"#
    )
}

struct World {
    timeline: Timeline,
    slice: Slice,
    sequence: u64,
}

impl World {
    fn new() -> Self {
        let (timeline, slice) = (Timeline::new(Zone::utc()), Slice::default());
        Self { timeline, slice, sequence: 0 }
    }

    fn change(&mut self, kind: &str, name: &str, at_s: i64, content: Option<&str>) -> &mut Self {
        self.sequence += 1;
        self.timeline.take(&ChangeRow {
            kind: kind.to_owned(),
            name: name.to_owned(),
            at_ms: at_s * 1000,
            content: content.map(str::to_owned),
            epoch: 1,
            sequence: self.sequence,
            ..ChangeRow::default()
        });
        self
    }

    fn job(&mut self, at_s: i64, extra: &str) -> &mut Self {
        self.change("job", "j", at_s, Some(&document(extra)))
    }

    fn ran(&mut self, seconds: impl IntoIterator<Item = i64>) -> &mut Self {
        self.slice.ran.extend(seconds.into_iter().map(|second| RanRow {
            id: format!("j@{}", Timestamp::from_millis(second * 1000).compact()),
            job: "j".to_owned(),
            logical_time_ms: second * 1000,
            state: "SUCCEEDED".to_owned(),
        }));
        self
    }

    fn left_out(&mut self, first_s: i64, last_s: i64, cause: &str, decided_s: i64) -> &mut Self {
        self.slice.left_out.push(LeftOutRow {
            job: "j".to_owned(),
            first_ms: first_s * 1000,
            last_ms: last_s * 1000,
            cause: cause.to_owned(),
            decided_at_ms: decided_s * 1000,
        });
        self
    }

    fn judge(&self, after_s: i64, until_s: i64) -> Verdict {
        let mut verdict = Verdict::default();
        let time = |second: i64| Timestamp::from_millis(second * 1000);
        judge(&self.timeline, &self.slice, time(after_s), time(until_s), &mut verdict);
        verdict
    }

    /// What it finds, by kind and second.
    fn findings(&self, after_s: i64, until_s: i64) -> Vec<(FindingKind, i64)> {
        let verdict = self.judge(after_s, until_s);
        assert_eq!(verdict.findings.len() as u64, verdict.findings_total);
        let second = |at: Timestamp| at.as_millis() / 1000;
        verdict.findings.iter().map(|finding| (finding.kind, second(finding.firing))).collect()
    }
}

#[test]
fn a_firing_without_a_trace_is_missed_and_nothing_else_is() {
    let mut world = World::new();
    world.job(10, "").ran(11..=20);
    assert_eq!(world.findings(0, 20), []);
    world.slice.ran.remove(4);
    assert_eq!(world.findings(0, 20), [(FindingKind::Missed, 15)]);
    let verdict = world.judge(0, 20);
    assert_eq!((verdict.due, verdict.fired, verdict.left_out), (10, 9, 0));
}

#[test]
fn updates_and_deletions_count_from_their_moment_on() {
    let mut world = World::new();
    world.job(10, "").job(13, r#","startAfter":"1970-01-01T00:00:15Z""#);
    world.change("job", "j", 18, None).job(25, "");
    let starts_after = world.judge(0, 30).due;
    world.ran([11, 12, 13]).ran(15..=18).ran(26..=30);
    // Whether the bound itself is in is the schedule's rule, not the audit's.
    let is_in = starts_after == 12;
    let findings = world.findings(0, 30);
    let expected = if is_in { vec![] } else { vec![(FindingKind::Unexpected, 15)] };
    assert_eq!(findings, expected);
}

#[test]
fn what_is_not_known_is_not_judged() {
    let mut world = World::new();
    // Before its first document nothing is known, also of what ran.
    world.job(20, "").ran([12, 21, 22]);
    assert_eq!(world.findings(0, 22), []);
    // A calendar of which the history does not know.
    world.change("job", "j", 22, Some(&document(r#","calendars":["off"]"#)));
    assert_eq!(world.findings(22, 30), []);
    world.timeline.forget("j");
    assert_eq!(world.findings(0, 30), []);
}

#[test]
fn disabling_explains_and_only_where_it_was_so() {
    for (kind, name) in [("job-flag", "j"), ("app-flag", "a")] {
        let mut world = World::new();
        world.job(0, "").ran(1..=4).ran(9..=12);
        world.change(kind, name, 4, Some("{}")).change(kind, name, 8, None);
        world.left_out(5, 8, "MISSED", 8);
        assert_eq!(world.findings(0, 12), []);
        world.slice.ran.retain(|row| row.logical_time_ms < 11_000);
        world.left_out(11, 12, "MISSED", 12);
        let wrong = FindingKind::WronglyLeftOut;
        assert_eq!(world.findings(0, 12), [(wrong, 11), (wrong, 12)]);
    }
}

#[test]
fn rules_explain_what_they_say_and_no_more() {
    let cases = [
        ("", "COALESCED", true),
        ("", "SKIPPED", false),
        ("", "MISSED", false),
        (r#","misfire":true"#, "COALESCED", false),
        (r#","misfire":true"#, "MISSED", true),
        (r#","misfire":{"policy":"skip"}"#, "SKIPPED", true),
        (r#","concurrency":"skip""#, "SKIPPED", true),
        (r#","misfire":{"policy":"coalesce","window":"3s"}"#, "MISSED", true),
        (r#","misfire":{"policy":"coalesce","window":"1h"}"#, "MISSED", false),
        ("", "SOMETHING_NEW", true),
    ];
    for (rule, cause, is_explained) in cases {
        let mut world = World::new();
        world.job(0, rule).ran([5]).left_out(1, 4, cause, 60);
        let findings = world.findings(0, 5);
        assert_eq!(findings.is_empty(), is_explained, "{rule} {cause}: {findings:?}");
    }
}

#[test]
fn a_run_for_no_firing_and_one_finished_twice_are_found() {
    let mut world = World::new();
    world.job(0, "").change(
        "job",
        "j",
        5,
        Some(&document("").replace("* * * * * ?", "0 * * * * ?")),
    );
    world.ran(1..=7);
    let unexpected = FindingKind::Unexpected;
    assert_eq!(world.findings(0, 10), [(unexpected, 6), (unexpected, 7)]);
    // What stands for firings that were left out did not run.
    world.slice.ran.retain(|row| row.logical_time_ms <= 5_000);
    world.slice.ran.push(RanRow {
        state: "SKIPPED".to_owned(),
        id: "j@19700101T000006Z".to_owned(),
        job: "j".to_owned(),
        logical_time_ms: 6_000,
    });
    // Runs that were asked for are named otherwise.
    world.slice.ran.push(RanRow {
        id: "j@by-hand".to_owned(),
        job: "j".to_owned(),
        logical_time_ms: 7_000,
        state: "FAILED".to_owned(),
    });
    assert_eq!(world.findings(0, 10), []);
    world.slice.finished_again.push(("j@19700101T000003Z".to_owned(), 0));
    assert_eq!(world.findings(0, 10), [(FindingKind::Doubled, 3)]);
}

#[test]
fn a_run_that_was_never_promised_is_not_forgotten() {
    let mut world = World::new();
    world.ran([5]).left_out(3, 4, "COALESCED", 9);
    let row = |second: i64, state: &str| RanRow {
        id: format!("j@{}", Timestamp::from_millis(second * 1000).compact()),
        job: "j".to_owned(),
        logical_time_ms: second * 1000,
        state: state.to_owned(),
    };
    let must = |row: &RanRow| must_have_been(row, &world.slice);
    assert!(must(&row(5, "PENDING")), "its firing was promised");
    assert!(!must(&row(4, "PENDING")), "it was dealt with once more, and left out");
    assert!(must(&row(4, "RUNNING")), "it ran");
    let asked_for = |state: &str| RanRow { id: "j@by-hand".to_owned(), ..row(6, state) };
    assert!(must(&asked_for("RUNNING")) && !must(&asked_for("LAUNCHING")));
}
