//! Changes that users ask for, whatever the door: REST, gRPC and the command line are the same enum.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_schedule::Timestamp;

use crate::document::{FieldError, Fingerprint};
use crate::ids::{AppName, CalendarName, JobName, RunId, TaskId};
use crate::view::DocumentText;

/// A change asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Registers an app that must not exist.
    CreateApp {
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Replaces the document of an app.
    UpdateApp {
        /// Which; must be the name in the document.
        app: AppName,
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Removes an app and all its jobs.
    DeleteApp {
        /// Which.
        app: AppName,
    },
    /// Lets the jobs of an app run, or stops them.
    SetAppEnabled {
        /// Which.
        app: AppName,
        /// Whether its jobs may run.
        enabled: bool,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Registers a calendar that must not exist.
    CreateCalendar {
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Replaces the document of a calendar, for all jobs that name it.
    UpdateCalendar {
        /// Which; must be the name in the document.
        calendar: CalendarName,
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Removes a calendar that no job names.
    DeleteCalendar {
        /// Which.
        calendar: CalendarName,
    },
    /// Registers a job that must not exist.
    CreateJob {
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Replaces the document of a job; runs already made keep theirs.
    UpdateJob {
        /// Which; must be the name in the document.
        job: JobName,
        /// Its JSON document.
        document: Vec<u8>,
    },
    /// Removes a job; its running tasks are killed.
    DeleteJob {
        /// Which.
        job: JobName,
    },
    /// Lets a job run, or stops it and kills its running tasks.
    SetJobEnabled {
        /// Which.
        job: JobName,
        /// Whether it may run.
        enabled: bool,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Makes a run now.
    Trigger {
        /// Of which job.
        job: JobName,
        /// Idempotency key: the same key makes one run.
        key: Option<String>,
        /// What differs from the document for this run.
        overrides: Overrides,
        /// For whom the run is made, if not for whoever asks: who watches by submitter finds it by
        /// this name.
        submitter: Option<String>,
    },
    /// Makes a run that has ended once more: the next generation of the same logical time, with the
    /// document and the parameters the run had.
    Rerun {
        /// What the history says of the run.
        ended: Box<EndedRun>,
        /// Only its shards that did not succeed.
        failed_only: bool,
    },
    /// Ends a run, pending or running.
    CancelRun {
        /// Which.
        run: RunId,
    },
    /// Ends one task. A daemon's shard is launched again.
    KillTask {
        /// Which.
        task: TaskId,
    },
    /// Asks the master about every task now.
    Reconcile,
    /// Carries out a change of one document if that is still as its author saw it.
    IfUnchanged {
        /// What was seen.
        seen: Fingerprint,
        /// The change; must be one of an app, a job or a calendar that exists.
        change: Box<Command>,
    },
}

/// A run that has ended, as the history remembers it: the engine does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// Its id.
    pub run: RunId,
    /// The moment the schedule named.
    pub logical_time: Timestamp,
    /// Its generation, from 1.
    pub generation: u32,
    /// The highest generation of that logical time that the history knows.
    pub last_generation: u32,
    /// The job document it was made with; `None` where the history has none, as of a firing that
    /// was skipped: then the document the job has now is used.
    pub document: Option<DocumentText>,
    /// What its trigger changed.
    pub overrides: Overrides,
    /// Who asked for it: whoever follows that one's runs sees this one, too.
    pub submitter: Option<String>,
    /// The shard count of its job then; 0 if it never came to have shards.
    pub sharding_total_count: u32,
    /// Its shards that did not succeed.
    pub failed_items: BTreeSet<u32>,
}

/// What a trigger changes for its one run.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Overrides {
    /// In place of the job parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_parameter: Option<String>,
    /// Added to the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Only these shards run; empty: all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub items: BTreeSet<u32>,
    /// In place of the parameters of these shards.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sharding_item_parameters: BTreeMap<u32, String>,
}

impl Overrides {
    /// True if the run is as the document says.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells them from others: they may be large, and outlive their run only for that.
    pub(crate) fn mark(&self) -> Fingerprint {
        Fingerprint::of(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Limit of a trigger's overrides, bytes over all: they are stored with the run.
pub const OVERRIDES_LEN_MAX: usize = 64 * 1024;

/// Longest name of a submitter, bytes.
pub const SUBMITTER_LEN_MAX: usize = 200;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A document was stored for the first time.
    Created,
    /// A document or flag was changed, or was already so.
    Changed,
    /// It was removed.
    Deleted,
    /// A run was made.
    RunCreated(RunId),
    /// The run of that key was there already.
    RunExists(RunId),
    /// What was asked for has begun and will be seen later (kill, cancel, reconcile).
    Accepted,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such app, job, run or task.
    NotFound {
        /// What, with its name.
        what: String,
    },
    /// The document is another by now than the one the change was made for.
    Changed {
        /// What, with its name.
        what: String,
    },
    /// It contradicts what is there.
    Conflict {
        /// In words, with the way out.
        detail: String,
        /// The field it is about, where there is one.
        errors: Vec<FieldError>,
    },
    /// The idempotency key made a run that was asked for with something else.
    KeyReused {
        /// The key.
        key: String,
        /// The run it made.
        run: RunId,
    },
    /// The request itself is wrong.
    Invalid {
        /// In words.
        detail: String,
        /// By field.
        errors: Vec<FieldError>,
    },
}

/// The answer to a command.
pub type Reply = Result<Done, Refusal>;
