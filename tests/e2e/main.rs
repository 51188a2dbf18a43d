//! End to end: the real binaries as processes, driven as a user would. Absent: anything that
//! looks inside them.

mod access;
mod api;
mod audit;
mod browser;
mod chaos;
mod cli;
mod cluster;
mod command_mode;
mod console;
mod console_escaping;
mod console_login;
mod crash;
mod demo;
mod docs;
mod elastic_job;
mod executor;
mod hands;
mod harness;
mod masters;
mod metrics;
mod neighbour;
mod packages;
mod proxy;
mod pymesos;
mod secrets;
mod sink;
mod storm;
mod tasks;
mod tzdb;
mod upgrade;
mod zookeeper;
mod zookeeper_acl;
#[path = "../../scheduler/src/registry/zookeeper_tests/server.rs"]
mod zookeeper_server;
