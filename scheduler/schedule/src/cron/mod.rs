//! Cron expressions in Quartz's dialect: their text, and the next firing in a zone.
//!
//! `parse`, `day_fields`, `item` and `field` read the text, `days` and `wall` compute local times, `firing`
//! knows DST, `error` says what is wrong. Evaluation takes no clock and keeps no state.

mod day_fields;
mod days;
mod error;
mod field;
mod firing;
mod item;
mod parse;
#[cfg(test)]
mod tests;
mod wall;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

pub use error::{CronError, CronField, CronProblem};
pub use field::{YEAR_MAX, YEAR_MIN};
pub use parse::EXPRESSION_LEN_MAX;

use crate::timestamp::Timestamp;
use crate::zone::Zone;
use firing::Pace;
use parse::Fields;

/// A cron expression of Quartz 2.3.2.
///
/// Six fields, seconds first, and a year if you like: seconds, minutes, hours, day of month,
/// month, day of week (1 = SUN), year. `*`, lists, ranges that may wrap (`22-2`, `SAT-MON`), steps
/// (`0/5`, `*/5`, `3-40/7`), names in either case; `?` in exactly one of the two day fields; `L`,
/// `L-3`, `LW`, `L-3W`, `15W` for days of the month; `L`, `6L`, `6#3` for days of the week. What
/// Quartz accepts by accident and then half ignores (`MON,,TUE`, `1-5W`, `*/0`, `MON-FRI/2`,
/// `JANUARY`) is refused. Years end with [`YEAR_MAX`].
///
/// # DST
///
/// An expression that names **one hour** of the day is a fixed local time: when that time is
/// skipped it fires once, at the first instant after the gap; when it occurs twice it fires once,
/// at the first. An expression with **several hours** (wildcard, step, range or list) follows
/// elapsed time: it fires in both passes of a repeated hour, and local times that were skipped fire
/// as if the clocks had not been moved yet, 02:30 at 03:30, so that nothing is lost. With **every
/// hour** chosen there is nothing to make up for: the hour after the gap has firings of its own.
///
/// Equality and order are those of the text.
///
/// ```
/// use shiftwork_schedule::{Cron, CronError, Timestamp, Zone};
///
/// let nightly = Cron::parse("0 30 2 ? * MON-FRI")?;
/// let berlin = Zone::parse("Europe/Berlin").expect("in the database");
/// let after: Timestamp = "2026-11-20T09:00:00Z".parse().expect("RFC 3339");
/// let next = nightly.next_after(&berlin, after).expect("weekdays go on");
/// assert_eq!(next.to_string(), "2026-11-23T01:30:00Z");
/// # Ok::<(), CronError>(())
/// ```
#[derive(Clone)]
pub struct Cron {
    expression: Arc<str>,
    fields: Fields,
}

// === impl Cron ===

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`CronError`] with field, position and how to mend it.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        let fields = parse::parse(expression)?;
        Ok(Self { expression: expression.into(), fields })
    }

    /// The text it was read from.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The first firing strictly after an instant; `None` when there is none until [`YEAR_MAX`].
    pub fn next_after(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        // Nothing fires before the first year; starting just before it spares the search.
        let from_s = after.floor_seconds().saturating_add(1).max(-2 * crate::civil::DAY_S);
        self.fields.next_firing(zone, from_s).map(Timestamp::from_seconds)
    }

    /// The latest firing in `(after, at]`. Bisects with [`next_after`](Self::next_after): some
    /// thirty steps for the longest gap, however many firings are in it.
    pub fn last_at_or_before(
        &self,
        zone: &Zone,
        at: Timestamp,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let mut last = self.next_after(zone, after).filter(|first| *first <= at)?;
        // No firing is in (end, at].
        let mut end = at;
        while last < end {
            let middle = last.plus_millis(end.since(last) / 2);
            match self.next_after(zone, middle).filter(|firing| *firing <= end) {
                Some(firing) => last = firing,
                None => end = middle,
            }
        }
        Some(last)
    }

    /// Whether a wall clock that shows this local second, counted from 1970-01-01 00:00, fits.
    pub(crate) fn fits_local(&self, local_s: i64) -> bool {
        self.fields.fits(local_s)
    }

    /// Whether it names one hour of the day only, see the rule for DST.
    pub(crate) fn is_fixed_time(&self) -> bool {
        self.fields.pace() == Pace::FixedTime
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(expression: &str) -> Result<Self, CronError> {
        Self::parse(expression)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
    }
}

impl Eq for Cron {}

impl PartialOrd for Cron {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cron {
    fn cmp(&self, other: &Self) -> Ordering {
        self.expression.cmp(&other.expression)
    }
}

impl Hash for Cron {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expression.hash(state);
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.expression).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}
