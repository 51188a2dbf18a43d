//! Arithmetic of the proleptic Gregorian calendar on plain integers. No zones, no instants: a
//! "local second" here is what a clock on the wall shows, counted from 1970-01-01 00:00:00.

/// Seconds of a day; leap seconds do not exist in POSIX time.
pub(crate) const DAY_S: i64 = 86_400;

/// Days of the 400 years after which the Gregorian calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Days from 0000-03-01, where eras begin, to 1970-01-01.
const EPOCH_SHIFT_DAYS: i64 = 719_468;

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// 1..=12.
    pub(crate) month: u32,
    /// 1..=31.
    pub(crate) day: u32,
}

impl Date {
    /// A date; `month` 1..=12 and `day` 1..=31 are the caller's duty.
    pub(crate) const fn new(year: i64, month: u32, day: u32) -> Self {
        Self { year, month, day }
    }

    /// The date that many days after 1970-01-01.
    pub(crate) fn from_days(days: i64) -> Self {
        // Years are counted from March, so that the leap day is the last of its year.
        let shifted = days + EPOCH_SHIFT_DAYS;
        let era = shifted.div_euclid(ERA_DAYS);
        let day_of_era = shifted.rem_euclid(ERA_DAYS);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month: month as u32, day: day as u32 }
    }

    /// Days from 1970-01-01 to this date.
    pub(crate) fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * ERA_DAYS + day_of_era - EPOCH_SHIFT_DAYS
    }

    /// Day of the week, 0 = Sunday.
    pub(crate) fn weekday(self) -> u32 {
        // 1970-01-01 was a Thursday.
        (self.to_days() + 4).rem_euclid(7) as u32
    }
}

/// Number of days of a month, 28..=31.
pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day of 1600..2400 by counting up: the two conversions are each other's inverse, and
    /// month lengths and weekdays go on without a break.
    #[test]
    fn dates_count_up_without_a_break() {
        let mut days = Date::new(1600, 1, 1).to_days();
        let mut weekday = 6; // 1600-01-01 was a Saturday.
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let date = Date::new(year, month, day);
                    assert_eq!(date.to_days(), days);
                    assert_eq!(Date::from_days(days), date);
                    assert_eq!(date.weekday(), weekday);
                    days += 1;
                    weekday = (weekday + 1) % 7;
                }
            }
        }
        assert_eq!(Date::new(1970, 1, 1).to_days(), 0);
    }
}
