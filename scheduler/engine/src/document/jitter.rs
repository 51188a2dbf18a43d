//! Spreads firings over time by the names of jobs. Absent: chance; the same job has the same delay
//! for ever, whoever leads.

use crate::ids::JobName;

/// Longest jitter: firings are spread within a day; beyond it a schedule is wanted.
pub(super) const JITTER_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// How long after their logical time the runs of a job start, from 0 to `jitter_ms`.
pub(crate) fn delay_ms(job: &JobName, jitter_ms: u64) -> u64 {
    let wide = u128::from(hash(job.as_str())) * (u128::from(jitter_ms) + 1);
    (wide >> u64::BITS) as u64
}

/// FNV-1a, then the finish of splitmix64, since names often differ in their last letters only.
/// It must never change: with it, every job would move to another second.
fn hash(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let fnv = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(name: &str, jitter_ms: u64) -> u64 {
        delay_ms(&JobName::parse(name).unwrap(), jitter_ms)
    }

    #[test]
    fn a_delay_never_changes() {
        assert_eq!(
            [delay("nightly", 30_000), delay("nightly-2", 30_000), delay("a", 3_600_000)],
            [2_652, 25_850, 38_712]
        );
    }

    #[test]
    fn names_that_are_alike_are_spread_evenly() {
        let mut buckets = [0; 10];
        for index in 0..10_000 {
            let delay = delay(&format!("report-{index}"), 999);
            buckets[delay as usize / 100] += 1;
        }
        assert!(buckets.iter().all(|count| (900..1_100).contains(count)), "{buckets:?}");
        assert_eq!(delay("x", 0), 0);
        assert!((0..1_000).all(|index| delay(&format!("{index}"), 1) <= 1));
    }
}
