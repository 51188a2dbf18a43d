//! Finds the leading master through ZooKeeper: masters register themselves as ephemeral nodes
//! `json.info_{sequence}`, the lowest sequence leads, its node says where it is. Absent: subscribing.
//!
//! What was found last stays in force while ZooKeeper cannot be reached: a subscription that lives
//! shows by its heartbeats that its master does.

use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zookeeper_client::{Client, Error};

use super::backoff::Backoff;
use super::masters::{ZooKeeperMasters, scheduler_url};

/// How long our session may be silent: nothing of ours rests on it but watches.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be silent before another is tried: two of them fit into a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Before the second try to reach ZooKeeper.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(200);

/// The longest wait between tries to reach ZooKeeper: a fail-over of the masters must not wait longer.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Begins the name of a master's node; `info_` alone is the binary form of masters before 0.24.
const NODE_PREFIX: &str = "json.info_";

/// The longest `MasterInfo` that is read, bytes: a real one has a few hundred.
const INFO_LEN_MAX: usize = 64 * 1024;

/// The master that leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    /// Its node: a master that was started again has another one.
    pub node: String,
    /// Its scheduler API.
    pub url: Url,
}

/// Why the leading master is not known.
#[derive(Debug, thiserror::Error)]
enum DetectError {
    #[error("ZooKeeper at {hosts} cannot be asked for the Mesos masters; {hint}")]
    ZooKeeper {
        hosts: String,
        hint: &'static str,
        #[source]
        source: Error,
    },
    #[error("node {node} of a Mesos master says nothing about where it is: {problem}")]
    Info { node: String, problem: String },
}

/// The part of `MasterInfo` that is used.
#[derive(Debug, Deserialize)]
struct MasterInfo {
    address: Option<MasterAddress>,
    hostname: Option<String>,
    /// The bytes of an IPv4 address in the order of the network, read as a little-endian number.
    ip: Option<u32>,
    port: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct MasterAddress {
    hostname: Option<String>,
    ip: Option<String>,
    port: u16,
}

/// Keeps the leading master known.
pub(super) struct Detector {
    masters: ZooKeeperMasters,
    leader: watch::Sender<Option<Leader>>,
}

// === impl Detector ===

impl Detector {
    pub(super) fn new(masters: ZooKeeperMasters) -> Self {
        Self { masters, leader: watch::Sender::new(None) }
    }

    /// The leading master, now and from now on; `None` until one is known.
    pub(super) fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }

