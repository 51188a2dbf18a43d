//! How long something takes when chance decides: read from text, drawn from a random number that
//! the caller has. No source of chance of its own.

use std::fmt;
use std::str::FromStr;

/// Longest duration that is read: a hundred years, so that adding it to a time cannot overflow.
const DURATION_MS_MAX: u64 = 100 * 365 * 24 * 3600 * 1000;

/// A distribution of durations.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same, in milliseconds.
    Constant(u64),
    /// Any between two, in milliseconds, both ends included, each as likely.
    Uniform(u64, u64),
    /// Exponential with this mean, in milliseconds.
    Exponential(u64),
    /// It never ends.
    Forever,
}

/// Why a text is no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no distribution of durations; write 30s, uniform:1s..5s, exponential:30s or forever"
)]
pub struct DistributionError(String);

// === impl Distribution ===

impl Distribution {
    /// The duration, in milliseconds, that belongs to a random number; `None` for one that never
    /// ends.
    pub fn sample_ms(&self, random: u64) -> Option<u64> {
        match *self {
            Self::Constant(ms) => Some(ms),
            Self::Uniform(min, max) => Some(min + random % (max - min + 1)),
            Self::Exponential(mean) => {
                let sample = -(1.0 - unit(random)).ln() * mean as f64;
                Some((sample as u64).min(DURATION_MS_MAX))
            }
            Self::Forever => None,
        }
    }
}

/// A random number as one of [0, 1): the bits that a float holds exactly.
pub(super) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

impl FromStr for Distribution {
    type Err = DistributionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DistributionError(text.to_owned());
        if text == "forever" {
            return Ok(Self::Forever);
        }
        if let Some(mean) = text.strip_prefix("exponential:") {
            return duration_ms(mean).map(Self::Exponential).ok_or_else(error);
        }
        if let Some(range) = text.strip_prefix("uniform:") {
            let (min, max) = range.split_once("..").ok_or_else(error)?;
            return match (duration_ms(min), duration_ms(max)) {
                (Some(min), Some(max)) if min <= max => Ok(Self::Uniform(min, max)),
                _ => Err(error()),
            };
        }
        duration_ms(text).map(Self::Constant).ok_or_else(error)
    }
}

/// As it is read.
impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(ms) => write!(f, "{ms}ms"),
            Self::Uniform(min, max) => write!(f, "uniform:{min}ms..{max}ms"),
            Self::Exponential(mean) => write!(f, "exponential:{mean}ms"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// `250ms`, `30s`, `5m`, `1h`, in milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms = match text.get(digits.len()..)? {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = digits.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    (ms <= DURATION_MS_MAX).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["0ms", "30000ms", "uniform:1000ms..5000ms", "exponential:60000ms", "forever"] {
            assert_eq!(text.parse::<Distribution>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("uniform:1s..2m".parse(), Ok(Distribution::Uniform(1000, 120_000)));
        for text in
            ["", "30", "s", "-1s", "uniform:5s..1s", "uniform:5s", "normal:3s", "1000000000h"]
        {
            assert!(text.parse::<Distribution>().is_err(), "{text}");
        }
    }

    #[test]
    fn samples_have_the_mean_that_was_asked_for() {
        let mean = |distribution: Distribution| {
            let samples = (0..10_000_u64).map(|n| n.wrapping_mul(u64::MAX / 10_000));
            samples.filter_map(|random| distribution.sample_ms(random)).sum::<u64>() / 10_000
        };
        assert_eq!(mean(Distribution::Constant(7)), 7);
        assert!((990..1010).contains(&mean(Distribution::Exponential(1000))));
        let uniform = Distribution::Uniform(10, 20);
        assert!((0..1000).all(|n| uniform.sample_ms(n).is_some_and(|ms| (10..=20).contains(&ms))));
        assert_eq!(Distribution::Forever.sample_ms(5), None);
    }
}
