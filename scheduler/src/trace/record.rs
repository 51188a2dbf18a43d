//! What is recorded: rows as the database holds them, and their stored form in the spool (protobuf,
//! by the tags below: add, never renumber). Absent: where they come from.

use prost::bytes::BufMut;
use prost::{Message, Oneof};

use super::{EventKey, RUNNING_STATE};

/// One run as it stands after a change. Rows of the same id replace each other, newer over older.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RunRow {
    /// The run's id, unique for ever.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The job it belongs to.
    #[prost(string, tag = "2")]
    pub job: String,
    /// The app the job belongs to.
    #[prost(string, tag = "3")]
    pub app: String,
    /// The time it was to fire at, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub logical_time_ms: i64,
    /// Its state's name, as the API spells it.
    #[prost(string, tag = "5")]
    pub state: String,
    /// Why it is in that state, for people.
    #[prost(string, optional, tag = "6")]
    pub reason: Option<String>,
    /// How often it was started, the first time being one.
    #[prost(uint32, tag = "7")]
    pub attempt: u32,
    /// When it was queued, milliseconds since 1970.
    #[prost(int64, tag = "8")]
    pub created_at_ms: i64,
    /// When its first task was launched, milliseconds since 1970.
    #[prost(int64, optional, tag = "9")]
    pub started_at_ms: Option<i64>,
    /// When it came to its end, milliseconds since 1970; none while it has not.
    #[prost(int64, optional, tag = "10")]
    pub finished_at_ms: Option<i64>,
    /// Grows with each change of the run, across epochs too.
    #[prost(uint64, tag = "11")]
    pub version: u64,
    /// The whole run as the API answers it.
    #[prost(string, tag = "12")]
    pub json: String,
    /// The job document it was made with, JSON: known once it has ended. Absent from lists.
    #[prost(string, optional, tag = "13")]
    pub document: Option<String>,
}

/// Something that happened to a run or to one of its tasks. Never changed once recorded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EventRow {
    /// The run it happened to.
    #[prost(string, tag = "1")]
    pub run_id: String,
    /// The run's job.
    #[prost(string, tag = "2")]
    pub job: String,
    /// When, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// What kind of thing happened, as the API spells it.
    #[prost(string, tag = "4")]
    pub kind: String,
    /// The sharding item it is about.
    #[prost(uint32, optional, tag = "5")]
    pub item: Option<u32>,
    /// The task it is about.
    #[prost(string, optional, tag = "6")]
    pub task_id: Option<String>,
    /// The task's or run's state after it.
    #[prost(string, optional, tag = "7")]
    pub state: Option<String>,
    /// More, for people.
    #[prost(string, optional, tag = "8")]
    pub message: Option<String>,
    /// The leader's epoch when it was recorded; with `sequence` the event's unique key.
    #[prost(uint64, tag = "9")]
    pub epoch: u64,
    /// Counts the events of an epoch.
    #[prost(uint64, tag = "10")]
    pub sequence: u64,
    /// The host name or address of the task's agent, where known.
    #[prost(string, optional, tag = "11")]
    pub hostname: Option<String>,
    /// Who asked for the run, if anybody did.
    #[prost(string, optional, tag = "12")]
    pub submitter: Option<String>,
    /// The run's app; none in what was recorded before this was.
    #[prost(string, optional, tag = "13")]
    pub app: Option<String>,
    /// Whether the task is a daemon, which tells of firings; none as for `app`, and for runs.
    #[prost(bool, optional, tag = "14")]
    pub is_daemon: Option<bool>,
}

/// Firings that got no run of their own. Never changed once recorded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MissedRow {
    /// The job that came due.
    #[prost(string, tag = "1")]
    pub job: String,
    /// The job's app.
    #[prost(string, tag = "2")]
    pub app: String,
    /// The first of them, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub first_ms: i64,
    /// The last of them, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub last_ms: i64,
    /// How many, or at least this many.
    #[prost(uint64, tag = "5")]
    pub firings: u64,
    /// Why, as the engine names it.
    #[prost(string, tag = "6")]
    pub cause: String,
    /// Why, for people.
    #[prost(string, tag = "7")]
    pub reason: String,
    /// When that was decided, milliseconds since 1970.
    #[prost(int64, tag = "8")]
    pub decided_at_ms: i64,
    /// The leader's epoch; with `sequence` the row's unique key.
    #[prost(uint64, tag = "9")]
    pub epoch: u64,
    /// Counts the records of an epoch.
    #[prost(uint64, tag = "10")]
    pub sequence: u64,
}

