//! What a master and its local agent are told at the start, and what can be wrong with it. No
//! command line here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::world::ResourceError;

/// The settings of a master with, or without, a local agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where master and agent listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where sandboxes and the agent's memory are.
    pub work_dir: PathBuf,
    /// The agent that offers this machine; `None` for a master without agents.
    pub agent: Option<LocalAgentConfig>,
    /// Between two heartbeats on a scheduler's stream.
    pub heartbeat_interval: Duration,
    /// How long resources that come back wait for others, to be offered together.
    pub allocation_interval: Duration,
    /// An offer not answered for this long is rescinded; `None` keeps it.
    pub offer_timeout: Option<Duration>,
    /// From an executor's SHUTDOWN to its death.
    pub executor_shutdown_grace: Duration,
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
            heartbeat_interval: Duration::from_secs(15),
            allocation_interval: Duration::from_millis(50),
            offer_timeout: None,
            executor_shutdown_grace: Duration::from_secs(5),
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
