//! A Mesos master and agents to test against: the v1 scheduler and executor API over HTTP, and a
//! local agent with real processes. It knows nothing of the frameworks that use it.
//!
//! [`world`] decides everything and does nothing; the rest carries out.

mod config;
mod http;
mod hub;
mod local;
mod owner;
mod serve;
pub mod world;

pub use config::{Config, LocalAgentConfig, StartError};
pub use serve::{Running, start};
