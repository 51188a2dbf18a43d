//! A run in memory and its way to and from its record and its view.

use std::sync::Arc;

use shiftwork_schedule::{Timestamp, Zone};

use crate::command::Overrides;
use crate::document::{App, Fingerprint, Job, Strictness};
use crate::effect::ExecutorLaunch;
use crate::ids::{AgentId, RunId, TaskId};
use crate::record::{Key, Origin, Phase, RUN_VERSION, RunRecord, Shard, ShardOutcome};
use crate::registered::RunJob;
use crate::view::{RunState, RunView, ShardState, ShardView};
use crate::wait::Wait;

/// A run that is pending or active.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) job: RunJob,
    pub(crate) app: Option<Arc<App>>,
    pub(crate) logical_time: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) origin: Origin,
    pub(crate) created_at: Timestamp,
    /// `None` while it is pending.
    pub(crate) launched_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    /// Who asked for it, if anybody did.
    pub(crate) submitter: Option<String>,
    pub(crate) overrides: Overrides,
    /// It was launched beside another run of its job and is stored beside it. Told by where its
    /// record stands.
    pub(crate) parallel: bool,
    /// Empty while it is pending.
    pub(crate) shards: Vec<Shard>,
    pub(crate) wait: Wait,
    /// The state the history heard of last.
    pub(crate) told: Option<RunState>,
    /// DAEMON: shards between firings. Not stored: the next firing tells again.
    pub(crate) idle: Vec<u32>,
}

/// What a run was asked for with: more of it need not be known to tell another request by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requested {
    pub(crate) overrides: Fingerprint,
    pub(crate) submitter: Option<String>,
}

impl Requested {
    /// Of a run.
    pub(crate) fn of(run: &Run) -> Self {
        Self { overrides: run.overrides.mark(), submitter: run.submitter.clone() }
    }
}

impl Run {
    /// True until it is launched.
    pub(crate) fn is_pending(&self) -> bool {
        self.launched_at.is_none()
    }

    pub(crate) fn is_daemon(&self) -> bool {
        self.job.rules.is_daemon()
    }

    /// Where it is stored.
    pub(crate) fn key(&self) -> Key {
        match (self.is_pending(), self.parallel) {
            (true, _) => Key::Ready(self.job.name.clone(), self.id.clone()),
            (false, false) => Key::Running(self.job.name.clone()),
            (false, true) => Key::ParallelRunning(self.id.clone()),
        }
    }

    /// Where the task of one of its shards is stored.
    pub(crate) fn shard_key(&self, item: u32) -> Key {
        if self.parallel {
            Key::ParallelShard(self.id.clone(), item)
        } else {
            Key::RunningShard(self.job.name.clone(), item)
        }
    }

    /// Where it is stored that one of its shards is to be launched again.
    pub(crate) fn failover_key(&self, item: u32) -> Key {
        if self.parallel {
            Key::ParallelFailover(self.id.clone(), item)
        } else {
            Key::Failover(self.job.name.clone(), item)
        }
    }

    /// It may not start before this: its logical time and the job's jitter. Nobody who asks for a
    /// run is made to wait for that. It follows from what is stored, so that a new leader holds
    /// the run until the same moment.
    pub(crate) fn held_until(&self) -> Timestamp {
        match self.origin {
            Origin::Schedule => self.logical_time.saturating_add(self.job.jitter_delay_ms()),
            Origin::Trigger | Origin::Rerun | Origin::Daemon => Timestamp::MIN,
        }
    }

