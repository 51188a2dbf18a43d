//! The engine: what it holds and how a step runs. What it does stands in the modules named
//! after what happens.
//!
//! No clock, no randomness of its own, no I/O, no map without order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;
use shiftwork_schedule::Timestamp;

use crate::document::{App, CalendarDocument};
use crate::effect::{Effects, Trace};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::holds::Holds;
use crate::ids::{AppName, CalendarName, FrameworkId, JobName, RunId, TaskId};
use crate::offers::Filters;
use crate::random::Random;
use crate::record::{DisabledRecord, Key, Write};
use crate::registered::{Registered, Rules};
use crate::round::Round;
use crate::run::{Requested, Run};
use crate::schedules::Schedules;
use crate::settings::Settings;
use crate::statistics::{FiringCounts, LaunchCounts};
use crate::timers::{Deadline, Timers};

/// An engine is called every few seconds at least. Where it was not for longer than this, its process
/// stood still or its clock was set forward: what others said meanwhile is still to be read, milliseconds.
const GAP_MS: i64 = 20_000;

/// An app and its flag.
#[derive(Debug)]
pub(crate) struct AppEntry {
    pub(crate) document: Result<Arc<App>, Broken>,
    pub(crate) disabled: Option<DisabledRecord>,
}

/// A job, its flag and its queue.
#[derive(Debug)]
pub(crate) struct JobEntry {
    pub(crate) document: Result<Registered, Broken>,
    pub(crate) disabled: Option<Box<DisabledRecord>>,
    /// Firings up to here are not this document's business.
    pub(crate) effective_from: Timestamp,
    /// Pending runs in the order in which they start.
    pub(crate) pending: BTreeSet<(Timestamp, RunId)>,
    /// What became of its firings, once it has had one.
    pub(crate) firings: Option<Box<FiringCounts>>,
}

/// A stored document that cannot be read: it disables what it describes and stops nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) problem: String,
    pub(crate) source: Arc<RawValue>,
}

/// Runs to be stored. One that has ended since is no more among the runs, and is passed over.
#[derive(Debug, Default)]
pub(crate) struct Dirty(Vec<RunId>);

impl Dirty {
    /// Mostly it is the same run again.
    pub(crate) fn insert(&mut self, run: RunId) {
        if self.0.last() != Some(&run) {
            self.0.push(run);
        }
    }

    /// Each once and in order.
    fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}

/// Who changed what another program changed in the registry.
const BY_HAND: &str = "registry";

/// Order of ready runs: rank, logical time, id.
pub(crate) type ReadyKey = (i64, Timestamp, RunId);

