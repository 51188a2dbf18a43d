//! Where the ZooKeeper registry is and how to talk to it; opens connections. Absent: TLS, SASL.

use std::fmt;
use std::time::Duration;

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use super::election::ELECTION_NODE;
use super::{Path, PathError, TakeOverError};

/// The node below which everything stands unless another is named, as behind Elastic-Job-Cloud.
pub const NAMESPACE_DEFAULT: &str = "shiftwork";

/// How long a leader may be silent before another is elected: long enough for a pause of the
/// server's garbage collector, short enough that schedules to the minute hardly notice.
pub const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How long a server may be silent before another is tried: two of them fit into a session.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(4);

/// The longest chroot and namespace together, in bytes: each change carries them, and what a change
/// may cost on the wire is counted once for all ([`CHANGE_OVERHEAD_BYTES`]).
///
/// [`CHANGE_OVERHEAD_BYTES`]: super::CHANGE_OVERHEAD_BYTES
const ROOT_BYTES_MAX: usize = 60;

/// The scheme of a registry's address.
const SCHEME: &str = "zk://";

/// Where the registry is, who we are to it, and which nodes are ours.
#[derive(Clone)]
pub struct ZooKeeperConfig {
    /// `host:port`, separated by commas.
    pub(super) hosts: String,
    /// Absolute path of the namespace, the chroot included.
    pub(super) root: String,
    /// After how much silence the server gives the lead to another.
    pub session_timeout: Duration,
    /// After how much silence another server is tried.
    pub connect_timeout: Duration,
    /// `user:password` for the scheme `digest`; nodes made with it are for this user only.
    pub auth: Option<String>,
    /// Tells nodes of this program from those somebody else has put below the namespace.
    pub is_ours: fn(&Path) -> bool,
}

/// Why a registry's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZooKeeperConfigError {
    /// Not of the form expected.
    #[error("registry {address:?} {problem}: write for example zk://host1:2181,host2:2181/chroot")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The chroot or the namespace is no path.
    #[error("the chroot and the namespace of a registry must be nodes of ZooKeeper")]
    Root(#[from] PathError),
    /// Longer than `ROOT_BYTES_MAX`.
    #[error(
        "the chroot and the namespace {root:?} are longer than {ROOT_BYTES_MAX} bytes together"
    )]
    RootTooLong {
        /// Both, joined.
        root: String,
    },
    /// No user or no password.
    #[error("the ZooKeeper credentials are not of the form user:password")]
    Auth,
}

// === impl ZooKeeperConfig ===

impl ZooKeeperConfig {
    /// Reads an address such as `zk://host1:2181,host2:2181/chroot`.
    ///
    /// # Errors
    /// What is wrong with the address, the namespace or the credentials.
    pub fn new(
        address: &str,
        namespace: &str,
        auth: Option<String>,
    ) -> Result<Self, ZooKeeperConfigError> {
        let wrong =
            |problem| ZooKeeperConfigError::Address { address: address.to_owned(), problem };
        let rest = address.strip_prefix(SCHEME).ok_or_else(|| wrong("is no zk:// address"))?;
        let (hosts, chroot) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.split(',').any(str::is_empty) {
            return Err(wrong("names no host, or an empty one"));
        }
        if hosts.chars().any(|c| c.is_whitespace() || c == '@') {
            return Err(wrong("holds more than hosts and ports"));
        }
        let mut root = String::new();
        for part in [chroot, namespace].into_iter().filter(|part| !part.is_empty()) {
            root = format!("{root}/{}", Path::new(part)?);
        }
        if root.is_empty() {
            return Err(PathError::Empty.into());
        }
        if root.len() > ROOT_BYTES_MAX {
            return Err(ZooKeeperConfigError::RootTooLong { root });
        }
        let well_formed = |auth: &String| {
            auth.split_once(':').is_some_and(|(user, word)| !user.is_empty() && !word.is_empty())
        };
        if !auth.as_ref().is_none_or(well_formed) {
            return Err(ZooKeeperConfigError::Auth);
        }
        Ok(Self {
            hosts: hosts.to_owned(),
            root,
            session_timeout: SESSION_TIMEOUT_DEFAULT,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            auth,
            is_ours: |path| super::keys::place_of(path) != super::keys::Place::Unknown,
        })
    }