    /// Watches until stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let mut backoff = Backoff::new(RETRY_DELAY_MIN, RETRY_DELAY_MAX);
        loop {
            let error = match self.connect().await {
                Ok(client) => {
                    backoff.reset();
                    self.follow(&client).await
                }
                Err(error) => error,
            };
            let delay = backoff.next_delay();
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let retry_ms = delay.as_millis() as u64;
            tracing::warn!(%error, cause, retry_ms, "the leading Mesos master is not watched");
            tokio::time::sleep(delay).await;
        }
    }

    async fn connect(&self) -> Result<Client, DetectError> {
        let mut connector = Client::connector()
            .with_session_timeout(SESSION_TIMEOUT)
            .with_connection_timeout(CONNECT_TIMEOUT);
        if let Some(auth) = &self.masters.auth {
            connector = connector.with_auth("digest", auth.as_bytes());
        }
        connector.connect(&self.masters.hosts).await.map_err(|source| self.failed(source))
    }

    /// Follows the changes of one session to its end.
    async fn follow(&self, client: &Client) -> DetectError {
        loop {
            match self.follow_once(client).await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    }

    /// Finds the leader and waits for the next change.
    async fn follow_once(&self, client: &Client) -> Result<(), DetectError> {
        let path = self.masters.path.as_str();
        let failed = |source| self.failed(source);
        let (children, changed) = match client.list_and_watch_children(path).await {
            Ok(found) => found,
            Err(Error::NoNode) => {
                self.tell(None);
                // Made between the two questions, it is listed at once.
                let (stat, made) = client.check_and_watch_stat(path).await.map_err(failed)?;
                if stat.is_none() {
                    self.warn_of_none();
                    made.changed().await;
                }
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        match first(children) {
            None => {
                self.tell(None);
                self.warn_of_none();
            }
            Some(node) => match client.get_data(&format!("{path}/{node}")).await {
                Ok((data, _)) => self.tell(Some(leader(node, &data, self.masters.tls)?)),
                // It has gone since: the list is another one already.
                Err(Error::NoNode) => return Ok(()),
                Err(error) => return Err(failed(error)),
            },
        }
        // Ends with the session, too; what is asked next then says so.
        changed.changed().await;
        Ok(())
    }

    fn tell(&self, leader: Option<Leader>) {
        self.leader.send_if_modified(|known| {
            let changed = *known != leader;
            if changed {
                let node = leader.as_ref().map(|leader| leader.node.as_str());
                let url = leader.as_ref().map(|leader| leader.url.as_str());
                tracing::info!(masters = ?self.masters, node, url, "leading Mesos master");
                *known = leader;
            }
            changed
        });
    }

    fn warn_of_none(&self) {
        let (hosts, path) = (&self.masters.hosts, &self.masters.path);
        tracing::warn!(
            hosts,
            path,
            "no Mesos master is registered there: waiting for one; check the path in --mesos if that lasts"
        );
    }

    fn failed(&self, source: Error) -> DetectError {
        let hint = match source {
            Error::NoAuth | Error::AuthFailed => {
                "its node may be read with other credentials only: give user:password in --mesos"
            }
            Error::BadArguments(_) => "check the address in --mesos",
            _ => "check that a majority of its servers runs and can be reached",
        };
        DetectError::ZooKeeper { hosts: self.masters.hosts.clone(), hint, source }
    }
}

/// The node of the master that leads: the lowest sequence. Others stand beside them, `log_replicas`
/// of the masters' registry among them.
fn first(children: Vec<String>) -> Option<String> {
    let sequence = |node: &str| node.strip_prefix(NODE_PREFIX)?.parse::<u64>().ok();
    let masters = children.into_iter().filter_map(|node| Some((sequence(&node)?, node)));
    masters.min().map(|(_, node)| node)
}

/// Reads a master's node.
fn leader(node: String, data: &[u8], tls: bool) -> Result<Leader, DetectError> {
    let wrong = |problem: String| DetectError::Info { node: node.clone(), problem };
    if data.len() > INFO_LEN_MAX {
        return Err(wrong(format!("it has more than {INFO_LEN_MAX} bytes")));
    }
    let info: MasterInfo =
        serde_json::from_slice(data).map_err(|error| wrong(error.to_string()))?;
    let authority = authority(info, tls).ok_or_else(|| wrong("no host and port".to_owned()))?;
    let scheme = if tls { "https" } else { "http" };
    let url = scheduler_url(scheme, &authority)
        .ok_or_else(|| wrong(format!("{authority:?} is no host and port")))?;
    Ok(Leader { node, url })
}

/// Where a master is: by its IP address, which needs no name service; by its name with TLS, since that
/// is what its certificate is for. Masters before 1.0 have no `address`.
fn authority(info: MasterInfo, tls: bool) -> Option<String> {
    let (name, ip, port) = if let Some(address) = info.address {
        (address.hostname.or(info.hostname), address.ip, address.port)
    } else {
        let ip = info.ip.map(|ip| Ipv4Addr::from(ip.to_le_bytes()).to_string());
        (info.hostname, ip, info.port?)
    };
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, ip) = (present(name), present(ip));
    let host = if tls { name.or(ip) } else { ip.or(name) }?;
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded of a Mesos 1.12 master.
    const RECORDED: &str = r#"{"address":{"hostname":"master-5190.example","ip":"127.0.0.1",
        "port":5190},"capabilities":[{"type":"AGENT_UPDATE"}],"hostname":"master-5190.example",
        "id":"9ba5e15a-1340-48b8-b2d3-f5f4cb379f9b","ip":16777343,"pid":"master@127.0.0.1:5190",
        "port":5190,"version":"1.12.0"}"#;

    fn url(data: &str, tls: bool) -> Result<String, String> {
        let found = leader("json.info_0000000001".to_owned(), data.as_bytes(), tls);
        found.map(|leader| leader.url.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_lowest_sequence_leads_whatever_stands_beside() {
        let names = |list: &[&str]| first(list.iter().map(|name| (*name).to_owned()).collect());
        let listed = ["log_replicas", "json.info_0000000012", "json.info_0000000003", "info_1"];
        assert_eq!(names(&listed).as_deref(), Some("json.info_0000000003"));
        assert_eq!(
            names(&["json.info_10000000000", "json.info_9999999999"]).as_deref(),
            Some("json.info_9999999999"),
            "by number, not by letters"
        );
        assert_eq!(names(&["log_replicas", "json.info_x", "json.info_"]), None);
    }

    #[test]
    fn a_master_is_where_its_node_says() {
        assert_eq!(url(RECORDED, false).unwrap(), "http://127.0.0.1:5190/api/v1/scheduler");
        assert_eq!(
            url(RECORDED, true).unwrap(),
            "https://master-5190.example:5190/api/v1/scheduler",
            "certificates are for names"
        );
        let old = r#"{"id":"x","ip":16777343,"port":5050,"hostname":"m"}"#;
        assert_eq!(url(old, false).unwrap(), "http://127.0.0.1:5050/api/v1/scheduler");
        let six = r#"{"address":{"ip":"::1","port":5050}}"#;
        assert_eq!(url(six, false).unwrap(), "http://[::1]:5050/api/v1/scheduler");
    }

    #[test]
    fn what_says_nothing_is_an_error_with_its_node() {
        for bad in ["", "[]", "{}", r#"{"port":5050}"#, r#"{"address":{"ip":"a b","port":1}}"#] {
            let error = url(bad, false).unwrap_err();
            assert!(error.contains("json.info_0000000001"), "{bad}: {error}");
        }
        assert!(url(&" ".repeat(INFO_LEN_MAX + 1), false).is_err());
    }
}
