//! What can be asked of the history, and pages of answers. Absent: the statements.

use std::fmt;
use std::str::FromStr;

use super::RunRow;

/// The most rows one page returns, whatever was asked for: a page is answered from memory.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Which runs to list; what is none does not narrow the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of this job.
    pub job: Option<String>,
    /// Only runs of this app.
    pub app: Option<String>,
    /// Only runs in this state.
    pub state: Option<String>,
    /// Only runs of apps whose names begin with one of these; of any, if there is none.
    pub app_prefixes: Vec<String>,
    /// Only runs created at this time or later, milliseconds since 1970.
    pub created_after_ms: Option<i64>,
    /// Only runs created before this time, milliseconds since 1970.
    pub created_before_ms: Option<i64>,
}

/// A page of runs, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunPage {
    /// The runs, by time of creation and then by id, both descending.
    pub runs: Vec<RunRow>,
    /// Where the next page begins; none after the last.
    pub next: Option<RunCursor>,
}

/// A place in the list of runs: behind this run. As text `milliseconds:id`; opaque to clients. Runs
/// that are created meanwhile stand before it and disturb nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCursor {
    /// The run's time of creation, milliseconds since 1970.
    pub created_at_ms: i64,
    /// The run's id.
    pub id: String,
}

/// An event's place in the order of all events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// The leader's epoch when the event was recorded.
    pub epoch: u64,
    /// Its number within the epoch.
    pub sequence: u64,
}

/// A text that is no key of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no id of an event: pass back the id of one that was received")]
pub struct EventKeyError {
    /// The text as given.
    pub text: String,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no cursor of a list of runs: pass back what the last page gave as its next")]
pub struct CursorError {
    /// The text as given.
    pub text: String,
}

// === impl EventKey ===

/// `{epoch}.{sequence}`.
impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

impl FromStr for EventKey {
    type Err = EventKeyError;

    fn from_str(text: &str) -> Result<Self, EventKeyError> {
        let parsed = text
            .split_once('.')
            .and_then(|(epoch, sequence)| Some((epoch.parse().ok()?, sequence.parse().ok()?)));
        let (epoch, sequence) = parsed.ok_or_else(|| EventKeyError { text: text.to_owned() })?;
        Ok(Self { epoch, sequence })
    }
}

// === impl RunCursor ===

impl RunCursor {
    /// The place behind a run.
    pub fn behind(run: &RunRow) -> Self {
        Self { created_at_ms: run.created_at_ms, id: run.id.clone() }
    }
}

impl fmt::Display for RunCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.created_at_ms, self.id)
    }
}

impl FromStr for RunCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parsed =
            text.split_once(':').and_then(|(time, id)| Some((time.parse().ok()?, id.to_owned())));
        let (created_at_ms, id) = parsed.ok_or_else(|| CursorError { text: text.to_owned() })?;
        Ok(Self { created_at_ms, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_keys_survive_being_text() {
        let key = EventKey { epoch: 3, sequence: 250 };
        assert_eq!((key.to_string().as_str(), "3.250".parse()), ("3.250", Ok(key)));
        for bad in ["3", "3.x", "-1.2", ""] {
            assert!(bad.parse::<EventKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cursors_survive_being_text() {
        for (created_at_ms, id) in [(0, "a"), (-5, ""), (i64::MAX, "job@-@1:2 é")] {
            let cursor = RunCursor { created_at_ms, id: id.to_owned() };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "12", "x:id", "1.5:id", "99999999999999999999:id"] {
            assert_eq!(text.parse::<RunCursor>(), Err(CursorError { text: text.to_owned() }));
        }
    }
}
