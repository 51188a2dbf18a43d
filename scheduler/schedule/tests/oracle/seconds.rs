//! Second by second through windows around changes of the clocks, by the rule for DST as the
//! documentation of `Cron` tells it.

use std::collections::BTreeSet;

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use shiftwork_schedule::{Cron, Timestamp, Zone};

use super::expression::{Days, Expression, Field, days, field, months};

/// Changes of many kinds: an hour, half an hour, a whole day, at midnight, none.
const CHANGES: [(&str, &str); 16] = [
    ("Europe/Berlin", "2027-03-28T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("America/New_York", "2071-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("Asia/Kathmandu", "2026-11-20T00:00:00Z"),
    ("America/St_Johns", "2027-03-14T05:30:00Z"),
    ("America/St_Johns", "2005-10-30T02:31:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Antarctica/Troll", "2027-03-28T01:00:00Z"),
];

/// Seconds looked at before and after a change.
const REACH_S: i64 = 5 * 3_600;

/// Firings compared from one start.
const COMPARED_MAX: usize = 400;

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).expect("a second of our centuries")
}

/// From the bundled database, as the crate's: the system's may be of another release.
fn rules(zone: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(zone).expect(zone)
}

fn second(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().expect(instant).as_second()
}

/// All firings of `[from_s, until_s)`.
fn brute_force(
    expression: &Expression,
    zone: &TimeZone,
    from_s: i64,
    until_s: i64,
) -> BTreeSet<i64> {
    let fixed_time = expression.hours.len() == 1;
    let every_hour = expression.hours.len() == 24;
    let mut firings = BTreeSet::new();
    let mut old_offset = zone.to_offset(at(from_s));
    for now_s in from_s..until_s {
        let offset = zone.to_offset(at(now_s));
        let local_s = now_s + i64::from(offset.seconds());
        if expression.has(local_s) && !(fixed_time && is_second_time(zone, now_s)) {
            firings.insert(now_s);
        }
        // The local seconds the clock jumps over.
        let expected_s = now_s + i64::from(old_offset.seconds());
        old_offset = offset;
        for skipped_s in expected_s..local_s {
            if expression.has(skipped_s) && !every_hour {
                let late_s = if fixed_time { 0 } else { skipped_s - expected_s };
                firings.insert(now_s + late_s);
            }
        }
    }
    firings.retain(|firing| *firing < until_s);
    firings
}

/// Whether a clock shows for the second time what it shows now.
fn is_second_time(zone: &TimeZone, now_s: i64) -> bool {
    match zone.to_ambiguous_timestamp(zone.to_datetime(at(now_s))).offset() {
        AmbiguousOffset::Fold { after, .. } => zone.to_offset(at(now_s)) == after,
        _ => false,
    }
}

/// Expressions that often have to do with the change at `instant`.
fn expressions(zone: &str, instant: &str) -> impl Strategy<Value = Expression> + use<> {
    let local = rules(zone).to_datetime(at(second(instant) - 1));
    let hour = i64::from(local.hour());
    let day = prop_oneof![3 => Just(Days::OfMonth(Field::every(1, 31))), 1 => days()];
    let month = prop_oneof![3 => Just(Field::every(1, 12)), 1 => months()];
    let hours = prop_oneof![
        2 => field(0, 23, "", hour),
        1 => Just(Field::of((hour + 1) % 24)),
    ];
    (field(0, 59, "", 0), field(0, 59, "", 30), hours, day, month).prop_map(
        |(seconds, minutes, hours, days, months)| Expression {
            seconds,
            minutes,
            hours,
            days,
            months,
        },
    )
}

fn cases() -> impl Strategy<Value = (&'static str, &'static str, Expression, i64)> {
    prop::sample::select(CHANGES.as_slice()).prop_flat_map(|(zone, instant)| {
        (Just(zone), Just(instant), expressions(zone, instant), -REACH_S..REACH_S)
    })
}

/// Any zone there is, and the first change of its clocks after any moment from 1970 to 2090, or that
/// moment itself where they change no more.
fn any_cases() -> impl Strategy<Value = (String, String, Expression, i64)> {
    let zones: Vec<String> =
        TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    (prop::sample::select(zones), 0..3_786_912_000_i64).prop_flat_map(|(zone, moment)| {
        let change = rules(&zone).following(at(moment)).next().map(|change| change.timestamp());
        let instant = change.unwrap_or_else(|| at(moment)).to_string();
        let expressions = expressions(&zone, &instant);
        (Just(zone), Just(instant), expressions, -REACH_S..REACH_S)
    })
}

/// Compares what `Cron` says with brute force, from `start` seconds after a change of the clocks on.
fn agrees(
    zone_name: &str,
    instant: &str,
    expression: &Expression,
    start: i64,
) -> Result<(), TestCaseError> {
    let text = expression.text();
    let cron = Cron::parse(&text).expect(&text);
    let zone = Zone::parse(zone_name).expect(zone_name);
    let rules = rules(zone_name);
    let (from_s, until_s) = (second(instant) + start, second(instant) + REACH_S);

    // What is made up for after a gap depends on the gap, so it must be in the window.
    let all = brute_force(expression, &rules, second(instant) - REACH_S, until_s);
    let mut expected = all.into_iter().filter(|firing| *firing > from_s);
    let mut after = Timestamp::from_millis(from_s * 1_000);
    for _ in 0..COMPARED_MAX {
        let ours = cron.next_after(&zone, after);
        let within = ours.filter(|at| at.as_millis() < until_s * 1_000);
        let brute = expected.next().map(|firing| Timestamp::from_millis(firing * 1_000));
        prop_assert_eq!(within, brute, "{} in {} after {}", &text, zone_name, after);
        let Some(next) = within else { break };
        prop_assert!(next > after);
        after = next;
    }
    let until = Timestamp::from_millis(until_s * 1_000 - 1);
    let last = cron.last_at_or_before(&zone, until, after);
    let brute = expected.next_back().map(|firing| Timestamp::from_millis(firing * 1_000));
    prop_assert_eq!(last, brute);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn firings_around_a_change_are_those_of_brute_force(
        (zone, instant, expression, start) in cases()
    ) {
        agrees(zone, instant, &expression, start)?;
    }

    #[test]
    fn firings_in_any_zone_are_those_of_brute_force(
        (zone, instant, expression, start) in any_cases()
    ) {
        agrees(&zone, &instant, &expression, start)?;
    }
}
