//! A part of the tree as it changes, for a process that does not lead. Absent: what stands there, and
//! anything that a decision rests on; a leader reads all of it when it takes over.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zookeeper_client::{AddWatchMode, Client, Error, EventType, PersistentWatcher, SessionState};

use super::zookeeper_config::ZooKeeperConfig;
use super::zookeeper_load::{Scope, load_from};
use super::{Path, TakeOverError};

/// Pause before the servers are tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Changes that come within this are read together.
const TOGETHER: Duration = Duration::from_millis(50);

/// The nodes of a part of the tree.
pub type Nodes = Vec<(Path, Bytes)>;

/// Tells the nodes at and below `node`, now and whenever one of them changes, until `stop`. What was
/// told last stays for as long as the servers cannot be reached.
pub async fn follow(
    config: ZooKeeperConfig,
    node: &'static str,
    told: watch::Sender<Nodes>,
    stop: CancellationToken,
) {
    loop {
        match stop.run_until_cancelled(session(&config, node, &told)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, node, "cannot follow the registry: trying again");
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Until the session ends.
async fn session(
    config: &ZooKeeperConfig,
    node: &'static str,
    told: &watch::Sender<Nodes>,
) -> Result<(), TakeOverError> {
    let client = config.connect().await.map_err(|error| config.failed("connecting", error))?;
    watched(config, &client, node, told).await.map_err(|error| config.failed("following", error))
}

async fn watched(
    config: &ZooKeeperConfig,
    client: &Client,
    node: &'static str,
    told: &watch::Sender<Nodes>,
) -> Result<(), Error> {
    // Before reading, so that nothing is missed in between.
    let mut watcher = client.watch(&format!("/{node}"), AddWatchMode::PersistentRecursive).await?;
    loop {
        let scope = Scope::Records(config.is_ours);
        let loaded = match load_from(client, vec![node.to_owned()], scope).await {
            Ok(loaded) => loaded.nodes,
            Err(Error::NoNode) => Nodes::new(),
            Err(error) => return Err(error),
        };
        told.send_replace(loaded);
        if !changed(&mut watcher).await {
            return Ok(());
        }
        tokio::time::sleep(TOGETHER).await;
    }
}

/// Waits for a change; false when the session has ended.
async fn changed(watcher: &mut PersistentWatcher) -> bool {
    loop {
        let event = watcher.changed().await;
        match event.event_type {
            EventType::Session if event.session_state == SessionState::SyncConnected => {}
            EventType::Session => return !event.session_state.is_terminated(),
            _ => return true,
        }
    }
}
