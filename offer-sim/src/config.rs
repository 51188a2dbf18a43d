//! What a master and its local agent are told at the start, and what can be wrong with it. No
//! command line here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::admin::Scenario;
use crate::cluster::{MasterAddress, ZooKeeperAddress};
use crate::world::{ResourceError, Workload};

/// The settings of a master with, or without, a local agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where master and agent listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where sandboxes and the agent's memory are.
    pub work_dir: PathBuf,
    /// The agent that offers this machine; `None` for a master without agents.
    pub agent: Option<LocalAgentConfig>,
    /// Agents whose executors are simulated.
    pub simulated: Option<SimulatedAgentsConfig>,
    /// Where the master is when it is another process; `None` for a master here.
    pub master: Option<MasterAddress>,
    /// Where this master stands for election; `None` for one that always leads.
    pub election: Option<ElectionConfig>,
    /// Where the admin API listens; `None` for none.
    pub admin: Option<SocketAddr>,
    /// Faults that happen by themselves.
    pub scenario: Scenario,
    /// Decides every name and all chance; `None` for another one in each life.
    pub seed: Option<u64>,
    /// Until an agent that does not answer a ping is pinged again.
    pub agent_ping_timeout: Duration,
    /// Pings unanswered in a row after which an agent is unreachable.
    pub max_agent_ping_timeouts: u64,
    /// How long agents that a former master knew may take to register again.
    pub agent_reregister_timeout: Duration,
    /// Between two heartbeats on a scheduler's stream.
    pub heartbeat_interval: Duration,
    /// How long resources that come back wait for others, to be offered together.
    pub allocation_interval: Duration,
    /// An offer not answered for this long is rescinded; `None` keeps it.
    pub offer_timeout: Option<Duration>,
    /// From an executor's SHUTDOWN to its death.
    pub executor_shutdown_grace: Duration,
    /// Takes only requests under names of this machine, so that no web page leads a browser here.
    pub own_names_only: bool,
}

/// How a master stands for election.
#[derive(Clone, Debug)]
pub struct ElectionConfig {
    /// Where masters register.
    pub zookeeper: ZooKeeperAddress,
    /// How long a master may be silent before another is elected; `None` for ten seconds.
    pub session_timeout: Option<Duration>,
    /// The name that clients are to use for this host; the address when it is `None`.
    pub hostname: Option<String>,
}

/// Agents whose executors are simulated.
#[derive(Clone, Debug)]
pub struct SimulatedAgentsConfig {
    /// How many.
    pub count: u32,
    /// What each has: `cpus:16;mem:65536;ports:[31000-32000]`.
    pub resources: String,
    /// `rack:r{0..40};zone:a`; a range goes on from agent to agent.
    pub attributes: String,
    /// Host names begin with it; the agent's number follows.
    pub hostname: String,
    /// What their executors do.
    pub workload: Workload,
}

/// The settings of the agent that offers this machine.
#[derive(Clone, Debug)]
pub struct LocalAgentConfig {
    /// The name the agent gives its host.
    pub hostname: String,
    /// `cpus:4;mem:1024;disk:8192;ports:[31000-32000]`; the machine's own for each one not given.
    pub resources: Option<String>,
    /// `rack:a;zone:b`.
    pub attributes: Option<String>,
    /// Directories that come before this process's PATH in that of executors.
    pub extra_path: Vec<PathBuf>,
}

impl Default for SimulatedAgentsConfig {
    /// One agent of a usual size.
    fn default() -> Self {
        Self {
            count: 1,
            resources: "cpus:16;mem:65536;disk:262144;ports:[31000-32000]".to_owned(),
            attributes: String::new(),
            hostname: "agent".to_owned(),
            workload: Workload::default(),
        }
    }
}

/// Why master and agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or is not one of this machine.
    #[error("cannot listen on {address}; choose another address or stop who has it")]
    Listen {
        /// Where to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The work directory cannot be used.
    #[error("cannot {step} {}; choose a directory that is writable", path.display())]
    WorkDir {
        /// Which file or directory.
        path: PathBuf,
        /// What was to be done with it.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process runs an agent on the work directory.
    #[error(
        "{} is in use by another agent; stop that one or choose another directory", path.display()
    )]
    InUse {
        /// The work directory.
        path: PathBuf,
    },
    /// The agent's resources or attributes are not understood.
    #[error(
        "the agent's {option} are not understood; write them like cpus:4;mem:1024 and rack:a;zone:b"
    )]
    Agent {
        /// `resources` or `attributes`.
        option: &'static str,
        /// What is wrong with them.
        source: ResourceError,
    },
}

// === impl Config ===

impl Default for Config {
    /// The loopback interface, the port of a real master, no agent; offers follow quickly.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5050)),
            work_dir: PathBuf::from("offer-sim-work"),
            agent: None,
            simulated: None,
            master: None,
            election: None,
            admin: None,
            scenario: Scenario::default(),
            seed: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_mins(10),
            heartbeat_interval: Duration::from_secs(15),
            allocation_interval: Duration::from_millis(50),
            offer_timeout: None,
            executor_shutdown_grace: Duration::from_secs(5),
            own_names_only: false,
        }
    }
}

// === impl LocalAgentConfig ===

impl Default for LocalAgentConfig {
    /// All of this machine, under the name `localhost`.
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            resources: None,
            attributes: None,
            extra_path: Vec::new(),
        }
    }
}
