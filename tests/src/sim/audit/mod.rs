//! The auditor: sees what is decided, written, released and what really happens, and holds it to the
//! rules of the behaviour paper, a file a rule. It knows nothing of the engine's memory.

mod bounds;
mod durable;
mod fairness;
mod finished;
mod firings;
mod gangs;
mod kills;
mod leaders;
mod mind;
mod offers;
mod overlap;
mod placing;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;

use shiftwork_engine::command::Reply;
use shiftwork_engine::document::{Execution, Job};
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::{StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, RunId, TaskId};
use shiftwork_engine::record::{Key, Write};
use shiftwork_engine::view::RunState;
use shiftwork_engine::{Event, Settings, Trace};

use self::mind::Mind;
use super::env::{Fact, Process};
use super::registry::{Outcome, Registry};
use super::scheduler::{Cause, Step, Transaction, Turn};

/// What the auditor knows of a task, from its launch on.
#[derive(Debug)]
struct Task {
    run: RunId,
    job: Arc<Job>,
    item: u32,
    agent: AgentId,
    /// Where its launch is recorded.
    key: Option<Key>,
    /// Its run was launched beside another one of its job.
    beside: bool,
    /// Its work asked to be done later.
    put_off: bool,
    /// The scheduler was right to count it as lost.
    given_up: bool,
    /// The scheduler wanted it to end.
    killed: bool,
}

/// The auditor.
#[derive(Debug)]
pub(crate) struct Audit {
    settings: Settings,
    /// What each tenure has decided so far, as its own writes tell.
    minds: BTreeMap<Process, Mind>,
    tasks: BTreeMap<TaskId, Task>,
    durable: durable::Durable,
    finished: finished::Finished,
    firings: firings::Firings,
    kills: kills::Kills,
    leaders: leaders::Leaders,
    offers: offers::Offers,
    overlap: overlap::Overlap,
    placing: placing::Placing,
    /// How runs ended, as told to the history.
    ended: BTreeMap<RunId, RunState>,
    tally: Tally,
    violation: Option<(&'static str, String)>,
}

/// How much there was to audit.
#[derive(Debug, Default)]
struct Tally {
    firings: u64,
    missed: u64,
    runs_ended: u64,
    launches: u64,
    relaunches: u64,
    work_started: u64,
    transactions: u64,
    split: u64,
    take_overs: u64,
    keys_made_again: u64,
}

// === impl Task ===

impl Task {
    /// Its job asks for neither failover nor retries: its work starts once.
    fn starts_once(&self) -> bool {
        !self.job.failover && self.job.retry.max_attempts == 1
    }

    fn is_daemon(&self) -> bool {
        self.job.execution == Execution::Daemon
    }