/// The deterministic core: events in, effects out.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    /// The latest that the clock showed: it goes on where time stands still for firings under way.
    clock: Timestamp,
    /// What the clock showed last, also where it was set back.
    pub(crate) wall: Timestamp,
    pub(crate) random: Random,
    pub(crate) apps: BTreeMap<AppName, AppEntry>,
    pub(crate) jobs: BTreeMap<JobName, JobEntry>,
    pub(crate) calendars: BTreeMap<CalendarName, Result<Arc<CalendarDocument>, Broken>>,
    /// The jobs whose documents name an app, and those that name a calendar.
    pub(crate) jobs_by_app: BTreeMap<AppName, BTreeSet<JobName>>,
    pub(crate) jobs_by_calendar: BTreeMap<CalendarName, BTreeSet<JobName>>,
    /// Pending and active runs.
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// The same by age.
    pub(crate) by_age: BTreeSet<(Timestamp, RunId)>,
    /// The active runs of each job that has some; the job itself may be gone.
    pub(crate) active: BTreeMap<JobName, BTreeSet<RunId>>,
    /// Live tasks.
    pub(crate) tasks: BTreeMap<TaskId, (RunId, u32)>,
    /// Jobs with pending runs.
    pub(crate) queued: BTreeSet<JobName>,
    /// The places among the ready runs of those pending runs of a job that may start.
    pub(crate) ready_of: BTreeMap<JobName, Vec<ReadyKey>>,
    /// Runs that may start, of each job as many as its concurrency rule leaves room for.
    pub(crate) ready: BTreeSet<ReadyKey>,
    /// Shards of active runs that may be launched again now.
    pub(crate) due: BTreeSet<(ReadyKey, u32)>,
    pub(crate) timers: Timers,
    pub(crate) schedules: Schedules,
    /// Rules of jobs, each once.
    pub(crate) rules: BTreeSet<Arc<Rules>>,
    pub(crate) fleet: Fleet,
    pub(crate) holds: Holds,
    pub(crate) watermark: Timestamp,
    /// The logical time of the latest daemon run: no two of this leader are the same.
    pub(crate) last_daemon_at: Timestamp,
    pub(crate) framework: Option<FrameworkId>,
    pub(crate) connected: bool,
    /// Tasks the master has not answered for since the subscription.
    pub(crate) unanswered: BTreeSet<TaskId>,
    pub(crate) reconcile_tries: u32,
    pub(crate) suppressed: bool,
    /// Filters that are in force at the master, if any may keep offers away that are wanted.
    pub(crate) filters: Option<Filters>,
    /// The warm reserve was complete when it was looked at last.
    pub(crate) reserve_complete: bool,
    /// When the latest launch cycle was.
    pub(crate) cycle_at: Timestamp,
    /// No launch cycle before that.
    cycle_not_before: Timestamp,
    /// The latest launch cycle had launched enough before all that waited was looked at.
    pub(crate) cycle_unfinished: bool,
    /// Firings under way.
    pub(crate) round: Round,
    /// Something changed that may let a run start.
    pub(crate) place_needed: bool,
    /// Runs made on request that ended lately: the same key must not make them again.
    pub(crate) ended_requests: VecDeque<(RunId, Requested)>,
    /// What became of all firings since this leader began.
    pub(crate) firings: FiringCounts,
    /// What launch cycles came to since then.
    pub(crate) launches: LaunchCounts,
    /// The release of the time zone data by which the leader before fired, where it was another.
    pub(crate) tzdb_before: Option<String>,
    /// Records that cannot be read, and why.
    pub(crate) problems: BTreeMap<Key, String>,
    /// Runs to be stored at the end of this step.
    pub(crate) dirty: Dirty,
    /// Active runs to be stored at the end of this turn.
    dirty_until_place: Dirty,
}

impl Engine {
    pub(crate) fn empty(settings: Settings, seed: u64, now: Timestamp) -> Self {
        Self {
            settings,
            now,
            clock: now,
            wall: now,
            random: Random::new(seed),
            apps: BTreeMap::new(),
            jobs: BTreeMap::new(),
            calendars: BTreeMap::new(),
            jobs_by_app: BTreeMap::new(),
            jobs_by_calendar: BTreeMap::new(),
            runs: BTreeMap::new(),
            by_age: BTreeSet::new(),
            active: BTreeMap::new(),
            tasks: BTreeMap::new(),
            queued: BTreeSet::new(),
            ready_of: BTreeMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            timers: Timers::default(),
            schedules: Schedules::default(),
            rules: BTreeSet::new(),
            fleet: Fleet::default(),
            holds: Holds::default(),
            watermark: Timestamp::MIN,
            last_daemon_at: Timestamp::MIN,
            framework: None,
            connected: false,
            unanswered: BTreeSet::new(),
            reconcile_tries: 0,
            suppressed: false,
            filters: None,
            reserve_complete: false,
            cycle_at: Timestamp::MIN,
            cycle_not_before: Timestamp::MIN,
            cycle_unfinished: false,
            round: Round::default(),
            place_needed: false,
            ended_requests: VecDeque::new(),
            firings: FiringCounts::default(),
            launches: LaunchCounts::default(),
            tzdb_before: None,
            problems: BTreeMap::new(),
            dirty: Dirty::default(),
            dirty_until_place: Dirty::default(),
        }
    }

    /// Takes in one event. `now` is the wall clock; should it step back, the engine's time stands
    /// still until it has caught up, so that nothing is done twice. A turn is any number of steps
    /// and one [`Engine::place`], committed together: what an update did to an active run is only
    /// written there.
    pub fn step(&mut self, now: Timestamp, event: Event, fx: &mut Effects) {
        self.advance(now, fx);
        if matches!(event, Event::Command { .. } | Event::RegistryChanged(_)) {
            self.finish_round(fx);
        }
        match event {
            Event::Subscribed { framework } => self.on_subscribed(framework, fx),
            Event::Disconnected => self.on_disconnected(),
            Event::FrameworkRemoved => self.on_framework_removed(fx),
            Event::Offers(offers) => self.on_offers(offers, fx),
            Event::InverseOffers(offers) => self.on_inverse_offers(offers, fx),
            Event::Rescinded(offer) => {
                self.fleet.release(&offer);
            }
            Event::Status(update) => self.on_status(update, fx),
            Event::Failure { agent, executor } => {
                self.on_failure(&agent, executor.as_ref(), fx);
            }
            Event::LaunchFailed { tasks } => self.on_launch_failed(&tasks, fx),
            Event::Command { request, by, command } => {
                let reply = self.on_command(&by, command, fx);
                fx.trace_changes(&by, self.watermark.max(self.now));
                fx.reply(request, reply);
            }
            Event::RegistryChanged(change) => {
                let told = change.clone();
                self.on_registry_changed(change, fx);
                fx.trace_change(told, BY_HAND, self.watermark.max(self.now));
            }
            Event::Tick => {}
        }
        self.flush_pending(fx);
    }

