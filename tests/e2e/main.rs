//! End to end: the real binaries as processes, driven as a user would. Absent: anything that
//! looks inside them.

mod api;
mod crash;
mod demo;
mod harness;
mod tasks;
