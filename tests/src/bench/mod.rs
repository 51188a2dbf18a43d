//! Benchmarks of the engine's own functions and the worlds they run on, of the executor as a process,
//! and of the registry in ZooKeeper. Absent: files beyond those named on the command line, and anything that is not the real
//! code.

pub mod console;
pub mod engine;
pub mod executor;
mod framework;
pub mod idle;
pub mod launch;
mod machine;
pub mod place;
pub mod recover;
pub mod registry;
pub mod rest;
mod service;
mod standalone;
mod synthetic;
pub mod timers;
mod timing;
mod trace;
pub mod watchers;
mod world;
