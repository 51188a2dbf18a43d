//! What came of it: each due firing has exactly one run, each shard of it was done, and done again
//! only where its end could not be told; nothing of it runs on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use shiftwork_schedule::Timestamp;

use super::jobs::{DONE, PLANNED, Planned};
use super::trouble::Troubles;

/// A shard that was done says so within this time unless something interrupts it, milliseconds: an
/// executor that was frozen, or an agent that was, tells it as much later.
const TELLS_MS: i64 = 10_000;

/// The verdict.
#[derive(Debug)]
pub struct Verdict {
    /// How often each kind of trouble came.
    pub troubles: Vec<(String, u64)>,
    /// Firings that were due, over all jobs.
    pub firings: usize,
    /// Shards that were done.
    pub shards: usize,
    /// Shards that were done more than once because their end could not be told.
    pub done_again: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// Attempts of a shard that were done: which, and when.
type Attempts = Vec<(u32, i64)>;

/// Judges by the lines that shards wrote.
pub(super) fn verdict(
    directory: &Path,
    troubles: &Troubles,
    stopped: Vec<Timestamp>,
    left: Vec<(u32, String)>,
) -> Result<Verdict> {
    let text = std::fs::read_to_string(directory.join(DONE)).context("nothing was done at all")?;
    let mut done: BTreeMap<(&str, u32), Attempts> = BTreeMap::new();
    let mut verdict = Verdict {
        troubles: troubles.counts(),
        firings: 0,
        shards: 0,
        done_again: 0,
        wrong: Vec::new(),
    };
    for line in text.lines() {
        match parse(line) {
            Some((run, item, attempt, at)) => {
                done.entry((run, item)).or_default().push((attempt, at));
            }
            None => verdict.wrong.push(format!("a line that no shard writes: {line:?}")),
        }
    }
    verdict.shards = done.len();
    for ((run, item), attempts) in &done {
        verdict.judge_attempts(run, *item, attempts, &troubles.interruptions);
    }
    for (planned, stopped) in PLANNED.iter().zip(stopped) {
        verdict.judge_firings(planned, stopped, &done);
    }
    verdict
        .wrong
        .extend(left.into_iter().map(|(pid, command)| format!("{pid} still runs: {command}")));
    Ok(verdict)
}

/// `run item attempt milliseconds`.
fn parse(line: &str) -> Option<(&str, u32, u32, i64)> {
    let mut words = line.split(' ');
    let run = words.next()?;
    let (item, attempt) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let at = words.next()?.parse().ok()?;
    words.next().is_none().then_some((run, item, attempt, at))
}

// === impl Verdict ===

impl Verdict {
    /// Done more than once: by another attempt, and because something interrupted the first one
    /// before it could tell.
    fn judge_attempts(
        &mut self,
        run: &str,
        item: u32,
        attempts: &[(u32, i64)],
        interruptions: &[i64],
    ) {
        let numbers: BTreeSet<u32> = attempts.iter().map(|(attempt, _)| *attempt).collect();
        if numbers.len() < attempts.len() {
            self.wrong.push(format!("{run} shard {item}: one attempt was done twice {attempts:?}"));
        }
        for pair in attempts.windows(2) {
            let [(_, first), (_, again)] = pair else { continue };
            self.done_again += 1;
            let excused = interruptions.iter().any(|at| first - TELLS_MS <= *at && at <= again);
            if !excused {
                self.wrong.push(format!("{run} shard {item} was done and done again {attempts:?}"));
            }
        }
    }

    /// Each firing between the first one and the end has its run, and each run its shards.
    fn judge_firings(
        &mut self,
        planned: &Planned,
        stopped: Timestamp,
        done: &BTreeMap<(&str, u32), Attempts>,
    ) {
        let prefix = format!("{}@", planned.name);
        let mut runs: BTreeMap<Timestamp, BTreeSet<u32>> = BTreeMap::new();
        for (run, item) in done.keys() {
            let Some(time) = run.strip_prefix(&prefix) else { continue };
            match Timestamp::parse_compact(time) {
                Ok(at) => {
                    runs.entry(at).or_default().insert(*item);
                }
                Err(_) => self.wrong.push(format!("a run that no schedule made: {run}")),
            }
        }
        let Some(first) = runs.keys().next().copied() else {
            self.wrong.push(format!("{} never ran", planned.name));
            return;
        };
        let mut due = first;
        while due <= stopped || runs.keys().next_back().is_some_and(|last| due <= *last) {
            self.firings += 1;
            match runs.remove(&due) {
                None => self.wrong.push(format!("{} of {due} has no run", planned.name)),
                Some(items) if items != (0..planned.shards).collect() => {
                    self.wrong.push(format!("{} of {due} did only {items:?}", planned.name));
                }
                Some(_) => {}
            }
            due = due.saturating_add(planned.every_s.unsigned_abs() * 1_000);
        }
        for at in runs.keys() {
            self.wrong.push(format!("{} ran at {at}, when it was not due", planned.name));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.troubles {
            writeln!(f, "{kind:<24} {count:>8}")?;
        }
        writeln!(f, "{:<24} {:>8}", "firings due", self.firings)?;
        writeln!(f, "{:<24} {:>8}", "shards done", self.shards)?;
        writeln!(f, "{:<24} {:>8}", "done again", self.done_again)?;
        for wrong in &self.wrong {
            writeln!(f, "WRONG {wrong}")?;
        }
        if self.wrong.is_empty() {
            write!(f, "verdict: each due firing ran once, and nothing is left")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &str, interruptions: &[i64]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(DONE), lines).unwrap();
        let mut troubles = Troubles::default();
        troubles.interruptions.extend(interruptions);
        let stopped = vec!["2026-11-20T00:00:02Z".parse().unwrap()];
        verdict(directory.path(), &troubles, stopped, Vec::new()).unwrap().wrong
    }

    const GOOD: &str = "single@20261120T000000Z 0 1 10\nsingle@20261120T000001Z 0 1 20\n\
                        single@20261120T000002Z 0 1 30\n";

    #[test]
    fn each_firing_once_is_right() {
        assert_eq!(judged(GOOD, &[]), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_doubled_or_made_up_is_wrong() {
        let missing = GOOD.replace("single@20261120T000001Z 0 1 20\n", "");
        assert!(judged(&missing, &[])[0].contains("has no run"));
        let doubled = format!("{GOOD}single@20261120T000001Z 0 2 40000\n");
        assert!(judged(&doubled, &[])[0].contains("done again"));
        assert_eq!(judged(&doubled, &[30]), Vec::<String>::new(), "it was interrupted");
        let twice = format!("{GOOD}single@20261120T000001Z 0 1 21\n");
        assert!(judged(&twice, &[20])[0].contains("one attempt"));
        assert!(judged(&format!("{GOOD}x\n"), &[])[0].contains("no shard writes"));
    }
}
