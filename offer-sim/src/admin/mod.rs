//! Faults on demand: as a gRPC service and from a scenario file, both in the same words. What a
//! fault does is decided in the world.

mod fault;
mod scenario;
mod server;

pub(crate) use fault::{FaultError, fault, selected};
pub(crate) use scenario::play;
pub use scenario::{Scenario, ScenarioError};
pub(crate) use server::serve;