    /// Places what may start on the offers held: once a turn, after its events. True if there was
    /// a launch cycle: something waited that might have found a place.
    pub fn place(&mut self, now: Timestamp, fx: &mut Effects) -> bool {
        self.advance(now, fx);
        // Until the watermark stands behind them, what a firing made may not have ended already.
        let may_place = self.connected && !self.round.is_open();
        let placing = may_place && self.place_needed && self.is_cycle_time();
        if placing {
            self.place_needed = false;
            self.launch_cycle(fx);
        }
        self.keep_offers_clean(fx);
        self.flush(fx);
        self.round.begin_turn();
        placing
    }

    /// No launch cycle before that. Whoever carries out what launch cycles want is behind: what is
    /// launched beyond what can be acknowledged in time is only told of again and again.
    pub fn put_off_launches(&mut self, until: Timestamp) {
        self.cycle_not_before = until;
    }

    /// A burst of events is one launch cycle, not one each: the first has it at once, and what comes
    /// within the debounce has the next together. A cycle that had launched enough goes on at once.
    fn is_cycle_time(&mut self) -> bool {
        let apart_ms = if self.cycle_unfinished { 0 } else { self.settings.launch_debounce_ms };
        let debounced = self.cycle_at.saturating_add(apart_ms);
        let earliest = debounced.max(self.cycle_not_before);
        let is_time = earliest <= self.now;
        if !is_time {
            self.timers.set_no_later(Deadline::LaunchCycle, earliest);
        }
        is_time
    }

