//! The engine's rules in virtual time: each test says what happens and asserts every effect.

mod by_hand;
mod calendars;
mod commands;
mod committing;
mod every_firing;
mod firing;
mod generations;
mod holding;
mod inheriting;
mod launching;
mod maintenance;
mod offering;
mod overlapping;
mod paging;
mod placing;
mod rerunning;
mod restoring;
mod rounds;
mod searching;
mod statuses;
mod updating;

use std::collections::BTreeMap;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::command::{Command, Done, Overrides, Refusal, Reply};
use crate::effect::{Action, Effect, Effects, Trace};
use crate::event::{Event, Offer, Outcome, RequestId, StatusReason, StatusUpdate, TaskState};
use crate::ids::{AgentId, AppName, CalendarName, FrameworkId, JobName, OfferId, RunId, TaskId};
use crate::record::{Key, Write};
use crate::resources::{Kind, Milli, Origin, Piece, Resources};
use crate::view::{RunState, RunView};
use crate::{Engine, Settings};

/// Friday, 2026-11-20T02:00:00Z.
pub(crate) const START_MS: i64 = 1_795_140_000_000;

/// An engine with a clock and a registry of its own.
pub(crate) struct World {
    pub(crate) engine: Engine,
    settings: Settings,
    pub(crate) now: Timestamp,
    /// What has been committed.
    pub(crate) records: BTreeMap<Key, Vec<u8>>,
    /// Runs as the history last heard of them.
    pub(crate) history: BTreeMap<RunId, RunView>,
    requests: u64,
    offers: u64,
}

/// What one turn came to, commits done.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) actions: Vec<Action>,
    pub(crate) traces: Vec<Trace>,
    pub(crate) replies: Vec<Reply>,
    /// `+` and `-` with the key, in commit order.
    pub(crate) writes: Vec<String>,
}

/// The defaults, without the debounce: most tests have several turns in one moment.
pub(crate) fn settings() -> Settings {
    Settings { launch_debounce_ms: 0, ..Settings::default() }
}

impl World {
    /// A leader with no documents, subscribed.
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    /// A leader with settings of the test's own.
    pub(crate) fn with(settings: Settings) -> Self {
        let now = Timestamp::from_millis(START_MS);
        let mut fx = Effects::default();
        let engine = Engine::restore(settings.clone(), 7, now, Vec::new(), &mut fx);
        let (records, history) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { engine, settings, now, records, history, requests: 0, offers: 0 };
        world.subscribe();
        world
    }

    /// A leader with the app `app` (executor: 0.1 cpus, 32 MB).
    pub(crate) fn with_app() -> Self {
        let mut world = Self::new();
        let document = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
        world.command(Command::CreateApp { document }).unwrap();
        world
    }

    /// Registers a transient job with `extra` fields: 2 shards of 1 cpu and 100 MB unless said
    /// otherwise, fired every ten seconds.
    pub(crate) fn job(&mut self, name: &str, extra: &str) {
        let document = job_document(name, extra);
        self.command(Command::CreateJob { document }).unwrap();
    }

    pub(crate) fn turn(&mut self, event: Event) -> Turn {
        let mut fx = Effects::default();
        let mut turn = Turn::default();
        self.engine.step(self.now, event, &mut fx);
        self.commit(fx.take(), &mut turn);
        self.engine.place(self.now, &mut fx);
        self.commit(fx.take(), &mut turn);
        turn
    }

