//! A registry in memory, for tests and simulation: one tree that several processes share, and
//! crashes on demand. Keeps the contract of the module. Absent: anything that outlives the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::{
    CommitError, Epoch, LeaderInfo, Lease, Registry, TakeOverError, Tenure, Transaction, Tree,
    no_changes,
};

/// When the next commit loses its process, as its caller sees it: [`CommitError::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Nothing was written.
    Before,
    /// The first few transactions of the batch were written, the rest not.
    During {
        /// How many were.
        transactions: usize,
    },
    /// All was written, only the answer got lost.
    After,
}

/// One process's handle on a tree in memory. A clone is another process: it shares the tree, and
/// leads only after a take-over of its own.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    shared: Arc<Mutex<Shared>>,
    tenure: Option<Epoch>,
}

#[derive(Debug, Default)]
struct Shared {
    tree: Tree,
    crash: Option<CrashPoint>,
}

/// What a crash on demand tells its caller.
#[derive(Debug, thiserror::Error)]
#[error("the model crashed on demand ({0:?} the commit)")]
struct Crashed(CrashPoint);

// === impl MemoryRegistry ===

impl MemoryRegistry {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next commit of any process crash.
    pub fn crash_next(&self, point: CrashPoint) {
        self.lock().crash = Some(point);
    }

    /// The tree as it stands, seen from outside all processes.
    pub fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    /// No thread panics while it holds the lock on purpose, and the tree changes whole or not at
    /// all, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_over_now(&mut self, leader: LeaderInfo) -> Result<Tenure, TakeOverError> {
        self.tenure = None;
        let (epoch, nodes) = {
            let tree = &mut self.lock().tree;
            let (epoch, _) = tree.take_over(leader)?;
            (epoch, tree.to_nodes())
        };
        self.tenure = Some(epoch);
        Ok(Tenure { epoch, nodes, lease: Lease::unlimited(), changes: no_changes() })
    }

    fn commit_now(&mut self, epoch: Epoch, batch: Vec<Transaction>) -> Result<(), CommitError> {
        let tenure = self.tenure.take();
        self.lock().commit(tenure, epoch, batch)?;
        self.tenure = tenure;
        Ok(())
    }
}

impl Clone for MemoryRegistry {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), tenure: None }
    }
}

impl Registry for MemoryRegistry {
    fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> BoxFuture<'static, Result<Tenure, TakeOverError>> {
        ready(self.take_over_now(leader)).boxed()
    }

    fn commit(
        &mut self,
        epoch: Epoch,
        batch: Vec<Transaction>,
    ) -> BoxFuture<'static, Result<(), CommitError>> {
        ready(self.commit_now(epoch, batch)).boxed()
    }
}

// === impl Shared ===

impl Shared {
    fn commit(
        &mut self,
        tenure: Option<Epoch>,
        epoch: Epoch,
        mut batch: Vec<Transaction>,
    ) -> Result<(), CommitError> {
        self.tree.check_fence(tenure, epoch)?;
        let Some(crash) = self.crash.take() else {
            return self.tree.apply(batch).map(drop);
        };
        match crash {
            CrashPoint::Before => batch.clear(),
            CrashPoint::During { transactions } => batch.truncate(transactions),
            CrashPoint::After => {}
        }
        self.tree.apply(batch)?;
        Err(CommitError::Unknown { source: Crashed(crash).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract_tests::{leader, one, path, set};
    use super::*;

    fn batch(value: &str) -> Vec<Transaction> {
        ["x", "y"].map(|at| Transaction::new(vec![set(at, value)])).to_vec()
    }

    #[tokio::test]
    async fn a_deposed_process_is_fenced_by_the_next() {
        let mut first = MemoryRegistry::new();
        let mut second = first.clone();
        let old = first.take_over(leader("first")).await.unwrap();
        first.commit(old.epoch, one(vec![set("x", "first")])).await.unwrap();
        let new = second.take_over(leader("second")).await.unwrap();
        assert!(new.nodes.contains(&(path("x"), "first".into())));

        let error = first.commit(old.epoch, one(vec![set("x", "late")])).await.unwrap_err();
        assert!(matches!(error, CommitError::Fenced { .. }), "{error:?}");
        // Knowing the new epoch is not leading.
        let error = first.commit(new.epoch, one(vec![set("x", "late")])).await.unwrap_err();
        assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
        second.commit(new.epoch, one(vec![set("x", "second")])).await.unwrap();
        assert_eq!(first.tree().get(&path("x")).map(|data| &data[..]), Some(&b"second"[..]));
    }

    #[tokio::test]
    async fn crashes_leave_what_they_promise() {
        for (point, x, y) in [
            (CrashPoint::Before, "old", "old"),
            (CrashPoint::During { transactions: 1 }, "new", "old"),
            (CrashPoint::After, "new", "new"),
        ] {
            let mut registry = MemoryRegistry::new();
            let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
            registry.commit(epoch, batch("old")).await.unwrap();
            registry.crash_next(point);
            let error = registry.commit(epoch, batch("new")).await.unwrap_err();
            assert!(matches!(error, CommitError::Unknown { .. }), "{error:?}");
            // The tenure is over, and only the next commit was to crash.
            let error = registry.commit(epoch, batch("later")).await.unwrap_err();
            assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
            let tree = registry.tree();
            let value = |at| tree.get(&path(at)).map(|data| data.to_vec());
            assert_eq!((value("x"), value("y")), (Some(x.into()), Some(y.into())), "{point:?}");
            let epoch = registry.take_over(leader("b")).await.unwrap().epoch;
            registry.commit(epoch, batch("later")).await.unwrap();
        }
    }
}
