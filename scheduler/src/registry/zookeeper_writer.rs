//! Writes for one tenure: commits become multi-operations, several on their way at once, each of
//! which fails if another process leads or an earlier one is missing. Absent: how a tenure begins.
//!
//! A lone commit goes out at once; while [`MULTIS_IN_FLIGHT_MAX`] are on their way, those that come
//! wait and share the next one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use zookeeper_client::{Client, CreateMode, Error, MultiWriteError, MultiWriter, SessionState};

use super::tree::Write;
use super::zookeeper::Request;
use super::zookeeper_config::ZooKeeperConfig;
use super::zookeeper_load::{COMMITS_PATH, Loaded, hold_above};
use super::zookeeper_multi::{Failure, MULTI_BYTES_MAX, Multi, Waiting, explain, pack, size};
use super::zookeeper_watch::{Found, Told, Watch};
use super::{Change, CommitError, Epoch, LEADER_PATH, Lease, Path, Transaction, Tree};

/// Multi-operations on their way at once: enough to hide the round trip, few enough that commits
/// gather behind them instead of going out one by one.
const MULTIS_IN_FLIGHT_MAX: usize = 4;

/// Multi-operations made at one go before their answers are looked at again.
const MULTIS_GATHERED_MAX: usize = 4;

/// The lease is renewed this often in the time it lasts: one late answer does not cost the lead.
const RENEWALS_PER_LEASE: u32 = 4;

/// Below this the renewals alone would keep a server busy.
const LEASE_TIME_MIN: Duration = Duration::from_millis(100);

/// The longest session that can be asked for.
const LEASE_TIME_MAX: Duration = Duration::from_hours(1);

/// What makes a commit of this tenure, and of no other, valid.
pub(super) struct Fence {
    pub(super) epoch: Epoch,
    /// Of `ha/leader`: each take-over raises it.
    pub(super) leader_version: i32,
    /// Of `ha/commits`: each commit raises it and says what it must have been. Requests outlive a
    /// broken connection one by one; without this a later one could be done without an earlier.
    pub(super) commits_version: i32,
}

/// One tenure's writer.
pub(super) struct Writer {
    fence: Fence,
    tree: Tree,
    /// See [`Loaded::held`].
    held: BTreeSet<Path>,
    lease: Lease,
    config: ZooKeeperConfig,
    noticing: Noticing,
}

/// How changes by other programs are noticed and told.
pub(super) struct Noticing {
    pub(super) watch: Watch,
    pub(super) noticed: mpsc::Sender<Change>,
}

/// A multi-operation that was answered.
struct Done {
    sent: Instant,
    result: Result<(), MultiWriteError>,
    paths: Vec<Path>,
    answers: Vec<Waiting>,
}

/// How a tenure ended.
enum End {
    /// With a request that is not a commit.
    Request(Request),
    /// Nobody can ask any more.
    Closed,
    /// The lead is lost or in doubt, or a commit was refused.
    Lost,
}

