//! Where the ZooKeeper registry is and how to talk to it; opens connections. Absent: SASL.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, TlsOptions};

use super::election::ELECTION_NODE;
use super::zookeeper_tls::{self, ZooKeeperTlsError};
use super::{Path, PathError, TakeOverError, keys};
use crate::tls::ClientTlsFiles;

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
    pub(super) auth: Option<String>,
    /// For servers that speak TLS.
    pub(super) tls: Option<TlsOptions>,
    /// Tells nodes of this program from those somebody else has put below the namespace.
    pub is_ours: fn(&Path) -> bool,
}

/// Why a registry's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZooKeeperConfigError {
    /// Not of the form expected.
    #[error("registry {address:?} {problem}: write for example zk://host1:2181,host2:2181/chroot")]
    Address {
        /// As given, without credentials.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A namespace was given and no registry that has namespaces.
    #[error("namespace {0:?} is of a shared registry: name that with --registry, too")]
    NamespaceAlone(String),
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
    /// In the address and beside it.
    #[error("the ZooKeeper credentials are given twice: leave them out of the address")]
    TwoAuths,
    /// The file of credentials cannot be read.
    #[error("cannot read the ZooKeeper credentials from {}", path.display())]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] ZooKeeperTlsError),
}

// === impl ZooKeeperConfig ===

impl ZooKeeperConfig {
    /// Reads an address such as `zk://user:password@host1:2181,host2:2181/chroot`; `auth` is for
    /// credentials that do not stand in it.
    ///
    /// # Errors
    /// What is wrong with the address, the namespace or the credentials.
    pub fn new(
        address: &str,
        namespace: &str,
        auth: Option<String>,
    ) -> Result<Self, ZooKeeperConfigError> {
        let rest = address.strip_prefix(SCHEME);
        let (within, place) = match rest.and_then(|rest| rest.rsplit_once('@')) {
            Some((within, place)) => (Some(within.to_owned()), place),
            None => (None, rest.unwrap_or(address)),
        };
        let wrong = |problem| {
            let shown = rest.map_or_else(|| place.to_owned(), |_| format!("{SCHEME}{place}"));
            ZooKeeperConfigError::Address { address: shown, problem }
        };
        if rest.is_none() {
            return Err(wrong("is no zk:// address"));
        }
        let auth = match (within, auth) {
            (Some(_), Some(_)) => return Err(ZooKeeperConfigError::TwoAuths),
            (within, auth) => within.or(auth),
        };
        let (hosts, chroot) = place.split_once('/').unwrap_or((place, ""));
        if hosts.split(',').any(str::is_empty) {
            return Err(wrong("names no host, or an empty one"));
        }
        if hosts.chars().any(char::is_whitespace) {
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
            tls: None,
            is_ours: |path| super::keys::place_of(path) != super::keys::Place::Unknown,
        })
    }

    /// Reads credentials, `user:password`, from the first line of a file.
    ///
    /// # Errors
    /// When it cannot be read; what it holds is checked with the rest.
    pub fn read_auth(path: &std::path::Path) -> Result<String, ZooKeeperConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ZooKeeperConfigError::AuthFile { path: path.to_owned(), source })?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Speaks TLS to the servers, if an authority is named.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn with_tls(self, files: &ClientTlsFiles) -> Result<Self, ZooKeeperConfigError> {
        Ok(Self { tls: zookeeper_tls::load(files)?, ..self })
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
        let client = match &self.tls {
            Some(tls) => connector.with_tls(tls.clone()).secure_connect(&self.hosts).await?,
            None => connector.connect(&self.hosts).await?,
        };
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

    /// Makes the parents of records, where missing. Only for who leads: a leader knows which nodes are
    /// there.
    pub(super) async fn prepare_records(&self, client: &Client) -> Result<(), Error> {
        let options = self.options(CreateMode::Persistent);
        for parent in keys::PARENTS {
            client.mkdir(&format!("/{parent}"), &options).await?;
        }
        Ok(())
    }

    /// Names the cluster in an error.
    pub(super) fn failed(&self, step: &'static str, source: Error) -> TakeOverError {
        let hint = match source {
            Error::NoAuth | Error::AuthFailed => {
                "the nodes belong to another user: check the credentials (--registry-credentials-file or \
                 SHIFTWORK_ZK_AUTH) and the nodes' access lists"
            }
            Error::BadArguments(_) => "check the address of the registry",
            _ if self.tls.is_some() => {
                "check that a majority of its servers runs, can be reached, speaks TLS at these \
                 ports and trusts this client's certificate"
            }
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
            .field("tls", &self.tls.is_some())
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
        for wrong in ["a:1", "http://a", "zk://", "zk:///c", "zk://a,,b", "zk://u:p@", "zk://a b"] {
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
        // In the address; a password may hold an @.
        let within = ZooKeeperConfig::new("zk://user:se@cret@a:1,b/c", "ns", None).unwrap();
        assert_eq!(within.auth.as_deref(), Some("user:se@cret"));
        assert_eq!((within.hosts.as_str(), within.root.as_str()), ("a:1,b", "/c/ns"));
        let twice = ZooKeeperConfig::new("zk://u:p@a", "ns", Some("u:p".to_owned()));
        assert!(matches!(twice, Err(ZooKeeperConfigError::TwoAuths)));
        for wrong in ["zk://user:secret@", "zk://user:secret@a,,b", "user:secret@a"] {
            let error = ZooKeeperConfig::new(wrong, "ns", None).unwrap_err().to_string();
            assert!(wrong == "user:secret@a" || !error.contains("secret"), "{error}");
        }
    }
}
