//! Group commit of task updates: while many come, a turn waits a little for more of them, so that one
//! commit carries them all. Absent: the turn itself (`turn.rs`); commits that share a multi-operation
//! because earlier ones are on their way (`registry`).

use std::time::Duration;

use shiftwork_engine::Event;
use tokio::time::Instant;

/// The longest that an update waits for others. Seventeen commits a second then carry what 500 tasks a
/// second tell, however evenly: with all else less than a twentieth of a round trip for each task.
const LINGER_MAX: Duration = Duration::from_millis(60);

/// So many go at once, however short the first has waited: of more a commit has little left to save.
const TOGETHER: usize = 256;

/// While fewer than this came in the last [`LINGER_MAX`], waiting would save next to nothing.
const FEW: f64 = 12.0;

/// When a turn that is only about updates begins.
///
/// Nothing else waits: a command has somebody who wants its answer, an offer or a deadline may launch.
/// What waits goes along with them.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// Updates of late: each counts one when it comes, and fades with [`LINGER_MAX`].
    level: f64,
    /// When `level` was right.
    at: Option<Instant>,
    /// How many of those that wait are in `level`.
    counted: usize,
    /// When those that wait have waited long enough.
    until: Option<Instant>,
}

// === impl Linger ===

impl Linger {
    /// Whether these, all that have come since the last turn, wait for more.
    pub(crate) fn holds(&mut self, now: Instant, waiting: &[Event]) -> bool {
        let come = waiting.get(self.counted..).unwrap_or_default();
        let only_updates = come.iter().all(|event| matches!(event, Event::Status(_)));
        self.count(now, come.len());
        if !only_updates || waiting.len() >= TOGETHER {
            return false;
        }
        if self.until.is_none() && self.level >= FEW {
            self.until = Some(now + LINGER_MAX);
        }
        self.until.is_some_and(|until| now < until)
    }

    /// How long those that wait may still do so.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }

    /// A turn takes all that wait.
    pub(crate) fn end(&mut self) {
        self.counted = 0;
        self.until = None;
    }

    fn count(&mut self, now: Instant, come: usize) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let faded = (-passed.div_duration_f64(LINGER_MAX)).exp();
        self.level = self.level * faded + u32::try_from(come).map_or(f64::MAX, f64::from);
        self.at = Some(now);
        self.counted += come;
    }
}

#[cfg(test)]
#[path = "linger_tests.rs"]
mod tests;