/// A renewal: when it was asked for, and the version of `ha/leader` found.
type Renewal = (Instant, Result<Option<i32>, Error>);

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        fence: Fence,
        loaded: Loaded,
        lease: Lease,
        config: ZooKeeperConfig,
        noticing: Noticing,
    ) -> Self {
        let (tree, held) = loaded.into_tree();
        Self { fence, tree, held, lease, config, noticing }
    }

    /// Serves commits until the tenure is over. Gives the request that comes next.
    pub(super) async fn serve(
        mut self,
        client: &Client,
        inbox: &mut mpsc::Receiver<Request>,
    ) -> Option<Request> {
        let end = self.run(client, inbox).await;
        self.lease.end();
        match end {
            End::Request(request) => Some(request),
            End::Closed => None,
            End::Lost => inbox.recv().await,
        }
    }

    /// What is dropped unanswered at its end has an unknown outcome, and is told so.
    async fn run(&mut self, client: &Client, inbox: &mut mpsc::Receiver<Request>) -> End {
        let mut states = client.state_watcher();
        if client.state() != SessionState::SyncConnected {
            return End::Lost;
        }
        let mut in_flight = FuturesOrdered::new();
        let mut renewals = FuturesUnordered::new();
        let mut reads = FuturesUnordered::new();
        let mut clock = tokio::time::interval(lease_time(client) / RENEWALS_PER_LEASE);
        let mut end = None;
        loop {
            if in_flight.is_empty()
                && let Some(end) = end
            {
                return end;
            }
            if reads.is_empty() {
                reads.extend(self.noticing.watch.read(client, &self.tree));
            }
            let may_send = end.is_none() && in_flight.len() < MULTIS_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                state = states.changed() => if state != SessionState::SyncConnected {
                    tracing::warn!(%state, "lost the connection to ZooKeeper, and with it the lead");
                    return End::Lost;
                },
                Some(done) = in_flight.next() => if !self.settle(client, done).await {
                    return End::Lost;
                },
                _ = clock.tick() => {
                    if !self.lease.is_held() {
                        tracing::warn!("ZooKeeper did not answer in time: the lead is in doubt");
                        return End::Lost;
                    }
                    renewals.push(renew(client));
                }
                Some(renewal) = renewals.next() => if !self.on_renewal(client, renewal) {
                    return End::Lost;
                },
                told = self.noticing.watch.told() => if !self.on_told(told) {
                    return End::Lost;
                },
                Some(found) = reads.next() => if !self.on_found(found) {
                    return End::Lost;
                },
                request = inbox.recv(), if may_send => match request {
                    Some(request) => {
                        let (multis, ended) = self.gather(request, inbox);
                        for multi in multis {
                            in_flight.push_back(self.send(client, multi));
                        }
                        end = ended;
                    }
                    None => end = Some(End::Closed),
                },
            }
        }
    }

    /// Takes a commit and those that have queued up behind it.
    fn gather(
        &mut self,
        first: Request,
        inbox: &mut mpsc::Receiver<Request>,
    ) -> (Vec<Multi>, Option<End>) {
        let root_bytes = self.config.root.len();
        let mut multis = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            let Request::Commit { epoch, batch, answer } = request else {
                return (multis, Some(End::Request(request)));
            };
            match self.stage(epoch, batch) {
                Ok(transactions) => pack(&mut multis, transactions, answer, root_bytes),
                Err(error) => {
                    // Whoever no longer waits for the answer has no use for it.
                    let _ = answer.send(Err(error));
                    return (multis, Some(End::Lost));
                }
            }
            next = (multis.len() < MULTIS_GATHERED_MAX).then(|| inbox.try_recv().ok()).flatten();
        }
        (multis, None)
    }

    /// Applies a commit to the tree in memory, which says what is to be created and what changed.
    fn stage(
        &mut self,
        epoch: Epoch,
        mut batch: Vec<Transaction>,
    ) -> Result<Vec<Vec<Write>>, CommitError> {
        self.tree.check_fence(Some(self.fence.epoch), epoch)?;
        for change in batch.iter_mut().flat_map(|transaction| &mut transaction.changes) {
            let is_there = self.tree.get(&change.path).is_some();
            if change.value.is_none() && is_there && self.held.contains(&change.path) {
                // Something that is not ours stands below: to a reader, empty is as good as gone.
                change.value = Some(Vec::new());
            }
        }
        let transactions = self.tree.apply(batch)?;
        for writes in &transactions {
            let bytes = size(writes, self.config.root.len());
            if bytes > MULTI_BYTES_MAX {
                let what = format!("a transaction of {} writes, parents included,", writes.len());
                return Err(CommitError::TooLarge { what, bytes, bytes_max: MULTI_BYTES_MAX });
            }
        }
        Ok(transactions)
    }

    /// Sends when called, not when the future is polled.
    fn send<'c>(&mut self, client: &'c Client, multi: Multi) -> BoxFuture<'c, Done> {
        let Multi { writes, answers, .. } = multi;
        let mut writer = client.new_multi_writer();
        let sent = Instant::now();
        let commit = self.fill(&mut writer, &writes).map(|()| writer.commit());
        let paths = writes.into_iter().map(|write| write.path).collect();
        Box::pin(async move {
            let result = match commit {
                Ok(commit) => commit.await.map(drop),
                Err(source) => Err(source.into()),
            };
            Done { sent, result, paths, answers }
        })
    }

    fn fill(&mut self, writer: &mut MultiWriter<'_>, writes: &[Write]) -> Result<(), Error> {
        let Fence { epoch, leader_version, commits_version } = &mut self.fence;
        writer.add_check_version(&format!("/{LEADER_PATH}"), *leader_version)?;
        writer.add_set_data(
            &format!("/{COMMITS_PATH}"),
            epoch.0.to_string().as_bytes(),
            Some(*commits_version),
        )?;
        let options = self.config.options(CreateMode::Persistent);
        for Write { path, data, existed } in writes {
            let path = format!("/{path}");
            match data {
                Some(data) if *existed => writer.add_set_data(&path, data, None)?,
                Some(data) => writer.add_create(&path, data, &options)?,
                None => writer.add_delete(&path, None)?,
            }
        }
        // The server counts the same way, and begins again below zero.
        *commits_version = commits_version.wrapping_add(1);
        Ok(())
    }

    /// Answers those who wait. False when the tenure is over.
    async fn settle(&self, client: &Client, done: Done) -> bool {
        let Done { sent, result, paths, answers } = done;
        let failure = match result {
            Ok(()) => {
                self.lease.extend(sent + lease_time(client));
                let late = || Failure::Unknown("it was done, but the lead may be lost".to_owned());
                (!self.lease.is_held()).then(late)
            }
            Err(error) => Some(explain(client, error, &paths).await),
        };
        if let Some(failure) = &failure {
            // The owner hears first that the lease is over, and may never read the answer.
            let error = anyhow::Error::new(failure.to_error(self.fence.epoch, false));
            tracing::error!(
                error = format!("{error:#}"),
                "a commit failed, and with it the lead is lost"
            );
        }
        for Waiting { answer, is_rest } in answers {
            let result = failure
                .as_ref()
                .map_or(Ok(()), |failure| Err(failure.to_error(self.fence.epoch, is_rest)));
            let _ = answer.send(result);
        }
        failure.is_none()
    }

    /// False when the tenure is over.
    fn on_told(&mut self, told: Told) -> bool {
        match told {
            Told::Touched => true,
            Told::Foreign(name) => {
                tracing::warn!(name, "skipped: not a node of this program");
                hold_above(&name, &mut self.held);
                true
            }
            Told::Lost => false,
        }
    }

    /// Tells what another program changed. False when the tenure is over.
    fn on_found(&mut self, found: Result<Vec<Found>, Error>) -> bool {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot read what was changed by another program");
                return false;
            }
        };
        for Found { path, written, data } in found {
            if data == written {
                continue;
            }
            if !(self.config.is_ours)(&path) {
                tracing::warn!(%path, "skipped: not a node of this program");
                hold_above(path.as_str(), &mut self.held);
                continue;
            }
            if self.tree.get(&path) != written.as_ref() {
                // Written by this process since: what it made of that is to be read first.
                self.noticing.watch.touch(path);
                continue;
            }
            tracing::info!(%path, gone = data.is_none(), "changed by another program");
            self.tree.adopt(&path, data.clone());
            if data.is_none() {
                // What stood below it went before it.
                self.held.remove(&path);
            }
            let says_nothing =
                data.as_ref().is_some_and(Bytes::is_empty) && self.held.contains(&path);
            let value = data.filter(|_| !says_nothing).map(Vec::from);
            let change = Change { path, value };
            if self.noticing.noticed.try_send(change).is_err() {
                tracing::warn!("more was changed by other programs than can be told one by one");
                return false;
            }
        }
        true
    }

    /// False when the tenure is over.
    fn on_renewal(&self, client: &Client, (asked, found): Renewal) -> bool {
        match found {
            Ok(Some(version)) if version == self.fence.leader_version => {
                self.lease.extend(asked + lease_time(client));
                true
            }
            Ok(_) => {
                tracing::warn!("another process has taken over");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "cannot renew the lease");
                false
            }
        }
    }
}

/// How long the lead is certain after a request that was answered was sent: the server gives it to
/// another when it has heard nothing for the session's timeout. What a server says is kept within
/// reason.
pub(super) fn lease_time(client: &Client) -> Duration {
    client.session_timeout().clamp(LEASE_TIME_MIN, LEASE_TIME_MAX)
}

/// Asks whether `ha/leader` is still ours; any answer shows that the session lives.
fn renew(client: &Client) -> BoxFuture<'_, Renewal> {
    let asked = Instant::now();
    Box::pin(async move {
        let stat = client.check_stat(&format!("/{LEADER_PATH}")).await;
        (asked, stat.map(|stat| stat.map(|stat| stat.version)))
    })
}
