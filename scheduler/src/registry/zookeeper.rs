//! The registry in ZooKeeper, for several schedulers of which one leads: sessions, elections and
//! take-overs. Absent: writing (the writer's), and what stands in the nodes.
//!
//! A task of its own owns the session. It takes over, hands the tenure to the writer until that
//! ends, and begins again: after a broken connection or an expired session there is no other path
//! than the one of the start.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use zookeeper_client::{Client, CreateMode, Error, MultiWriteResult};

use super::election::{Candidate, Standing};
use super::tree::LeaderRecord;
use super::zookeeper_config::ZooKeeperConfig;
use super::zookeeper_load::{COMMITS_PATH, Scope, committed_epoch, load};
use super::zookeeper_watch::Watch;
use super::zookeeper_writer::{Fence, Noticing, Writer, lease_time};
use super::{
    CommitError, Epoch, LEADER_PATH, LeaderInfo, Lease, Path, Refusal, Registry, TakeOverError,
    Tenure, Transaction, Tree,
};

/// How many commits may be queued. The owner pipelines a handful; more means that the servers do
/// not follow, and that memory would fill.
const COMMITS_QUEUED_MAX: usize = 64;

/// Changes by other programs that may wait to be taken in. Where there are more, restoring from the
/// registry takes them all in at once.
const CHANGES_QUEUED_MAX: usize = 10_000;

/// How long leaving may take: the session's end does the same a little later.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The registry in ZooKeeper, as one process sees it.
#[derive(Debug)]
pub struct ZooKeeperRegistry {
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
    /// A commit could not be queued, so no later one may overtake it.
    overrun: bool,
}

/// What the task is asked to do, in order.
#[derive(Debug)]
pub(super) enum Request {
    TakeOver { leader: LeaderInfo, answer: oneshot::Sender<Result<Tenure, TakeOverError>> },
    Commit { epoch: Epoch, batch: Vec<Transaction>, answer: Answer },
}

pub(super) type Answer = oneshot::Sender<Result<(), CommitError>>;

/// The task's own state.
struct Worker {
    config: ZooKeeperConfig,
    standing: watch::Sender<Standing>,
    session: Option<Session>,
}

struct Session {
    client: Client,
    /// Begins the names of this session's candidates. Not the process's: a candidate of a former
    /// session may still be there and is not ours any more.
    candidate: String,
    has_led: bool,
}

/// The task ended before it answered.
#[derive(Debug, thiserror::Error)]
#[error("the lead was lost before ZooKeeper had answered")]
struct Lost;

// === impl ZooKeeperRegistry ===

impl ZooKeeperRegistry {
    /// A registry that connects when it is first asked to take over. What this process is in the
    /// elections is told through `standing`, but for leading: that begins when the caller says so.
    pub fn new(config: ZooKeeperConfig, standing: watch::Sender<Standing>) -> Self {
        let (requests, inbox) = mpsc::channel(COMMITS_QUEUED_MAX);
        let worker = Worker { config, standing, session: None };
        let task = tokio::spawn(worker.run(inbox));
        Self { requests, task, overrun: false }
    }

    /// Reads the tree without taking part in anything, for inspection at any time. Nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// [`TakeOverError::ZooKeeper`].
    pub async fn read(config: &ZooKeeperConfig) -> Result<Tree, TakeOverError> {
        let client = config.connect().await.map_err(|e| config.failed("connecting", e))?;
        let loaded = match load(&client, Scope::Everything).await {
            Ok(loaded) => loaded.into_tree().0,
            // Not even the namespace is there.
            Err(Error::NoNode) => Tree::default(),
            Err(error) => return Err(config.failed("reading the tree", error)),
        };
        Ok(loaded)
    }

    fn queue(&self, request: Request) -> Result<(), Option<Refusal>> {
        self.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Some(Refusal::Busy { in_flight_max: COMMITS_QUEUED_MAX }),
            TrySendError::Closed(_) => None,
        })
    }
}

