//! What a tenure must have in mind: the records it began with and every write it has decided since.
//! The rules judge a step by the mind before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shiftwork_engine::command::Done;
use shiftwork_engine::document::{CalendarDocument, Execution, Job, Strictness};
use shiftwork_engine::event::TaskState;
use shiftwork_engine::ids::{AgentId, AppName, CalendarName, JobName, RunId, TaskId};
use shiftwork_engine::record::{Key, Origin, Phase, RunRecord, Shard, WatermarkRecord, Write};
use shiftwork_engine::{Event, Settings};
use shiftwork_schedule::{Calendar, Timestamp, Timetable};

use crate::sim::scheduler::{Cause, Step};

/// A registered job.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) job: Arc<Job>,
    /// Firings up to here are not its business.
    pub(super) from: Timestamp,
    /// Its first firing after the watermark, calendars not considered.
    pub(super) next: Option<Timestamp>,
}

/// A run in the ready queue.
#[derive(Debug)]
pub(super) struct Pending {
    /// When it was made, in the engine's time.
    pub(super) made_at: i64,
    pub(super) logical_time: Timestamp,
    /// The document it was made with.
    pub(super) job: Arc<Job>,
    /// It runs otherwise than that document says.
    pub(super) altered: bool,
}

/// What was last heard of a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) state: TaskState,
    /// When it was first heard to be in that state, in the engine's time.
    pub(super) since: i64,
}

/// What was known of a task before an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) heard: Option<Heard>,
    pub(super) asked: Option<i64>,
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
    /// Firings that it does not cover yet.
    pub(super) round: super::firings::Round,
    pub(super) documents: BTreeMap<JobName, Document>,
    calendars: BTreeMap<CalendarName, Arc<Calendar>>,
    pub(super) disabled_jobs: BTreeSet<JobName>,
    pub(super) disabled_apps: BTreeSet<AppName>,
    pub(super) pending: BTreeMap<JobName, BTreeSet<RunId>>,
    /// What is known of each pending run.
    pub(super) waiting: BTreeMap<RunId, Pending>,
    pub(super) active: BTreeMap<JobName, BTreeSet<RunId>>,
    /// The active run in each job's own place; others stand beside it.
    pub(super) primary: BTreeMap<JobName, RunId>,
    /// Runs that were asked for with some shards only.
    pub(super) partial: BTreeMap<RunId, BTreeSet<u32>>,
    /// The task each shard runs as, by the key of its record.
    pub(super) shards: BTreeMap<Key, TaskId>,
    pub(super) heard: BTreeMap<TaskId, Heard>,
    /// What was heard of a task before the event at hand: deadlines are met before it counts.
    pub(super) before: Option<(TaskId, Before)>,
    /// Tasks out of reach since before this tenure.
    unreachable: BTreeMap<TaskId, i64>,
    /// When this tenure began, in the engine's time.
    began: Option<i64>,
    /// Since when the master owes an answer about a task.
    pub(super) asked: BTreeMap<TaskId, i64>,
}

// === impl Mind ===