    fn commit(&mut self, effects: Vec<Effect>, turn: &mut Turn) {
        for effect in effects {
            match effect {
                Effect::Write(write) => {
                    let sign = if write.value.is_some() { '+' } else { '-' };
                    turn.writes.push(format!("{sign}{}", show(&write.key)));
                    self.records.remove(&write.key);
                    self.records.extend(write.value.map(|value| (write.key, value)));
                }
                Effect::Action(action) => turn.actions.push(action),
                Effect::Trace(trace) => {
                    if let Trace::Run(view) = &trace {
                        self.history.insert(view.id.clone(), (**view).clone());
                    }
                    turn.traces.push(trace);
                }
                Effect::Reply { reply, .. } => turn.replies.push(reply),
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: i64) -> Turn {
        self.now = self.now.plus_millis(millis);
        self.turn(Event::Tick)
    }

    /// Time passes and the engine is called every few seconds, as by its owner; what came of all.
    pub(crate) fn awake(&mut self, millis: i64) -> Turn {
        const SLEEP_MAX_MS: i64 = 10_000;
        let mut all = Turn::default();
        let end = self.now.plus_millis(millis);
        while self.now < end {
            let turn = self.wait(end.since(self.now).min(SLEEP_MAX_MS));
            all.actions.extend(turn.actions);
            all.writes.extend(turn.writes);
            all.traces.extend(turn.traces);
        }
        all
    }

    pub(crate) fn subscribe(&mut self) -> Turn {
        self.turn(Event::Subscribed { framework: FrameworkId::new("fw") })
    }

    pub(crate) fn command(&mut self, command: Command) -> Reply {
        self.command_turn(command).0
    }

    pub(crate) fn command_turn(&mut self, command: Command) -> (Reply, Turn) {
        self.requests += 1;
        let request = RequestId(self.requests);
        let mut turn = self.turn(Event::Command { request, by: "test".to_owned(), command });
        assert_eq!(turn.replies.len(), 1, "every command gets one reply");
        (turn.replies.remove(0), turn)
    }

    /// An agent offers cpus and 10,000 MB.
    pub(crate) fn offer(&mut self, agent: &str, cpus: f64) -> Turn {
        let offer = self.make_offer(agent, cpus, 10_000.0, &[]);
        self.turn(Event::Offers(vec![offer]))
    }

    pub(crate) fn make_offer(
        &mut self,
        agent: &str,
        cpus: f64,
        mem: f64,
        executors: &[&str],
    ) -> Offer {
        self.offers += 1;
        let origin = Arc::new(Origin { role: "*".into(), reserved: false, wire: [].into() });
        let piece = |kind, amount| Piece {
            kind,
            amount: Milli::from_f64(amount).unwrap(),
            origin: Arc::clone(&origin),
        };
        Offer {
            id: OfferId::new(format!("o{}", self.offers)),
            agent: AgentId::new(agent),
            hostname: format!("{agent}.example"),
            resources: Resources {
                pieces: vec![piece(Kind::Cpus, cpus), piece(Kind::Mem, mem)],
                ports: Vec::new(),
            },
            attributes: Vec::new(),
            executors: executors.iter().map(|id| crate::ids::ExecutorId::new(*id)).collect(),
            unavailability: None,
        }
    }

    pub(crate) fn status(&mut self, task: &TaskId, state: TaskState) -> Turn {
        self.turn(Event::Status(update(task, state)))
    }

    /// Work that exits with a code.
    pub(crate) fn exit(&mut self, task: &TaskId, code: i32) -> Turn {
        let state = if code == 0 { TaskState::Finished } else { TaskState::Failed };
        let mut update = update(task, state);
        update.message = (code != 0).then(|| format!("exited with code {code}"));
        update.outcome = Some(Outcome { exit_code: Some(code), ..Outcome::default() });
        self.turn(Event::Status(update))
    }

    /// The process dies and another one takes over from the records.
    pub(crate) fn restart(&mut self) -> Turn {
        let mut fx = Effects::default();
        let records = self.records.clone().into_iter().collect();
        self.engine = Engine::restore(self.settings.clone(), 8, self.now, records, &mut fx);
        let mut turn = Turn::default();
        self.commit(fx.take(), &mut turn);
        turn
    }

    /// Live tasks by shard of a job's active run.
    pub(crate) fn tasks(&self, job: &str) -> Vec<TaskId> {
        let rows = self.engine.running(None, usize::MAX);
        let mut rows: Vec<_> =
            rows.into_iter().filter(|row| row.run.job().as_str() == job).collect();
        rows.sort_by_key(|row| row.item);
        rows.into_iter().map(|row| row.task_id).collect()
    }

    /// Every run of a job that the history knows, with its state, in the order of ids.
    pub(crate) fn runs(&self, job: &str) -> Vec<(String, RunState)> {
        self.history
            .values()
            .filter(|view| view.job.as_str() == job)
            .map(|view| (view.id.as_str().to_owned(), view.state))
            .collect()
    }

    pub(crate) fn active(&self, job: &str) -> RunView {
        let id = self.engine.job(&JobName::parse(job).unwrap()).unwrap().running.unwrap();
        self.engine.run(&id).unwrap()
    }

    /// All records that are there say the same as the engine's memory: restored, they give the
    /// same runs.
    pub(crate) fn assert_durable(&self) {
        let mut fx = Effects::default();
        let records = self.records.clone().into_iter().collect();
        let copy = Engine::restore(self.settings.clone(), 9, self.now, records, &mut fx);
        let all = crate::RunFilter::default();
        let strip = |mut view: RunView| {
            // What is waited for is not stored: it is found out again.
            view.reason = None;
            view
        };
        let of = |engine: &Engine| -> Vec<RunView> {
            engine.live_runs(&all, None, usize::MAX).into_iter().map(strip).collect()
        };
        assert_eq!(of(&copy), of(&self.engine));
        let found = copy.status().problems;
        assert_eq!(found, copy.clock_problem().into_iter().collect::<Vec<_>>());
    }
}

impl Turn {
    /// Actions in short words.
    pub(crate) fn said(&self) -> Vec<String> {
        self.actions.iter().map(say).collect()
    }

    /// The tasks launched, in order.
    pub(crate) fn launched(&self) -> Vec<TaskId> {
        self.actions
            .iter()
            .flat_map(|action| match action {
                Action::Accept { launches, .. } => {
                    launches.iter().map(|launch| launch.task.clone()).collect()
                }
                _ => Vec::new(),
            })
            .collect()
    }
}

pub(crate) fn job_document(name: &str, extra: &str) -> Vec<u8> {
    let mut document: serde_json::Value = serde_json::from_str(&format!(
        r#"{{"jobName":"{name}","appName":"app","jobExecutionType":"TRANSIENT",
        "scriptCommandLine":"true","cron":"0/10 * * * * ?","shardingTotalCount":2,
        "cpuCount":1,"memoryMB":100}}"#
    ))
    .unwrap();
    let extra: serde_json::Value = serde_json::from_str(&format!("{{{extra}}}")).unwrap();
    for (key, value) in extra.as_object().unwrap() {
        document[key] = value.clone();
    }
    document.to_string().into_bytes()
}

