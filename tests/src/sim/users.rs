//! People and programs that use the scheduler: they register, change, trigger, cancel and delete,
//! now and then, and in the end they let it be.

use std::collections::VecDeque;

use shiftwork_engine::command::{Command, EndedRun, Overrides};
use shiftwork_engine::event::RequestId;
use shiftwork_engine::ids::{AppName, CalendarName, JobName};
use shiftwork_engine::view::{RunView, ShardState, ShardView};
use shiftwork_engine::{Engine, Order, RunFilter, Trace};

use super::documents::{self, Shape};
use super::scheduler::Turn;
use crate::random::Random;

const APPS: u64 = 3;
const CALENDARS: u64 = 3;
/// Idempotency keys in use: few, so that they come again.
const KEYS: u64 = 5;
/// Ended runs that somebody may want again.
const HISTORY_MAX: usize = 200;
/// More than any world has.
const LIST_MAX: usize = 1_000;

/// The users.
#[derive(Debug)]
pub(crate) struct Users {
    random: Random,
    shape: Shape,
    jobs: u64,
    /// Jobs from this number on are daemons.
    daemons_from: u64,
    /// Mean time between two commands.
    every_ms: f64,
    requests: u64,
    /// Answers to requests up to here are of no interest any more.
    answered: u64,
    /// What is asked before anything else, again and again until there is an answer.
    first: VecDeque<Command>,
    /// Runs that have ended lately, as the history tells.
    history: VecDeque<RunView>,
    /// Nothing but `first` is asked any more.
    calm: bool,
}

// === impl Users ===

impl Users {
    /// Users of so many jobs at most.
    pub(crate) fn new(mut random: Random, jobs_max: u64, shape: Shape) -> Self {
        let jobs = random.between(1, jobs_max as i64) as u64;
        let mut users = Self {
            shape,
            jobs,
            daemons_from: jobs - random.below(jobs.min(3)),
            every_ms: *random.pick(&[2_000.0, 10_000.0, 60_000.0]),
            requests: 0,
            answered: 0,
            first: VecDeque::new(),
            history: VecDeque::new(),
            calm: false,
            random,
        };
        for number in 0..APPS {
            let document = documents::app(&format!("a{number}"), &mut users.random);
            users.first.push_back(Command::CreateApp { document });
        }
        for number in 0..users.random.below(CALENDARS) {
            let document = documents::calendar(&format!("c{number}"), &mut users.random);
            users.first.push_back(Command::CreateCalendar { document });
        }
        users
    }

    /// Users who ask for this and nothing else.
    pub(crate) fn with_script(script: Vec<Command>) -> Self {
        let mut users =
            Self::new(Random::new(0), 1, Shape { machines: 1, gpus: 0, commands: false });
        users.first = script.into();
        users.calm = true;
        users
    }

    /// The next request, if there is one.
    pub(crate) fn next(&mut self, engine: &Engine, now: i64) -> Option<(RequestId, Command)> {
        let command = match self.first.front() {
            Some(command) => command.clone(),
            None if self.calm => return None,
            None => self.random_command(engine, now)?,
        };
        self.requests += 1;
        Some((RequestId(self.requests), command))
    }

    /// An answer: what is asked before anything else is asked until it has one.
    pub(crate) fn hear(&mut self, request: RequestId) {
        if request.0 > self.answered {
            self.answered = self.requests;
            self.first.pop_front();
        }
    }

    /// Until the next request.
    pub(crate) fn pause_ms(&mut self) -> Option<i64> {
        if !self.first.is_empty() {
            return Some(self.random.between(1, 500));
        }
        (!self.calm).then(|| self.random.waiting_ms(self.every_ms))
    }

    /// Nothing new is asked for: the schedules end, and what runs may run to its end.
    pub(crate) fn calm_down(&mut self, engine: &Engine) {
        self.calm = true;
        self.first.clear();
        self.answered = self.requests;
        for view in engine.jobs(None, None, Order::Ascending, LIST_MAX) {
            let Ok(job) = JobName::parse(&view.name) else { continue };
            if view.document.get().contains("DAEMON") {
                continue;
            }
            if let Some(document) = documents::without_schedule(view.document.get()) {
                self.first.push_back(Command::UpdateJob { job, document });
            }
        }
    }

