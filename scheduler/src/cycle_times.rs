//! How long turns and launch cycles take, for whoever watches: written by the owner, read by anybody
//! at any time. Absent: what waits meanwhile; `Engine::backlog` tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, microseconds: from a turn that does nothing to one that enqueues
/// everything due at midnight.
pub const BOUNDS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Times of one kind of work.
#[derive(Debug, Default)]
pub struct TimeHistogram {
    /// By bucket; the last is for what is above all bounds.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
    last_us: AtomicU64,
    max_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSnapshot {
    /// How many took no longer than each of [`BOUNDS_US`], and at the end all of them.
    pub cumulative: Vec<u64>,
    /// All together.
    pub sum: Duration,
    /// The latest.
    pub last: Duration,
    /// The longest.
    pub max: Duration,
}

/// Times of the owner's work since the process began.
#[derive(Debug, Default)]
pub struct CycleTimes {
    /// Whole turns: events taken in, placement, what happened written to the spool, the commit sent.
    pub turn: TimeHistogram,
    /// Placement and what follows from it, of turns in which something waited for offers.
    pub launch_cycle: TimeHistogram,
}

// === impl TimeHistogram ===

impl TimeHistogram {
    /// Counts one.
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.last_us.store(us, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// As it is now.
    pub fn snapshot(&self) -> TimeSnapshot {
        let mut sum = 0;
        let cumulative = self.buckets.iter().map(|bucket| {
            sum += bucket.load(Ordering::Relaxed);
            sum
        });
        let micros = |value: &AtomicU64| Duration::from_micros(value.load(Ordering::Relaxed));
        TimeSnapshot {
            cumulative: cumulative.collect(),
            sum: micros(&self.sum_us),
            last: micros(&self.last_us),
            max: micros(&self.max_us),
        }
    }
}

// === impl TimeSnapshot ===

impl TimeSnapshot {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_buckets_and_sums_are_kept() {
        let times = TimeHistogram::default();
        for us in [50, 100, 101, 9_000_000] {
            times.record(Duration::from_micros(us));
        }
        let now = times.snapshot();
        assert_eq!((now.cumulative[0], now.cumulative[1], now.count()), (2, 3, 4));
        assert_eq!(now.cumulative[BOUNDS_US.len() - 1], 3, "one is above all bounds");
        assert_eq!(now.sum, Duration::from_micros(9_000_251));
        assert_eq!((now.last, now.max), (Duration::from_secs(9), Duration::from_secs(9)));
    }
}
