//! One seed, one world: see `world` for the loop, `audit` for the rules it is held to.

mod audit;
mod boundaries;
mod brief;
mod calendar;
mod calls;
mod cluster;
mod commits;
mod defects;
mod documents;
mod env;
mod faults;
mod kept;
mod leading;
mod options;
mod quiet;
mod registry;
mod scheduler;
mod setup;
mod simulation;
mod story;
mod troubles;
mod users;
mod world;

pub use boundaries::{FIRINGS, JOBS, Walk, walk};
pub use commits::Boundary;
pub use defects::Defect;
pub use faults::Fault;
pub use options::{ClusterKind, Options, Outcome, Violation};
pub use simulation::{shrink, simulate};