impl Registry for ZooKeeperRegistry {
    fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> BoxFuture<'static, Result<Tenure, TakeOverError>> {
        let (answer, done) = oneshot::channel();
        if let Err(refusal) = self.queue(Request::TakeOver { leader, answer }) {
            let source = refusal.map_or_else(|| Lost.into(), Into::into);
            return ready(Err(TakeOverError::Storage { source })).boxed();
        }
        self.overrun = false;
        done.map(|answer| {
            answer.unwrap_or_else(|_| Err(TakeOverError::Storage { source: Lost.into() }))
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
                    answer.unwrap_or_else(|_| Err(CommitError::Unknown { source: Lost.into() }))
                })
                .boxed(),
            Err(Some(refusal)) => {
                self.overrun = true;
                ready(Err(CommitError::Refused(refusal))).boxed()
            }
            Err(None) => ready(Err(CommitError::Unknown { source: Lost.into() })).boxed(),
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { requests, task, .. } = *self;
        drop(requests);
        task.map(|ended| {
            if ended.is_err() {
                tracing::error!("the registry's task panicked");
            }
        })
        .boxed()
    }
}

// === impl Worker ===

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut next = inbox.recv().await;
        while let Some(request) = next {
            next = match request {
                Request::TakeOver { leader, answer } => self.lead(leader, answer, &mut inbox).await,
                Request::Commit { answer, .. } => {
                    // Whoever no longer waits for the answer has no use for it.
                    let _ = answer.send(Err(CommitError::Refused(Refusal::NotLeading)));
                    inbox.recv().await
                }
            };
        }
        self.leave().await;
    }

    /// One tenure, if it comes to that. Gives the request it ended with.
    async fn lead(
        &mut self,
        leader: LeaderInfo,
        mut answer: oneshot::Sender<Result<Tenure, TakeOverError>>,
        inbox: &mut mpsc::Receiver<Request>,
    ) -> Option<Request> {
        let taken = tokio::select! {
            taken = self.take_over(leader) => taken,
            () = answer.closed() => return inbox.recv().await,
        };
        match taken {
            Ok((tenure, writer, client)) => {
                let _ = answer.send(Ok(tenure));
                writer.serve(&client, inbox).await
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                inbox.recv().await
            }
        }
    }

    async fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> Result<(Tenure, Writer, Client), TakeOverError> {
        // What hindered the last try is said until another one gets further.
        self.standing.send_if_modified(|standing| {
            let leaves = !matches!(standing, Standing::Hindered { .. });
            if leaves {
                *standing = Standing::Standby { leader: None };
            }
            leaves
        });
        let (client, candidate) = self.elected(&leader.id).await?;
        self.standing.send_replace(Standing::Standby { leader: None });
        tracing::info!(candidate, "elected; loading the registry");
        // Standing by may have taken days.
        let leader = LeaderInfo { since: jiff::Timestamp::now(), ..leader };
        let fence = self.raise_epoch(&client, leader).await?;
        let failed = |error| self.config.failed("loading the tree", error);
        self.config.prepare_records(&client).await.map_err(failed)?;
        // Before loading, so that nothing is missed in between.
        let watch = Watch::begin(&client).await.map_err(failed)?;
        let loaded = load(&client, Scope::Records(self.config.is_ours)).await.map_err(failed)?;
        // Loading may have taken longer than a session lasts: is the lead still ours?
        let asked = Instant::now();
        let leader_path = format!("/{LEADER_PATH}");
        let stat = client.check_stat(&leader_path).await.map_err(failed)?;
        if stat.is_none_or(|stat| stat.version != fence.leader_version) {
            return Err(failed(Error::RuntimeInconsistent));
        }
        let lease = Lease::until(asked + lease_time(&client));
        // What was emptied because it could not be removed is gone to its readers.
        let is_gone =
            |(path, data): &&(Path, bytes::Bytes)| data.is_empty() && loaded.held.contains(path);
        let nodes = loaded.nodes.iter().filter(|node| !is_gone(node)).cloned().collect();
        let epoch = fence.epoch;
        let (noticed, changes) = mpsc::channel(CHANGES_QUEUED_MAX);
        let noticing = Noticing { watch, noticed };
        let writer = Writer::new(fence, loaded, lease.clone(), self.config.clone(), noticing);
        Ok((Tenure { epoch, nodes, lease, changes }, writer, client))
    }

    /// Waits until this process is to lead, behind the others if it has led before: what made it
    /// stop may be its own trouble.
    async fn elected(&mut self, process: &str) -> Result<(Client, String), TakeOverError> {
        let ended = |session: &Session| session.client.state().is_terminated();
        if self.session.as_ref().is_none_or(ended) {
            self.session = None;
            let config = &self.config;
            let client = config.connect().await.map_err(|e| config.failed("connecting", e))?;
            let prepared = config.prepare(&client).await;
            prepared.map_err(|e| config.failed("making the namespace", e))?;
            let candidate = uuid::Uuid::new_v4().to_string();
            self.session = Some(Session { client, candidate, has_led: false });
        }
        let Some(session) = &mut self.session else {
            return Err(TakeOverError::Storage { source: Lost.into() });
        };
        let candidate = Candidate {
            client: &session.client,
            config: &self.config,
            id: &session.candidate,
            process,
            standing: &self.standing,
        };
        let failed = |error| self.config.failed("the election", error);
        if session.has_led {
            candidate.resign().await.map_err(failed)?;
            session.has_led = false;
        }
        candidate.win().await.map_err(failed)?;
        session.has_led = true;
        Ok((session.client.clone(), session.candidate.clone()))
    }

    /// Writes the next epoch; from then on nothing of an earlier one can be written any more, not
    /// even what is on its way.
    async fn raise_epoch(
        &self,
        client: &Client,
        leader: LeaderInfo,
    ) -> Result<Fence, TakeOverError> {
        let failed = |error| self.config.failed("raising the epoch", error);
        let (leader_path, commits_path) = (format!("/{LEADER_PATH}"), format!("/{COMMITS_PATH}"));
        let found = match client.get_data(&leader_path).await {
            Ok((data, stat)) => Some((LeaderRecord::parse(&data)?.epoch, stat.version)),
            Err(Error::NoNode) => None,
            Err(error) => return Err(failed(error)),
        };
        let committed = match client.get_data(&commits_path).await {
            Ok((data, _)) => Some(committed_epoch(&data)),
            Err(Error::NoNode) => None,
            Err(error) => return Err(failed(error)),
        };
        // The leader's node may have been deleted by hand; what was done under its epoch is still told.
        let last = found.map_or(0, |(epoch, _)| epoch.0).max(committed.unwrap_or_default());
        let epoch = Epoch(last.saturating_add(1));
        let commits = epoch.0.to_string();
        let record = LeaderRecord::new(leader, epoch).encode()?;
        let options = self.config.options(CreateMode::Persistent);
        let mut writer = client.new_multi_writer();
        match found {
            Some((_, version)) => writer.add_set_data(&leader_path, &record, Some(version)),
            None => writer.add_create(&leader_path, &record, &options),
        }
        .map_err(failed)?;
        match committed {
            Some(_) => writer.add_set_data(&commits_path, commits.as_bytes(), None),
            None => writer.add_create(&commits_path, commits.as_bytes(), &options),
        }
        .map_err(failed)?;
        let results = writer.commit().await.map_err(|error| failed(error.into()))?;
        let version = |index: usize| match results.get(index) {
            Some(MultiWriteResult::SetData { stat }) => stat.version,
            _ => 0,
        };
        Ok(Fence { epoch, leader_version: version(0), commits_version: version(1) })
    }

    async fn leave(self) {
        let Some(session) = &self.session else { return };
        let candidate = Candidate {
            client: &session.client,
            config: &self.config,
            id: &session.candidate,
            process: "",
            standing: &self.standing,
        };
        match tokio::time::timeout(LEAVE_TIMEOUT, candidate.resign()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "left the election with the session"),
            Err(_) => tracing::info!("left the election with the session: no answer"),
        }
    }
}
