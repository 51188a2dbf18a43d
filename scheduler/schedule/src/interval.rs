//! Fixed rate: firings on a grid laid from an origin. No zones: a period is elapsed time, so DST
//! moves the local time of its firings.

use crate::timestamp::Timestamp;

/// A fixed rate on its own phase grid: it fires at `start_at + k * period_ms`, k = 0, 1, 2, …
///
/// Firings depend on the grid only, never on when the last one was, so a late launch or a new
/// leader does not shift them. A period of 0 never fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// Distance of two firings, milliseconds.
    pub period_ms: u64,
    /// The first firing and the origin of the grid.
    pub start_at: Timestamp,
    /// How many firings there are at most; `None` = no end.
    pub count: Option<u64>,
}

impl Interval {
    /// The first firing strictly after an instant.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.firing(self.firings_until(after)?)
    }

    /// The latest firing not after `at`.
    pub fn last_at_or_before(&self, at: Timestamp) -> Option<Timestamp> {
        let so_far = self.firings_until(at)?.min(self.count.unwrap_or(u64::MAX));
        self.firing(so_far.checked_sub(1)?)
    }

    /// How many points of the grid, count or not, lie at or before `at`; `None` for a period of 0.
    fn firings_until(&self, at: Timestamp) -> Option<u64> {
        // The distance of two i64 fits u64, not i64.
        let distance_ms = i128::from(at.as_millis()) - i128::from(self.start_at.as_millis());
        match u64::try_from(distance_ms) {
            Ok(distance_ms) => distance_ms.checked_div(self.period_ms)?.checked_add(1),
            Err(_) => (self.period_ms > 0).then_some(0),
        }
    }

    /// The firing of a number, counted from 0.
    fn firing(&self, number: u64) -> Option<Timestamp> {
        if self.count.is_some_and(|count| number >= count) {
            return None;
        }
        self.start_at.checked_add(number.checked_mul(self.period_ms)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn firings_stay_on_the_grid_of_the_origin() {
        let interval = Interval { period_ms: 90_000, start_at: ms(5_000), count: None };
        assert_eq!(interval.next_after(Timestamp::MIN), Some(ms(5_000)));
        assert_eq!(interval.next_after(ms(4_999)), Some(ms(5_000)));
        assert_eq!(interval.next_after(ms(5_000)), Some(ms(95_000)));
        assert_eq!(interval.last_at_or_before(ms(4_999)), None);
        assert_eq!(interval.last_at_or_before(ms(5_000)), Some(ms(5_000)));
        assert_eq!(interval.last_at_or_before(ms(100_000)), Some(ms(95_000)));
    }

    #[test]
    fn count_ends_it() {
        let interval = Interval { period_ms: 10, start_at: ms(0), count: Some(3) };
        assert_eq!(interval.next_after(ms(10)), Some(ms(20)));
        assert_eq!(interval.next_after(ms(20)), None);
        assert_eq!(interval.last_at_or_before(ms(1_000_000)), Some(ms(20)));
        let none = Interval { count: Some(0), ..interval };
        assert_eq!((none.next_after(ms(-1)), none.last_at_or_before(ms(50))), (None, None));
    }

    #[test]
    fn extremes_neither_panic_nor_wrap() {
        let still = Interval { period_ms: 0, start_at: ms(0), count: None };
        assert_eq!((still.next_after(ms(5)), still.next_after(ms(-5))), (None, None));
        assert_eq!(still.last_at_or_before(ms(5)), None);
        let slow = Interval { period_ms: u64::MAX, start_at: Timestamp::MIN, count: None };
        assert_eq!(slow.next_after(Timestamp::MIN), Some(Timestamp::MAX));
        assert_eq!(slow.next_after(Timestamp::MAX), None);
        let fast = Interval { period_ms: 1, start_at: Timestamp::MIN, count: None };
        assert_eq!(fast.next_after(Timestamp::MAX), None);
    }

    proptest! {
        #[test]
        fn equals_counting_up(
            period_ms in 1_u64..50,
            start in -100_i64..100,
            count in proptest::option::of(0_u64..20),
            at in -200_i64..200,
        ) {
            let interval = Interval { period_ms, start_at: ms(start), count };
            let grid: Vec<i64> = (0..count.unwrap_or(400))
                .map(|k| start + (k * period_ms) as i64)
                .collect();
            let next = grid.iter().copied().find(|firing| *firing > at);
            let last = grid.iter().copied().rfind(|firing| *firing <= at);
            prop_assert_eq!(interval.next_after(ms(at)), next.map(ms));
            prop_assert_eq!(interval.last_at_or_before(ms(at)), last.map(ms));
        }
    }
}
