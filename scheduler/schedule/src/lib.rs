//! When jobs fire: Quartz cron, fixed rates, single instants, IANA zones and the rule for DST.
//!
//! Everything here is a function of its arguments, and of the time zone data that is chosen once, at
//! the start. Absent on purpose: a clock, timers, I/O, async and randomness; whoever asks for the next
//! firing says after which instant.
//!
//! * [`Timestamp`]: an instant, milliseconds since the epoch.
//! * [`Zone`]: an IANA time zone, by the data that [`tzdb()`] says; [`Tzdb`] may replace the bundled.
//! * [`Cron`]: a Quartz 2.3.2 expression; the dialect and the rule for DST are told there.
//! * [`Interval`]: a fixed rate on its own phase grid.
//! * [`Schedule`] and [`BoundedSchedule`]: any of them, and any of them within a window.
//! * [`Calendar`] and [`Timetable`]: days on which nothing fires, and a schedule less those days.
//! * [`preview`]: the coming firings with their local times and what DST did to them.
//! * [`parse_duration`] and [`format_duration`]: `1h30m` to milliseconds and back.

mod calendar;
mod civil;
mod cron;
mod duration;
mod interval;
mod preview;
mod schedule;
mod timestamp;
mod timetable;
mod tzdb;
mod zone;

pub use calendar::{Calendar, DateError, LocalDate, parse_weekday};
pub use cron::{Cron, CronError, CronField, CronProblem, EXPRESSION_LEN_MAX, YEAR_MAX, YEAR_MIN};
pub use duration::{DURATION_MAX_MS, DurationError, format_duration, parse_duration};
pub use interval::Interval;
pub use preview::{PREVIEW_COUNT_MAX, Preview, preview};
pub use schedule::{BoundedSchedule, Schedule};
pub use timestamp::{Timestamp, TimestampError};
pub use timetable::Timetable;
pub use tzdb::{Tzdb, TzdbError, tzdb};
pub use zone::{Zone, ZoneError};