    fn is_put_off_by(&self, update: &StatusUpdate) -> bool {
        let code = update.outcome.as_ref().and_then(|outcome| outcome.exit_code);
        code.is_some_and(|code| self.job.retry.later_exit_codes.contains(&code))
    }
}

// === impl Audit ===

impl Audit {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            minds: BTreeMap::new(),
            tasks: BTreeMap::new(),
            durable: durable::Durable::default(),
            finished: finished::Finished::default(),
            firings: firings::Firings::default(),
            kills: kills::Kills::default(),
            leaders: leaders::Leaders::default(),
            offers: offers::Offers::default(),
            overlap: overlap::Overlap::default(),
            placing: placing::Placing::default(),
            ended: BTreeMap::new(),
            tally: Tally::default(),
            violation: None,
        }
    }

    /// The first rule that was broken, and how.
    pub(crate) fn violation(&self) -> Option<(&'static str, &str)> {
        self.violation.as_ref().map(|(invariant, what)| (*invariant, what.as_str()))
    }

    /// Notes a broken rule, unless one was broken before.
    pub(crate) fn check(&mut self, invariant: &'static str, result: Result<(), String>) {
        if let Err(what) = result {
            self.violation.get_or_insert((invariant, what));
        }
    }

    pub(crate) fn tally(&self) -> Vec<(&'static str, u64)> {
        let Tally {
            firings,
            missed,
            runs_ended,
            launches,
            relaunches,
            work_started,
            transactions,
            split,
            take_overs,
            keys_made_again,
        } = self.tally;
        vec![
            ("keys made again", keys_made_again),
            ("take-overs", take_overs),
            ("transactions", transactions),
            ("transactions split", split),
            ("firings", firings),
            ("missed", missed),
            ("runs ended", runs_ended),
            ("launches", launches),
            ("launched again", relaunches),
            ("work started", work_started),
        ]
    }

    /// A process begins to lead from what the registry holds.
    pub(crate) fn on_tenure(&mut self, process: Process, epoch: u64, registry: &Registry) {
        self.tally.take_overs += 1;
        self.minds.retain(|_, mind| mind.epoch + 8 > epoch);
        self.placing.on_tenure(process);
        self.minds.insert(process, Mind::restored(epoch, registry.records(), &self.settings));
    }

    /// An engine is told something.
    pub(crate) fn on_event(&mut self, process: Process, now: i64, event: &Event) {
        let Some(mind) = self.minds.get_mut(&process) else { return };
        mind.advance(now);
        mind.hear(event);
        self.offers.on_event(process, event);
        self.placing.on_event(process, event);
        if let Event::Status(update) = event {
            self.durable.on_update(update);
            if let Some(task) = self.tasks.get_mut(&update.task) {
                task.put_off |= task.is_put_off_by(update);
            }
        }
    }

    /// An engine has decided something.
    pub(crate) fn on_step(&mut self, process: Process, step: &Step) {
        let Some(mut mind) = self.minds.remove(&process) else { return };
        mind.advance(step.now);
        self.learn_tasks(&mind, step);
        self.tally.runs_ended += ended(step).count() as u64;
        let results = [
            ("firings", firings::Firings::on_step(&mut mind, step, &mut self.tally)),
            ("runs are not forgotten", runs::on_step(&mind, step)),
            ("bounded queues", bounds::on_step(&mind, step)),
            ("gangs start whole", gangs::on_step(&mind, step)),
            ("offers are used once", self.offers.on_step(process, step)),
            ("one task a shard", overlap::on_step(&mind, step, &mut self.tasks)),
            ("constraints are met", self.placing.on_step(process, &mind, step, &self.tasks)),
            ("nobody is passed over", fairness::on_step(&mind, step)),
        ];
        for (invariant, result) in results {
            self.check(invariant, result);
        }
        mind.decide(step, &self.settings);
        self.minds.insert(process, mind);
    }

    fn learn_tasks(&mut self, mind: &Mind, step: &Step) {
        for action in &step.actions {
            match action {
                Action::Accept { agent, launches, .. } => {
                    for launch in launches {
                        self.tally.launches += 1;
                        self.tally.relaunches += u64::from(launch.attempt > 1);
                        let key = shard_key(step, &launch.task).cloned();
                        let task = Task {
                            run: launch.run.clone(),
                            job: Arc::clone(&launch.job),
                            item: launch.item,
                            agent: agent.clone(),
                            beside: matches!(key, Some(Key::ParallelShard(..)))
                                || mind.active_of(&launch.job.name).any(|r| *r != launch.run),
                            key,
                            put_off: false,
                            given_up: false,
                            killed: false,
                        };
                        self.tasks.insert(launch.task.clone(), task);
                    }
                }
                Action::Kill { task, .. } => {
                    if let Some(task) = self.tasks.get_mut(task) {
                        task.killed = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// A turn's commit is on its way, or it has none.
    pub(crate) fn on_issued(&mut self, turn: &Turn) {
        self.durable.on_issued(turn);
    }

    /// A transaction is about to be written.
    pub(crate) fn on_transaction(
        &mut self,
        turn: &Turn,
        transaction: &Transaction,
        registry: &Registry,
    ) {
        let Some(step) = turn.step_of(transaction) else { return };
        let writes = turn.writes_of(transaction);
        self.tally.transactions += 1;
        self.tally.split += u64::from(!transaction.is_last);
        let results = [
            ("only one leader acts", leaders::Leaders::on_transaction(turn, registry)),
            ("nodes go with their children", runs::on_transaction(step, writes, registry)),
            ("bounded records", bounds::on_transaction(writes)),
        ];
        for (invariant, result) in results {
            self.check(invariant, result);
        }
        let again = self.firings.on_transaction(turn.epoch, step, writes, registry).map(|runs| {
            for run in runs {
                self.tally.keys_made_again += 1;
                self.finished.forget(&run);
            }
        });
        self.check("firings come once", again);
        let result = self.finished.on_launches(step);
        self.check("finished shards stay so", result);
        self.durable.on_transaction(writes);
        if transaction.is_last {
            self.finished.on_transaction(step, registry, &self.tasks);
        }
    }

    /// A commit has had its outcome.
    pub(crate) fn on_applied(&mut self, turn: &Turn, outcome: Outcome) {
        self.durable.on_applied(turn, outcome);
        self.leaders.on_applied(turn, outcome);
        if outcome == Outcome::Done {
            for trace in turn.steps.iter().flat_map(|step| &step.traces) {
                if let Trace::Run(view) = trace
                    && view.state.is_final()
                {
                    self.ended.insert(view.id.clone(), view.state);
                }
            }
        }
    }

    /// Shards that were launched once more.
    pub(crate) fn launched_again(&self) -> u64 {
        self.tally.relaunches
    }

    /// How each run ended.
    pub(crate) fn ended(&self) -> BTreeMap<String, &'static str> {
        self.ended.iter().map(|(run, state)| (run.to_string(), state.name())).collect()
    }

    /// An action leaves.
    pub(crate) fn on_released(&mut self, turn: &Turn, action: &Action, registry: &Registry) {
        let result = self.leaders.on_released(turn, registry);
        self.check("only one leader acts", result);
        let result = self.durable.on_released(turn, action);
        self.check("nothing leaves before its commit", result);
        if let (Action::Reconcile { tasks }, Some(process)) = (action, turn.process)
            && let Some(mind) = self.minds.get_mut(&process)
        {
            mind.asked(tasks);
        }
    }

    /// A reply leaves.
    pub(crate) fn on_reply(&mut self, turn: &Turn, reply: &Reply) {
        let result = self.durable.on_reply(turn, reply);
        self.check("nothing leaves before its commit", result);
    }

    /// A call is sent.
    pub(crate) fn on_sent(&mut self, process: Process, action: &Action, registry: &Registry) {
        let result = self.durable.on_sent(action, registry, &self.tasks);
        self.check("nothing leaves before its commit", result);
        let result = self.offers.on_sent(process, action);
        self.check("offers are used once", result);
        if let Some(mind) = self.minds.get(&process) {
            self.kills.on_sent(process, mind, action);
        }
    }

    /// Something happened out there.
    pub(crate) fn on_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::WorkStarted { task, run, item, .. } => {
                self.tally.work_started += 1;
                let result = self.overlap.on_started(task, &self.tasks);
                self.check("one task a shard", result);
                let result = self.finished.on_started(task, run, *item, &self.tasks);
                self.check("work of jobs without retry starts once", result);
            }
            Fact::WorkEnded { task } => self.overlap.on_ended(task, &self.tasks),
            Fact::Overcommitted(text) => {
                self.check("no agent is over-committed", Err(text.clone()));
            }
            Fact::Improper(text) => self.check("the master is asked properly", Err(text.clone())),
        }
    }

    /// From time to time, of the tenure that leads and is not held up.
    pub(crate) fn on_pulse(&mut self, process: Process, now: i64) {
        let Some(mind) = self.minds.get(&process) else { return };
        let result = self.kills.on_pulse(process, mind, now, &self.settings);
        self.check("kills are repeated", result);
    }
}

/// True for states after which nothing more comes from the executor.
fn is_terminal(state: TaskState) -> bool {
    use TaskState::{Error, Failed, Finished, Killed};
    matches!(state, Finished | Failed | Killed | Error) || is_loss(state)
}

/// True for states that say that the task is lost.
fn is_loss(state: TaskState) -> bool {
    use TaskState::{Dropped, Gone, GoneByOperator, Lost, Unknown};
    matches!(state, Lost | Dropped | Gone | GoneByOperator | Unknown)
}

/// The runs that end in a step.
fn ended(step: &Step) -> impl Iterator<Item = &RunId> {
    step.traces.iter().filter_map(|trace| match trace {
        Trace::Run(view) if view.state.is_final() => Some(&view.id),
        _ => None,
    })
}

/// Where a step records that a shard runs as this task.
fn shard_key<'a>(step: &'a Step, task: &TaskId) -> Option<&'a Key> {
    let of_task = |write: &&Write| write.value.as_deref() == Some(task.as_str().as_bytes());
    let is_shard = |key: &&Key| matches!(key, Key::RunningShard(..) | Key::ParallelShard(..));
    step.writes.iter().filter(of_task).map(|write| &write.key).find(is_shard)
}

/// What a step is about, in a word.
fn cause(step: &Step) -> &'static str {
    match &step.cause {
        Cause::Restore => "restoring",
        Cause::Place => "placing",
        Cause::Status(_) => "a status update",
        Cause::Command(_) => "a command",
        Cause::Subscribed => "subscribing",
        Cause::FrameworkRemoved => "the framework's removal",
        Cause::Other => "an event",
    }
}
