//! From records to an engine: the one path for start, take-over and doubt. A record that cannot
//! be read is reported and stops nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;
use shiftwork_schedule::Timestamp;

use crate::document::{App, CalendarDocument, Job, JobExecutor, Strictness};
use crate::effect::Effects;
use crate::engine::{AppEntry, Broken, Engine, JobEntry, delete};
use crate::ids::{AppName, CalendarName, FrameworkId, JobName, RunId};
use crate::inherit::Inheritance;
use crate::record::{DisabledRecord, Key, KillIntent, Origin, Phase, WatermarkRecord};
use crate::run::{Run, first_error};
use crate::settings::Settings;
use crate::timers::Deadline;

/// Clocks of two schedulers are taken to be no further apart, milliseconds.
const CLOCKS_APART_MAX_MS: i64 = 60 * 60_000;

impl Engine {
    /// Builds the engine from all records of the registry. Firings since the watermark are dealt
    /// with by each job's misfire rule; `fx` gets what follows from that. Nothing is launched
    /// before the master has taken the subscription.
    pub fn restore(
        settings: Settings,
        seed: u64,
        now: Timestamp,
        records: Vec<(Key, Vec<u8>)>,
        fx: &mut Effects,
    ) -> Self {
        let mut engine = Self::empty(settings, seed, now);
        let mut runs = Vec::new();
        let mut shards = Vec::new();
        let is_inherited = !records.iter().any(|(key, _)| *key == Key::Watermark);
        let mut inheritance = Inheritance::default();
        for (key, value) in records {
            if is_inherited {
                inheritance.note(&key, &value);
            }
            match key {
                Key::Ready(..) | Key::Running(_) | Key::ParallelRunning(_) => {
                    runs.push((key, value));
                }
                Key::Failover(..)
                | Key::RunningShard(..)
                | Key::ParallelFailover(..)
                | Key::ParallelShard(..) => shards.push(key),
                key => engine.restore_one(key, &value),
            }
        }
        // Pending runs first: what still has its place in the ready queue was not launched.
        runs.sort_by_key(|(key, _)| !matches!(key, Key::Ready(..)));
        for (key, value) in runs {
            engine.restore_run(key, &value, fx);
        }
        if is_inherited {
            engine.inherit(inheritance, fx);
        }
        engine.drop_stale_shards(shards, fx);
        engine.start_restored(fx);
        engine.advance(now, fx);
        engine.flush(fx);
        engine
    }

    pub(crate) fn problem(&mut self, key: &Key, problem: &str) {
        self.problems.insert(key.clone(), problem.to_owned());
    }

    /// Takes up a stored app document, whatever it holds.
    pub(crate) fn restore_app(&mut self, name: AppName, value: &[u8]) {
        let parsed = App::parse(value, Strictness::Stored)
            .map_err(|errors| first_error("document", &errors))
            .and_then(|app| same_name(app.name == name, app));
        let document = self.document(&Key::App(name.clone()), value, parsed);
        self.app_entry(name).document = document;
    }

    /// Takes up a stored job document, whatever it holds. It does not fire yet.
    pub(crate) fn restore_job(&mut self, name: JobName, value: &[u8]) {
        let zone = self.settings.default_zone.clone();
        let parsed = Job::parse(value, Strictness::Stored, &zone)
            .map_err(|errors| first_error("document", &errors))
            .and_then(|job| same_name(job.name == name, job))
            .and_then(not_relative);
        let document =
            self.document(&Key::Job(name.clone()), value, parsed).map(|job| self.registered(&job));
        self.job_entry(name.clone()).document = document;
        self.index_job(&name);
    }

    /// Takes up a stored calendar, whatever it holds.
    pub(crate) fn restore_calendar(&mut self, name: CalendarName, value: &[u8]) {
        let zone = self.settings.default_zone.clone();
        let parsed = CalendarDocument::parse(value, Strictness::Stored, &zone)
            .map_err(|errors| first_error("document", &errors))
            .and_then(|calendar| same_name(calendar.name == name, calendar));
        let document = self.document(&Key::Calendar(name.clone()), value, parsed);
        self.calendars.insert(name, document);
    }

