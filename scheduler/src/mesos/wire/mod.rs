//! The only place where Mesos protobuf and engine types meet: records become events, actions become
//! calls. Everything that arrives is checked here, because prost turns an absent required field into
//! its default. No I/O, no clock, and no panic on anything a master can send.

mod command_mode;
mod incoming;
mod outgoing;
mod resources;
mod status;
mod task_info;

#[cfg(test)]
mod tests;

pub use incoming::{Incoming, UnusableOffer, read, read_event};
pub use outgoing::{call_kind, write_call};

use shiftwork_proto::required::RequiredError;

/// Why a message cannot be taken in or written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The record is no protobuf of the type it should be.
    #[error("the record is not a mesos.v1.scheduler.Event; the peer must be a Mesos v1 master")]
    Undecodable(#[source] prost::DecodeError),
    /// A field that proto2 requires is absent.
    #[error("the message is left out: it is not whole; the peer must be a Mesos v1 master")]
    Incomplete(#[source] RequiredError),
    /// A field that the protocol requires is absent or empty.
    #[error("{0} is absent or empty, though Mesos v1 requires it; the message is left out")]
    Missing(&'static str),
    /// A task state of a later Mesos than we know.
    #[error(
        "task {task} is in state number {number}, which this version does not know; upgrade \
         Shiftwork to one made for this Mesos"
    )]
    UnknownState {
        /// The task.
        task: String,
        /// The number of the state, as in `mesos.v1.TaskState`.
        number: i32,
    },
    /// A resource whose value is not of the kind its name asks for.
    #[error("resource {name} has no {expected} value; check --resources of the agent")]
    ResourceType {
        /// Name of the resource.
        name: String,
        /// The kind of value expected.
        expected: &'static str,
    },
    /// An amount that is negative, not finite or absurdly large.
    #[error("resource {name} has the amount {value}; check --resources of the agent")]
    Amount {
        /// Name of the resource.
        name: String,
        /// The amount as it came.
        value: f64,
    },
    /// A range of ports that holds none, or ports beyond 65,535.
    #[error("the port range {begin}-{end} is not one; check --resources of the agent")]
    PortRange {
        /// First port.
        begin: u64,
        /// Last port.
        end: u64,
    },
    /// The origin of a piece was not written by this module.
    #[error("the origin of a {name} resource cannot be read; the offer it came from is void")]
    Origin {
        /// Name of the resource.
        name: &'static str,
        /// What the decoder met.
        source: prost::DecodeError,
    },
    /// A DAEMON job that an executor could not fire by itself.
    #[error("DAEMON job {job} has no repeating schedule; give it cron or every")]
    Schedule {
        /// The job.
        job: String,
    },
    /// A job that Mesos' own executor could not run.
    #[error("job {job} cannot be written as a command: {problem}")]
    Command {
        /// The job.
        job: String,
        /// What is in the way.
        problem: String,
    },
}
