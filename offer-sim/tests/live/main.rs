//! The real listener, real streams, real processes: what only shows when bytes and processes move.
//! What is decided is tested in the world.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used)]

mod admin;
mod apart;
mod client;
mod executor;
mod http;
mod local;
mod restart;
mod state;