    fn restore_one(&mut self, key: Key, value: &[u8]) {
        match key {
            Key::App(name) => self.restore_app(name, value),
            Key::Job(name) => self.restore_job(name, value),
            Key::Calendar(name) => self.restore_calendar(name, value),
            Key::DisabledApp(name) => {
                let record = self.disabled_record(name.as_str(), value);
                self.app_entry(name).disabled = Some(record);
            }
            Key::DisabledJob(name) => {
                let record = self.disabled_record(name.as_str(), value);
                self.job_entry(name).disabled = Some(Box::new(record));
            }
            Key::Watermark => match serde_json::from_slice::<WatermarkRecord>(value) {
                Ok(record) => {
                    self.watermark = record.watermark;
                    let release = shiftwork_schedule::tzdb().release();
                    self.tzdb_before = record.tzdb.filter(|before| before != release);
                }
                Err(error) => {
                    // Without it every schedule starts from now: nothing doubled, but firings of
                    // the gap are not known. It is said, not guessed.
                    self.problem(
                        &Key::Watermark,
                        &format!("unreadable, starting from now: {error}"),
                    );
                }
            },
            Key::FrameworkId => match std::str::from_utf8(value) {
                Ok(id) if !id.trim().is_empty() => {
                    self.framework = Some(FrameworkId::new(id.trim()));
                }
                _ => self.problem(&Key::FrameworkId, "not text: subscribing as a new framework"),
            },
            // Told again by the runs themselves.
            Key::ReadyCount(_)
            | Key::RunningShard(..)
            | Key::Ready(..)
            | Key::Running(_)
            | Key::Failover(..)
            | Key::ParallelRunning(_)
            | Key::ParallelShard(..)
            | Key::ParallelFailover(..) => {}
        }
    }

    fn document<T>(
        &mut self,
        key: &Key,
        value: &[u8],
        parsed: Result<T, String>,
    ) -> Result<Arc<T>, Broken> {
        parsed.map(Arc::new).map_err(|problem| {
            self.problem(key, &problem);
            Broken { problem, source: raw(value) }
        })
    }

    pub(crate) fn disabled_record(&self, name: &str, value: &[u8]) -> DisabledRecord {
        serde_json::from_slice(value).unwrap_or_else(|_| DisabledRecord {
            name: name.to_owned(),
            by: "hand".to_owned(),
            reason: None,
            at: self.now,
        })
    }

    pub(crate) fn app_entry(&mut self, name: AppName) -> &mut AppEntry {
        self.apps
            .entry(name)
            .or_insert_with(|| AppEntry { document: Err(absent()), disabled: None })
    }

    pub(crate) fn job_entry(&mut self, name: JobName) -> &mut JobEntry {
        let now = self.now;
        self.jobs.entry(name).or_insert_with(|| JobEntry {
            document: Err(absent()),
            disabled: None,
            effective_from: now,
            pending: BTreeSet::new(),
            firings: None,
        })
    }

    fn restore_run(&mut self, key: Key, value: &[u8], fx: &mut Effects) {
        let run = match Run::restore(value, &self.settings.default_zone) {
            Ok(run) => run,
            Err(problem) => return self.problem(&key, &problem),
        };
        match key {
            Key::Ready(job, id) if run.is_pending() && id == run.id => {
                self.restore_pending(&job, run, fx);
            }
            // Half of a launch that was not committed to its end.
            key @ (Key::Running(_) | Key::ParallelRunning(_))
                if self.runs.contains_key(&run.id) =>
            {
                delete(fx, key);
            }
            Key::Running(job) if !run.is_pending() && job == run.job.name => {
                self.restore_active(run, false);
            }
            Key::ParallelRunning(id) if !run.is_pending() && id == run.id => {
                self.restore_active(run, true);
            }
            key => self.problem(&key, "the run does not belong there"),
        }
    }