    /// When it has waited too long, not counting the time it was held back.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let limit = self.job.rules.queue_timeout_ms?;
        Some(self.created_at.max(self.held_until()).saturating_add(limit))
    }

    /// The order among ready runs: lower is first. Priority counts as time spent waiting, so
    /// that whatever waits is overtaken by less and less.
    pub(crate) fn rank(&self) -> i64 {
        /// One step of priority outweighs this much waiting, milliseconds: from priority 0 to
        /// 100 it is ten minutes.
        const PRIORITY_STEP_MS: i64 = 6_000;
        self.created_at.as_millis() - i64::from(self.job.rules.priority) * PRIORITY_STEP_MS
    }

    pub(crate) fn shard(&self, item: u32) -> Option<&Shard> {
        self.shards.get(self.place_of(item)?)
    }

    pub(crate) fn shard_mut(&mut self, item: u32) -> Option<&mut Shard> {
        let place = self.place_of(item)?;
        self.shards.get_mut(place)
    }

    fn place_of(&self, item: u32) -> Option<usize> {
        self.shards.binary_search_by_key(&item, |shard| shard.item).ok()
    }

    /// The shards that run: all of the job unless the run was asked for with some only.
    pub(crate) fn items(&self) -> Vec<u32> {
        let all = 0..self.job.rules.sharding_total_count;
        match &self.overrides.items {
            chosen if chosen.is_empty() => all.collect(),
            chosen => chosen.iter().copied().filter(|item| all.contains(item)).collect(),
        }
    }

    /// The parameter of a shard in this run.
    pub(crate) fn sharding_parameter<'a>(&'a self, job: &'a Job, item: u32) -> &'a str {
        let changed = self.overrides.sharding_item_parameters.get(&item);
        changed.map_or_else(|| job.sharding_parameter(item), String::as_str)
    }

    /// True if it does what its job's schedule asks for, whoever made it: a firing that finds such
    /// a run pending needs none of its own. A rerun is for its own logical time, and a run of some
    /// shards, or with parameters of its own, is other work.
    pub(crate) fn stands_for_firings(&self) -> bool {
        self.attempt == 1 && self.overrides.is_empty()
    }

    /// A shard is launched in this executor. A new leader describes it again by what is stored with
    /// the run; shards that live with another document are marked.
    pub(crate) fn launched_with(&mut self, item: u32, executor: &ExecutorLaunch) {
        let app = &executor.app;
        let is_same =
            |old: &Arc<App>| Arc::ptr_eq(old, app) || old.source.get() == app.source.get();
        if self.app.as_ref().is_some_and(|old| !is_same(old)) {
            for shard in &mut self.shards {
                shard.other_app = true;
            }
        }
        if let Some(shard) = self.shard_mut(item) {
            shard.other_app = false;
            shard.executor_generation = executor.id.generation();
            let resources = &executor.resources;
            shard.executor_resources =
                resources.has_reserved().then(|| Box::new(resources.clone()));
        }
        self.app = Some(Arc::clone(app));
    }

    /// What all shards together came to, once the last has ended.
    pub(crate) fn final_state(&self) -> Option<RunState> {
        let mut state = RunState::Succeeded;
        for shard in &self.shards {
            let Phase::Ended { outcome, .. } = shard.phase else {
                return None;
            };
            let now = match outcome {
                ShardOutcome::Succeeded => RunState::Succeeded,
                ShardOutcome::Failed => RunState::Failed,
                ShardOutcome::TimedOut => RunState::TimedOut,
                ShardOutcome::Cancelled => RunState::Cancelled,
            };
            // Failed weighs most: a run that was cancelled after a shard failed has failed.
            state = [RunState::Failed, RunState::TimedOut, RunState::Cancelled]
                .into_iter()
                .find(|worst| *worst == state || *worst == now)
                .unwrap_or(RunState::Succeeded);
        }
        Some(state)
    }

    pub(crate) fn state(&self) -> RunState {
        if self.is_pending() {
            RunState::Pending
        } else if self.started_at.is_some() {
            RunState::Running
        } else {
            RunState::Launching
        }
    }

    /// The run as users see it now.
    pub(crate) fn view(&self) -> RunView {
        let reason = match self.state() {
            RunState::Pending => Some(self.wait.to_string()),
            _ => self.waiting_reason(),
        };
        RunView {
            id: self.id.clone(),
            job: self.job.name.clone(),
            app: self.job.app.clone(),
            origin: self.origin,
            logical_time: self.logical_time,
            state: self.state(),
            reason,
            attempt: self.attempt,
            sharding_total_count: self.job.rules.sharding_total_count,
            submitter: self.submitter.clone(),
            overrides: self.overrides.clone(),
            shards: self.shard_views(),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: None,
            misfire: None,
            document: None,
        }
    }

    /// An active run whose shards wait says why.
    fn waiting_reason(&self) -> Option<String> {
        let waits = self.shards.iter().filter(|s| matches!(s.phase, Phase::Waiting { .. })).count();
        (waits > 0).then(|| format!("{waits} shards wait to be launched again: {}", self.wait))
    }

    fn shard_views(&self) -> Vec<ShardView> {
        if self.shards.is_empty() {
            return self.items().into_iter().map(ShardView::pending).collect();
        }
        self.shards.iter().map(ShardView::of).collect()
    }

    /// The run as it is stored.
    pub(crate) fn record(&self) -> RunRecord {
        RunRecord {
            version: RUN_VERSION,
            id: self.id.clone(),
            logical_time: self.logical_time,
            attempt: self.attempt,
            origin: self.origin,
            created_at: self.created_at,
            launched_at: self.launched_at,
            started_at: self.started_at,
            submitter: self.submitter.clone(),
            overrides: self.overrides.clone(),
            shards: self.shards.clone(),
            job: Arc::clone(&self.job.source),
            app: self.app.as_ref().map(|app| Arc::clone(&app.source)),
        }
    }

    /// Reads a stored run.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn restore(bytes: &[u8], default_zone: &Zone) -> Result<Self, String> {
        let record: RunRecord =
            serde_json::from_slice(bytes).map_err(|error| format!("not a run record: {error}"))?;
        if record.version > RUN_VERSION {
            return Err(format!(
                "written by a newer version (record version {}, known up to {RUN_VERSION})",
                record.version
            ));
        }
        let job = Job::parse(record.job.get().as_bytes(), Strictness::Stored, default_zone)
            .map_err(|errors| first_error("job document", &errors))?;
        let app = match &record.app {
            Some(app) => Some(
                App::parse(app.get().as_bytes(), Strictness::Stored)
                    .map_err(|errors| first_error("app document", &errors))?,
            ),
            None => None,
        };
        if record.id.job() != job.name {
            return Err(format!("run {} is not of job {}", record.id, job.name));
        }
        let run = Self {
            id: record.id,
            job: RunJob::of(Arc::new(job)),
            app: app.map(Arc::new),
            logical_time: record.logical_time,
            attempt: record.attempt,
            origin: record.origin,
            created_at: record.created_at,
            launched_at: record.launched_at,
            started_at: record.started_at,
            submitter: record.submitter,
            overrides: record.overrides,
            parallel: false,
            shards: record.shards,
            wait: Wait::NotConsidered,
            told: None,
            idle: Vec::new(),
        };
        let shards = run.shards.iter().map(|shard| shard.item);
        let complete = if run.is_pending() {
            run.shards.is_empty()
        } else {
            !run.shards.is_empty() && shards.eq(run.items())
        };
        if complete { Ok(run) } else { Err("its shards are not complete".to_owned()) }
    }
}

