//! The registry in one file, for a scheduler without ZooKeeper: the tree in memory, redb as its
//! journal, both on a thread of their own. Absent: a second process; the file is locked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path as FilePath, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use super::journal::Journal;
pub use super::journal::read_offline;
use super::tree::Write;
use super::{
    CommitError, Epoch, LeaderInfo, Lease, OpenError, Path, Refusal, Registry, TakeOverError,
    Tenure, Transaction, Tree, no_changes,
};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "registry.redb";

/// How many commits may be queued. The owner pipelines a handful; more means that the disk does not
/// follow, and that memory would fill.
pub const COMMITS_IN_FLIGHT_MAX: usize = 64;

/// How many node writes are made durable together at most, so that the first of a group does not
/// wait long for the last. A little over what one transaction of small nodes can hold.
const GROUP_WRITES_MAX: usize = 10_000;

/// The same in bytes: what is queued is held in memory until it is on disk.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// The embedded registry. Commits that queue up while one is being made durable share the next
/// flush to disk.
#[derive(Debug)]
pub struct EmbeddedRegistry {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// A commit could not be queued, so no later one may overtake it.
    overrun: bool,
}

/// What the thread is asked to do, in order.
#[derive(Debug)]
enum Request {
    TakeOver { leader: LeaderInfo, answer: oneshot::Sender<Result<Tenure, TakeOverError>> },
    Commit { epoch: Epoch, batch: Vec<Transaction>, answer: Answer },
}

type Answer = oneshot::Sender<Result<(), CommitError>>;

/// The thread's own state.
struct Worker {
    data_dir: PathBuf,
    /// None after a failed write: what stands in the file is not known until it is read again.
    journal: Option<Journal>,
    tree: Tree,
    tenure: Option<Epoch>,
}

/// Commits that are applied to the tree in memory and not yet durable. Of a node that several of them
/// wrote only the last state goes to disk, and one that came and went leaves no trace there: under load
/// that is most of what a short task writes.
#[derive(Default)]
struct Group {
    net: BTreeMap<Path, Write>,
    /// What the data of the writes measures.
    bytes: usize,
    answers: Vec<Answer>,
}

/// The thread ended before it answered.
#[derive(Debug, thiserror::Error)]
#[error("the registry's thread has ended; its reason is in the log above")]
struct ThreadEnded;

// === impl EmbeddedRegistry ===

impl EmbeddedRegistry {
    /// Opens `registry.redb` in `data_dir`, making both if needed, and reads the whole tree.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; whatever it is, an existing file stays where it is.
    pub async fn open(data_dir: &FilePath) -> Result<Self, OpenError> {
        let data_dir = data_dir.to_owned();
        let io_error = {
            let file = data_dir.join(FILE_NAME);
            |source| OpenError::Io { file, source }
        };
        let (requests, inbox) = sync_channel(COMMITS_IN_FLIGHT_MAX);
        let (answer, opened) = oneshot::channel();
        let spawned = thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || Worker::open_and_run(data_dir, answer, &inbox));
        let thread = match spawned {
            Ok(thread) => thread,
            Err(error) => return Err(io_error(error.into())),
        };
        match opened.await {
            Ok(opened) => opened?,
            Err(_) => return Err(io_error(ThreadEnded.into())),
        }
        Ok(Self { requests: Some(requests), thread: Some(thread), overrun: false })
    }

    fn queue(&self, request: Request) -> Result<(), Option<Refusal>> {
        let Some(requests) = &self.requests else {
            return Err(None);
        };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Some(Refusal::Busy { in_flight_max: COMMITS_IN_FLIGHT_MAX }),
            TrySendError::Disconnected(_) => None,
        })
    }
}

impl Registry for EmbeddedRegistry {
    fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> BoxFuture<'static, Result<Tenure, TakeOverError>> {
        let (answer, done) = oneshot::channel();
        if let Err(refusal) = self.queue(Request::TakeOver { leader, answer }) {
            let source = refusal.map_or_else(|| ThreadEnded.into(), Into::into);
            return ready(Err(TakeOverError::Storage { source })).boxed();
        }
        self.overrun = false;
        done.map(|answer| {
            answer.unwrap_or_else(|_| Err(TakeOverError::Storage { source: ThreadEnded.into() }))
        })
        .boxed()
    }

    fn commit(
        &mut self,
        epoch: Epoch,
        batch: Vec<Transaction>,
    ) -> BoxFuture<'static, Result<(), CommitError>> {
        if self.overrun {
            return ready(Err(CommitError::Refused(Refusal::NotLeading))).boxed();
        }
        let (answer, done) = oneshot::channel();
        match self.queue(Request::Commit { epoch, batch, answer }) {
            Ok(()) => done
                .map(|answer| {
                    answer.unwrap_or_else(|_| {
                        Err(CommitError::Unknown { source: ThreadEnded.into() })
                    })
                })
                .boxed(),
            Err(Some(refusal)) => {
                self.overrun = true;
                ready(Err(CommitError::Refused(refusal))).boxed()
            }
            Err(None) => ready(Err(CommitError::Unknown { source: ThreadEnded.into() })).boxed(),
        }
    }
}

