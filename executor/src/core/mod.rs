//! The executor's decisions: events in, effects out. Absent: clocks, randomness, files, sockets and
//! processes; all of them are injected, so every run of it can be repeated exactly.

mod context;
mod daemon;
mod event;
mod ledger;
mod link;
mod machine;
mod plan;
mod report;
mod spec;
mod task;
mod work;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use event::{
    Effect, Event, ExitReason, Exited, Ids, Now, Signal, TaskId, Usage, WorkEnd, WorkId,
};
pub use machine::{Core, Limits};
pub use spec::{SpecError, TaskSpec, TaskSpecKind, TaskSpecWork};
