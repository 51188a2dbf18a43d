//! Lengths of time as texts such as `1h30m`, in milliseconds. No calendar units: a day is 24 hours.

/// Longest length of time that is read: a hundred years of 365 days, so that no sum of an instant
/// of this century and a length can overflow.
pub const DURATION_MAX_MS: u64 = 100 * 365 * 86_400_000;

/// Units, longest first, each with its length in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing to read.
    #[error("a duration is empty: write a number and a unit, as in 90s or 1h30m")]
    Empty,
    /// A unit or sign where a number must be.
    #[error("duration {text:?}: a whole number is expected before {found:?}, as in 90s or 1h30m")]
    NumberExpected {
        /// The whole text.
        text: String,
        /// What stands there instead.
        found: String,
    },
    /// A number without a unit.
    #[error("duration {text:?}: {number} has no unit; write {number}s for seconds, or ms, m, h, d")]
    UnitMissing {
        /// The whole text.
        text: String,
        /// The number.
        number: String,
    },
    /// Not a unit.
    #[error("duration {text:?}: {unit:?} is not a unit; use ms, s, m (or min), h or d")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What was found.
        unit: String,
    },
    /// `30m1h` or `1h1h`.
    #[error("duration {text:?}: each unit once and the longest first, as in 1d12h30m")]
    UnitOrder {
        /// The whole text.
        text: String,
    },
    /// Beyond [`DURATION_MAX_MS`].
    #[error("duration {text:?} is too long; at most 36500d")]
    TooLong {
        /// The whole text.
        text: String,
    },
}

/// Reads a length of time: whole numbers with units `d`, `h`, `m` or `min`, `s` and `ms`, the
/// longest first, spaces allowed between. Returns milliseconds.
///
/// # Errors
/// [`DurationError`] says what is wrong and what to write.
pub fn parse_duration(text: &str) -> Result<u64, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut total_ms: u64 = 0;
    let mut shortest_ms = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit());
        if number.is_empty() {
            let found = rest.to_owned();
            return Err(DurationError::NumberExpected { text: text.to_owned(), found });
        }
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        let unit_ms = unit_length(text, number, unit, after)?;
        if unit_ms >= shortest_ms {
            return Err(DurationError::UnitOrder { text: text.to_owned() });
        }
        shortest_ms = unit_ms;
        total_ms = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit_ms))
            .and_then(|part_ms| total_ms.checked_add(part_ms))
            .filter(|total_ms| *total_ms <= DURATION_MAX_MS)
            .ok_or_else(|| DurationError::TooLong { text: text.to_owned() })?;
        rest = after.trim_start();
    }
    Ok(total_ms)
}

/// Writes milliseconds as [`parse_duration`] reads them: `1h30m`, `500ms`, `0s`.
pub fn format_duration(millis: u64) -> String {
    // "min" is read for those who write it; we write "m".
    let mut parts = Vec::new();
    let mut rest = millis;
    for (unit, unit_ms) in UNITS.into_iter().filter(|(unit, _)| *unit != "min") {
        if rest >= unit_ms {
            parts.push(format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn unit_length(text: &str, number: &str, unit: &str, after: &str) -> Result<u64, DurationError> {
    if let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*unit_ms);
    }
    let text = text.to_owned();
    if !unit.is_empty() {
        Err(DurationError::UnknownUnit { text, unit: unit.to_owned() })
    } else if after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit()) {
        Err(DurationError::UnitMissing { text, number: number.to_owned() })
    } else {
        // A point or sign inside: 1.5h.
        Err(DurationError::NumberExpected { text, found: after.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_units_are_read() {
        let check =
            |text: &str, millis: u64| assert_eq!(parse_duration(text), Ok(millis), "{text}");
        check("90s", 90_000);
        check("1h30m", 5_400_000);
        check("500ms", 500);
        check("2d", 172_800_000);
        check("5 min", 300_000);
        check(" 1h 30min 5s ", 5_405_000);
        check("0s", 0);
        check("36500d", DURATION_MAX_MS);
    }

    #[test]
    fn errors_say_what_to_write() {
        let check = |text: &str, expected: &str| {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "write a number and a unit");
        check("90", "write 90s for seconds");
        check("1h 30", "write 30s for seconds");
        check("90 90s", "write 90s for seconds");
        check("5 fortnights", "\"fortnights\" is not a unit");
        check("5M", "\"M\" is not a unit");
        check("1.5h", "a whole number is expected before \".5h\"");
        check("-5s", "a whole number is expected before \"-5s\"");
        check("h", "a whole number is expected before \"h\"");
        check("30m1h", "the longest first");
        check("1h1h", "each unit once");
        check("5m5min", "each unit once");
        check("36501d", "at most 36500d");
        check("99999999999999999999s", "at most 36500d");
    }

    #[test]
    fn written_lengths_are_short() {
        let check = |millis, text: &str| assert_eq!(format_duration(millis), text);
        check(0, "0s");
        check(500, "500ms");
        check(90_000, "1m30s");
        check(90_061_001, "1d1h1m1s1ms");
    }

    proptest! {
        #[test]
        fn written_lengths_read_back(millis in 0..=DURATION_MAX_MS) {
            prop_assert_eq!(parse_duration(&format_duration(millis)), Ok(millis));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,24}") {
            let _ = parse_duration(&text);
        }
    }
}
