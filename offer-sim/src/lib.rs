//! A Mesos master and agents to test against: the v1 scheduler and executor API over HTTP, a local
//! agent with real processes, any number of simulated ones, election in ZooKeeper, and faults on
//! demand. It knows nothing of the frameworks that use it.
//!
//! [`world`] decides everything and does nothing; the rest carries out.

mod admin;
mod cluster;
mod config;
mod http;
mod hub;
mod local;
mod owner;
mod serve;
mod simulated;
pub mod world;

pub use admin::{Scenario, ScenarioError};
pub use cluster::{AddressError, MasterAddress, ZooKeeperAddress};
pub use config::{Config, ElectionConfig, LocalAgentConfig, SimulatedAgentsConfig, StartError};
pub use http::host_is_local;
pub use serve::{Running, start};
