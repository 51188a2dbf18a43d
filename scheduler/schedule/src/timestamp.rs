//! An instant in milliseconds since the epoch and its texts. No clock: nothing here says "now".

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::civil::{DAY_S, Date, days_in_month};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, negative before.
///
/// Its text (`Display`, `FromStr`, serde) is RFC 3339 in UTC, `2026-11-20T02:00:00Z`, with `.250`
/// only when there are milliseconds. Texts of years outside 0..=9999 are written with a sign and
/// cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339.
    #[error(
        "{text:?} is not an instant: write RFC 3339 with a zone offset, as in \
         2026-11-20T02:00:00Z or 2026-11-20T03:00:00+01:00"
    )]
    Rfc3339 {
        /// What was read.
        text: String,
        /// What the parser found.
        #[source]
        source: jiff::Error,
    },
    /// Not the compact form.
    #[error(
        "{text:?} is not a compact instant: write 20261120T020000Z, or 20261120T020000.250Z with \
         milliseconds"
    )]
    Compact {
        /// What was read.
        text: String,
    },
}

// === impl Timestamp ===

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Later by `millis`, `None` beyond the last instant.
    pub const fn checked_add(self, millis: u64) -> Option<Self> {
        match self.0.checked_add_unsigned(millis) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Earlier by `millis`, `None` before the first instant.
    pub const fn checked_sub(self, millis: u64) -> Option<Self> {
        match self.0.checked_sub_unsigned(millis) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// Later by `millis`, at most the last instant.
    #[must_use]
    pub const fn saturating_add(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// Earlier by `millis`, at least the first instant.
    #[must_use]
    pub const fn saturating_sub(self, millis: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(millis))
    }

    /// Moved by `millis`, backward if negative; stops at the first and last instants.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant, negative if `earlier` is the later one;
    /// saturates at the limits of `i64`.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Letters and digits only (and a point before milliseconds), for names and ids:
    /// `20261120T020000Z`, `20261120T020000.250Z`.
    pub fn compact(self) -> String {
        match self.digits(COMPACT) {
            Ok(digits) => digits.as_str().to_owned(),
            Err((year, digits)) => format!("{year:+}{}", digits.as_str()),
        }
    }

    /// Reads what [`compact`](Self::compact) wrote.
    ///
    /// # Errors
    /// [`TimestampError::Compact`] for any other text, impossible dates included.
    pub fn parse_compact(text: &str) -> Result<Self, TimestampError> {
        read_compact(text)
            // One instant has one text, so that texts may be compared as keys.
            .filter(|instant| instant.compact() == text)
            .ok_or_else(|| TimestampError::Compact { text: text.to_owned() })
    }

    /// Whole seconds since the epoch, rounded down.
    pub(crate) const fn floor_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// From whole seconds since the epoch.
    pub(crate) const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Its text; in years that have not four digits the year and what follows it.
    fn digits(self, between: Between) -> Result<Digits, (i64, Digits)> {
        let parts = self.parts();
        let mut digits = Digits::default();
        let year = parts.date.year;
        let is_plain = (0..=9999).contains(&year);
        if is_plain {
            digits.two(year / 100);
            digits.two(year % 100);
        }
        digits.after_year(&parts, between);
        if is_plain { Ok(digits) } else { Err((year, digits)) }
    }

    fn parts(self) -> Parts {
        let seconds = self.floor_seconds();
        let of_day = seconds.rem_euclid(DAY_S);
        Parts {
            date: Date::from_days(seconds.div_euclid(DAY_S)),
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            milli: self.0.rem_euclid(1_000),
        }
    }
}

/// An instant taken apart, in UTC.
struct Parts {
    date: Date,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

/// What stands before month, day, minute and second.
type Between = [&'static str; 4];

const RFC_3339: Between = ["-", "-", ":", ":"];
const COMPACT: Between = ["", "", "", ""];

/// Digits and what stands between them: written by hand, since each run is stored and told with
/// several instants, and formatting them was a fourth of the work.
#[derive(Default)]
struct Digits {
    text: [u8; Self::LEN_MAX],
    len: usize,
}

impl Digits {
    /// `2026-11-20T02:00:00.250Z`.
    const LEN_MAX: usize = 24;

    fn after_year(&mut self, parts: &Parts, between: Between) {
        let [before_month, before_day, before_minute, before_second] = between;
        self.push(before_month);
        self.two(i64::from(parts.date.month));
        self.push(before_day);
        self.two(i64::from(parts.date.day));
        self.push("T");
        self.two(parts.hour);
        self.push(before_minute);
        self.two(parts.minute);
        self.push(before_second);
        self.two(parts.second);
        if parts.milli != 0 {
            self.push(".");
            self.digit(parts.milli / 100);
            self.two(parts.milli % 100);
        }
        self.push("Z");
    }

    fn as_str(&self) -> &str {
        let text = self.text.get(..self.len).and_then(|text| std::str::from_utf8(text).ok());
        text.unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            self.byte(byte);
        }
    }

    fn two(&mut self, number: i64) {
        self.digit(number / 10);
        self.digit(number % 10);
    }

    fn digit(&mut self, digit: i64) {
        self.byte(b'0' + (digit % 10) as u8);
    }

    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

fn read_compact(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(4..6)? as u32, number(6..8)? as u32);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let milli = if text.len() > "YYYYMMDDThhmmssZ".len() { number(16..19)? } else { 0 };
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let of_day = hour * 3_600 + minute * 60 + second;
    let days = valid.then(|| Date { year, month, day }.to_days())?;
    Some(Timestamp((days * DAY_S + of_day) * 1_000 + milli))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digits(RFC_3339) {
            Ok(digits) => f.write_str(digits.as_str()),
            Err((year, digits)) => write!(f, "{year:+}{}", digits.as_str()),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 with any offset; digits beyond milliseconds are cut off.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        match text.parse::<jiff::Timestamp>() {
            // Rounded down also before the epoch. jiff ends with the year 9999, so it fits.
            Ok(instant) => Ok(Self(instant.as_nanosecond().div_euclid(1_000_000) as i64)),
            Err(source) => Err(TimestampError::Rfc3339 { text: text.to_owned(), source }),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.digits(RFC_3339) {
            Ok(digits) => serializer.serialize_str(digits.as_str()),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Owned text: a borrowed one is not available from every format.
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_show_milliseconds_only_when_there_are_any() {
        let check = |millis, long: &str, compact: &str| {
            let instant = Timestamp::from_millis(millis);
            assert_eq!((instant.to_string().as_str(), instant.compact().as_str()), (long, compact));
        };
        check(1_795_140_000_000, "2026-11-20T02:00:00Z", "20261120T020000Z");
        check(1_795_140_000_250, "2026-11-20T02:00:00.250Z", "20261120T020000.250Z");
        check(-1, "1969-12-31T23:59:59.999Z", "19691231T235959.999Z");
        check(i64::MAX, "+292278994-08-17T07:12:55.807Z", "+2922789940817T071255.807Z");
        check(i64::MIN, "-292275055-05-16T16:47:04.192Z", "-2922750550516T164704.192Z");
    }

    #[test]
    fn rfc_3339_is_read_with_any_offset_and_cut_to_milliseconds() {
        let check = |text: &str, millis| {
            assert_eq!(text.parse::<Timestamp>().map(Timestamp::as_millis).ok(), Some(millis));
        };
        check("2026-11-20T02:00:00Z", 1_795_140_000_000);
        check("2026-11-20T03:00:00+01:00", 1_795_140_000_000);
        check("2026-11-20t02:00:00.2509z", 1_795_140_000_250);
        check("1969-12-31T23:59:59.9999Z", -1);
        for text in ["", "2026-11-20", "2026-11-20T02:00:00", "2026-13-20T02:00:00Z", "tomorrow"] {
            let error = text.parse::<Timestamp>().expect_err(text).to_string();
            assert!(error.contains("2026-11-20T02:00:00Z"), "{error}");
        }
    }

    #[test]
    fn compact_refuses_what_it_would_not_write() {
        for text in [
            "",
            "20261120T020000",
            "20261120T020000.000Z",
            "20261120T020000.25Z",
            "20261120T240000Z",
            "20260230T020000Z",
            "20261320T020000Z",
            "2026-11-20T02:00:00Z",
            "2026112٠T020000Z",
            "+0261120T020000Z",
            "20261120T020000Zx",
        ] {
            assert!(Timestamp::parse_compact(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_limits() {
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        assert_eq!(end.checked_add(1), None);
        assert_eq!(start.checked_sub(1), None);
        assert_eq!(end.saturating_add(u64::MAX), end);
        assert_eq!(start.saturating_sub(u64::MAX), start);
        assert_eq!(end.plus_millis(5), end);
        assert_eq!(end.since(start), i64::MAX);
        assert_eq!(Timestamp(5).checked_add(7), Some(Timestamp(12)));
        assert_eq!(Timestamp(5).plus_millis(-7).since(Timestamp(5)), -7);
    }

    #[test]
    fn serde_is_the_text() {
        let instant = Timestamp::from_millis(1_795_140_000_250);
        let json = serde_json::to_string(&instant).expect("a string");
        assert_eq!(json, "\"2026-11-20T02:00:00.250Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).ok(), Some(instant));
        assert!(serde_json::from_str::<Timestamp>("1795140000250").is_err());
    }

    proptest! {
        #[test]
        fn texts_read_back(millis in -62_167_219_200_000_i64..253_402_207_200_000) {
            let instant = Timestamp::from_millis(millis);
            prop_assert_eq!(instant.to_string().parse::<Timestamp>().ok(), Some(instant));
            prop_assert_eq!(Timestamp::parse_compact(&instant.compact()).ok(), Some(instant));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,24}") {
            let _ = text.parse::<Timestamp>();
            let _ = Timestamp::parse_compact(&text);
        }
    }
}
