//! What happened, one line each: told only of the steps before a violation, in a second run of the
//! same seed, so that it costs the first one nothing.

use std::collections::VecDeque;
use std::fmt::Display;

use shiftwork_schedule::Timestamp;

/// The last lines of a run.
#[derive(Debug)]
pub(crate) struct Story {
    /// Nothing is told of steps before this one.
    from_step: u64,
    step: u64,
    /// Lines kept at most.
    lines_max: usize,
    lines: VecDeque<String>,
}

impl Story {
    /// Tells of the steps from this one on, and keeps so many lines.
    pub(crate) fn from(from_step: u64, lines_max: usize) -> Self {
        Self { from_step, step: 0, lines_max, lines: VecDeque::new() }
    }

    pub(crate) fn begin_step(&mut self, step: u64) {
        self.step = step;
    }

    /// A line about what somebody did; written only if somebody will read it.
    pub(crate) fn tell<T: Display>(&mut self, now: i64, who: &str, what: impl FnOnce() -> T) {
        if self.step < self.from_step {
            return;
        }
        if self.lines.len() >= self.lines_max {
            self.lines.pop_front();
        }
        let at = Timestamp::from_millis(now);
        self.lines.push_back(format!("{:>8} {at:<24} {who:<12} {}", self.step, what()));
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines.into()
    }
}