pub(crate) fn first_error(what: &str, errors: &[crate::document::FieldError]) -> String {
    match errors.first() {
        Some(error) => format!("{what}: {} {}", error.field, error.message),
        None => format!("{what} cannot be read"),
    }
}

// === impl Shard ===

impl Shard {
    pub(crate) fn new(item: u32) -> Self {
        Self {
            item,
            attempt: 0,
            failures: 0,
            laters: 0,
            losses: 0,
            task_id: None,
            other_app: false,
            executor_generation: 1,
            executor_resources: None,
            phase: Phase::Waiting { due: Timestamp::MIN, avoid: None },
            exit_code: None,
            signal: None,
            http_status: None,
            usage: None,
            stdout_tail: None,
            stderr_tail: None,
            message: None,
        }
    }

    /// The task that is live, and where: it has been launched and has not ended.
    pub(crate) fn live_task(&self) -> Option<(&TaskId, &AgentId)> {
        Some((self.task_id.as_ref()?, self.phase.agent()?))
    }
}

// === impl Phase ===

impl Phase {
    /// The agent of the live task.
    pub(crate) fn agent(&self) -> Option<&AgentId> {
        match self {
            Self::Launching { agent, .. }
            | Self::Running { agent, .. }
            | Self::Unreachable { agent, .. }
            | Self::Killing { agent, .. } => Some(agent),
            Self::Waiting { .. } | Self::Ended { .. } => None,
        }
    }

    pub(crate) fn state(&self) -> ShardState {
        match self {
            Self::Launching { .. } => ShardState::Launching,
            Self::Running { .. } => ShardState::Running,
            Self::Unreachable { .. } => ShardState::Unreachable,
            Self::Killing { .. } => ShardState::Killing,
            Self::Waiting { .. } => ShardState::Waiting,
            Self::Ended { outcome, .. } => match outcome {
                ShardOutcome::Succeeded => ShardState::Succeeded,
                ShardOutcome::Failed => ShardState::Failed,
                ShardOutcome::Cancelled => ShardState::Cancelled,
                ShardOutcome::TimedOut => ShardState::TimedOut,
            },
        }
    }

    /// Since when the live task is in this phase.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Launching { since, .. }
            | Self::Running { since, .. }
            | Self::Unreachable { since, .. }
            | Self::Killing { since, .. } => Some(*since),
            Self::Waiting { .. } | Self::Ended { .. } => None,
        }
    }
}
