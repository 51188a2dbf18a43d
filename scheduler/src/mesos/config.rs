//! What the driver is told once, at its start. Absent: where it is read from.

use std::time::Duration;

use crate::agent_files::AgentBook;

/// Calls that may wait in the queue: at a hundred bytes each a few megabytes, and more than a master
/// answers in a minute. Beyond it the connection is taken for broken.
pub const CALLS_QUEUED_MAX_DEFAULT: usize = 100_000;

/// Who we are and where the masters are.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// The masters, `host:port` each (5050 where no port is named), tried in turn. One that does not
    /// lead tells who does.
    pub masters: Vec<String>,
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
    #[error("no Mesos master is configured; name at least one as host:port")]
    NoMaster,
    /// A master is not named as it should be.
    #[error(
        "{address:?} is not the address of a Mesos master; write host:port, such as mesos-1:5050"
    )]
    BadMaster {
        /// As configured.
        address: String,
    },
    /// The role is empty.
    #[error("the Mesos role is empty; use * for resources nobody reserved")]
    NoRole,
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
            user: None,
            role: "*".to_owned(),
            hostname: String::new(),
            webui_url: None,
            calls_queued_max: CALLS_QUEUED_MAX_DEFAULT,
            timing: Timing::default(),
            agents: AgentBook::default(),
        }
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