    /// When the engine wants to be called at the latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.round.is_open() { Some(self.now) } else { self.timers.next() }
    }

    /// The framework id to subscribe with.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.framework.as_ref()
    }

    /// Meets the deadlines up to now. While firings are under way time stands still: all that are due
    /// together are judged by the same moment.
    pub(crate) fn advance(&mut self, now: Timestamp, fx: &mut Effects) {
        self.clock = self.clock.max(now);
        self.wall = now;
        if !self.round.is_open() {
            let gap_ms = now.since(self.now);
            if gap_ms > GAP_MS {
                self.timers.allow_for_gap(gap_ms.unsigned_abs());
            }
            self.now = self.now.max(now);
        }
        self.meet_deadlines(self.settings.firings_per_turn_max, fx);
    }

    /// When what comes in was heard: others have their time from then on, however long firings have been
    /// under way by then.
    pub(crate) fn heard_at(&self) -> Timestamp {
        self.now.max(self.clock)
    }

    /// Meets deadlines until none is due, or until so many jobs have been looked at in this turn.
    pub(crate) fn meet_deadlines(&mut self, looked_at_max: usize, fx: &mut Effects) {
        while let Some(room) = self.round.room(looked_at_max) {
            if self.go_on_firing(room, fx) {
                continue;
            }
            let Some(deadline) = self.timers.pop_due(self.now) else { break };
            self.meet(deadline, fx);
        }
        if self.timers.next().is_none_or(|next| next > self.now) {
            self.end_round(fx);
        }
    }

    fn meet(&mut self, deadline: Deadline, fx: &mut Effects) {
        match deadline {
            Deadline::Schedule(id) => self.on_schedule_due(id),
            Deadline::Held(run) => self.on_held_due(&run),
            Deadline::Waiting(run, item) => self.on_shard_due(&run, item),
            Deadline::Launch(task) => self.on_launch_timeout(&task, fx),
            Deadline::Kill(task) => self.on_kill_overdue(&task, fx),
            Deadline::Unreachable(task) => self.on_unreachable_timeout(&task, fx),
            Deadline::RunTimeout(run) => self.on_run_timeout(&run, fx),
            Deadline::QueueTimeout(run) => self.on_queue_timeout(&run, fx),
            Deadline::Maintenance(agent) => self.on_maintenance_due(&agent, fx),
            // Offers are looked at in every turn.
            Deadline::OfferHold | Deadline::Lookahead => {}
            Deadline::LaunchCycle => self.place_needed = true,
            Deadline::Reconcile => self.on_reconcile_due(fx),
            Deadline::ReconcileRetry => self.on_reconcile_retry(fx),
            Deadline::ReconcileGrace => self.on_reconcile_grace(fx),
        }
    }

    /// Stores every run that changed, once. The history hears of a run when its state changes;
    /// what happened to its tasks is told one by one.
    pub(crate) fn flush(&mut self, fx: &mut Effects) {
        let mut changed = std::mem::take(&mut self.dirty_until_place);
        changed.0.append(&mut self.dirty.0);
        changed.settle();
        for id in changed.0.drain(..) {
            self.store_run(&id, fx);
        }
        self.dirty_until_place = changed;
    }

    fn store_run(&mut self, id: &RunId, fx: &mut Effects) {
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        put_run(fx, run);
        let state = run.state();
        if run.told != Some(state) {
            run.told = Some(state);
            fx.trace(Trace::Run(Box::new(run.view())));
        }
    }

    /// Stores pending runs that changed, together with the watermark they rest on. Active runs are
    /// stored once a turn: the record of a thousand shards is not written for each of their updates.
    fn flush_pending(&mut self, fx: &mut Effects) {
        let mut changed = std::mem::take(&mut self.dirty);
        changed.settle();
        for id in changed.0.drain(..) {
            if self.runs.get(&id).is_some_and(|run| !run.is_pending()) {
                self.dirty_until_place.insert(id);
            } else {
                self.store_run(&id, fx);
            }
        }
        self.dirty = changed;
    }

    pub(crate) fn app_document(&self, app: &AppName) -> Result<Arc<App>, String> {
        match self.apps.get(app).map(|entry| &entry.document) {
            Some(Ok(document)) => Ok(Arc::clone(document)),
            Some(Err(broken)) => Err(format!("app {app} cannot be read: {}", broken.problem)),
            None => Err(format!("app {app} is not registered")),
        }
    }

    /// Whether a job or its app is disabled: asked often, and mostly no.
    pub(crate) fn is_disabled(&self, job: &JobEntry, app: &AppName) -> bool {
        job.disabled.is_some() || self.apps.get(app).is_some_and(|app| app.disabled.is_some())
    }

    /// Who disabled a job or its app, in words.
    pub(crate) fn disabled_reason(&self, job: &JobName, app: &AppName) -> Option<String> {
        let say = |what: &str, name: &str, record: &DisabledRecord| {
            let why = record.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("{what} {name} disabled by {} at {}{why}", record.by, record.at)
        };
        if let Some(record) = self.jobs.get(job).and_then(|entry| entry.disabled.as_deref()) {
            return Some(say("job", job.as_str(), record));
        }
        let record = self.apps.get(app)?.disabled.as_ref()?;
        Some(say("app", app.as_str(), record))
    }

    /// The order key of a run.
    pub(crate) fn ready_key(run: &Run) -> ReadyKey {
        (run.rank(), run.logical_time, run.id.clone())
    }
}

pub(crate) fn put_json(fx: &mut Effects, key: Key, record: &impl serde::Serialize) {
    // Our records have string keys and finite numbers only, so that this cannot fail.
    let value = serde_json::to_vec(record).unwrap_or_default();
    fx.write(Write { key, value: Some(value) });
}

/// Stores a run. Its document is most of its record: written into a buffer that need not grow.
pub(crate) fn put_run(fx: &mut Effects, run: &Run) {
    /// What a record has around the document; per shard that has been launched.
    const FRAME_BYTES: usize = 320;
    const SHARD_BYTES: usize = 320;
    let record = run.record();
    let app = record.app.as_ref().map_or(0, |app| app.get().len());
    let bytes = record.job.get().len() + app + FRAME_BYTES + SHARD_BYTES * record.shards.len();
    let mut value = Vec::with_capacity(bytes);
    // Our records have string keys and finite numbers only, so that this cannot fail.
    let _ = serde_json::to_writer(&mut value, &record);
    fx.write(Write { key: run.key(), value: Some(value) });
}

pub(crate) fn put_text(fx: &mut Effects, key: Key, text: &str) {
    fx.write(Write { key, value: Some(text.as_bytes().to_vec()) });
}

pub(crate) fn delete(fx: &mut Effects, key: Key) {
    fx.write(Write { key, value: None });
}
