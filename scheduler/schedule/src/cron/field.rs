//! The seven fields: their ranges, names and the sets of values chosen. No parsing, no dates.

use super::error::CronField;

/// First year that can be chosen; Quartz's.
pub const YEAR_MIN: i64 = 1970;

/// Last year in which an expression fires. Quartz goes on for a century from today; we need an
/// answer that does not depend on the day of asking.
pub const YEAR_MAX: i64 = 2099;

/// Largest number that may be written as a year. Quartz takes years that never come, such as 1969
/// or 2300; they choose nothing.
const YEAR_WRITTEN_MAX: u32 = 9999;

/// What may be written in a field.
#[derive(Debug)]
pub(super) struct FieldSpec {
    pub(super) field: CronField,
    /// Smallest value, also where `*` begins.
    pub(super) min: u32,
    /// Largest value.
    pub(super) max: u32,
    /// Largest step after `*` or a single value.
    pub(super) step_max: u32,
    /// Names of the values from `min` on; empty where only numbers stand.
    pub(super) names: &'static [&'static str],
    /// For errors.
    pub(super) allowed: &'static str,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

pub(super) const SECONDS: FieldSpec = FieldSpec {
    field: CronField::Seconds,
    min: 0,
    max: 59,
    step_max: 59,
    names: &[],
    allowed: "numbers 0 to 59 and , - * /",
};
pub(super) const MINUTES: FieldSpec = FieldSpec { field: CronField::Minutes, ..SECONDS };
pub(super) const HOURS: FieldSpec = FieldSpec {
    field: CronField::Hours,
    min: 0,
    max: 23,
    step_max: 23,
    names: &[],
    allowed: "numbers 0 to 23 and , - * /",
};
pub(super) const DAY_OF_MONTH: FieldSpec = FieldSpec {
    field: CronField::DayOfMonth,
    min: 1,
    max: 31,
    step_max: 31,
    names: &[],
    allowed: "numbers 1 to 31 and , - * / ? L W",
};
pub(super) const MONTH: FieldSpec = FieldSpec {
    field: CronField::Month,
    min: 1,
    max: 12,
    step_max: 12,
    names: &MONTHS,
    allowed: "numbers 1 to 12, JAN to DEC and , - * /",
};
pub(super) const DAY_OF_WEEK: FieldSpec = FieldSpec {
    field: CronField::DayOfWeek,
    min: 1,
    max: 7,
    step_max: 7,
    names: &DAYS,
    allowed: "numbers 1 (SUN) to 7 (SAT), SUN to SAT and , - * / ? L #",
};
pub(super) const YEAR: FieldSpec = FieldSpec {
    field: CronField::Year,
    min: YEAR_MIN as u32,
    max: YEAR_MAX as u32,
    step_max: YEAR_WRITTEN_MAX,
    names: &[],
    allowed: "years 1970 to 2099 and , - * /",
};

// === impl FieldSpec ===

impl FieldSpec {
    pub(super) fn is_year(&self) -> bool {
        self.field == CronField::Year
    }

    /// Range of what may be written as a value.
    pub(super) fn written_range(&self) -> (u32, u32) {
        if self.is_year() { (0, YEAR_WRITTEN_MAX) } else { (self.min, self.max) }
    }
}

/// A set of the values 0..=63; the fields but the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Values(pub(super) u64);

impl Values {
    pub(super) fn insert(&mut self, value: u32) {
        self.0 |= 1_u64.checked_shl(value).unwrap_or(0);
    }

    pub(super) fn contains(self, value: u32) -> bool {
        self.0.checked_shr(value).unwrap_or(0) & 1 == 1
    }

    /// The smallest member not below `from`.
    pub(super) fn next(self, from: u32) -> Option<u32> {
        let rest = self.0 & u64::MAX.checked_shl(from)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }
}

/// A set of the years [`YEAR_MIN`]..=[`YEAR_MAX`]; others are taken and forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Years([u64; 3]);

impl Years {
    pub(super) fn insert(&mut self, year: i64) {
        if let Some((word, bit)) = Self::place(year)
            && let Some(word) = self.0.get_mut(word)
        {
            *word |= 1 << bit;
        }
    }

    pub(super) fn contains(&self, year: i64) -> bool {
        Self::place(year)
            .is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word >> bit & 1 == 1))
    }

    fn place(year: i64) -> Option<(usize, u32)> {
        let index = u32::try_from(year - YEAR_MIN).ok().filter(|_| year <= YEAR_MAX)?;
        Some(((index / 64) as usize, index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_order() {
        let mut values = Values::default();
        for value in [0, 5, 63] {
            values.insert(value);
        }
        assert_eq!(
            [0, 1, 6, 63].map(|from| values.next(from)),
            [Some(0), Some(5), Some(63), Some(63)]
        );
        assert_eq!((values.next(64), values.len()), (None, 3));
        assert!(values.contains(5) && !values.contains(4) && !values.contains(64));
    }

    #[test]
    fn years_outside_are_forgotten() {
        let mut years = Years::default();
        for year in [1969, 1970, 2033, 2034, 2099, 2100] {
            years.insert(year);
        }
        let kept: Vec<i64> = (1900..2200).filter(|year| years.contains(*year)).collect();
        assert_eq!(kept, [1970, 2033, 2034, 2099]);
    }
}
