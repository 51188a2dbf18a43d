//! Another time zone database in place of the bundled one: a process of its own, since the choice is
//! one for the whole process.

use std::collections::BTreeMap;

use shiftwork_schedule::{
    BoundedSchedule, Cron, Schedule, Timestamp, Tzdb, TzdbError, Zone, preview, tzdb,
};

/// A compiled zone (RFC 9636, version 2) without a past: the rule of its footer holds for ever.
fn compiled(offset_s: i32, rule: &str) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    // No leap seconds, no indicators, no transitions; one type, whose name takes four bytes.
    for count in [0u32, 0, 0, 0, 1, 4] {
        block.extend(count.to_be_bytes());
    }
    block.extend(offset_s.to_be_bytes());
    block.extend([0, 0]);
    block.extend(b"LMT\0");
    let mut data = block.repeat(2);
    data.extend(format!("\n{rule}\n").bytes());
    data
}

fn firings(zone: &str, expression: &str, from: &str) -> Vec<(String, String)> {
    let cron = Cron::parse(expression).expect(expression);
    let zone = Zone::parse(zone).expect(zone);
    let schedule = Schedule::Cron { cron, zone };
    let schedule = BoundedSchedule { schedule, start_after: None, end_before: None };
    let from: Timestamp = from.parse().expect(from);
    let firings = preview(&schedule.into(), from, 2).into_iter();
    firings.map(|firing| (firing.at.to_string(), firing.local)).collect()
}

/// A day on which a parliament abolishes summer time, and moves a city by half an hour.
#[test]
fn everything_is_computed_by_the_database_that_was_handed_in() {
    let files = BTreeMap::from([
        ("Europe/Berlin".to_owned(), compiled(3_600, "CET-1")),
        ("Asia/Tokyo".to_owned(), compiled(34_200, "JST-9:30")),
    ]);
    let database = Tzdb::from_tzif("/data", Some("2031a".to_owned()), &files).unwrap();
    database.install().unwrap();
    assert_eq!(tzdb().to_string(), "/data 2031a");

    let at = |utc: &str, local: &str| (utc.to_owned(), local.to_owned());
    assert_eq!(
        firings("europe/berlin", "0 30 2 * * ?", "2027-03-27T12:00:00Z"),
        [
            at("2027-03-28T01:30:00Z", "2027-03-28T02:30:00+01:00[Europe/Berlin]"),
            at("2027-03-29T01:30:00Z", "2027-03-29T02:30:00+01:00[Europe/Berlin]"),
        ],
        "no gap any more"
    );
    let tokyo = firings("Asia/Tokyo", "0 0 12 * * ?", "2027-01-01T00:00:00Z");
    assert_eq!(tokyo[0].0, "2027-01-01T02:30:00Z");
    assert_eq!(firings("UTC", "0 0 12 * * ?", "2027-01-01T00:00:00Z")[0].0, "2027-01-01T12:00:00Z");

    let missing = Zone::parse("America/New_York").unwrap_err().to_string();
    assert!(missing.contains("(/data 2031a)"), "{missing}");
    let nearest = Zone::parse("Tokyo").unwrap_err().to_string();
    assert!(nearest.contains("did you mean Asia/Tokyo?"), "{nearest}");

    let again = Tzdb::bundled().install().unwrap_err();
    assert_eq!(again, TzdbError::InUse { chosen: "/data 2031a".to_owned() });
}
