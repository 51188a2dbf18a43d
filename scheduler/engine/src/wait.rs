//! Why a run or a shard waits, and how that is said.

use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::ids::RunId;
use crate::placement::Unplaced;

/// Why a run or shard waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not looked at yet.
    NotConsidered,
    /// Another run of the job is active.
    ActiveRun(RunId),
    /// Another run of the job is due before it.
    Behind(RunId),
    /// The job or its app is disabled.
    Disabled(String),
    /// Its job's jitter holds it back until then.
    Jitter(Timestamp),
    /// As many runs of the job are active as may be.
    Full {
        /// How many are active.
        active: usize,
        /// How many may be.
        max: usize,
    },
    /// No subscription at the master.
    Disconnected,
    /// It does not fit.
    Unplaced(Arc<Unplaced>),
    /// The app's or the job's document is missing or cannot be read.
    NoDocument(String),
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotConsidered => f.write_str("waiting for the next launch cycle"),
            Self::ActiveRun(run) => write!(f, "waiting for run {run} to end"),
            Self::Behind(run) => write!(f, "waiting behind run {run}"),
            Self::Jitter(until) => write!(f, "held until {until} by the job's jitter"),
            Self::Full { active, max } => write!(
                f,
                "waiting for one of {active} active runs to end (concurrency allow, max {max})"
            ),
            Self::Disabled(by) => f.write_str(by),
            Self::Disconnected => f.write_str("not subscribed at the Mesos master"),
            Self::Unplaced(unplaced) => unplaced.fmt(f),
            Self::NoDocument(problem) => f.write_str(problem),
        }
    }
}
