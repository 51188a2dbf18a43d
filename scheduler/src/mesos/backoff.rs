//! Growing delays with jitter, as a value. Absent: sleeping.

use std::time::Duration;

/// The delays between tries of one thing.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0 }
    }

    /// The next delay: doubled from try to try up to the longest, then cut by up to a half at
    /// random, so that the frameworks of a restarted master do not come back all at once.
    pub(super) fn next_delay(&mut self) -> Duration {
        let grown = self.grown();
        self.tries = self.tries.saturating_add(1);
        grown.mul_f64(1.0 - random() / 2.0)
    }

    /// Begins anew with the shortest delay.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    fn grown(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.tries);
        self.min.saturating_mul(factor).min(self.max)
    }
}

/// A number in 0..1. Nothing secret rests on it; a random UUID spares a dependency.
fn random() -> f64 {
    const BITS: u32 = 32;
    let drawn = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(drawn) / 2_f64.powi(BITS as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let (min, max) = (Duration::from_millis(200), Duration::from_secs(15));
        let mut backoff = Backoff::new(min, max);
        for expected_ms in [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000] {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(backoff.grown(), expected);
            let delay = backoff.next_delay();
            assert!(delay <= expected && delay >= expected / 2, "{delay:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next_delay() <= max, "no overflow however many tries");
        }
        backoff.reset();
        assert_eq!(backoff.grown(), min);
    }
}
