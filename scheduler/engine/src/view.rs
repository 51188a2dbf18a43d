//! Runs, jobs and queues as the API shows them: the one shape of each, whoever asks.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shiftwork_schedule::Timestamp;
use std::sync::Arc;

use crate::command::Overrides;
use crate::document::Source;
use crate::ids::{AgentId, AppName, ExecutorId, JobName, OfferId, RunId, TaskId};
use crate::record::{DisabledRecord, Origin, Usage};
use crate::statistics::{FiringCounts, Misfire};

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum RunState {
    Pending,
    Launching,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Expired,
    Skipped,
}

impl RunState {
    /// True if nothing will change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Launching | Self::Running)
    }

    /// The name the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Launching => "LAUNCHING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Expired => "EXPIRED",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// State of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ShardState {
    Pending,
    Launching,
    Running,
    Unreachable,
    Killing,
    /// Waits to be launched again.
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// Its job.
    pub job: JobName,
    /// The job's app.
    pub app: AppName,
    /// What made it.
    pub origin: Origin,
    /// The moment the schedule named.
    pub logical_time: Timestamp,
    /// Its state.
    pub state: RunState,
    /// Why it is in that state, in words: for a pending run, why it does not run.
    pub reason: Option<String>,
    /// From 1; more for a repeated run of the same logical time.
    pub attempt: u32,
    /// The shard count of its job.
    #[serde(default)]
    pub sharding_total_count: u32,
    /// Who asked for it; absent of a run that nobody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitter: Option<String>,
    /// What its trigger changed.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// Its shards that run.
    pub shards: Vec<ShardView>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its first task ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// For a firing that got no run: what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// The job document it was made with: told of a single run and when a run ends, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentText>,
}

/// The text of a document as it was stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentText(pub Source);

impl PartialEq for DocumentText {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for DocumentText {}

/// A shard of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardView {
    /// Which.
    pub item: u32,
    /// Its state.
    pub state: ShardState,
    /// Its latest task.
    pub task_id: Option<TaskId>,
    /// The agent of its latest task.
    pub agent: Option<AgentId>,
    /// Which of the app's executors on the agent runs the latest task, from 1; told from the second on.
    #[serde(
        skip_serializing_if = "crate::record::is_first",
        default = "crate::record::first_generation"
    )]
    pub executor_generation: u32,
    /// How often it was launched.
    pub attempt: u32,
    /// How its latest task ended.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The status of the answer, where its work is a request.
    pub http_status: Option<u16>,
    /// What it used.
    pub usage: Option<Usage>,
    /// The end of its stdout.
    pub stdout_tail: Option<String>,
    /// The end of its stderr.
    pub stderr_tail: Option<String>,
    /// What is to be said about it.
    pub message: Option<String>,
}

/// An app.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppView {
    /// Its name.
    pub name: String,
    /// Whether its jobs may run.
    pub enabled: bool,
    /// Who disabled it and why.
    pub disabled: Option<DisabledRecord>,
    /// Number of its jobs.
    pub jobs: usize,
    /// What is wrong with the stored document, if anything.
    pub problem: Option<String>,
    /// Its document.
    pub document: Arc<RawValue>,
}

/// A job.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Its app, unless the stored document cannot be read.
    pub app: Option<AppName>,
    /// Whether it may run (its app's flag not counted).
    pub enabled: bool,
    /// Who disabled it and why.
    pub disabled: Option<DisabledRecord>,
    /// Number of pending runs.
    pub pending: usize,
    /// The run that is being launched or running; the first by id if there are several.
    pub running: Option<RunId>,
    /// Number of its runs that are being launched or running.
    pub running_count: usize,
    /// What became of its firings since this leader began.
    pub firings: FiringCounts,
    /// The next firing, for a TRANSIENT job that is enabled and has one.
    pub next_firing: Option<Timestamp>,
    /// What is wrong with the stored document, if anything: such a job does not run.
    pub problem: Option<String>,
    /// Its document.
    pub document: Arc<RawValue>,
}

/// A calendar.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalendarView {
    /// Its name.
    pub name: String,
    /// Number of jobs that name it.
    pub jobs: usize,
    /// What is wrong with the stored document, if anything: jobs that name it do not fire.
    pub problem: Option<String>,
    /// Its document.
    pub document: Arc<RawValue>,
}

