//! How long something takes: several runs, each from the same beginning.

use std::time::{Duration, Instant};

/// Times of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Half of the runs took less.
    pub(super) median: Duration,
    /// The shortest: what comes closest to the work itself where the machine does other things.
    pub(super) shortest: Duration,
}

/// Runs `measured` so many times on what `prepare` makes; what is prepared does not count.
/// Gives the times and what the last run came to.
pub(super) fn time<P, T>(
    runs: usize,
    mut prepare: impl FnMut() -> P,
    mut measured: impl FnMut(&mut P) -> T,
) -> (Times, Option<T>) {
    let mut times = Vec::with_capacity(runs);
    let mut last = None;
    for _ in 0..runs {
        let mut prepared = prepare();
        let begun = Instant::now();
        let result = measured(&mut prepared);
        times.push(begun.elapsed());
        last = Some(result);
    }
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (Times { median: at(times.len() / 2), shortest: at(0) }, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_begins_anew_and_the_last_result_is_kept() {
        let count = |number: &mut i32| {
            *number += 1;
            *number
        };
        let (times, last) = time(3, || 1, count);
        assert_eq!(last, Some(2));
        assert!(times.shortest <= times.median);
    }
}
