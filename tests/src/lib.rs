//! The deterministic simulation of the engine with its auditor, robustness targets, and benchmarks.
//!
//! A whole cluster (master, agents, executors, registry, several schedulers, clocks) is a model in
//! one thread, and everything in it follows from one seed. Absent from it: real clocks, threads, sockets and
//! files; end-to-end tests with real processes stand elsewhere.

pub mod bench;
pub mod chaos;
mod processes;
mod random;
pub mod robustness;
pub mod sim;
