//! The next local time that fits an expression, on a wall clock that never jumps. No zones: DST is
//! dealt with in `firing`.

use super::field::{Values, YEAR_MAX};
use super::parse::Fields;
use crate::civil::{DAY_S, Date};

// === impl Fields ===

impl Fields {
    /// The first fitting local second not before `from_s`. At most the months of
    /// 1970 to `YEAR_MAX` are looked at, so it ends also for the 30th of February.
    pub(super) fn next_local(&self, from_s: i64) -> Option<i64> {
        // The first year begins at local second 0.
        let from = from_s.max(0);
        let today = Date::from_days(from.div_euclid(DAY_S));
        if self.fits_date(today)
            && let Some(second) = self.next_second_of_day(from.rem_euclid(DAY_S) as u32)
        {
            return Some(from - from.rem_euclid(DAY_S) + second);
        }
        let day = self.next_date(today)?;
        Some(day.to_days() * DAY_S + self.next_second_of_day(0)?)
    }

    /// Whether a local second fits.
    pub(super) fn fits(&self, local_s: i64) -> bool {
        self.next_local(local_s) == Some(local_s)
    }

    fn fits_date(&self, date: Date) -> bool {
        self.years.contains(date.year)
            && self.months.contains(date.month)
            && self.days.days(date.year, date.month).contains(date.day)
    }

    /// The first fitting date after `today`.
    fn next_date(&self, today: Date) -> Option<Date> {
        let (mut month_from, mut day_from) = (today.month, today.day + 1);
        for year in today.year..=YEAR_MAX {
            if self.years.contains(year) {
                while let Some(month) = self.months.next(month_from) {
                    if month > month_from {
                        day_from = 1;
                    }
                    if let Some(day) = self.days.days(year, month).next(day_from) {
                        return Some(Date { year, month, day });
                    }
                    (month_from, day_from) = (month + 1, 1);
                }
            }
            (month_from, day_from) = (1, 1);
        }
        None
    }

    /// The first fitting second of the day not before `from`.
    fn next_second_of_day(&self, from: u32) -> Option<i64> {
        let (hour, minute, second) = (from / 3_600, from / 60 % 60, from % 60);
        let at = |hour: u32, minute: u32, second: u32| {
            Some(i64::from(hour * 3_600 + minute * 60 + second))
        };
        let first = |values: Values| values.next(0);
        if self.hours.contains(hour) {
            if self.minutes.contains(minute)
                && let Some(second) = self.seconds.next(second)
            {
                return at(hour, minute, second);
            }
            if let Some(minute) = self.minutes.next(minute + 1) {
                return at(hour, minute, first(self.seconds)?);
            }
        }
        at(self.hours.next(hour + 1)?, first(self.minutes)?, first(self.seconds)?)
    }
}
