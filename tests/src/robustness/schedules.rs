//! Times as users write them: cron, durations, instants, zones.

use shiftwork_schedule::{
    Cron, Schedule, Timestamp, Zone, format_duration, parse_duration, parse_weekday,
};

/// When expressions are tried: just before a clock change of Berlin, 2026-03-29T00:59:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_774_745_940_000);

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn crons() -> Vec<Vec<u8>> {
    texts(&[
        "0 0 2 * * ?",
        "*/20 0/5 8-18,22-2 ? JAN-MAR,12 MON-FRI 2026-2099/3",
        "0 15 10 L-3W * ?",
        "0 30 2 ? * 6L",
        "0 30 2 ? * 2#5",
        "59 59 23 31W 12 ? 2099",
    ])
}

/// What is taken fires in order, and looking back finds what looking ahead found.
pub(super) fn cron(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let Ok(cron) = Cron::parse(&text) else { return };
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let zone = Zone::parse(zone).expect("a zone");
        let schedule = Schedule::Cron { cron: cron.clone(), zone };
        let mut from = NOW;
        for _ in 0..3 {
            let Some(next) = schedule.next_after(from) else { break };
            assert!(next > from, "{text:?}: {next} after {from}");
            assert_eq!(schedule.last_at_or_before(next, from), Some(next), "{text:?}");
            from = next;
        }
    }
}

pub(super) fn durations() -> Vec<Vec<u8>> {
    texts(&["90s", "1h30m", "1.5h", "250ms", "PT1H30M", "7d", "18446744073709551615ms"])
}

pub(super) fn duration(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(millis) = parse_duration(&text) {
        let written = format_duration(millis);
        assert_eq!(parse_duration(&written), Ok(millis), "{text:?} is written as {written:?}");
    }
}

pub(super) fn instants() -> Vec<Vec<u8>> {
    texts(&[
        "2026-11-20T02:00:00Z",
        "2026-11-20T02:00:00.123+01:00",
        "20261120T020000Z",
        "20261120T020000.250Z",
        "Europe/Berlin",
        "WEDNESDAY",
    ])
}

pub(super) fn instant(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(at) = text.parse::<Timestamp>() {
        assert_eq!(at.to_string().parse().ok(), Some(at), "{text:?}");
        let compact = at.compact();
        assert_eq!(Timestamp::parse_compact(&compact).ok(), Some(at), "{text:?} is {compact:?}");
    }
    if let Ok(at) = Timestamp::parse_compact(&text) {
        assert_eq!(Timestamp::parse_compact(&at.compact()).ok(), Some(at), "{text:?}");
    }
    if let Ok(zone) = Zone::parse(&text) {
        assert_eq!(Zone::parse(zone.name()).expect("it was one").name(), zone.name());
    }
    if let Some(weekday) = parse_weekday(&text) {
        assert!(weekday < 7, "{text:?}");
    }
}
