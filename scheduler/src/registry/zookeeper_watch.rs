//! Notices what other programs change among the nodes that people may change: documents and flags.
//! Absent: what a change means, and the nodes that only a leader writes; a hand in those is noticed
//! by the commit that runs into it.
//!
//! Two recursive watches say which nodes were touched, by whomever. Each is read again and compared
//! with what this process had written when the read was sent: requests of a session are served in
//! their order, so that what differs is another's doing, and our own writes need no marks.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use zookeeper_client::{
    AddWatchMode, Client, Error, EventType, MultiReadResult, PersistentWatcher, SessionState,
    WatchedEvent,
};

use super::{Path, Tree};

/// Below these nodes anybody may write.
const WATCHED: [&str; 2] = ["/config", "/state/disable"];

/// Nodes read by one request; more that were touched wait for the next.
const READS_PER_REQUEST: usize = 64;

/// What was touched and not yet looked at.
pub(super) struct Watch {
    documents: PersistentWatcher,
    flags: PersistentWatcher,
    touched: BTreeSet<Path>,
}

/// A node that was read again.
pub(super) struct Found {
    pub(super) path: Path,
    /// What this process had written there when it asked; `None` for no node.
    pub(super) written: Option<Bytes>,
    /// What is there.
    pub(super) data: Option<Bytes>,
}

/// What a watch told.
pub(super) enum Told {
    /// A node changed; it will be read.
    Touched,
    /// A node whose name cannot be one of ours.
    Foreign(String),
    /// The watch has ended, or may have missed something.
    Lost,
}

// === impl Watch ===

impl Watch {
    /// Begins to watch. What is loaded afterwards misses nothing.
    pub(super) async fn begin(client: &Client) -> Result<Self, Error> {
        let [documents, flags] = WATCHED;
        let mode = AddWatchMode::PersistentRecursive;
        let (documents, flags) = (client.watch(documents, mode), client.watch(flags, mode));
        let (documents, flags) = futures_util::try_join!(documents, flags)?;
        Ok(Self { documents, flags, touched: BTreeSet::new() })
    }

    /// Waits for what happens next.
    pub(super) async fn told(&mut self) -> Told {
        let event = tokio::select! {
            event = self.documents.changed() => event,
            event = self.flags.changed() => event,
        };
        self.take(event)
    }

    fn take(&mut self, event: WatchedEvent) -> Told {
        match event.event_type {
            EventType::Session if event.session_state == SessionState::SyncConnected => {
                Told::Touched
            }
            EventType::NodeCreated | EventType::NodeDeleted | EventType::NodeDataChanged => {
                let name = event.path.trim_start_matches('/');
                match Path::new(name) {
                    Ok(path) => {
                        self.touched.insert(path);
                        Told::Touched
                    }
                    Err(_) => Told::Foreign(name.to_owned()),
                }
            }
            EventType::NodeChildrenChanged => Told::Touched,
            EventType::Session => Told::Lost,
        }
    }

    /// A node is to be looked at once more.
    pub(super) fn touch(&mut self, path: Path) {
        self.touched.insert(path);
    }

    /// Reads nodes that were touched, if any. Sends when called, not when the future is polled.
    pub(super) fn read<'c>(
        &mut self,
        client: &'c Client,
        tree: &Tree,
    ) -> Option<BoxFuture<'c, Result<Vec<Found>, Error>>> {
        let mut reader = client.new_multi_reader();
        let mut asked = Vec::new();
        while asked.len() < READS_PER_REQUEST
            && let Some(path) = self.touched.pop_first()
        {
            if let Err(error) = reader.add_get_data(&format!("/{path}")) {
                return Some(Box::pin(std::future::ready(Err(error))));
            }
            let written = tree.get(&path).cloned();
            asked.push((path, written));
        }
        if asked.is_empty() {
            return None;
        }
        let answers = reader.commit();
        Some(Box::pin(async move {
            let mut found = Vec::with_capacity(asked.len());
            for ((path, written), result) in asked.into_iter().zip(answers.await?) {
                let data = match result {
                    MultiReadResult::Data { data, .. } => Some(data.into()),
                    MultiReadResult::Error { err: Error::NoNode } => None,
                    MultiReadResult::Error { err: Error::NoAuth } => {
                        tracing::warn!(%path, "skipped: its access list keeps it from this user");
                        written.clone()
                    }
                    MultiReadResult::Error { err } => return Err(err),
                    other => {
                        tracing::warn!(?other, "ZooKeeper answered something else than was asked");
                        return Err(Error::RuntimeInconsistent);
                    }
                };
                found.push(Found { path, written, data });
            }
            Ok(found)
        }))
    }
}
