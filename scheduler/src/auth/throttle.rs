//! Slows who guesses: attempts are counted by where they come from, and passwords also by whose they
//! are. Absent: judging an attempt.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Attempts of one address that may come at once, and then one each six seconds.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
const ADDRESS_PERIOD: Duration = Duration::from_secs(6);
/// Attempts at one user's password, from wherever: more, so that a stranger does not lock anybody
/// out easily.
const USER_BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();
const USER_PERIOD: Duration = Duration::from_secs(10);
/// Keys remembered before those that are idle are forgotten.
const KEYS_MAX: usize = 10_000;

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Throttle {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    users: DefaultKeyedRateLimiter<String>,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait(pub(super) Duration);

impl Throttle {
    pub(super) fn new() -> Self {
        let every = |period, burst| {
            Quota::with_period(period)
                .unwrap_or_else(|| Quota::per_minute(burst))
                .allow_burst(burst)
        };
        Self {
            addresses: RateLimiter::keyed(every(ADDRESS_PERIOD, ADDRESS_BURST)),
            users: RateLimiter::keyed(every(USER_PERIOD, USER_BURST)),
        }
    }

    /// Counts an attempt from an address.
    ///
    /// # Errors
    /// [`Wait`], and the attempt must not be looked at.
    pub(super) fn address(&self, from: Option<IpAddr>) -> Result<(), Wait> {
        check(&self.addresses, network(from.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))))
    }

    /// Counts an attempt at a user's password.
    ///
    /// # Errors
    /// [`Wait`], and the attempt must not be looked at.
    pub(super) fn user(&self, name: &str) -> Result<(), Wait> {
        check(&self.users, name.to_owned())
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: K,
) -> Result<(), Wait> {
    if limiter.len() > KEYS_MAX {
        limiter.retain_recent();
    }
    limiter
        .check_key(&key)
        .map_err(|until| Wait(until.wait_time_from(DefaultClock::default().now())))
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_run_out_and_others_are_not_touched() {
        let throttle = Throttle::new();
        let from = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..ADDRESS_BURST.get() {
            assert!(throttle.address(from).is_ok());
        }
        let Wait(wait) = throttle.address(from).unwrap_err();
        assert!(wait <= ADDRESS_PERIOD && wait > Duration::ZERO, "{wait:?}");
        assert!(throttle.address(Some(IpAddr::from([10, 0, 0, 2]))).is_ok());
        for _ in 0..USER_BURST.get() {
            assert!(throttle.user("alice").is_ok());
        }
        assert!(throttle.user("alice").is_err());
        assert!(throttle.user("bob").is_ok());
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
