//! The wire: Mesos v1, the Shiftwork task payload, offer-sim's own services, and RecordIO framing. No logic lives here.

pub mod json;
pub mod recordio;
pub mod required;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}

pub use generated::{mesos, offersim, shiftwork};

/// Every `.proto` file of this crate as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
