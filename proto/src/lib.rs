//! The wire: Mesos v1, the Shiftwork task payload, and RecordIO framing. No logic lives here.

pub mod json;
pub mod recordio;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}

pub use generated::{mesos, shiftwork};
