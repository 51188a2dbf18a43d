//! Which days of a month an expression chooses. No time of day, no zones.

use super::field::Values;
use crate::civil::{Date, days_in_month};

/// The rule of whichever of the two day fields is not `?`. Weekdays count as Quartz's: 1 = SUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayRule {
    /// `*`, `1,15`, `25-5`.
    DaysOfMonth(Values),
    /// `L`, `L-3`.
    LastDay { days_before: u32 },
    /// `LW`, `L-3W`: the weekday (Monday to Friday) nearest to that day.
    LastWeekday { days_before: u32 },
    /// `15W`: the weekday nearest to the 15th.
    NearestWeekday { day: u32 },
    /// `MON-FRI`.
    Weekdays(Values),
    /// `6L`: the last Friday of the month.
    LastOfWeekday { weekday: u32 },
    /// `6#3`: the third Friday of the month.
    NthOfWeekday { weekday: u32, nth: u32 },
}

/// Days of a week.
const WEEK: u32 = 7;

// === impl DayRule ===

impl DayRule {
    /// The days chosen in a month, 1..=31.
    pub(super) fn days(self, year: i64, month: u32) -> Values {
        let length = days_in_month(year, month);
        match self {
            Self::DaysOfMonth(days) => within(days, length),
            // L-30 in February is before its first day: nothing in that month.
            Self::LastDay { days_before } => one(length.saturating_sub(days_before)),
            Self::LastWeekday { days_before } => match length.saturating_sub(days_before) {
                0 => Values::default(),
                day => one(nearest_weekday(year, month, length, day)),
            },
            Self::NearestWeekday { day } if day <= length => {
                one(nearest_weekday(year, month, length, day))
            }
            Self::NearestWeekday { day } => past_the_end(year, month, length, day),
            Self::Weekdays(weekdays) => {
                let mut days = Values::default();
                let first = first_weekday(year, month);
                for day in 1..=length {
                    if weekdays.contains((first - 1 + day - 1) % WEEK + 1) {
                        days.insert(day);
                    }
                }
                days
            }
            Self::LastOfWeekday { weekday } => {
                let first = first_of_weekday(year, month, weekday);
                one(first + (length - first) / WEEK * WEEK)
            }
            Self::NthOfWeekday { weekday, nth } => {
                let day = first_of_weekday(year, month, weekday) + (nth - 1) * WEEK;
                if day <= length { one(day) } else { Values::default() }
            }
        }
    }
}

/// A set of one day; of none for day 0.
fn one(day: u32) -> Values {
    within(Values(1_u64.checked_shl(day).unwrap_or(0)), 31)
}

/// Those of `days` that are between 1 and `length`.
fn within(days: Values, length: u32) -> Values {
    Values(days.0 & ((1 << (length + 1)) - 1) & !1)
}

/// Weekday of the first of a month, 1 = SUN.
fn first_weekday(year: i64, month: u32) -> u32 {
    Date::new(year, month, 1).weekday() + 1
}

/// The first day of a month that is that weekday.
fn first_of_weekday(year: i64, month: u32, weekday: u32) -> u32 {
    (weekday + WEEK - first_weekday(year, month)) % WEEK + 1
}

/// The weekday nearest to a day without leaving the month.
fn nearest_weekday(year: i64, month: u32, length: u32, day: u32) -> u32 {
    // 0 = Sunday, 6 = Saturday.
    match Date::new(year, month, day).weekday() {
        6 if day == 1 => day + 2,
        6 => day - 1,
        0 if day == length => day - 2,
        0 => day + 1,
        _ => day,
    }
}

/// `31W` in a month of 30 days. Quartz counts on into the next month: when that day is a Saturday
/// the Friday before it, the last of this month, is nearest and fires. Else nothing does.
fn past_the_end(year: i64, month: u32, length: u32, day: u32) -> Values {
    let ends_on_friday = Date::new(year, month, length).weekday() == 5;
    if day == length + 1 && ends_on_friday { one(length) } else { Values::default() }
}
