//! The world by itself: one event in, the whole list of effects out, in words. No clock, no
//! processes, no HTTP.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used)]

mod bench;
mod executors;
mod faults;
mod frameworks;
mod launching;
mod offers;
mod recovery;
mod simulated;
mod transit;
mod updates;
