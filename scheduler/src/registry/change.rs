//! What a commit is made of, and how large it may be. Absent: carrying it out.

use std::collections::BTreeMap;

use super::{CommitError, Path};

/// The largest value of one node in bytes. ZooKeeper drops the connection of a client that sends more
/// than `jute.maxbuffer` (1 MiB unless configured), which looks like a network failure; every
/// registry keeps below it, so that a tree can move to ZooKeeper.
pub const VALUE_BYTES_MAX: usize = 900_000;

/// The largest transaction in bytes, for the same reason: paths, values and
/// [`CHANGE_OVERHEAD_BYTES`] for each change.
pub const TRANSACTION_BYTES_MAX: usize = 1_000_000;

/// What a change may cost on ZooKeeper's wire besides path and value: headers, lengths, the access
/// list of a create, the namespace in front of the path.
pub const CHANGE_OVERHEAD_BYTES: usize = 128;

/// One node written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which node.
    pub path: Path,
    /// `Some` creates the node or replaces its data; `None` removes it, and removing an absent node
    /// is fine.
    pub value: Option<Vec<u8>>,
}

/// Changes that happen together or not at all.
///
/// Later changes of the same node win over earlier ones; otherwise their order does not matter. A
/// transaction that removes a node must remove all its children too, unless they are gone already,
/// and may not write below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The changes.
    pub changes: Vec<Change>,
}

// === impl Change ===

impl Change {
    /// Creates the node or replaces its data.
    pub fn set(path: Path, value: impl Into<Vec<u8>>) -> Self {
        Self { path, value: Some(value.into()) }
    }

    /// Removes the node.
    pub fn delete(path: Path) -> Self {
        Self { path, value: None }
    }

    /// Its share of a transaction's size, as [`TRANSACTION_BYTES_MAX`] counts.
    pub fn bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, Vec::len);
        self.path.as_str().len() + value + CHANGE_OVERHEAD_BYTES
    }
}

// === impl Transaction ===

impl Transaction {
    /// A transaction of these changes.
    pub fn new(changes: Vec<Change>) -> Self {
        Self { changes }
    }

    /// Its size as [`TRANSACTION_BYTES_MAX`] counts.
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(Change::bytes).sum()
    }

    /// What is left of the changes when the last one of each node wins, parents before children.
    pub(super) fn into_net(self) -> BTreeMap<Path, Option<Vec<u8>>> {
        self.changes.into_iter().map(|change| (change.path, change.value)).collect()
    }
}

impl FromIterator<Change> for Transaction {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self::new(changes.into_iter().collect())
    }
}

/// Checks every value and every transaction of a batch against the limits, as each commit does.
/// Public so that the edge can refuse a document before the engine has accepted it.
///
/// # Errors
///
/// [`CommitError::TooLarge`] naming the first that is.
pub fn check_size(batch: &[Transaction]) -> Result<(), CommitError> {
    for transaction in batch {
        for change in &transaction.changes {
            let bytes = change.value.as_ref().map_or(0, Vec::len);
            if bytes > VALUE_BYTES_MAX {
                let what = format!("the data of {}", change.path);
                return Err(CommitError::TooLarge { what, bytes, bytes_max: VALUE_BYTES_MAX });
            }
        }
        let bytes = transaction.bytes();
        if bytes > TRANSACTION_BYTES_MAX {
            let count = transaction.changes.len();
            let first = transaction.changes.first().map_or("", |change| change.path.as_str());
            let what = format!("a transaction of {count} changes, the first of {first},");
            return Err(CommitError::TooLarge { what, bytes, bytes_max: TRANSACTION_BYTES_MAX });
        }
    }
    Ok(())
}
