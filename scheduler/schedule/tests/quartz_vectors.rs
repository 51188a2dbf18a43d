//! Every row of `data/quartz-vectors.jsonl`, recorded from Quartz 2.3.2, against `Cron`. Where the
//! rule for DST makes us answer otherwise, the kind of difference is named and counted.

use std::collections::BTreeMap;

use serde::Deserialize;
use shiftwork_schedule::{Cron, Timestamp, Zone};

#[derive(Debug, Deserialize)]
struct Row {
    cron: String,
    class: String,
    #[serde(default)]
    tz: String,
    after: Option<Timestamp>,
    #[serde(default)]
    next: Vec<Timestamp>,
    #[serde(default)]
    invalid: bool,
}

fn rows(class: &str) -> Vec<Row> {
    include_str!("data/quartz-vectors.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Row>(line).expect(line))
        .filter(|row| row.class == class)
        .collect()
}

impl Row {
    /// Our answer to the same question: as many firings as Quartz gave, or one where it gave none.
    fn ours(&self) -> Vec<Timestamp> {
        let cron = Cron::parse(&self.cron).expect(&self.cron);
        let zone = Zone::parse(&self.tz).expect(&self.tz);
        let after = self.after.expect("rows with firings have a start");
        std::iter::successors(cron.next_after(&zone, after), |at| cron.next_after(&zone, *at))
            .take(self.next.len().max(1))
            .collect()
    }
}

#[test]
fn strict_rows_agree() {
    let rows = rows("strict");
    assert_eq!(rows.len(), 1_483);
    for row in rows {
        assert_eq!(row.ours(), row.next, "{row:?}");
    }
}

#[test]
fn never_rows_never_fire() {
    let rows = rows("never");
    assert_eq!(rows.len(), 17);
    for row in rows {
        assert_eq!(row.ours(), [], "{row:?}");
    }
}

#[test]
fn invalid_rows_are_refused() {
    let rows = rows("invalid");
    assert_eq!(rows.len(), 35);
    for row in rows {
        assert!(row.invalid && Cron::parse(&row.cron).is_err(), "{row:?}");
    }
}

#[test]
fn what_quartz_takes_by_accident_is_refused() {
    let rows = rows("lenient");
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(Cron::parse(&row.cron).is_err(), "{row:?}");
    }
}

/// How we may differ from Quartz around a change of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// A fixed time that occurs twice: we fire at the first, Quartz at the second.
    FixedTimeAtItsFirst,
    /// A fixed time that is skipped: we fire at the first instant after the gap, Quartz not at all.
    FixedTimeAfterTheGap,
    /// Several hours, one repeated: we fire in both passes, Quartz in one.
    BothPassesOfTheRepeatedHour,
    /// Several hours, one skipped: we fire when it would have come, Quartz not at all.
    SkippedHourMadeUpFor,
}

/// A change of the clocks, in seconds since the epoch.
struct Change {
    at_s: i64,
    forward_s: i64,
}

fn changes(row: &Row) -> Vec<Change> {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(&row.tz).expect(&row.tz);
    let from = row.after.expect("rows with firings have a start").as_millis();
    let from = jiff::Timestamp::from_millisecond(from - 86_400_000).expect("in range");
    let until = row.next.last().map_or(0, |at| at.as_millis() / 1_000);
    let offset =
        |at_s| zone.to_offset(jiff::Timestamp::from_second(at_s).expect("in range")).seconds();
    zone.following(from)
        .map(|change| change.timestamp().as_second())
        .take_while(|at_s| *at_s <= until)
        .map(|at_s| Change { at_s, forward_s: i64::from(offset(at_s) - offset(at_s - 1)) })
        .collect()
}

impl Change {
    /// Which rule explains that we fire at `ours_s` and Quartz does not.
    fn explains(&self, row: &Row, quartz_s: &[i64], ours_s: i64) -> Option<Difference> {
        let fixed_time = !row.cron.split(' ').nth(2).expect("hours").contains(['*', '/', '-', ',']);
        let since_s = ours_s - self.at_s;
        let back_s = -self.forward_s;
        let in_gap = (0..self.forward_s).contains(&since_s);
        let second_pass = ours_s + back_s;
        if !fixed_time && (-back_s..back_s).contains(&since_s) {
            Some(Difference::BothPassesOfTheRepeatedHour)
        } else if !fixed_time && in_gap {
            Some(Difference::SkippedHourMadeUpFor)
        } else if fixed_time && (-back_s..0).contains(&since_s) && quartz_s.contains(&second_pass) {
            Some(Difference::FixedTimeAtItsFirst)
        } else if fixed_time && in_gap && since_s == 0 {
            Some(Difference::FixedTimeAfterTheGap)
        } else {
            None
        }
    }
}

#[test]
fn dst_rows_agree_but_for_named_differences() {
    let rows = rows("dst");
    assert_eq!(rows.len(), 690);
    let seconds = |firings: &[Timestamp]| -> Vec<i64> {
        firings.iter().map(|at| at.as_millis() / 1_000).collect()
    };
    let mut found = BTreeMap::<Difference, u32>::new();
    for row in rows {
        let (ours, quartz) = (seconds(&row.ours()), seconds(&row.next));
        // Both lists are cut at the same length, so only what both reach can be compared.
        let horizon = ours.last().min(quartz.last()).copied().expect("dst rows fire");
        let changes = changes(&row);
        let mut differences = Vec::new();
        for extra in ours.iter().filter(|at| **at <= horizon && !quartz.contains(at)) {
            let why = changes.iter().find_map(|change| change.explains(&row, &quartz, *extra));
            differences.push(why.unwrap_or_else(|| panic!("{row:?}: no rule for our {extra}")));
        }
        for missing in quartz.iter().filter(|at| **at <= horizon && !ours.contains(at)) {
            let at_first =
                changes.iter().any(|change| ours.contains(&(missing + change.forward_s)));
            assert!(
                at_first && differences.contains(&Difference::FixedTimeAtItsFirst),
                "{row:?}: we lack {missing}"
            );
        }
        differences.dedup();
        for difference in differences {
            *found.entry(difference).or_default() += 1;
        }
    }
    let expected = [
        (Difference::FixedTimeAtItsFirst, 4),
        (Difference::FixedTimeAfterTheGap, 1),
        (Difference::BothPassesOfTheRepeatedHour, 6),
        (Difference::SkippedHourMadeUpFor, 2),
    ];
    assert_eq!(found, BTreeMap::from(expected));
}