/// A document or flag as it is after a change. Never changed once recorded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ChangeRow {
    /// What it is of: `app`, `job`, `calendar`, or `app-flag` and `job-flag` for who is disabled.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// From when on it counts, milliseconds since 1970: firings up to here are not its business.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// Who changed it.
    #[prost(string, tag = "4")]
    pub changed_by: String,
    /// The document or the flag's record; none when it was removed.
    #[prost(string, optional, tag = "5")]
    pub content: Option<String>,
    /// The leader's epoch; with `sequence` the row's unique key.
    #[prost(uint64, tag = "6")]
    pub epoch: u64,
    /// Counts the records of an epoch.
    #[prost(uint64, tag = "7")]
    pub sequence: u64,
}

/// A scheduler took the lead.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TenureRow {
    /// The epoch it leads under.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Which process.
    #[prost(string, tag = "2")]
    pub scheduler: String,
    /// When, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub began_at_ms: i64,
    /// The zone of documents that name none.
    #[prost(string, tag = "4")]
    pub default_zone: String,
    /// The release of the time zone data it fires by; empty if it did not say.
    #[prost(string, tag = "5")]
    pub tzdb: String,
}

/// A change that somebody asked for. Never changed once recorded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AuditLogRow {
    /// The leader's epoch; with `sequence` the row's unique key.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Counts the records of an epoch.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// When, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// Who; none where nobody is asked.
    #[prost(string, optional, tag = "4")]
    pub actor: Option<String>,
    /// Their role.
    #[prost(string, optional, tag = "5")]
    pub role: Option<String>,
    /// By which door: `rest`, `grpc`, `elastic-job`, `scheduler`.
    #[prost(string, tag = "6")]
    pub door: String,
    /// From which address.
    #[prost(string, optional, tag = "7")]
    pub origin: Option<String>,
    /// What was done.
    #[prost(string, tag = "8")]
    pub action: String,
    /// To what kind of thing.
    #[prost(string, tag = "9")]
    pub kind: String,
    /// Its name or id.
    #[prost(string, tag = "10")]
    pub name: String,
    /// Its app, where it has one.
    #[prost(string, optional, tag = "11")]
    pub app: Option<String>,
    /// What it was, JSON.
    #[prost(string, optional, tag = "12")]
    pub before: Option<String>,
    /// What it is, JSON.
    #[prost(string, optional, tag = "13")]
    pub after: Option<String>,
}

/// One record of the spool.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum TraceRecord {
    /// A run has changed.
    #[prost(message, tag = "1")]
    Run(RunRow),
    /// Something happened.
    #[prost(message, tag = "2")]
    Event(EventRow),
    /// Firings got no run.
    #[prost(message, tag = "3")]
    Missed(MissedRow),
    /// A document or flag was changed.
    #[prost(message, tag = "4")]
    Change(ChangeRow),
    /// A scheduler took the lead.
    #[prost(message, tag = "5")]
    Tenure(TenureRow),
    /// Somebody changed something.
    #[prost(message, tag = "6")]
    AuditLog(AuditLogRow),
}

/// A record as stored: a message around the choice, so that later kinds can be told apart.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(oneof = "TraceRecord", tags = "1, 2, 3, 4, 5, 6")]
    record: Option<TraceRecord>,
}

// === impl EventRow ===

/// How an update of a daemon that tells of the end of a firing begins; Elastic-Job-Cloud's word.
const FIRING_ENDED: &str = "COMPLETE";

impl EventRow {
    /// Whether it tells that a firing of a daemon begins.
    pub fn begins_firing(&self) -> bool {
        self.state.as_deref() == Some(RUNNING_STATE) && self.message.as_deref() == Some("BEGIN")
    }

    /// Whether the firing of a daemon that it tells the end of did its work: behind the word stands how
    /// it failed, or in brackets what it used. None if it tells of no such end.
    pub fn firing_succeeded(&self) -> Option<bool> {
        let message =
            self.message.as_deref().filter(|_| self.state.as_deref() == Some(RUNNING_STATE));
        let rest = message?.strip_prefix(FIRING_ENDED)?;
        Some(rest.is_empty() || rest.starts_with(" ("))
    }

    /// Its place in the order of all events, and what makes it unique.
    pub fn key(&self) -> EventKey {
        EventKey { epoch: self.epoch, sequence: self.sequence }
    }
}

// === impl TraceRecord ===

impl TraceRecord {
    /// Its size in bytes as [`TraceRecord::write`] writes it.
    pub(super) fn stored_bytes(&self) -> usize {
        self.encoded_len()
    }

    /// Appends the stored form.
    pub(super) fn write(&self, buffer: &mut impl BufMut) {
        self.encode(buffer);
    }

    /// Reads the stored form; none for what this version does not know.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Stored::decode(bytes).ok().and_then(|stored| stored.record)
    }
}
