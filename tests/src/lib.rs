//! The deterministic simulation of the engine, and its auditor.
//!
//! A whole cluster (master, agents, executors, registry, several schedulers, clocks) is a model in
//! one thread, and everything in it follows from one seed. Absent: real clocks, threads, sockets and
//! files; end-to-end tests with real processes stand elsewhere.

pub mod bench;
mod random;
pub mod sim;
