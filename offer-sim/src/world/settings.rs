//! What of a world its owner decides. Nothing happens here.

use super::distribution::Distribution;

/// The settings of a master and its agents that change what happens.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Between two heartbeats on a scheduler's stream.
    pub heartbeat_interval_ms: u64,
    /// Resources that come back wait for the next beat of this interval, to be offered together with
    /// others; also the least time that a filter lasts.
    pub allocation_interval_ms: u64,
    /// An offer not answered for this long is rescinded; `None` keeps it.
    pub offer_timeout_ms: Option<u64>,
    /// Until an unacknowledged update is sent again; doubled each time.
    pub update_retry_ms_min: u64,
    /// The longest such wait.
    pub update_retry_ms_max: u64,
    /// From an executor's SHUTDOWN to its death.
    pub executor_shutdown_grace_ms: u64,
    /// From an executor's start to its SUBSCRIBE; after that it is killed.
    pub executor_registration_timeout_ms: u64,
    /// Until an agent that does not answer a ping is pinged again.
    pub agent_ping_timeout_ms: u64,
    /// Pings unanswered in a row after which an agent is unreachable.
    pub max_agent_ping_timeouts: u64,
    /// How long agents that a former master knew may take to register again.
    pub agent_reregister_timeout_ms: u64,
    /// The longest that an agent waits before it registers with a new master.
    pub registration_backoff_ms: u64,
    /// How long a message takes between the master and its agents. None overtakes another.
    pub link_delay: Distribution,
    /// Letters of the name that a master gives itself, 36 at most. Few make shorter ids of all that it
    /// names, and may come twice where masters change often.
    pub master_id_len: usize,
    /// Whether there is a master here. Without one there are only agents, whose master is another
    /// process.
    pub has_master: bool,
    /// Host name that the master gives.
    pub hostname: String,
    /// IPv4 address that the master gives.
    pub ip: std::net::Ipv4Addr,
    /// Port that the master gives.
    pub port: u16,
}

impl Default for WorldConfig {
    /// The defaults of a real master and agent, on the loopback interface.
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 15_000,
            allocation_interval_ms: 1_000,
            offer_timeout_ms: None,
            update_retry_ms_min: 10_000,
            update_retry_ms_max: 600_000,
            executor_shutdown_grace_ms: 5_000,
            executor_registration_timeout_ms: 60_000,
            agent_ping_timeout_ms: 15_000,
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout_ms: 600_000,
            registration_backoff_ms: 1_000,
            link_delay: Distribution::Constant(0),
            master_id_len: 36,
            has_master: true,
            hostname: "127.0.0.1".to_owned(),
            ip: std::net::Ipv4Addr::LOCALHOST,
            port: 5050,
        }
    }
}
