//! Several processes that are one cluster: masters that elect one of them, and agents that live
//! apart from their master. What they tell each other is decided in the world.

mod address;
mod agents;
mod detector;
mod master;

pub use address::{AddressError, MasterAddress, ZooKeeperAddress};
pub(crate) use agents::serve_agents;
pub(crate) use detector::{detect, stand};
pub(crate) use master::Links;

/// Who leads, as a master knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// This one.
    Leading,
    /// Another one.
    Following(Leader),
    /// Nobody, or nobody knows.
    Unknown,
}

/// A master that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// As it wants to be called by clients.
    pub(crate) hostname: String,
    /// Where it can be reached, as `ip:port`.
    pub(crate) address: String,
    pub(crate) port: u16,
}