    /// How nodes are made: for everybody, or with credentials for their user only.
    pub(super) fn options(&self, mode: CreateMode) -> CreateOptions<'static> {
        let acls = if self.auth.is_some() { Acls::creator_all() } else { Acls::anyone_all() };
        mode.with_acls(acls)
    }

    /// Begins a session whose paths start at the namespace.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        let mut connector = Client::connector()
            .with_session_timeout(self.session_timeout)
            .with_connection_timeout(self.connect_timeout);
        if let Some(auth) = &self.auth {
            connector = connector.with_auth("digest", auth.as_bytes());
        }
        let client = connector.connect(&self.hosts).await?;
        client.chroot(self.root.as_str()).map_err(|_| Error::BadArguments(&"the namespace"))
    }

    /// Makes the namespace and what an election needs, where missing.
    pub(super) async fn prepare(&self, client: &Client) -> Result<(), Error> {
        // The namespace itself can only be made from above. It is looked for first: who may not
        // make nodes up there may still use one that is there.
        let above = client.clone().chroot("/").map_err(|_| Error::BadArguments(&"the root"))?;
        let options = self.options(CreateMode::Persistent);
        if above.check_stat(&self.root).await?.is_none() {
            above.mkdir(&self.root, &options).await?;
        }
        client.mkdir(ELECTION_NODE, &options).await
    }

    /// Names the cluster in an error.
    pub(super) fn failed(&self, step: &'static str, source: Error) -> TakeOverError {
        let hint = match source {
            Error::NoAuth | Error::AuthFailed => {
                "the nodes belong to another user: check SHIFTWORK_ZK_AUTH and their access lists"
            }
            Error::BadArguments(_) => "check the address of the registry",
            _ => "check that a majority of its servers runs and can be reached",
        };
        TakeOverError::ZooKeeper { cluster: self.hosts.clone(), step, hint, source: source.into() }
    }
}

/// Without the password.
impl fmt::Debug for ZooKeeperConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperConfig")
            .field("hosts", &self.hosts)
            .field("root", &self.root)
            .field("session_timeout", &self.session_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("auth", &self.auth.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let config = |address, namespace| ZooKeeperConfig::new(address, namespace, None);
        let parts = |address, namespace| {
            let config = config(address, namespace).unwrap();
            (config.hosts, config.root)
        };
        let pair = |hosts: &str, root: &str| (hosts.to_owned(), root.to_owned());
        assert_eq!(parts("zk://a:1,b:2/c/d", "ns"), pair("a:1,b:2", "/c/d/ns"));
        assert_eq!(parts("zk://a", "ns"), pair("a", "/ns"));
        assert_eq!(parts("zk://a/c", ""), pair("a", "/c"));
        assert_eq!(parts("zk://[::1]:2181", "a/b"), pair("[::1]:2181", "/a/b"));
        for wrong in ["a:1", "http://a", "zk://", "zk:///c", "zk://a,,b", "zk://u:p@h"] {
            let error = config(wrong, "ns").unwrap_err();
            assert!(matches!(error, ZooKeeperConfigError::Address { .. }), "{wrong}: {error}");
        }
        assert!(matches!(config("zk://a", ""), Err(ZooKeeperConfigError::Root(_))));
        assert!(matches!(config("zk://a/c//d", "ns"), Err(ZooKeeperConfigError::Root(_))));
        let long = "n".repeat(ROOT_BYTES_MAX);
        assert!(matches!(config("zk://a", &long), Err(ZooKeeperConfigError::RootTooLong { .. })));
    }

    #[test]
    fn credentials_are_checked_and_never_shown() {
        let with = |auth: &str| ZooKeeperConfig::new("zk://a", "ns", Some(auth.to_owned()));
        for wrong in ["user", "user:", ":word", ""] {
            assert!(matches!(with(wrong), Err(ZooKeeperConfigError::Auth)), "{wrong}");
        }
        let shown = format!("{:?}", with("user:secret").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
