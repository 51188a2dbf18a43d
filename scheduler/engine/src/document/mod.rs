//! App, job and calendar documents: the JSON users write, checked once, turned into types.
//!
//! Field names are those of Elastic-Job-Cloud plus extensions. Nothing here knows of runs.

mod app;
mod calendar;
mod constraint;
mod container;
mod delay;
mod executor;
mod fingerprint;
mod jitter;
mod job;
mod limits;
mod policy;
mod reader;
mod schedule;
mod work;

pub use app::App;
pub use calendar::CalendarDocument;
pub use constraint::{Constraint, Pattern, PatternError, Rule};
pub(crate) use delay::resolve_relative;
pub use executor::JobExecutor;
pub use fingerprint::Fingerprint;
pub(crate) use jitter::delay_ms as jitter_delay_ms;
pub use job::{Execution, Job, Placement, parse_item_parameters};
pub use limits::Limits;
pub use policy::{Backoff, Concurrency, Misfire, MisfirePolicy, OnUnreachable, Retry};
pub use work::{ClassStyle, HttpWork, Work};

use serde_json::value::RawValue;
use std::sync::Arc;

/// What is wrong with one field of a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field, as written in the document.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Who wrote a document decides how strictly it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// A request: unknown fields are errors, so that a typing mistake is seen.
    Request,
    /// Already stored: unknown fields are kept and ignored.
    Stored,
}

/// The JSON text of a document as it is stored and embedded in run records.
pub type Source = Arc<RawValue>;

/// Limits a document's size, bytes: a run's record holds two of them beside its shards and must
/// fit one registry node.
pub const DOCUMENT_LEN_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