    fn restore_pending(&mut self, job: &JobName, run: Run, fx: &mut Effects) {
        let Some(entry) = self.jobs.get_mut(job) else {
            // Its job was deleted in the same transaction as its queue; left by a hand.
            delete(fx, Key::Ready(job.clone(), run.id));
            return;
        };
        entry.pending.insert((run.logical_time, run.id.clone()));
        self.queued.insert(job.clone());
        self.set_queue_timers(&run.id, run.held_until(), run.expires_at());
        self.add_run(run);
    }

    pub(crate) fn restore_active(&mut self, mut run: Run, parallel: bool) {
        run.parallel = parallel;
        let id = run.id.clone();
        self.active.entry(run.job.name.clone()).or_default().insert(id.clone());
        if let (Some(started), Some(timeout)) = (run.started_at, run.job.rules.timeout_ms)
            && !run.is_daemon()
        {
            let at = started.saturating_add(timeout);
            self.timers.set(Deadline::RunTimeout(id.clone()), at);
        }
        let shards = run.shards.clone();
        let (app, demand) = (run.app.clone(), run.job.rules.demand);
        let executor = run.job.rules.executor;
        let unreachable_timeout_ms = run.job.rules.unreachable_timeout_ms(&self.settings);
        self.add_run(run);
        for shard in shards {
            if let (Some((task, agent)), Some(app)) = (shard.live_task(), &app) {
                self.tasks.insert(task.clone(), (id.clone(), shard.item));
                if executor == JobExecutor::App {
                    self.restore_executor(agent, app, &shard, task);
                }
                self.fleet.restore_usage(agent, &demand);
                self.restore_deadline(task, &shard.phase, unreachable_timeout_ms);
            }
        }
    }

    fn restore_deadline(
        &mut self,
        task: &crate::ids::TaskId,
        phase: &Phase,
        unreachable_timeout_ms: Option<u64>,
    ) {
        let (deadline, at) = match (phase, unreachable_timeout_ms) {
            (Phase::Launching { since, .. }, _) => (
                Deadline::Launch(task.clone()),
                since.saturating_add(self.settings.launch_timeout_ms),
            ),
            (Phase::Unreachable { since, .. }, Some(timeout_ms)) => {
                (Deadline::Unreachable(task.clone()), since.saturating_add(timeout_ms))
            }
            (Phase::Killing { .. }, _) => (Deadline::Kill(task.clone()), self.now),
            _ => return,
        };
        // A deadline of the former life is met once this one is under way, not before.
        self.timers.set(deadline, at.max(self.now.saturating_add(self.settings.kill_retry_ms)));
    }

    /// Entries of shards that are not in the state the entry stands for.
    fn drop_stale_shards(&mut self, entries: Vec<Key>, fx: &mut Effects) {
        for key in entries {
            let (run, item) = match &key {
                Key::Failover(job, item) | Key::RunningShard(job, item) => {
                    (self.active_runs(job).find(|run| !run.parallel), *item)
                }
                Key::ParallelFailover(run, item) | Key::ParallelShard(run, item) => {
                    (self.runs.get(run).filter(|run| run.parallel), *item)
                }
                _ => continue,
            };
            let shard = run.and_then(|run| run.shard(item));
            let stands = shard.is_some_and(|shard| match key {
                Key::Failover(..) | Key::ParallelFailover(..) => {
                    matches!(shard.phase, Phase::Waiting { .. })
                }
                _ => shard.live_task().is_some(),
            });
            if !stands {
                delete(fx, key);
            }
        }
    }

