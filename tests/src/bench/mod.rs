//! Benchmarks of the engine's own functions and the worlds they run on, of the real programs as
//! processes, and of the registry in ZooKeeper; and the table of the figures that matter. Absent: files
//! beyond those named on the command line, and anything that is not the real code.

mod agents;
pub mod all;
pub mod burst;
pub mod console;
pub mod engine;
pub mod executor;
mod framework;
mod histogram;
pub mod idle;
mod in_process;
pub mod latency;
pub mod launch;
pub mod machine;
mod owner;
mod percentiles;
pub mod place;
mod preload;
pub mod recover;
pub mod registry;
pub mod rest;
mod rows;
mod service;
mod standalone;
mod synthetic;
pub mod table;
mod tap;
pub mod timers;
mod timing;
mod trace;
pub mod watchers;
mod world;