    /// Whoever sees that a job waits for a machine that is gone for good cancels its run. False if no
    /// job does.
    pub(crate) fn cancel_waiting(&mut self, engine: &Engine) -> bool {
        let runs = engine.live_runs(&RunFilter::default(), None, LIST_MAX);
        let waits = |run: &RunView| {
            let unreachable = |shard: &ShardView| shard.state == ShardState::Unreachable;
            let document = || engine.run(&run.id)?.document;
            run.shards.iter().any(unreachable)
                && document().is_some_and(|document| document.0.get().contains(r#""wait""#))
        };
        let waiting: Vec<_> = runs.into_iter().filter(waits).collect();
        self.first.extend(waiting.iter().map(|run| Command::CancelRun { run: run.id.clone() }));
        !waiting.is_empty()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.calm && self.first.is_empty()
    }

    fn random_command(&mut self, engine: &Engine, now: i64) -> Option<Command> {
        let number = self.random.below(self.jobs);
        let job = JobName::parse(&format!("j{number}")).ok()?;
        let app = AppName::parse(&format!("a{}", self.random.below(APPS))).ok()?;
        let missing = engine.job(&job).is_none();
        Some(match self.random.below(100) {
            _ if missing => {
                let document = self.job_document(number, engine, now)?;
                Command::CreateJob { document }
            }
            0..=9 => {
                let document = self.job_document(number, engine, now)?;
                Command::UpdateJob { job, document }
            }
            10..=15 => Command::DeleteJob { job },
            16 => Command::DeleteApp { app },
            17..=22 => {
                let document = documents::app(app.as_str(), &mut self.random);
                if engine.app(&app).is_none() {
                    Command::CreateApp { document }
                } else {
                    Command::UpdateApp { app, document }
                }
            }
            23..=32 => {
                let enabled = engine.job_blocked(&job).is_some();
                Command::SetJobEnabled { job, enabled, reason: None }
            }
            33..=37 => {
                let enabled = !engine.app(&app).is_some_and(|app| app.enabled);
                Command::SetAppEnabled { app, enabled, reason: None }
            }
            38..=69 => self.trigger(job),
            70..=79 => self.cancel(engine)?,
            80..=89 => self.kill(engine)?,
            90 => Command::Reconcile,
            91..=94 => self.rerun()?,
            _ => self.calendar(engine)?,
        })
    }

    /// A job stays with the app that its number names, or with one that is there.
    fn job_document(&mut self, number: u64, engine: &Engine, now: i64) -> Option<Vec<u8>> {
        let apps = engine.apps(None, Order::Ascending, LIST_MAX);
        if apps.is_empty() {
            return None;
        }
        let app = &apps.get(number as usize % apps.len())?.name;
        let calendars = engine
            .calendars(None, Order::Ascending, LIST_MAX)
            .into_iter()
            .map(|calendar| calendar.name);
        let calendars: Vec<String> = calendars.collect();
        let daemon = number >= self.daemons_from;
        let name = format!("j{number}");
        let names = (name.as_str(), app.as_str());
        Some(documents::job(names, &calendars, daemon, now, self.shape, &mut self.random))
    }

    /// Makes a calendar, changes it, or takes it away, which is refused while a job names it.
    fn calendar(&mut self, engine: &Engine) -> Option<Command> {
        let name = format!("c{}", self.random.below(CALENDARS));
        let calendar = CalendarName::parse(&name).ok()?;
        if engine.calendar(&calendar).is_some() && self.random.chance(0.3) {
            return Some(Command::DeleteCalendar { calendar });
        }
        let document = documents::calendar(&name, &mut self.random);
        Some(if engine.calendar(&calendar).is_some() {
            Command::UpdateCalendar { calendar, document }
        } else {
            Command::CreateCalendar { document }
        })
    }

    fn trigger(&mut self, job: JobName) -> Command {
        let key = self.random.chance(0.7).then(|| format!("k{}", self.random.below(KEYS)));
        let mut overrides = Overrides::default();
        if self.random.chance(0.2) {
            overrides.job_parameter = Some("other".to_owned());
        }
        if self.random.chance(0.2) {
            overrides.items = [self.random.below(3) as u32].into();
        }
        Command::Trigger { job, key, overrides, submitter: None }
    }

    /// What is durable is told to the history.
    pub(crate) fn remember(&mut self, turn: &Turn) {
        for trace in turn.steps.iter().flat_map(|step| &step.traces) {
            if let Trace::Run(view) = trace
                && view.state.is_final()
            {
                self.history.push_back((**view).clone());
                if self.history.len() > HISTORY_MAX {
                    self.history.pop_front();
                }
            }
        }
    }

    fn rerun(&mut self) -> Option<Command> {
        let place = self.random.below(self.history.len() as u64) as usize;
        let view = self.history.get(place)?;
        let first = view.id.first_generation(view.attempt);
        let same = |other: &&RunView| other.id.first_generation(other.attempt) == first;
        let last_generation = self.history.iter().filter(same).map(|view| view.attempt).max();
        let failed = view.shards.iter().filter(|shard| shard.state != ShardState::Succeeded);
        let ended = EndedRun {
            submitter: view.submitter.clone(),
            run: view.id.clone(),
            logical_time: view.logical_time,
            generation: view.attempt,
            last_generation: last_generation?,
            document: view.document.clone(),
            overrides: view.overrides.clone(),
            sharding_total_count: view.sharding_total_count,
            failed_items: failed.map(|shard| shard.item).collect(),
        };
        let failed_only = self.random.chance(0.5);
        Some(Command::Rerun { ended: Box::new(ended), failed_only })
    }

    fn cancel(&mut self, engine: &Engine) -> Option<Command> {
        let runs = engine.live_runs(&RunFilter::default(), None, LIST_MAX);
        if runs.is_empty() {
            return None;
        }
        Some(Command::CancelRun { run: self.random.pick(&runs).id.clone() })
    }

    fn kill(&mut self, engine: &Engine) -> Option<Command> {
        let tasks = engine.running(None, LIST_MAX);
        if tasks.is_empty() {
            return None;
        }
        Some(Command::KillTask { task: self.random.pick(&tasks).task_id.clone() })
    }
}
