//! The deterministic simulation of the engine with its auditor, and benchmarks of its functions.
//!
//! A whole cluster (master, agents, executors, registry, several schedulers, clocks) is a model in
//! one thread, and everything in it follows from one seed. Absent from it: real clocks, threads, sockets and
//! files; end-to-end tests with real processes stand elsewhere.

pub mod bench;
mod random;
pub mod sim;
