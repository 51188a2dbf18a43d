//! What can go wrong in a registry: what, where, and how to mend it. Absent: deciding what to do.

use std::path::PathBuf;

use super::{Epoch, LEADER_PATH, Path};

/// An error of the storage below, whichever registry it is.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// Why a commit failed. Each ends the tenure; all but [`CommitError::Unknown`] mean that nothing of
/// the batch was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another process leads: step down at once.
    #[error(
        "fenced: this process committed under epoch {held}, the registry is at epoch {found}; \
         another process has taken over"
    )]
    Fenced {
        /// The epoch of the commit.
        held: Epoch,
        /// The epoch of the registry.
        found: Epoch,
    },
    /// A value or a transaction over the limit.
    #[error("{what} has {bytes} bytes, at most {bytes_max} fit into the registry: make it smaller")]
    TooLarge {
        /// What is too large, naming a path.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Understood and not done.
    #[error("the registry refused a commit, nothing of it was written")]
    Refused(#[source] Refusal),
    /// The batch may have been written or not: drop all state and restore from the next take-over.
    #[error("a commit's outcome is unknown; the state must be restored from the registry")]
    Unknown {
        /// What the storage said.
        source: StorageError,
    },
}

/// Why a commit was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A node was to go while it keeps a child.
    #[error(
        "{path} cannot be removed while {child} stays: remove it before or in the same transaction"
    )]
    HasChildren {
        /// The node to be removed.
        path: Path,
        /// The first node below that stays or is written.
        child: Path,
    },
    /// A batch touched the leader's node, which only take-over writes.
    #[error("{LEADER_PATH} is written by take-over only")]
    LeaderNode,
    /// No take-over before, or an earlier commit of this tenure failed.
    #[error("this process holds no tenure: it did not take over, or an earlier commit failed")]
    NotLeading,
    /// Another program changed what this process relies on.
    #[error(
        "{path} is not as this process left it ({reason}): nothing but the leader may write below \
         the namespace while a scheduler runs"
    )]
    Conflict {
        /// The node at which it was noticed.
        path: String,
        /// What the storage said.
        reason: String,
    },
    /// More commits under way than the registry queues.
    #[error("{in_flight_max} commits are under way already: await some before the next")]
    Busy {
        /// The limit.
        in_flight_max: usize,
    },
}

/// Why a take-over failed; the process does not lead.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The leader's node does not hold what a leader writes, so the next epoch is not known.
    #[error(
        "{LEADER_PATH} does not hold a leader's record; restore the node, or remove it while no \
         scheduler runs"
    )]
    LeaderRecord {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be opened or read again.
    #[error("the registry could not be reopened")]
    Open(#[from] OpenError),
    /// ZooKeeper does not answer, or refuses; a later try may succeed.
    #[error("ZooKeeper at {cluster} failed on {step}: {hint}")]
    ZooKeeper {
        /// The servers asked.
        cluster: String,
        /// What was being done.
        step: &'static str,
        /// How to mend it.
        hint: &'static str,
        /// What it said.
        source: StorageError,
    },
    /// The new epoch could not be stored; it may be there or not, which does no harm.
    #[error("the registry could not store the take-over; try again")]
    Storage {
        /// What the storage said.
        source: StorageError,
    },
}

/// Why the embedded registry's file could not be opened. Nothing is ever deleted or replaced.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system's lock is held.
    #[error(
        "{} is in use by another shiftwork process: stop that one, or give this one a data \
         directory of its own", file.display()
    )]
    InUse {
        /// The registry's file.
        file: PathBuf,
    },
    /// Written by a newer Shiftwork.
    #[error(
        "{} has format {found}, this shiftwork knows up to {known}: run the version that wrote it, \
         or a newer one; the file was left untouched", file.display()
    )]
    Newer {
        /// The registry's file.
        file: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Not a registry, or damaged.
    #[error(
        "{} is damaged or no shiftwork registry: {reason}; it was left in place: restore it from \
         a backup, or move it away to start with an empty registry", file.display()
    )]
    Damaged {
        /// The registry's file.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file was not closed cleanly, and only its owner may repair it.
    #[error(
        "{} was not closed cleanly and is opened here for reading only: start shiftwork on it once",
        file.display()
    )]
    NeedsRecovery {
        /// The registry's file.
        file: PathBuf,
    },
    /// The operating system refused.
    #[error("{} cannot be opened: check the directory, its permissions and its space", file.display())]
    Io {
        /// The registry's file, or its directory.
        file: PathBuf,
        /// What it said.
        source: StorageError,
    },
}