impl Mind {
    /// Whether a run still has its place in a ready queue: of a launch that was stored in half, the half
    /// is taken back.
    pub(super) fn waits(&self, run: &RunId) -> bool {
        self.pending.values().any(|pending| pending.contains(run))
    }

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
            round: super::firings::Round::default(),
            documents: BTreeMap::new(),
            calendars: BTreeMap::new(),
            disabled_jobs: BTreeSet::new(),
            disabled_apps: BTreeSet::new(),
            pending: BTreeMap::new(),
            waiting: BTreeMap::new(),
            active: BTreeMap::new(),
            primary: BTreeMap::new(),
            partial: BTreeMap::new(),
            shards: BTreeMap::new(),
            heard: BTreeMap::new(),
            before: None,
            unreachable: BTreeMap::new(),
            began: None,
            asked: BTreeMap::new(),
        };
        if let Some(value) = records.get(&Key::Watermark) {
            mind.watermark = watermark(value);
        }
        for (key, value) in records {
            if let Key::Ready(..) = key
                && let Ok(run) = serde_json::from_slice::<RunRecord>(value)
            {
                mind.queue(&run, settings);
                // Its moment has been, whatever the clock of this leader says. That of a daemon's run is
                // none: it is named for when somebody's clock saw it made.
                if run.origin == Origin::Schedule && Some(run.logical_time) > mind.watermark {
                    mind.now = mind.now.max(run.logical_time.as_millis());
                }
                if !run.overrides.items.is_empty() {
                    mind.partial.insert(run.id, run.overrides.items);
                }
            }
            if let Key::Running(_) | Key::ParallelRunning(_) = key
                && let Ok(run) = serde_json::from_slice::<RunRecord>(value)
            {
                mind.unreachable.extend(run.shards.iter().filter_map(out_of_reach));
                mind.activate(run.id, matches!(key, Key::Running(_)));
            }
            mind.write(key, Some(value), settings);
        }
        mind
    }

    pub(super) fn advance(&mut self, clock: i64) {
        self.now = self.now.max(clock);
        self.began.get_or_insert(self.now);
    }

    pub(super) fn hear(&mut self, event: &Event) {
        self.before = None;
        match event {
            Event::Subscribed { .. } => {
                self.subscribed_at = Some(self.now);
                self.asked.clear();
            }
            Event::Disconnected => self.subscribed_at = None,
            Event::FrameworkRemoved => self.framework_removed = true,
            Event::Status(update) => {
                let asked = self.asked.remove(&update.task);
                let before = Before { heard: self.heard.get(&update.task).copied(), asked };
                self.before = Some((update.task.clone(), before));
                let before = self.unreachable.remove(&update.task);
                let before = before.filter(|_| update.state == TaskState::Unreachable);
                // By a clock that is behind, at least since there was a record of it to be read.
                let began = self.began.unwrap_or(self.now);
                let since = before.map_or(self.now, |before| before.min(began));
                let heard = Heard { state: update.state, since };
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
        // Another run may take the place of one that ends, in the same step.
        for run in super::ended(step) {
            self.deactivate(run);
        }
        for Write { key, value } in &step.writes {
            // A run that was made and launched in the same step never had a place in the queue.
            if let (Key::Ready(_, run), None) = (key, value)
                && !super::ended(step).any(|ended| ended == run)
            {
                let beside = Key::ParallelRunning(run.clone());
                let primary = !step.writes.iter().any(|write| write.key == beside);
                self.activate(run.clone(), primary);
            }
            self.write(key, value.as_deref(), settings);
        }
        if let Cause::Command(items) = &step.cause {
            for (_, reply) in &step.replies {
                let Ok(Done::RunCreated(run)) = reply else { continue };
                self.partial.remove(run);
                if !items.is_empty() {
                    self.partial.insert(run.clone(), items.clone());
                }
            }
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
            (Key::Calendar(name), Some(value)) => {
                let zone = &settings.default_zone;
                let parsed = CalendarDocument::parse(value, Strictness::Stored, zone);
                if let Ok(document) = parsed {
                    self.calendars.insert(name.clone(), document.calendar);
                }
            }
            (Key::Calendar(name), None) => {
                self.calendars.remove(name);
            }
            (Key::DisabledJob(name), value) => set(&mut self.disabled_jobs, name, value.is_some()),
            (Key::DisabledApp(name), value) => set(&mut self.disabled_apps, name, value.is_some()),
            (Key::Ready(job, run), value) => {
                match value {
                    None => {
                        self.waiting.remove(run);
                    }
                    Some(value) if !self.waiting.contains_key(run) => {
                        if let Ok(record) = serde_json::from_slice::<RunRecord>(value) {
                            self.queue(&record, settings);
                        }
                    }
                    Some(_) => {}
                }
                set(self.pending.entry(job.clone()).or_default(), run, value.is_some());
            }
            (Key::Running(job), None) => {
                if let Some(run) = self.primary.remove(job) {
                    self.deactivate(&run);
                }
            }
            (Key::ParallelRunning(run), None) => self.deactivate(run),
            (Key::RunningShard(..) | Key::ParallelShard(..), Some(value)) => {
                let task = TaskId::new(String::from_utf8_lossy(value).into_owned());
                self.shards.insert(key.clone(), task);
            }
            (Key::RunningShard(..) | Key::ParallelShard(..), None) => {
                self.shards.remove(key);
            }
            _ => {}
        }
    }

    fn register(&mut self, name: &JobName, value: &[u8], settings: &Settings) {
        let parsed = Job::parse(value, Strictness::Stored, &settings.default_zone);
        let Ok(job) = parsed else { return };
        let from = self.watermark.unwrap_or(Timestamp::MIN);
        let mut document = Document { job: Arc::new(job), from, next: None };
        document.look_ahead(from);
        self.documents.insert(name.clone(), document);
    }

    fn queue(&mut self, run: &RunRecord, settings: &Settings) {
        let text = run.job.get().as_bytes();
        let known = self.documents.get(&run.id.job()).map(|document| &document.job);
        let same = known.filter(|job| job.source.get() == run.job.get()).cloned();
        let job = same.or_else(|| {
            Job::parse(text, Strictness::Stored, &settings.default_zone).ok().map(Arc::new)
        });
        let Some(job) = job else { return };
        let (made_at, logical_time) = (run.created_at.as_millis(), run.logical_time);
        let altered = !run.overrides.is_empty();
        self.waiting.insert(run.id.clone(), Pending { made_at, logical_time, job, altered });
    }

    fn activate(&mut self, run: RunId, primary: bool) {
        let job = run.job();
        self.active.entry(job.clone()).or_default().insert(run.clone());
        if primary {
            self.primary.insert(job, run);
        }
    }

    fn deactivate(&mut self, run: &RunId) {
        if let Some(active) = self.active.get_mut(&run.job()) {
            active.remove(run);
        }
    }

    /// When a job fires, its calendars considered; `None` if it has no schedule.
    pub(super) fn timetable(&self, job: &Job) -> Option<Timetable> {
        let schedule = Arc::clone(job.schedule.as_ref()?);
        let calendars = job.calendars.iter().filter_map(|name| self.calendars.get(name).cloned());
        Some(Timetable { schedule, calendars: calendars.collect() })
    }

    /// The runs of a job that are active.
    pub(super) fn active_of(&self, job: &JobName) -> impl Iterator<Item = &RunId> {
        self.active.get(job).into_iter().flatten()
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

fn out_of_reach(shard: &Shard) -> Option<(TaskId, i64)> {
    match shard.phase {
        Phase::Unreachable { since, .. } => Some((shard.task_id.clone()?, since.as_millis())),
        _ => None,
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
