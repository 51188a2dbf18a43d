//! The coming firings as people see them: with local time, and a sentence where DST had a hand in
//! it. No policy: what happens to a firing that comes late is not shown.

use std::fmt;

use crate::civil::{DAY_S, Date};
use crate::cron::Cron;
use crate::schedule::Schedule;
use crate::timestamp::Timestamp;
use crate::timetable::Timetable;
use crate::zone::{Stretch, Zone};

/// Most firings of one preview, whatever was asked for: a page of them, not a dump.
pub const PREVIEW_COUNT_MAX: usize = 1_000;

/// One coming firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// When.
    pub at: Timestamp,
    /// Local time with offset and zone: `2027-03-28T03:00:00+02:00[Europe/Berlin]`.
    pub local: String,
    /// A sentence when the clocks are changed around this firing.
    pub note: Option<String>,
}

/// The first `n` firings strictly after `from`, at most [`PREVIEW_COUNT_MAX`].
pub fn preview(timetable: &Timetable, from: Timestamp, n: usize) -> Vec<Preview> {
    let (firings, _) = timetable.firings_between(from, Timestamp::MAX, n.min(PREVIEW_COUNT_MAX));
    let schedule = &timetable.schedule;
    let zone = schedule.schedule.zone();
    firings
        .into_iter()
        .map(|at| Preview {
            at,
            local: zone.format(at),
            note: match &schedule.schedule {
                Schedule::Cron { cron, zone } => note(cron, zone, at),
                Schedule::Every(_) | Schedule::At(_) => None,
            },
        })
        .collect()
}

/// What a change of the clocks did to a firing, as a sentence.
fn note(cron: &Cron, zone: &Zone, at: Timestamp) -> Option<String> {
    let at_s = at.floor_seconds();
    let stretch = zone.stretch_at(at_s)?;
    let local_s = at_s + stretch.offset_s;
    if !cron.fits_local(local_s) {
        return Some(gap_note(cron, zone, stretch, at_s));
    }
    if local_s < stretch.old_local_start_s() {
        return Some(repeated_note(zone, local_s, "this is the second time"));
    }
    let next = zone.stretch_at(stretch.end_s)?;
    if local_s < next.local_start_s() {
        return None;
    }
    let which = if cron.is_fixed_time() {
        "this is the first time, and the only one that fires"
    } else {
        "this is the first time"
    };
    Some(repeated_note(zone, local_s, which))
}

/// For a firing at a local time the expression does not name.
fn gap_note(cron: &Cron, zone: &Zone, stretch: Stretch, at_s: i64) -> String {
    let from = Moment(stretch.old_local_start_s());
    let to = Moment(stretch.local_start_s());
    let moved = if cron.is_fixed_time() {
        "the local time it names does not exist and it fires at the first instant after".to_owned()
    } else {
        let named = Moment(at_s + stretch.previous_offset_s);
        format!("{} does not exist and it fires when that time would have come", named.time())
    };
    format!("The clocks in {zone} go forward from {from} to {to}, so {moved}.")
}

/// For a firing at a local time that occurs twice.
fn repeated_note(zone: &Zone, local_s: i64, which: &str) -> String {
    let local = Moment(local_s);
    format!("The clocks in {zone} go back, so {local} occurs twice; {which}.")
}

/// A local second, written `2027-03-28 03:00:00`.
struct Moment(i64);

impl Moment {
    fn time(&self) -> String {
        let second = self.0.rem_euclid(DAY_S);
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = Date::from_days(self.0.div_euclid(DAY_S));
        write!(f, "{year:04}-{month:02}-{day:02} {}", self.time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::BoundedSchedule;

    fn show(expression: &str, zone: &str, from: &str, n: usize) -> Vec<(String, Option<String>)> {
        let cron = Cron::parse(expression).expect(expression);
        let zone = Zone::parse(zone).expect(zone);
        preview(
            &BoundedSchedule::from(Schedule::Cron { cron, zone }).into(),
            from.parse().expect(from),
            n,
        )
        .into_iter()
        .map(|row| (row.local, row.note))
        .collect()
    }

    #[test]
    fn a_fixed_time_in_the_gap_is_explained() {
        assert_eq!(
            show("0 30 2 * * ?", "Europe/Berlin", "2027-03-27T00:00:00Z", 3),
            [
                ("2027-03-27T02:30:00+01:00[Europe/Berlin]".to_owned(), None),
                (
                    "2027-03-28T03:00:00+02:00[Europe/Berlin]".to_owned(),
                    Some(
                        "The clocks in Europe/Berlin go forward from 2027-03-28 02:00:00 to \
                     2027-03-28 03:00:00, so the local time it names does not exist and it fires \
                     at the first instant after."
                            .to_owned()
                    )
                ),
                ("2027-03-29T02:30:00+02:00[Europe/Berlin]".to_owned(), None),
            ]
        );
    }

    #[test]
    fn a_time_made_up_for_is_explained() {
        assert_eq!(
            show("0 30 0/2 * * ?", "Europe/Berlin", "2027-03-28T00:00:00Z", 2),
            [
                (
                    "2027-03-28T03:30:00+02:00[Europe/Berlin]".to_owned(),
                    Some(
                        "The clocks in Europe/Berlin go forward from 2027-03-28 02:00:00 to \
                     2027-03-28 03:00:00, so 02:30:00 does not exist and it fires when that time \
                     would have come."
                            .to_owned()
                    )
                ),
                ("2027-03-28T04:30:00+02:00[Europe/Berlin]".to_owned(), None),
            ]
        );
    }

    #[test]
    fn the_repeated_hour_is_explained() {
        assert_eq!(
            show("0 30 2 * * ?", "Europe/Berlin", "2026-10-25T00:00:00Z", 2),
            [
                (
                    "2026-10-25T02:30:00+02:00[Europe/Berlin]".to_owned(),
                    Some(
                        "The clocks in Europe/Berlin go back, so 2026-10-25 02:30:00 occurs twice; \
                     this is the first time, and the only one that fires.".to_owned()
                    )
                ),
                ("2026-10-26T02:30:00+01:00[Europe/Berlin]".to_owned(), None),
            ]
        );
        let rows = show("0 0/30 * * * ?", "Europe/Berlin", "2026-10-24T23:15:00Z", 6);
        let passes: Vec<_> = rows
            .iter()
            .map(|(local, note)| {
                (&local[11..16], note.as_deref().and_then(|n| n.split("; ").nth(1)))
            })
            .collect();
        let (first, second) = (Some("this is the first time."), Some("this is the second time."));
        assert_eq!(
            passes,
            [
                ("01:30", None),
                ("02:00", first),
                ("02:30", first),
                ("02:00", second),
                ("02:30", second),
                ("03:00", None),
            ]
        );
    }

    #[test]
    fn other_schedules_are_shown_in_utc() {
        let at: Timestamp = "2026-11-20T02:00:00Z".parse().expect("an instant");
        let rows =
            preview(&BoundedSchedule::from(Schedule::At(at)).into(), Timestamp::from_millis(0), 5);
        let local = "2026-11-20T02:00:00+00:00[UTC]".to_owned();
        assert_eq!(rows, [Preview { at, local, note: None }]);
    }

    #[test]
    fn a_preview_has_a_limit() {
        let rows = show("* * * * * ?", "UTC", "2026-11-20T02:00:00Z", usize::MAX);
        assert_eq!(rows.len(), PREVIEW_COUNT_MAX);
    }
}
