//! The registry: a log with names people can read, and the contract every implementation keeps.
//! Absent: what the nodes mean (the engine's records).
//!
//! The leader's memory is the truth while it leads; the registry is its write-ahead log. It is read
//! once, on take-over, and only written afterwards.
//!
//! # The contract
//!
//! 1. **Names.** A tree of nodes, each with a [`Path`] and data, as in ZooKeeper: a node may have
//!    both data and children. Writing a node makes its missing parents, with empty data. A node
//!    goes only together with, or after, its children.
//! 2. **Take-over.** [`Registry::take_over`] waits to be elected where several processes may lead,
//!    raises the epoch kept in `ha/leader`, ends every earlier
//!    tenure, and returns every node. What it returns holds every batch acknowledged before.
//! 3. **Commits.** [`Registry::commit`] writes a batch of transactions in their order; each
//!    transaction is there whole or not at all. After a crash the first few transactions of a batch
//!    may be there without the rest, so what belongs together stands in one transaction.
//! 4. **Durable when answered.** `Ok` means the batch survives whatever happens next.
//! 5. **Pipelining.** A batch is queued when `commit` is called, not when its future is polled, and
//!    dropping the future does not recall it. Batches take effect in the order of the calls.
//! 6. **Fencing.** A batch under any epoch but the current one writes nothing. An empty batch asks
//!    the fence and nothing else.
//! 7. **Changes by others.** Nodes that people may change, documents and flags, are watched where
//!    other programs can reach them: [`Tenure::changes`] tells what they did, after everything that
//!    take-over returned and without this process's own commits.
//! 8. **A failed commit ends the tenure.** Whoever pipelines has built later batches on the failed
//!    one, so they are refused too, until the next take-over. Only [`CommitError::Unknown`] leaves
//!    open what was written; every other error means that nothing of the batch was.

mod change;
#[cfg(test)]
mod contract_tests;
pub mod documents;
mod election;
mod embedded;
mod error;
mod inspect;
mod journal;
pub mod keys;
mod lease;
mod memory;
mod path;
mod tree;
mod zookeeper;
mod zookeeper_config;
mod zookeeper_follow;
mod zookeeper_load;
mod zookeeper_multi;
#[cfg(test)]
pub(crate) mod zookeeper_tests;
mod zookeeper_tls;
mod zookeeper_watch;
mod zookeeper_writer;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use change::{
    CHANGE_OVERHEAD_BYTES, Change, TRANSACTION_BYTES_MAX, Transaction, VALUE_BYTES_MAX, check_size,
};
pub use election::Standing;
pub use embedded::{COMMITS_IN_FLIGHT_MAX, EmbeddedRegistry, FILE_NAME, read_offline};
pub use error::{CommitError, OpenError, Refusal, StorageError, TakeOverError};
pub use inspect::{Child, children, get};
pub use lease::Lease;
pub use memory::{CrashPoint, MemoryRegistry};
pub use path::{PATH_BYTES_MAX, Path, PathError};
pub use tree::{LEADER_PATH, Tree};
pub use zookeeper::ZooKeeperRegistry;
pub use zookeeper_config::{
    CONNECT_TIMEOUT_DEFAULT, NAMESPACE_DEFAULT, SESSION_TIMEOUT_DEFAULT, ZooKeeperConfig,
    ZooKeeperConfigError,
};
pub use zookeeper_follow::{Nodes, follow};
pub use zookeeper_tls::ZooKeeperTlsError;

/// A number that grows with every change of leadership; commits carry it so that a deposed leader
/// cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

// === impl Epoch ===

impl Epoch {
    /// True if nobody led between the two.
    pub fn follows(self, before: Self) -> bool {
        before.0.checked_add(1) == Some(self.0)
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who takes over: what the node `ha/leader` tells its readers, besides the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderInfo {
    /// The process, unique among all that may lead.
    pub id: String,
    /// Where its API answers, e.g. `http://10.0.0.3:8080`.
    pub addresses: Vec<String>,
    /// When it took over.
    pub since: jiff::Timestamp,
}

/// What a successful take-over gives: the right to commit, and the tree to restore from.
#[derive(Debug)]
pub struct Tenure {
    /// The epoch to commit under, larger than every earlier one.
    pub epoch: Epoch,
    /// Every node with its data, `ha/leader` included, sorted by path.
    pub nodes: Vec<(Path, Bytes)>,
    /// How long this process may act on it.
    pub lease: Lease,
    /// What other programs change while it lasts, each node as it is then.
    pub changes: mpsc::Receiver<Change>,
}

/// The changes of a registry that no other program can write to.
pub(crate) fn no_changes() -> mpsc::Receiver<Change> {
    mpsc::channel(1).1
}

/// A registry, as one process sees it. The contract stands at the top of this module.
pub trait Registry: Send {
    /// Takes leadership: raises the epoch in `ha/leader` and returns the whole tree.
    ///
    /// # Errors
    ///
    /// [`TakeOverError`] when the tree could not be read or the new epoch not be stored; this
    /// process does not lead then.
    fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> BoxFuture<'static, Result<Tenure, TakeOverError>>;

    /// Lets go of the lead, if held, so that another process need not wait for it, and of what is
    /// open. Nothing else may be asked of the registry afterwards.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Writes a batch of transactions, in order, each atomic, durable when the future is done.
    ///
    /// # Errors
    ///
    /// Any [`CommitError`] ends the tenure. After [`CommitError::Unknown`] the batch may be there
    /// or not: the caller drops its state and restores from the next take-over.
    fn commit(
        &mut self,
        epoch: Epoch,
        batch: Vec<Transaction>,
    ) -> BoxFuture<'static, Result<(), CommitError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_follows_another_when_nobody_led_between() {
        assert!(Epoch(5).follows(Epoch(4)));
        assert!(!Epoch(6).follows(Epoch(4)), "somebody did");
        assert!(!Epoch(4).follows(Epoch(4)));
        assert!(!Epoch(0).follows(Epoch(u64::MAX)));
    }
}
