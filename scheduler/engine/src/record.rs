//! Every stored record, in one file: its key, its fields, its version.
//!
//! A field is only ever added, with a default; a change of meaning raises [`RUN_VERSION`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shiftwork_schedule::Timestamp;

use crate::command::Overrides;
use crate::ids::{AppName, CalendarName, FrameworkId, JobName, RunId, TaskId};
use crate::resources::Resources;

/// Names a record. The registry turns it into a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An app's document, JSON.
    App(AppName),
    /// A job's document, JSON.
    Job(JobName),
    /// A calendar's document, JSON.
    Calendar(CalendarName),
    /// The number of pending runs of a job, decimal.
    ReadyCount(JobName),
    /// A pending run, [`RunRecord`].
    Ready(JobName, RunId),
    /// The full id of the task that a shard lost, text.
    Failover(JobName, u32),
    /// The running run of a job, [`RunRecord`]; where runs may overlap, the one that was launched
    /// while there was no other.
    Running(JobName),
    /// The full id of the task a shard of that run runs as, text.
    RunningShard(JobName, u32),
    /// The full id of the task that a shard of a parallel run lost, text.
    ParallelFailover(RunId, u32),
    /// A run of a job that was launched beside another one, [`RunRecord`].
    ParallelRunning(RunId),
    /// The full id of the task a shard of a parallel run runs as, text.
    ParallelShard(RunId, u32),
    /// Who disabled an app and why, [`DisabledRecord`].
    DisabledApp(AppName),
    /// Who disabled a job and why, [`DisabledRecord`].
    DisabledJob(JobName),
    /// Every firing up to it has been enqueued, [`WatermarkRecord`].
    Watermark,
    /// The Mesos framework id, text.
    FrameworkId,
}

impl Key {
    /// True for what users decide: documents and flags. All else follows from that.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::App(_)
                | Self::Job(_)
                | Self::Calendar(_)
                | Self::DisabledApp(_)
                | Self::DisabledJob(_)
        )
    }
}

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub key: Key,
    /// Its new value, or `None` to remove it.
    pub value: Option<Vec<u8>>,
}

/// Version of [`RunRecord`] that this program writes and the newest it reads.
pub const RUN_VERSION: u32 = 1;

/// A run as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// See [`RUN_VERSION`].
    pub version: u32,
    /// Its id.
    pub id: RunId,
    /// The moment the schedule named.
    pub logical_time: Timestamp,
    /// From 1; more for a repeated run of the same logical time.
    pub attempt: u32,
    /// What made it.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its first task was launched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub launched_at: Option<Timestamp>,
    /// When its first task ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    /// Who asked for it, if anybody did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub submitter: Option<String>,
    /// What a trigger changed.
    #[serde(skip_serializing_if = "Overrides::is_empty", default)]
    pub overrides: Overrides,
    /// Its shards in ascending order, those that run: all unless `overrides` names some. Empty
    /// while it is pending.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub shards: Vec<Shard>,
    /// The job document it was made with.
    pub job: Arc<RawValue>,
    /// The app document it was launched with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<Arc<RawValue>>,
}

/// What made a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Origin {
    /// Its schedule.
    Schedule,
    /// Somebody's request.
    Trigger,
    /// Somebody's request to make a run that had ended once more.
    Rerun,
    /// A DAEMON job wants to run at all times.
    Daemon,
}

/// A shard as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// Which.
    pub item: u32,
    /// How often it was launched.
    pub attempt: u32,
    /// How often its work failed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub failures: u32,
    /// How often it asked to be run again later, which is no failure.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub laters: u32,
    /// How often in a row it was lost with what it ran on.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub losses: u32,
    /// The latest task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_id: Option<TaskId>,
    /// Its executor was started with another app document than the run names.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub other_app: bool,
    /// Which of the app's executors on its agent runs the latest task, from 1.
    #[serde(skip_serializing_if = "is_first", default = "first_generation")]
    pub executor_generation: u32,
    /// What its executor was charged, where reserved resources went into it: every launch into it
    /// must name them again, whoever leads by then. Of others the app's document tells enough.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub executor_resources: Option<Box<Resources>>,
    /// Where it is in its life.
    #[serde(flatten)]
    pub phase: Phase,
    /// How its latest task ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<i32>,
    /// The status of the answer, where its work is a request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    /// What it used, as its executor told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Usage>,
    /// The end of its stdout.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stdout_tail: Option<String>,
    /// The end of its stderr.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stderr_tail: Option<String>,
    /// What is to be said about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

/// How long the work of a task ran and what it used. What was not measured is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// From the start of its first process to its end, milliseconds.
    pub duration_ms: u64,
    /// The most memory one of its processes held, or all together where they have a cgroup; bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_peak_bytes: Option<u64>,
    /// Time on a CPU of all its processes, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_time_ms: Option<u64>,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

pub(crate) fn is_first(generation: &u32) -> bool {
    *generation <= 1
}

pub(crate) fn first_generation() -> u32 {
    1
}

/// The phase of a shard as it is stored; times are `since` unless named otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Phase {
    Launching { agent: crate::ids::AgentId, since: Timestamp },
    Running { agent: crate::ids::AgentId, since: Timestamp },
    Unreachable { agent: crate::ids::AgentId, since: Timestamp, started: Option<Timestamp> },
    Killing { agent: crate::ids::AgentId, since: Timestamp, intent: KillIntent },
    Waiting { due: Timestamp, avoid: Option<crate::ids::AgentId> },
    Ended { outcome: ShardOutcome, at: Timestamp },
}

/// Why a task is killed: decides what its end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KillIntent {
    /// The run was cancelled.
    Cancel,
    /// The run took too long.
    Timeout,
    /// The job or app was disabled.
    Disable,
    /// The job or app was deleted.
    Delete,
    /// A newer firing takes its place.
    Replace,
    /// A daemon takes up a new document.
    Update,
    /// Its shard is launched again elsewhere: it never came to run, or its agent goes away.
    Relaunch,
}

/// How a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ShardOutcome {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

/// Up to when every firing has been enqueued.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatermarkRecord {
    /// Now 1.
    pub version: u32,
    /// The watermark.
    pub watermark: Timestamp,
    /// The release of the time zone data by which the firings up to it were computed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tzdb: Option<String>,
}

/// Who disabled something and why. What counts is that the node is there: one that was made by
/// hand and holds no such record disables as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisabledRecord {
    /// What is disabled.
    pub name: String,
    /// Who did it.
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The framework id as stored: its text and nothing else.
pub fn framework_id_bytes(id: &FrameworkId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}
