//! Calendars of days on which nothing fires: weekdays, dates and ranges of dates, in a zone. Absent:
//! names and storage; whoever keeps calendars knows those.

use std::fmt;
use std::str::FromStr;

use crate::civil::{DAY_S, Date, days_in_month};
use crate::timestamp::Timestamp;
use crate::zone::Zone;

/// A date without a zone, as a calendar on the wall shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDate {
    /// Days from 1970-01-01.
    days: i64,
}

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a date: write it as 2026-12-25")]
pub struct DateError {
    text: String,
}

/// Number of a day of the week, 0 = Sunday, by its English name or the first three letters of it.
pub fn parse_weekday(text: &str) -> Option<u32> {
    const NAMES: [&str; 7] =
        ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"];
    let text = text.to_ascii_uppercase();
    let place = NAMES.iter().position(|name| *name == text || name.get(..3) == Some(text.as_str()));
    place.map(|place| place as u32)
}

/// The days on which nothing fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    zone: Zone,
    /// By number, 0 = Sunday.
    weekdays: [bool; 7],
    /// First and last day of each, in order, apart from one another.
    ranges: Vec<(LocalDate, LocalDate)>,
}

// === impl LocalDate ===

impl FromStr for LocalDate {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let wrong = || DateError { text: text.to_owned() };
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(wrong()) };
        let digits = |text: &str, len: usize| {
            let all = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| text.parse::<u32>().ok()).flatten()
        };
        let parsed = (digits(year, 4), digits(month, 2), digits(day, 2));
        let (Some(year), Some(month), Some(day)) = parsed else { return Err(wrong()) };
        let year = i64::from(year);
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return Err(wrong());
        }
        Ok(Self { days: Date::new(year, month, day).to_days() })
    }
}

impl fmt::Display for LocalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = Date::from_days(self.days);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

// === impl Calendar ===

impl Calendar {
    /// A calendar of these weekdays (0 = Sunday) and ranges, both ends of a range excluded too.
    pub fn new(
        zone: Zone,
        weekdays: impl IntoIterator<Item = u32>,
        ranges: impl IntoIterator<Item = (LocalDate, LocalDate)>,
    ) -> Self {
        let mut days = [false; 7];
        for weekday in weekdays {
            if let Some(day) = days.get_mut(weekday as usize) {
                *day = true;
            }
        }
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(from, to)| from <= to).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(LocalDate, LocalDate)> = Vec::new();
        for (from, to) in sorted {
            match merged.last_mut() {
                Some((_, last)) if from.days <= last.days + 1 => *last = to.max(*last),
                _ => merged.push((from, to)),
            }
        }
        Self { zone, weekdays: days, ranges: merged }
    }

    /// True if no day of any week is left.
    pub fn excludes_every_weekday(&self) -> bool {
        self.weekdays.iter().all(|excluded| *excluded)
    }

    /// True if the local date of an instant is excluded.
    pub fn excludes(&self, at: Timestamp) -> bool {
        self.excluded_span(at).is_some()
    }

    /// If an instant is excluded: the first and the last millisecond of the part of its local day
    /// around it in which the clocks are not changed.
    pub(crate) fn excluded_span(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let at_s = at.floor_seconds();
        let stretch = self.zone.stretch_at(at_s)?;
        let day = (at_s + stretch.offset_s).div_euclid(DAY_S);
        if !self.excludes_day(day) {
            return None;
        }
        let first_s = (day * DAY_S - stretch.offset_s).max(stretch.start_s);
        let end_s = ((day + 1) * DAY_S - stretch.offset_s).min(stretch.end_s);
        let end = Timestamp::from_seconds(end_s);
        Some((Timestamp::from_seconds(first_s), end.plus_millis(-1)))
    }

    fn excludes_day(&self, days: i64) -> bool {
        let weekday = Date::from_days(days).weekday() as usize;
        if self.weekdays.get(weekday).is_some_and(|excluded| *excluded) {
            return true;
        }
        let behind = self.ranges.partition_point(|(from, _)| from.days <= days);
        let range = behind.checked_sub(1).and_then(|place| self.ranges.get(place));
        range.is_some_and(|(_, to)| days <= to.days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> LocalDate {
        text.parse().unwrap()
    }

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn dates_are_read_strictly() {
        assert_eq!(date("2028-02-29").to_string(), "2028-02-29");
        for bad in ["2027-02-29", "2026-13-01", "2026-1-1", "20261225", "2026-12-32", "+026-01-01"]
        {
            assert!(bad.parse::<LocalDate>().is_err(), "{bad}");
        }
        assert_eq!((parse_weekday("sat"), parse_weekday("Sunday")), (Some(6), Some(0)));
        assert_eq!((parse_weekday("sa"), parse_weekday("")), (None, None));
    }

    #[test]
    fn a_day_is_excluded_from_its_first_to_its_last_local_moment() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let calendar = Calendar::new(
            berlin,
            [6],
            [(date("2026-12-31"), date("2027-01-01")), (date("2026-12-24"), date("2026-12-26"))],
        );
        for (at, excluded) in [
            ("2026-12-23T22:59:59.999Z", false),
            ("2026-12-23T23:00:00Z", true),
            ("2026-12-26T22:59:59.999Z", true),
            ("2026-12-26T23:00:00Z", false),
            ("2027-01-01T12:00:00Z", true),
            // A Saturday.
            ("2027-01-09T12:00:00Z", true),
            ("2027-01-10T12:00:00Z", false),
        ] {
            assert_eq!(calendar.excludes(ts(at)), excluded, "{at}");
        }
    }

    #[test]
    fn a_day_on_which_clocks_change_is_excluded_in_both_parts() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let calendar = Calendar::new(berlin, [], [(date("2026-10-25"), date("2026-10-25"))]);
        let span = |at: &str| calendar.excluded_span(ts(at)).unwrap();
        // Midnight at UTC+2, the change at 01:00Z, midnight at UTC+1.
        assert_eq!(
            span("2026-10-24T23:00:00Z"),
            (ts("2026-10-24T22:00:00Z"), ts("2026-10-25T00:59:59.999Z"))
        );
        assert_eq!(
            span("2026-10-25T12:00:00Z"),
            (ts("2026-10-25T01:00:00Z"), ts("2026-10-25T22:59:59.999Z"))
        );
    }

    #[test]
    fn ranges_may_touch_overlap_or_be_turned_round() {
        let ranges = [
            ("2026-01-05", "2026-01-06"),
            ("2026-01-01", "2026-01-04"),
            ("2026-01-02", "2026-01-03"),
            ("2026-02-02", "2026-02-01"),
        ];
        let ranges = ranges.map(|(from, to)| (date(from), date(to)));
        let calendar = Calendar::new(Zone::utc(), [], ranges);
        assert_eq!(calendar.ranges, [(date("2026-01-01"), date("2026-01-06"))]);
        assert!(!calendar.excludes_every_weekday());
        assert!(Calendar::new(Zone::utc(), 0..7, []).excludes_every_weekday());
    }
}