pub(crate) fn update(task: &TaskId, state: TaskState) -> StatusUpdate {
    let agent = task.as_str().split("@-@").nth(3).map(AgentId::new);
    StatusUpdate {
        task: task.clone(),
        agent,
        state,
        reason: StatusReason::Other,
        message: None,
        uuid: Some(vec![1]),
        outcome: None,
    }
}

fn show(key: &Key) -> String {
    match key {
        Key::App(app) => format!("app {app}"),
        Key::Job(job) => format!("job {job}"),
        Key::Calendar(calendar) => format!("calendar {calendar}"),
        Key::ReadyCount(job) => format!("ready {job}"),
        Key::Ready(_, run) => format!("ready {run}"),
        Key::Failover(job, item) => format!("failover {job}/{item}"),
        Key::Running(job) => format!("running {job}"),
        Key::RunningShard(job, item) => format!("running {job}/{item}"),
        Key::ParallelFailover(run, item) => format!("failover {run}/{item}"),
        Key::ParallelRunning(run) => format!("running {run}"),
        Key::ParallelShard(run, item) => format!("running {run}/{item}"),
        Key::DisabledApp(app) => format!("disable app {app}"),
        Key::DisabledJob(job) => format!("disable job {job}"),
        Key::Watermark => "watermark".to_owned(),
        Key::FrameworkId => "framework".to_owned(),
    }
}

fn say(action: &Action) -> String {
    match action {
        Action::Accept { agent, offers, launches } => {
            let shards: Vec<String> = launches
                .iter()
                .map(|launch| format!("{}/{}#{}", launch.job.name, launch.item, launch.attempt))
                .collect();
            let offers: Vec<&str> = offers.iter().map(OfferId::as_str).collect();
            format!("accept {agent} [{}]: {}", offers.join(" "), shards.join(" "))
        }
        Action::Decline { offers, refuse_ms } => {
            let offers: Vec<&str> = offers.iter().map(OfferId::as_str).collect();
            format!("decline [{}] {refuse_ms}", offers.join(" "))
        }
        Action::Revive => "revive".to_owned(),
        Action::Suppress => "suppress".to_owned(),
        Action::Kill { task, .. } => format!("kill {}", shard(task)),
        Action::Acknowledge { task, .. } => format!("ack {}", shard(task)),
        Action::Reconcile { tasks } => {
            let tasks: Vec<String> = tasks.iter().map(|(task, _)| shard(task)).collect();
            format!("reconcile [{}]", tasks.join(" "))
        }
        Action::ShutdownExecutor { executor, .. } => format!("shutdown {executor}"),
        Action::AcceptInverseOffers { offers, .. } => format!("accept inverse {}", offers.len()),
        Action::DeclineInverseOffers { offers, .. } => format!("decline inverse {}", offers.len()),
        Action::SubscribeAnew => "subscribe anew".to_owned(),
    }
}

fn shard(task: &TaskId) -> String {
    task.job_and_item().map_or_else(|| task.to_string(), |(job, item)| format!("{job}/{item}"))
}

fn app_name() -> AppName {
    AppName::parse("app").unwrap()
}

fn name(job: &str) -> JobName {
    JobName::parse(job).unwrap()
}

fn trigger(job: &str, key: Option<&str>) -> Command {
    Command::Trigger {
        job: name(job),
        key: key.map(str::to_owned),
        overrides: Overrides::default(),
        submitter: None,
    }
}

fn refused_fields(reply: Reply) -> Vec<String> {
    match reply {
        Err(Refusal::Invalid { errors, .. } | Refusal::Conflict { errors, .. }) => {
            errors.into_iter().map(|error| error.field).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn is_done(reply: &Reply, done: &Done) -> bool {
    reply.as_ref() == Ok(done)
}
