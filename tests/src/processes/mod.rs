//! The real programs as processes, for chaos and benchmarks: found beside this one, started on free
//! ports, ended with their handle. Absent: what is asked of them.

mod client;
mod process;
mod usage;
mod zookeeper;

pub(crate) use client::Client;
pub(crate) use process::{Process, beside, free_port};
pub(crate) use usage::Usage;
pub(crate) use zookeeper::ZooKeeper;