    fn start_restored(&mut self, fx: &mut Effects) {
        if self.watermark == Timestamp::MIN {
            self.watermark = self.now;
        }
        let watermark = self.watermark;
        let mut dealt_with = self.fired_since(watermark);
        // Those moments have been, whatever this clock says. So the rest of what was due then is made at
        // once, and the watermark stands behind all of it before any of these runs can end.
        // One further ahead than clocks go apart is no evidence: time would stand still until then.
        let is_near = |at: &Timestamp| at.since(self.now) <= CLOCKS_APART_MAX_MS;
        let latest = dealt_with.values().copied().filter(is_near).max();
        self.now = latest.unwrap_or(self.now).max(self.now);
        let names: Vec<JobName> = self.jobs.keys().cloned().collect();
        for name in names {
            let Some(entry) = self.jobs.get_mut(&name) else {
                continue;
            };
            entry.effective_from = dealt_with.remove(&name).unwrap_or(watermark);
            self.join_schedule(&name, watermark);
            self.ensure_daemon(&name, fx);
            self.refresh_ready(&name);
        }
        let runs: Vec<RunId> = self.active.values().flatten().cloned().collect();
        for id in runs {
            self.resume_active(&id, fx);
        }
    }

    /// The last firing after the watermark that has its run, of each job that has one: a large step
    /// is stored in parts, the watermark with the last of them. Firings are dealt with in their
    /// order, so up to this one there is nothing left to do.
    fn fired_since(&self, watermark: Timestamp) -> BTreeMap<JobName, Timestamp> {
        let mut fired = BTreeMap::new();
        for run in self.runs.values() {
            if run.origin == Origin::Schedule && run.logical_time > watermark {
                let last = fired.entry(run.job.name.clone()).or_insert(run.logical_time);
                *last = run.logical_time.max(*last);
            }
        }
        fired
    }

    /// Waiting shards wait on; a run whose job is gone or may not run is ended.
    fn resume_active(&mut self, id: &RunId, fx: &mut Effects) {
        let Some(run) = self.runs.get(id) else { return };
        let (job, app) = (run.job.name.clone(), run.job.app.clone());
        let waiting: Vec<_> = run
            .shards
            .iter()
            .filter_map(|shard| match &shard.phase {
                Phase::Waiting { due, .. } => Some((shard.item, *due)),
                _ => None,
            })
            .collect();
        for (item, due) in waiting {
            self.queue_shard(id, item, due);
        }
        if !self.jobs.contains_key(&job) {
            self.cancel_active(id, KillIntent::Delete, fx);
        } else if self.disabled_reason(&job, &app).is_some() {
            self.cancel_active(id, KillIntent::Disable, fx);
        }
    }
}

/// A delay counts from registration, and nobody knows when that was: commands store what it means.
fn not_relative(job: Job) -> Result<Job, String> {
    const DELAY: &str = "delay";
    let text = job.source.get();
    let has_delay = || {
        let document: Result<serde_json::Value, _> = serde_json::from_str(text);
        document.is_ok_and(|document| document.get(DELAY).is_some_and(|delay| !delay.is_null()))
    };
    if text.contains(DELAY) && has_delay() {
        return Err("document: delay counts from registration: say at instead".to_owned());
    }
    Ok(job)
}

fn same_name<T>(same: bool, document: T) -> Result<T, String> {
    if same { Ok(document) } else { Err("the document names another".to_owned()) }
}

/// What is said of a job or app of which a flag is there and no document.
const ABSENT: &str = "the document is missing";

pub(crate) fn absent() -> Broken {
    Broken { problem: ABSENT.to_owned(), source: raw(b"null") }
}

pub(crate) fn is_absent(broken: &Broken) -> bool {
    broken.problem == ABSENT
}

/// The text of a stored document that cannot be read: as JSON if it is, else as a string.
fn raw(value: &[u8]) -> Arc<RawValue> {
    let text = String::from_utf8_lossy(value);
    let raw = RawValue::from_string(text.clone().into_owned())
        .or_else(|_| serde_json::value::to_raw_value(&text));
    match raw {
        Ok(raw) => Arc::from(raw),
        Err(_) => Arc::from(RawValue::NULL.to_owned()),
    }
}
