//! What a tenure must have in mind: the records it began with and every write it has decided since.
//! The rules judge a step by the mind before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shiftwork_engine::document::{Execution, Job, Strictness};
use shiftwork_engine::event::TaskState;
use shiftwork_engine::ids::{AgentId, AppName, JobName, RunId, TaskId};
use shiftwork_engine::record::{Key, RunRecord, WatermarkRecord, Write};
use shiftwork_engine::{Event, Settings};
use shiftwork_schedule::Timestamp;

use crate::sim::scheduler::{Cause, Step};

/// A registered job.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) job: Arc<Job>,
    /// Firings up to here are not its business.
    pub(super) from: Timestamp,
    /// Its first firing after the watermark.
    pub(super) next: Option<Timestamp>,
}

/// What was last heard of a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) state: TaskState,
    /// When it was first heard to be in that state, in the engine's time.
    pub(super) since: i64,
}

/// What a tenure has decided.
#[derive(Debug)]
pub(super) struct Mind {
    pub(super) epoch: u64,
    /// The engine's time: its clock, but never back.
    pub(super) now: i64,
    pub(super) subscribed_at: Option<i64>,
    pub(super) framework_removed: bool,
    pub(super) watermark: Option<Timestamp>,
    pub(super) documents: BTreeMap<JobName, Document>,
    pub(super) disabled_jobs: BTreeSet<JobName>,
    pub(super) disabled_apps: BTreeSet<AppName>,
    pub(super) pending: BTreeMap<JobName, BTreeSet<RunId>>,
    pub(super) active: BTreeMap<JobName, RunId>,
    /// The task each shard runs as.
    pub(super) shards: BTreeMap<(JobName, u32), TaskId>,
    pub(super) heard: BTreeMap<TaskId, Heard>,
    /// Since when the master owes an answer about a task.
    pub(super) asked: BTreeMap<TaskId, i64>,
}

// === impl Mind ===

impl Mind {
    /// As a tenure begins.
    pub(super) fn restored(
        epoch: u64,
        records: &BTreeMap<Key, Vec<u8>>,
        settings: &Settings,
    ) -> Self {
        let mut mind = Self {
            epoch,
            now: i64::MIN,
            subscribed_at: None,
            framework_removed: false,
            watermark: None,
            documents: BTreeMap::new(),
            disabled_jobs: BTreeSet::new(),
            disabled_apps: BTreeSet::new(),
            pending: BTreeMap::new(),
            active: BTreeMap::new(),
            shards: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        if let Some(value) = records.get(&Key::Watermark) {
            mind.watermark = watermark(value);
        }
        for (key, value) in records {
            if let Key::Running(job) = key
                && let Ok(run) = serde_json::from_slice::<RunRecord>(value)
            {
                mind.active.insert(job.clone(), run.id);
            }
            mind.write(key, Some(value), settings);
        }
        mind
    }

    pub(super) fn advance(&mut self, clock: i64) {
        self.now = self.now.max(clock);
    }

    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Subscribed { .. } => {
                self.subscribed_at = Some(self.now);
                self.asked.clear();
            }
            Event::Disconnected => self.subscribed_at = None,
            Event::FrameworkRemoved => self.framework_removed = true,
            Event::Status(update) => {
                self.asked.remove(&update.task);
                let heard = Heard { state: update.state, since: self.now };
                let known = self.heard.entry(update.task.clone()).or_insert(heard);
                if known.state != update.state {
                    *known = heard;
                }
            }
            _ => {}
        }
    }

    /// The master is asked about tasks.
    pub(super) fn asked(&mut self, tasks: &[(TaskId, AgentId)]) {
        for (task, _) in tasks {
            self.asked.entry(task.clone()).or_insert(self.now);
        }
    }

    /// Takes in what a step decided.
    pub(super) fn decide(&mut self, step: &Step, settings: &Settings) {
        for Write { key, value } in &step.writes {
            if *key == Key::Watermark
                && let Some(value) = value
            {
                self.watermark = watermark(value);
            }
        }
        for Write { key, value } in &step.writes {
            // A run that was made and launched in the same step never had a place in the queue.
            if let (Key::Ready(job, run), None) = (key, value)
                && !super::ended(step).any(|ended| ended == run)
            {
                self.active.insert(job.clone(), run.clone());
            }
            self.write(key, value.as_deref(), settings);
        }
        if let Cause::FrameworkRemoved = step.cause {
            self.framework_removed = false;
        }
        if let Some(watermark) = self.watermark {
            for document in self.documents.values_mut() {
                document.look_ahead(watermark);
            }
        }
    }

    fn write(&mut self, key: &Key, value: Option<&[u8]>, settings: &Settings) {
        match (key, value) {
            (Key::Job(name), Some(value)) => self.register(name, value, settings),
            (Key::Job(name), None) => {
                self.documents.remove(name);
            }
            (Key::DisabledJob(name), value) => set(&mut self.disabled_jobs, name, value.is_some()),
            (Key::DisabledApp(name), value) => set(&mut self.disabled_apps, name, value.is_some()),
            (Key::Ready(job, run), value) => {
                set(self.pending.entry(job.clone()).or_default(), run, value.is_some());
            }
            (Key::Running(job), None) => {
                self.active.remove(job);
            }
            (Key::RunningShard(job, item), Some(value)) => {
                let task = TaskId::new(String::from_utf8_lossy(value).into_owned());
                self.shards.insert((job.clone(), *item), task);
            }
            (Key::RunningShard(job, item), None) => {
                self.shards.remove(&(job.clone(), *item));
            }
            _ => {}
        }
    }

    fn register(&mut self, name: &JobName, value: &[u8], settings: &Settings) {
        let parsed = Job::parse(value, Strictness::Stored, &settings.default_zone);
        let (Ok(job), Some(from)) = (parsed, self.watermark) else { return };
        let mut document = Document { job: Arc::new(job), from, next: None };
        document.look_ahead(from);
        self.documents.insert(name.clone(), document);
    }

    /// True if neither the job nor its app is disabled.
    pub(super) fn is_enabled(&self, job: &Job) -> bool {
        !self.disabled_jobs.contains(&job.name) && !self.disabled_apps.contains(&job.app)
    }
}

// === impl Document ===

impl Document {
    fn look_ahead(&mut self, watermark: Timestamp) {
        if self.next.is_some_and(|next| next > watermark) {
            return;
        }
        let schedule = self.job.schedule.as_ref();
        let schedule = schedule.filter(|_| self.job.execution == Execution::Transient);
        self.next = schedule.and_then(|schedule| schedule.next_after(watermark.max(self.from)));
    }
}

fn set<T: Ord + Clone>(all: &mut BTreeSet<T>, one: &T, present: bool) {
    if present {
        all.insert(one.clone());
    } else {
        all.remove(one);
    }
}

pub(super) fn watermark(value: &[u8]) -> Option<Timestamp> {
    let record: WatermarkRecord = serde_json::from_slice(value).ok()?;
    Some(record.watermark)
}

/// The firing that a run's id names, if it is one of a schedule (or of a daemon).
pub(super) fn firing_of(run: &RunId) -> Option<Timestamp> {
    let (_, time) = run.as_str().split_once('@')?;
    Timestamp::parse_compact(time).ok()
}
