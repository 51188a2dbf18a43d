//! The deterministic core of Shiftwork: events in, effects out.
//!
//! `engine.step(now, event, &mut effects)` is synchronous and pure: no async, no clock, no
//! randomness of its own (ids come from an injected seed), no map without order, no I/O. What the
//! crate depends on is the proof. Shells carry the effects out: writes first, and only when they
//! are durable the actions and replies that rest on them.

mod by_hand;
mod catalogue;
pub mod command;
mod commands;
mod connection;
pub mod document;
pub mod effect;
mod engine;
pub mod event;
mod executor_book;
mod executors;
mod failure;
mod firing;
mod fleet;
mod holds;
pub mod ids;
mod inherit;
mod kill;
mod launch;
mod live;
mod lookahead;
mod maintenance;
mod offers;
mod outcome;
pub mod placement;
mod query;
mod query_tasks;
mod queues;
mod random;
pub mod record;
mod registered;
pub mod resources;
mod restore;
mod round;
mod run;
mod schedules;
mod search;
mod settings;
mod shard_view;
pub mod statistics;
mod status;
#[cfg(test)]
mod tests;
mod timers;
mod utilisation;
pub mod view;
mod wait;

pub use commands::Assumed;
pub use effect::{Action, Effect, Effects, Trace};
pub use engine::Engine;
pub use event::Event;
pub use query::{Order, RunFilter};
pub use query_tasks::TaskFilter;
pub use search::{Coming, Found, JobFilter, JobState};
pub use settings::Settings;
pub use utilisation::Utilisation;
