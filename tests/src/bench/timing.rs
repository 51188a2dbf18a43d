//! How long something takes: several runs, each from the same beginning.

use std::time::{Duration, Instant};

use crate::processes::Usage;

/// Times of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Half of the runs took less.
    pub(super) median: Duration,
    /// CPU time of one run, half of the runs took less: what others do on the machine does not count.
    pub(super) cpu_median: Duration,
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
    let mut cpu_times = Vec::with_capacity(runs);
    let mut last = None;
    for _ in 0..runs {
        let mut prepared = prepare();
        let (begun, cpu) = (Instant::now(), cpu_time());
        let result = measured(&mut prepared);
        times.push(begun.elapsed());
        cpu_times.push(cpu_time().saturating_sub(cpu));
        last = Some(result);
    }
    times.sort();
    cpu_times.sort();
    let at = |times: &[Duration], index: usize| times.get(index).copied().unwrap_or_default();
    let times = Times {
        median: at(&times, runs / 2),
        cpu_median: at(&cpu_times, runs / 2),
        shortest: at(&times, 0),
    };
    (times, last)
}

/// CPU time of this thread so far, as the kernel counts it; nothing where it does not say.
pub(super) fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

/// CPU time of this process so far, all its threads.
pub(super) fn process_cpu_time() -> anyhow::Result<Duration> {
    Ok(Usage::of(std::process::id())?.cpu)
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
        // It counts at its ticks.
        let begun = Instant::now();
        while cpu_time().is_zero() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the kernel counts");
        }
    }
}