/// A job in the ready queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadyView {
    /// The job.
    pub job: JobName,
    /// Number of its pending runs.
    pub times: usize,
    /// The run that comes next.
    pub next: RunId,
    /// Why it waits.
    pub reason: Option<String>,
}

/// A shard in the failover queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverView {
    /// The run.
    pub run: RunId,
    /// The shard.
    pub item: u32,
    /// The task that failed or was lost.
    pub original_task_id: Option<TaskId>,
    /// When it may be launched again.
    pub due: Timestamp,
    /// Why it waits.
    pub reason: Option<String>,
}

/// A task in the running queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningView {
    /// The task.
    pub task_id: TaskId,
    /// Its run.
    pub run: RunId,
    /// Its shard.
    pub item: u32,
    /// Its state.
    pub state: ShardState,
    /// Its agent.
    pub agent: AgentId,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// For a DAEMON: true between firings.
    pub idle: Option<bool>,
}

/// A live task.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its run.
    pub run: RunId,
    /// The run's job.
    pub job: JobName,
    /// The job's app.
    pub app: AppName,
    /// Its shard.
    pub item: u32,
    /// Its state.
    pub state: ShardState,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// How often the shard was launched, this task included.
    pub attempt: u32,
    /// Since when it is in that state.
    pub since: Option<Timestamp>,
    /// For a DAEMON: true between firings.
    pub idle: Option<bool>,
    /// How it ended, as its process told.
    pub exit_code: Option<i32>,
    /// What is to be said about it.
    pub message: Option<String>,
}

/// An offer that is held.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferView {
    /// Its id.
    pub id: OfferId,
    /// Of which agent.
    pub agent: AgentId,
    /// The agent's host name.
    pub hostname: String,
    /// What it contains.
    pub resources: std::collections::BTreeMap<&'static str, f64>,
    /// When it came.
    pub since: Timestamp,
}

/// Whether an executor is known to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutorState {
    /// Launched, and not heard of yet.
    Launching,
    /// It lives.
    Running,
    /// It lives, takes nothing more and ends when it is idle: its app's document has changed.
    Retiring,
    /// It has ended, or its agent is away; some of its tasks have not been told of.
    Lost,
}

/// An executor of this framework.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorView {
    /// Its id.
    pub id: ExecutorId,
    /// Its app.
    pub app: AppName,
    /// Its agent.
    pub agent: AgentId,
    /// Whether it is there.
    pub state: ExecutorState,
    /// Tasks launched in it and not ended.
    pub tasks: usize,
    /// What it is charged itself; none if a former leader launched it.
    pub resources: Option<std::collections::BTreeMap<&'static str, f64>>,
}

/// An agent as seen through the offers held.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// Its host name.
    pub hostname: String,
    /// Its attributes.
    pub attributes: std::collections::BTreeMap<String, String>,
    /// When it goes away for maintenance, if an operator said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable_from: Option<Timestamp>,
    /// What the offers held of it contain.
    pub offered: std::collections::BTreeMap<&'static str, f64>,
    /// Executors of this framework on it.
    pub executors: Vec<String>,
    /// Tasks of this framework on it.
    pub tasks: usize,
}

/// The state of the scheduler as a whole.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// Whether the master's stream is open.
    pub connected: bool,
    /// The framework id, once known.
    pub framework_id: Option<crate::ids::FrameworkId>,
    /// Up to when every firing has been enqueued.
    pub watermark: Timestamp,
    /// Registered apps.
    pub apps: usize,
    /// Registered jobs.
    pub jobs: usize,
    /// Runs that wait.
    pub pending_runs: usize,
    /// Runs being launched or running.
    pub active_runs: usize,
    /// What became of firings since this leader began. The history says which and why.
    pub firings: FiringCounts,
    /// The IANA time zone database by which jobs fire, its source and release: `bundled 2026e`.
    pub tzdb: String,
    /// Tasks launched and not ended.
    pub tasks: usize,
    /// Offers held.
    pub offers: usize,
    /// Records that could not be read, and what else was found amiss at the start.
    pub problems: Vec<String>,
}
