//! What the driver is told once, at its start. Absent: where it is read from.

use std::fmt;
use std::time::Duration;

use super::credentials::Credentials;
use super::masters::{MasterSource, redacted};
use crate::agent_files::AgentBook;
use crate::tls::ClientTls;

/// Calls that may wait in the queue: at a hundred bytes each a few megabytes, and more than a master
/// answers in a minute. Beyond it the connection is taken for broken.
pub const CALLS_QUEUED_MAX_DEFAULT: usize = 100_000;

/// For so long the master keeps our tasks while no scheduler is subscribed, unless told otherwise: a
/// week, as Elastic-Job-Cloud asks, so that a long weekend without a leader kills nothing.
pub const FAILOVER_TIMEOUT_DEFAULT: Duration = Duration::from_hours(7 * 24);

/// Who we are and where the masters are.
#[derive(Clone)]
pub struct DriverConfig {
    /// The masters, `host:port` each (5050 where no port is named), tried in turn; one that does not
    /// lead tells who does. Or one `zk://host1:2181,host2:2181/path` that stands for all of them.
    pub masters: Vec<String>,
    /// Whether masters whose address does not say it speak TLS.
    pub masters_tls: bool,
    /// What TLS connections are made with.
    pub tls: ClientTls,
    /// Who we are to masters and agents that ask.
    pub credentials: Option<Credentials>,
    /// For so long the master keeps our tasks while no scheduler is subscribed.
    pub failover_timeout: Duration,
    /// Whether agents with GPUs are wanted; the master keeps them from frameworks that do not say so.
    pub gpus: bool,
    /// The user tasks run as; `None` for the one this process runs as.
    pub user: Option<String>,
    /// The role whose resources are offered to us; `*` for what nobody reserved.
    pub role: String,
    /// The host name shown by the master; empty for none.
    pub hostname: String,
    /// Our console, linked by the master.
    pub webui_url: Option<String>,
    /// Calls that may wait before the subscription is dropped and made again.
    pub calls_queued_max: usize,
    /// How long the driver waits for what.
    pub timing: Timing,
    /// Where the driver notes the addresses of agents, for whoever reads their files.
    pub agents: AgentBook,
}

/// How long the driver waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Before the second try of a subscription; doubled from try to try.
    pub backoff_min: Duration,
    /// The longest wait between tries; a subscription that lived longer starts from
    /// [`Timing::backoff_min`] again.
    pub backoff_max: Duration,
    /// For a TCP connection to a master.
    pub connect_timeout: Duration,
    /// From SUBSCRIBE to its answer, and from there to the first event.
    pub subscribe_timeout: Duration,
    /// Added to two heartbeat intervals before a silent stream is taken for dead.
    pub heartbeat_slack: Duration,
    /// For the answer to one call.
    pub call_timeout: Duration,
    /// At shutdown, for the calls that still wait.
    pub flush_timeout: Duration,
}

/// Why the driver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No master is named.
    #[error(
        "no Mesos master is configured; name at least one as host:port, or all as zk://host/path"
    )]
    NoMaster,
    /// A master is not named as it should be.
    #[error(
        "{address:?} is not the address of a Mesos master; write host:port, such as mesos-1:5050, or \
         https://mesos-1:5050"
    )]
    BadMaster {
        /// As configured.
        address: String,
    },
    /// The masters in ZooKeeper are not named as they should be.
    #[error("{address:?} {problem}; write zk://host1:2181,host2:2181/mesos")]
    BadZooKeeper {
        /// As configured, without the password.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The role is empty.
    #[error("the Mesos role is empty; use * for resources nobody reserved")]
    NoRole,
    /// The role is none that a master takes.
    #[error(
        "the Mesos role {role:?} is none that a master takes: it has no spaces and no backslash, and its \
         parts between / are not empty, not . or .., and do not begin with -"
    )]
    Role {
        /// As given.
        role: String,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client for the Mesos master cannot be built")]
    Client(#[source] reqwest::Error),
}

// === impl DriverConfig ===

impl DriverConfig {
    /// A configuration for these masters, with defaults for everything else.
    pub fn new(masters: Vec<String>) -> Self {
        Self {
            masters,
            masters_tls: false,
            tls: ClientTls::default(),
            credentials: None,
            failover_timeout: FAILOVER_TIMEOUT_DEFAULT,
            gpus: false,
            user: None,
            role: "*".to_owned(),
            hostname: String::new(),
            webui_url: None,
            calls_queued_max: CALLS_QUEUED_MAX_DEFAULT,
            timing: Timing::default(),
            agents: AgentBook::default(),
        }
    }

    /// Whether a driver can be started with it: told before anything else is begun.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.source().map(|_| ())
    }

    /// The masters, read.
    pub(super) fn source(&self) -> Result<MasterSource, ConfigError> {
        if self.role.is_empty() {
            return Err(ConfigError::NoRole);
        }
        let odd = |part: &str| matches!(part, "" | "." | "..") || part.starts_with('-');
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if self.role.split('/').any(odd) || self.role.contains(strange) {
            return Err(ConfigError::Role { role: self.role.clone() });
        }
        MasterSource::parse(&self.masters, self.masters_tls)
    }
}

/// Without passwords.
impl fmt::Debug for DriverConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masters: Vec<String> = self.masters.iter().map(|master| redacted(master)).collect();
        f.debug_struct("DriverConfig")
            .field("masters", &masters)
            .field("role", &self.role)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            subscribe_timeout: Duration::from_secs(30),
            heartbeat_slack: Duration::from_secs(1),
            call_timeout: Duration::from_secs(10),
            flush_timeout: Duration::from_secs(2),
        }
    }
}
