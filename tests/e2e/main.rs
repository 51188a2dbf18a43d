//! End to end: the real binaries as processes, driven as a user would. Absent: anything that
//! looks inside them.

mod api;
mod command_mode;
mod crash;
mod demo;
mod executor;
mod harness;
mod metrics;
mod pymesos;
mod tasks;
mod zookeeper;
#[path = "../../scheduler/src/registry/zookeeper_tests/server.rs"]
mod zookeeper_server;
