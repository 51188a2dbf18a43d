//! When a job fires, as its document says: schedule, zone, window, calendars, jitter.

use std::collections::BTreeSet;
use std::sync::Arc;

use shiftwork_schedule::{BoundedSchedule, Cron, Interval, Schedule, Timestamp, Zone};

use super::Execution;
use super::jitter::JITTER_MAX_MS;
use super::reader::Reader;
use crate::ids::CalendarName;

/// `None` when something is wrong; `Some(None)` for a job without a schedule.
#[allow(clippy::option_option)]
pub(super) fn read_schedule(
    reader: &mut Reader,
    default_zone: &Zone,
) -> Option<Option<Arc<BoundedSchedule>>> {
    let cron = reader.string("cron");
    let every = reader.duration("every");
    let at = read_timestamp(reader, "at");
    let start_at = read_timestamp(reader, "startAt");
    let count = reader.integer("count", 1, u32::MAX);
    let zone = read_zone(reader, default_zone)?;
    let start_after = read_timestamp(reader, "startAfter");
    let end_before = read_timestamp(reader, "endBefore");
    if usize::from(cron.is_some()) + usize::from(every.is_some()) + usize::from(at.is_some()) > 1 {
        reader.error("cron", "only one of cron, every and at may be given");
        return None;
    }
    if every.is_none() {
        for (field, given) in [("startAt", start_at.is_some()), ("count", count.is_some())] {
            if given {
                reader.error(field, "belongs to every: leave it out or give every");
            }
        }
    }
    if start_after.is_some_and(|after| end_before.is_some_and(|before| before <= after)) {
        reader.error("endBefore", "must be later than startAfter");
    }
    let schedule = if let Some(text) = cron {
        match Cron::parse(&text) {
            Ok(cron) => Schedule::Cron { cron, zone },
            Err(error) => {
                reader.error("cron", error.to_string());
                return None;
            }
        }
    } else if let Some(period_ms) = every {
        if period_ms < EVERY_MIN_MS {
            reader.error("every", format!("must be at least {EVERY_MIN_MS} ms"));
            return None;
        }
        let start_at = start_at.unwrap_or(Timestamp::from_millis(0));
        Schedule::Every(Interval { period_ms, start_at, count: count.map(u64::from) })
    } else if let Some(at) = at {
        Schedule::At(at)
    } else {
        return Some(None);
    };
    Some(Some(Arc::new(BoundedSchedule { schedule, start_after, end_before })))
}

/// What [`read_schedule`] reads.
pub(super) const SCHEDULE_FIELDS: [&str; 8] =
    ["cron", "every", "at", "startAt", "count", "timeZone", "startAfter", "endBefore"];

#[allow(clippy::option_option)]
pub(super) fn check_daemon_schedule(
    reader: &mut Reader,
    execution: Option<Execution>,
    schedule: Option<&Option<Arc<BoundedSchedule>>>,
) {
    let fires_again = match schedule {
        // What is wrong with it has been said.
        None => true,
        Some(None) => false,
        Some(Some(bounded)) => !matches!(bounded.schedule, Schedule::At(_)),
    };
    if execution == Some(Execution::Daemon) && !fires_again {
        reader.error("cron", "a DAEMON job needs cron or every");
    }
}

/// Calendars of one job: each is asked at every firing.
const CALENDARS_MAX: usize = 20;

pub(super) fn read_calendars(
    reader: &mut Reader,
    execution: Option<Execution>,
) -> Vec<CalendarName> {
    const FIELD: &str = "calendars";
    let Some(value) = reader.take(FIELD) else {
        return Vec::new();
    };
    let names = serde_json::from_value::<BTreeSet<CalendarName>>(value);
    match names {
        Err(error) => reader.error(FIELD, format!("must be a list of names of calendars: {error}")),
        Ok(names) if names.len() > CALENDARS_MAX => {
            reader.error(FIELD, format!("must be at most {CALENDARS_MAX}: join some into one"));
        }
        Ok(names) if !names.is_empty() && execution == Some(Execution::Daemon) => {
            reader.error(FIELD, "have no effect on a DAEMON, which fires in its executor");
        }
        Ok(names) => return names.into_iter().collect(),
    }
    Vec::new()
}

/// A delay as long as the period would make each firing meet the one before it still held back.
pub(super) fn read_jitter(
    reader: &mut Reader,
    execution: Option<Execution>,
    schedule: Option<&BoundedSchedule>,
) -> u64 {
    let jitter_ms = reader.duration("jitter").unwrap_or(0);
    let period_ms = match schedule.map(|bounded| &bounded.schedule) {
        Some(Schedule::Every(interval)) => interval.period_ms,
        _ => u64::MAX,
    };
    if jitter_ms > JITTER_MAX_MS {
        reader.error("jitter", format!("must be at most {JITTER_MAX_MS} ms"));
    } else if jitter_ms >= period_ms {
        reader.error("jitter", "must be shorter than every");
    } else if jitter_ms > 0 && execution == Some(Execution::Daemon) {
        reader.error("jitter", "has no effect on a DAEMON, which fires in its executor");
    }
    jitter_ms
}

/// Shortest fixed rate: cron has no finer grain either, and a launch takes longer than less.
const EVERY_MIN_MS: u64 = 100;

pub(super) fn read_zone(reader: &mut Reader, default_zone: &Zone) -> Option<Zone> {
    let Some(text) = reader.string("timeZone") else {
        return Some(default_zone.clone());
    };
    match Zone::parse(&text) {
        Ok(zone) => Some(zone),
        Err(error) => {
            reader.error("timeZone", error.to_string());
            None
        }
    }
}

fn read_timestamp(reader: &mut Reader, field: &str) -> Option<Timestamp> {
    let text = reader.string(field)?;
    if let Ok(instant) = text.parse() {
        Some(instant)
    } else {
        reader.error(
            field,
            format!("must be an instant like 2026-11-20T02:00:00Z (RFC 3339), is {text:?}"),
        );
        None
    }
}
