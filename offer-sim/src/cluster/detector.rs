//! Masters in ZooKeeper, as a Mesos master registers there: an ephemeral sequential node
//! `json.info_…` that holds its `MasterInfo`, of which the lowest leads. No decisions about agents
//! or frameworks.

use std::time::Duration;

use serde::Deserialize;
use shiftwork_proto::json::to_json;
use shiftwork_proto::mesos::v1::MasterInfo;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::{Leader, Leadership, ZooKeeperAddress};
use crate::hub::{Hub, Input};

/// How a master's node begins; the sequence follows.
const PREFIX: &str = "json.info_";
/// How long a master may be silent before another is elected, as a real one's default.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after ZooKeeper could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The part of a `MasterInfo` that says where the master is.
#[derive(Debug, Deserialize)]
struct Registered {
    address: RegisteredAddress,
}

#[derive(Debug, Deserialize)]
struct RegisteredAddress {
    hostname: Option<String>,
    ip: String,
    port: u16,
}

/// Stands for election until `stop`, and says who leads. It ends before only when the session is
/// lost: then the master must act no more, as another one does.
///
/// # Errors
/// What ZooKeeper said when the session was lost or could not begin.
pub(crate) async fn stand(
    zookeeper: &ZooKeeperAddress,
    session_timeout: Option<Duration>,
    info: &MasterInfo,
    hub: &Hub,
    leadership: &watch::Sender<Leadership>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let client = connect(zookeeper, session_timeout).await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    match client.mkdir(&zookeeper.path, &options).await {
        Ok(()) | Err(Error::NodeExists) => {}
        Err(error) => return Err(error),
    }
    let data = to_json("mesos.v1.MasterInfo", info).unwrap_or_default();
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let prefix = format!("{}/{PREFIX}", zookeeper.path);
    let (_, sequence) = client.create(&prefix, data.as_bytes(), &options).await?;
    let own = format!("{PREFIX}{sequence}");
    tracing::info!(%zookeeper, node = own, "stands for election");
    loop {
        let (children, watcher) = client.list_and_watch_children(&zookeeper.path).await?;
        let leader = lowest(children);
        let now = match &leader {
            Some(leader) if *leader == own => Leadership::Leading,
            Some(leader) => read(&client, zookeeper, leader).await?,
            None => Leadership::Unknown,
        };
        if now == Leadership::Leading && *leadership.borrow() != now {
            tracing::info!("elected");
            // First the world learns that it takes over; then callers are let in.
            hub.send(Input::Elected).await;
        }
        leadership.send_replace(now);
        if leader.is_none() {
            return Err(Error::SessionExpired);
        }
        tokio::select! {
            event = watcher.changed() => {
                if event.event_type == zookeeper_client::EventType::Session
                    && event.session_state.is_terminated()
                {
                    return Err(Error::SessionExpired);
                }
            }
            () = stop.cancelled() => {
                // At once, rather than after the session's timeout.
                let deleted = client.delete(&format!("{}/{own}", zookeeper.path), None).await;
                if let Err(error) = deleted {
                    tracing::debug!(%error, "the node goes with its session");
                }
                return Ok(());
            }
        }
    }
}

/// Says who leads until `stop`, through whatever ZooKeeper goes.
pub(crate) async fn detect(
    zookeeper: &ZooKeeperAddress,
    leader: &watch::Sender<Option<String>>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let watching = watch_leader(zookeeper, leader);
        tokio::select! {
            () = stop.cancelled() => return,
            Err(error) = watching => {
                tracing::warn!(%zookeeper, %error, "cannot ask who leads");
            }
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn watch_leader(
    zookeeper: &ZooKeeperAddress,
    leader: &watch::Sender<Option<String>>,
) -> Result<(), Error> {
    let client = connect(zookeeper, None).await?;
    loop {
        let (children, watcher) = client.list_and_watch_children(&zookeeper.path).await?;
        let found = match lowest(children) {
            Some(node) => read(&client, zookeeper, &node).await?,
            None => Leadership::Unknown,
        };
        // While nobody is known to lead, the last one may still be there.
        if let Leadership::Following(found) = found {
            leader.send_replace(Some(found.address));
        }
        let event = watcher.changed().await;
        if event.session_state.is_terminated() {
            return Err(Error::SessionExpired);
        }
    }
}

async fn connect(
    zookeeper: &ZooKeeperAddress,
    session_timeout: Option<Duration>,
) -> Result<Client, Error> {
    let timeout = session_timeout.unwrap_or(SESSION_TIMEOUT);
    Client::connector().with_session_timeout(timeout).connect(&zookeeper.hosts).await
}

/// The master that leads; any other node below the path is something else.
fn lowest(children: Vec<String>) -> Option<String> {
    children.into_iter().filter(|child| child.starts_with(PREFIX)).min()
}

async fn read(
    client: &Client,
    zookeeper: &ZooKeeperAddress,
    node: &str,
) -> Result<Leadership, Error> {
    let data = match client.get_data(&format!("{}/{node}", zookeeper.path)).await {
        Ok((data, _)) => data,
        // It went in between; the watch says so.
        Err(Error::NoNode) => return Ok(Leadership::Unknown),
        Err(error) => return Err(error),
    };
    Ok(parse(&data).map_or(Leadership::Unknown, Leadership::Following))
}

fn parse(data: &[u8]) -> Option<Leader> {
    let RegisteredAddress { hostname, ip, port } =
        serde_json::from_slice::<Registered>(data).ok()?.address;
    let address = format!("{ip}:{port}");
    Some(Leader { hostname: hostname.unwrap_or(ip), address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_master_leads_and_other_nodes_do_not() {
        let children = ["log_replicas", "json.info_0000000012", "json.info_0000000002"];
        let lowest = lowest(children.map(str::to_owned).to_vec());
        assert_eq!(lowest.as_deref(), Some("json.info_0000000002"));
        assert_eq!(super::lowest(vec!["log_replicas".to_owned()]), None);
    }

    #[test]
    fn a_recorded_master_is_understood() {
        let data = br#"{"address":{"hostname":"master-5180.example","ip":"127.0.0.1","port":5180},
            "hostname":"master-5180.example","id":"x","ip":16777343,"port":5180}"#;
        let leader = parse(data).unwrap();
        assert_eq!(leader.hostname, "master-5180.example");
        assert_eq!(leader.address, "127.0.0.1:5180");
        assert_eq!(parse(b"master@127.0.0.1:5050"), None);
    }
}
