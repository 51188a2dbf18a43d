//! History: what happened, for people, in SQL, behind a bounded spool on disk. History is not state:
//! nothing here is read to decide what runs. Absent: the engine's types, and deciding what to record.
//!
//! The owner appends records to the spool before it releases a commit's answers; the writer moves
//! them to the database when it can. A slow or dead database slows nothing and, as long as the
//! spool has room, loses nothing. Records may be delivered twice and never harm: a run's row only
//! gives way to a newer version of itself, and an event has a key of its own.

mod audit_log;
mod backlog;
mod connection;
mod elastic;
mod history;
mod query;
mod record;
mod search;
mod segment;
mod select;
mod select_audit;
mod select_recent;
#[cfg(test)]
mod servers_tests;
mod spool;
#[cfg(test)]
mod spool_tests;
mod sql;
mod statement;
mod store;
#[cfg(test)]
mod store_tests;
mod target;
mod trim;
mod writer;
#[cfg(test)]
mod writer_tests;

pub use audit_log::AuditLogFilter;
pub use history::{History, Lag};
pub use query::{
    CursorError, EventKey, EventKeyError, PAGE_ROWS_MAX, RunCursor, RunFilter, RunPage,
};
pub use record::{AuditLogRow, ChangeRow, EventRow, MissedRow, RunRow, TenureRow, TraceRecord};
pub use search::{
    EventFilter, EventPage, EventSort, FAILED_STATES, OFFSET_MAX, RUNNING_STATE, SUCCEEDED_STATES,
    TaskCounts,
};
pub use select_audit::{LeftOutRow, RanRow};
pub use spool::{Spool, SpoolBatch, SpoolLag, SpoolLimits, SpoolReader};
pub use store::{Retention, Store, StoreError, TraceStore, Trimmed};
pub use target::{HistoryTarget, TargetError};
pub use writer::{Step, WriteError, Writer, WriterOptions};