/// Waits for the commits under way, so that the file is free for the next process when this one
/// lets go of it.
impl Drop for EmbeddedRegistry {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the registry's thread panicked");
        }
    }
}

// === impl Worker ===

impl Worker {
    fn open_and_run(
        data_dir: PathBuf,
        answer: oneshot::Sender<Result<(), OpenError>>,
        inbox: &Receiver<Request>,
    ) {
        match Journal::open(&data_dir) {
            Ok((journal, tree)) => {
                let mut worker = Self { data_dir, journal: Some(journal), tree, tenure: None };
                // Whoever no longer waits for the answer has dropped the inbox's other end too.
                let _ = answer.send(Ok(()));
                while let Ok(first) = inbox.recv() {
                    worker.serve(first, inbox);
                }
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Serves one request and the commits that have queued up behind it, with one flush to disk.
    fn serve(&mut self, first: Request, inbox: &Receiver<Request>) {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::TakeOver { leader, answer } => {
                    self.flush(std::mem::take(&mut group));
                    let _ = answer.send(self.take_over(leader));
                }
                Request::Commit { epoch, batch, answer } => match self.stage(epoch, batch) {
                    Ok(writes) => {
                        group.add(writes, answer);
                    }
                    Err(error) => {
                        let _ = answer.send(Err(error));
                    }
                },
            }
            next = group.has_room().then(|| inbox.try_recv().ok()).flatten();
        }
        self.flush(group);
    }

    /// Applies a commit to the tree in memory; it is durable after the next flush.
    fn stage(&mut self, epoch: Epoch, batch: Vec<Transaction>) -> Result<Vec<Write>, CommitError> {
        let tenure = self.tenure.take();
        if self.journal.is_none() {
            return Err(CommitError::Refused(Refusal::NotLeading));
        }
        self.tree.check_fence(tenure, epoch)?;
        let writes = self.tree.apply(batch)?;
        self.tenure = tenure;
        Ok(writes.into_iter().flatten().collect())
    }

    /// Makes a group durable and answers it.
    fn flush(&mut self, group: Group) {
        if group.answers.is_empty() {
            return;
        }
        let result = match &self.journal {
            // Only the fence was asked.
            Some(_) if group.net.is_empty() => Ok(()),
            Some(journal) => journal.write(group.net.values()),
            None => Err(Refusal::NotLeading.into()),
        };
        match result {
            Ok(()) => {
                for answer in group.answers {
                    let _ = answer.send(Ok(()));
                }
            }
            Err(error) => {
                self.forget();
                let reason = error.to_string();
                tracing::error!(reason, "a commit to the registry failed, its outcome is unknown");
                for answer in group.answers {
                    let source = reason.clone().into();
                    let _ = answer.send(Err(CommitError::Unknown { source }));
                }
            }
        }
    }

    /// Drops what is in memory, since the file may say otherwise.
    fn forget(&mut self) {
        self.journal = None;
        self.tree = Tree::default();
        self.tenure = None;
    }

    fn take_over(&mut self, leader: LeaderInfo) -> Result<Tenure, TakeOverError> {
        self.tenure = None;
        let journal = if let Some(journal) = self.journal.take() {
            journal
        } else {
            let (journal, tree) = Journal::open(&self.data_dir)?;
            self.tree = tree;
            journal
        };
        let (epoch, writes) = self.tree.take_over(leader)?;
        if let Err(source) = journal.write(writes.iter()) {
            self.forget();
            return Err(TakeOverError::Storage { source });
        }
        self.journal = Some(journal);
        self.tenure = Some(epoch);
        Ok(Tenure {
            epoch,
            nodes: self.tree.to_nodes(),
            lease: Lease::unlimited(),
            changes: no_changes(),
        })
    }
}

// === impl Group ===

impl Group {
    fn add(&mut self, writes: Vec<Write>, answer: Answer) {
        let data = writes.iter().filter_map(|write| write.data.as_ref());
        self.bytes += data.map(bytes::Bytes::len).sum::<usize>();
        for write in writes {
            match self.net.entry(write.path.clone()) {
                Entry::Vacant(place) => {
                    place.insert(write);
                }
                Entry::Occupied(place) if !place.get().existed && write.data.is_none() => {
                    place.remove();
                }
                Entry::Occupied(mut place) => place.get_mut().data = write.data,
            }
        }
        self.answers.push(answer);
    }

    fn has_room(&self) -> bool {
        self.net.len() < GROUP_WRITES_MAX && self.bytes < GROUP_BYTES_MAX
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
