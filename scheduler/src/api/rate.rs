//! How many requests one address may send: beyond that it is told to wait, and nobody else is touched.
//! Absent: guesses at tokens and passwords, which are counted apart (`auth/throttle.rs`).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::Problem;

/// Addresses remembered before those that are idle are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// Counts requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestRate(Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>);

impl RequestRate {
    /// So many a second, twice as many at once; 0 for any number.
    pub fn new(per_second: u32) -> Self {
        Self(NonZeroU32::new(per_second).map(|rate| {
            let burst = rate.saturating_add(rate.get());
            Arc::new(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)))
        }))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429, with how long to wait.
    pub(super) fn count(&self, from: Option<IpAddr>) -> Result<(), Problem> {
        // This machine's own programs are not held up.
        let from = from.filter(|from| !from.is_loopback());
        let (Some(limiter), Some(from)) = (&self.0, from) else { return Ok(()) };
        if limiter.len() > ADDRESSES_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(&from).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Problem::too_many("too many requests from this address: send fewer a second", wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_and_others_are_not() {
        let rate = RequestRate::new(10);
        let (one, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        let passed = (0..100).filter(|_| rate.count(one).is_ok()).count();
        assert!((20..60).contains(&passed), "{passed}");
        let refused = rate.count(one).map_or_else(|problem| problem.status().as_u16(), |()| 200);
        assert_eq!(refused, 429);
        assert!(rate.count(other).is_ok());
        assert!((0..1000).all(|_| RequestRate::new(0).count(one).is_ok()));
    }
}
