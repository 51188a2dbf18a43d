//! The machine: one step an event. Holds all tasks, the ledger and the connection, and routes each
//! event to the one it is about. Absent: what a task does with it.

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_schedule::Timestamp;

use super::TaskSpec;
use super::context::Context;
use super::event::{Effect, Event, ExitReason, Ids, Now, TaskId};
use super::ledger::Ledger;
use super::link::{Demand, Link};
use super::report::Report;
use super::task::{Fate, Task};
use super::work::Intent;
use crate::error_chain;

/// How much of the agent's patience at SHUTDOWN is kept back: the executor must be gone before the
/// agent kills it, or its last processes outlive it.
const SHUTDOWN_MARGIN_MS: u64 = 1_000;
/// The longest sleep while a daemon waits for the wall clock: a step of that clock is noticed this
/// late at worst.
const CLOCK_CHECK_MS: u64 = 10_000;

/// How long jobs in this process that do not heed their kill may go on once nothing else is left. Then
/// the executor ends, which ends them; before, that would end others as well.
const STUCK_WAIT_MS: u64 = 5_000;

/// What the agent's settings are to the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// This executor's id, for its updates.
    pub executor_id: String,
    /// The longest pause between two subscriptions.
    pub subscription_backoff_ms_max: u64,
    /// How long a lost agent is waited for; `None` when it is not.
    pub recovery_timeout_ms: Option<u64>,
    /// How long a shutdown may take.
    pub shutdown_grace_ms: u64,
}

/// The executor's state and all that decides over it.
pub struct Core {
    limits: Limits,
    ids: Box<dyn Ids>,
    tasks: BTreeMap<TaskId, Task>,
    ledger: Ledger,
    link: Link,
    stage: Stage,
    idle_timeout_ms: Option<u64>,
    idle_since_ms: Option<u64>,
    /// Since when there have been none but stuck jobs.
    stuck_since_ms: Option<u64>,
    next_work: u64,
    wall: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    ShuttingDown { exit_at_ms: u64 },
    Over,
}

// === impl Core ===

impl Core {
    /// An executor that has just started; `updates` are what an earlier one left in the checkpoint
    /// of the same sandbox.
    pub fn new(limits: Limits, ids: Box<dyn Ids>, updates: Vec<Update>, now: Now) -> Self {
        let mut ledger = Ledger::default();
        for update in updates {
            ledger.add_update(TaskId(update.status.task_id.value.clone()), update, false);
        }
        let backoff_ms_max = limits.subscription_backoff_ms_max;
        Self {
            link: Link::new(now, backoff_ms_max, limits.recovery_timeout_ms),
            limits,
            ids,
            tasks: BTreeMap::new(),
            ledger,
            stage: Stage::Working,
            idle_timeout_ms: None,
            idle_since_ms: None,
            stuck_since_ms: None,
            next_work: 1,
            wall: now.wall,
        }
    }

    /// One step: takes what happened, adds what is to be done. After an [`Effect::Exit`] nothing
    /// happens any more.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        if self.stage == Stage::Over {
            return;
        }
        self.notice_clock(now);
        match event {
            Event::Tick => {}
            Event::Subscribed { idle_timeout_ms } => {
                self.on_subscribed(now, idle_timeout_ms, effects);
            }
            Event::Disconnected => self.link.on_disconnected(now),
            Event::Launch(info) => self.on_launch(now, *info, effects),
            Event::Kill { task, grace_ms } => self.on_kill(now, task, grace_ms, effects),
            Event::Acknowledged { task, uuid } => self.on_acknowledged(task, &uuid, effects),
            Event::Shutdown => self.on_shutdown(now, effects),
            Event::Started { task, work } => self.with_task(now, &task, effects, |task, cx| {
                task.on_started(work, cx);
                Fate::Lives
            }),
            Event::StartFailed { task, work, reason } => {
                self.with_task(now, &task, effects, |task, cx| {
                    task.on_start_failed(work, &reason, cx)
                });
            }
            Event::LeaderEnded { task, work, end } => {
                self.with_task(now, &task, effects, |task, cx| {
                    task.on_leader_ended(work, end, cx);
                    Fate::Lives
                });
            }
            Event::Gone { task, work, usage } => {
                self.with_task(now, &task, effects, |task, cx| task.on_gone(work, usage, cx));
            }
        }
        self.on_time(now, effects);
    }

    /// How many milliseconds from `now` a [`Event::Tick`] is due; `None` when only outside events
    /// can change anything.
    pub fn wakeup_ms(&self, now: Now) -> Option<u64> {
        let idle_at_ms = self
            .idle_since_ms
            .zip(self.idle_timeout_ms)
            .map(|(since, ms)| since.saturating_add(ms));
        let stuck_at_ms = self.stuck_since_ms.map(|since| since.saturating_add(STUCK_WAIT_MS));
        let own = match self.stage {
            Stage::Working => [self.link.deadline_ms(), idle_at_ms, stuck_at_ms],
            Stage::ShuttingDown { exit_at_ms } => [Some(exit_at_ms), None, None],
            Stage::Over => return None,
        };
        let tasks = self.tasks.values().filter_map(Task::deadline_ms);
        let by_deadline = tasks
            .chain(own.into_iter().flatten())
            .min()
            .map(|at_ms| at_ms.saturating_sub(now.mono_ms));
        let by_moment = self.tasks.values().filter_map(Task::next_moment).min().map(|moment| {
            let wait_ms = moment.as_millis().saturating_sub(now.wall.as_millis());
            u64::try_from(wait_ms).unwrap_or(0).min(CLOCK_CHECK_MS)
        });
        by_deadline.into_iter().chain(by_moment).min()
    }

    /// How many tasks have not reached their terminal state.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    fn notice_clock(&mut self, now: Now) {
        if now.wall < self.wall {
            for task in self.tasks.values_mut() {
                task.on_clock_set_back(now.wall);
            }
        }
        self.wall = now.wall;
    }

    fn on_subscribed(&mut self, now: Now, idle_timeout_ms: Option<u64>, effects: &mut Vec<Effect>) {
        if self.link.on_subscribed(now) {
            self.idle_timeout_ms = idle_timeout_ms;
            effects.extend(self.ledger.unsent().into_iter().map(Effect::Send));
        }
    }

    fn on_launch(&mut self, now: Now, info: TaskInfo, effects: &mut Vec<Effect>) {
        let id = TaskId(info.task_id.value.clone());
        if self.stage != Stage::Working {
            effects.push(Effect::Ignored { task: id, why: "launched during shutdown" });
            return;
        }
        if self.tasks.contains_key(&id) || self.ledger.knows(&id) {
            effects.push(Effect::Ignored { task: id, why: "launched before" });
            return;
        }
        let spec = TaskSpec::read(&info);
        self.ledger.add_task(id.clone(), info);
        let mut cx = self.context(now, effects);
        match spec {
            Ok(spec) => {
                let task = Task::launch(spec, &mut cx);
                self.tasks.insert(id, task);
            }
            Err(error) => cx.report(&id, Report::not_started(error_chain(&error), None)),
        }
    }

    fn on_kill(
        &mut self,
        now: Now,
        task: TaskId,
        grace_ms: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        if self.tasks.contains_key(&task) {
            self.with_task(now, &task, effects, |task, cx| task.stop(Intent::Kill, grace_ms, cx));
        } else if self.ledger.knows(&task) {
            let why = "killed after its end; its terminal update is on its way";
            effects.push(Effect::Ignored { task, why });
        } else {
            effects.push(Effect::Ignored { task, why: "killed, but not known here" });
        }
    }

    fn on_acknowledged(&mut self, task: TaskId, uuid: &[u8], effects: &mut Vec<Effect>) {
        if !self.ledger.acknowledge(&task, uuid) {
            effects.push(Effect::Ignored { task, why: "acknowledged, but not awaited" });
        } else if let Some(updates) = self.ledger.rewrite_due() {
            effects.push(Effect::RewriteCheckpoint(updates));
        }
    }

    fn on_shutdown(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.stage != Stage::Working {
            return;
        }
        let grace_ms = self.limits.shutdown_grace_ms;
        let margin_ms = SHUTDOWN_MARGIN_MS.min(grace_ms / 2);
        // SIGKILL comes one margin early, the exit half a margin: time for the kernel to end them.
        let kill_ms = grace_ms - margin_ms;
        self.stage =
            Stage::ShuttingDown { exit_at_ms: now.mono_ms.saturating_add(kill_ms + margin_ms / 2) };
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.with_task(now, &id, effects, |task, cx| {
                task.stop(Intent::Shutdown, Some(kill_ms), cx)
            });
        }
    }

    /// Whatever time alone brings about.
    fn on_time(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let due = |(id, task): (&TaskId, &Task)| task.is_due(now).then(|| id.clone());
        let ids: Vec<TaskId> = self.tasks.iter().filter_map(due).collect();
        for id in ids {
            self.with_task(now, &id, effects, |task, cx| {
                task.on_time(cx);
                Fate::Lives
            });
        }
        match self.stage {
            Stage::ShuttingDown { exit_at_ms }
                if self.tasks.is_empty() || exit_at_ms <= now.mono_ms =>
            {
                self.exit(ExitReason::Shutdown, effects);
            }
            Stage::Working => {
                self.mind_link(now, effects);
                self.mind_idleness(now, effects);
                self.mind_stuck_jobs(now, effects);
            }
            Stage::ShuttingDown { .. } | Stage::Over => {}
        }
    }

    /// Not during a shutdown: nothing said then would matter to the agent.
    fn mind_link(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match self.link.on_time(now) {
            Some(Demand::Subscribe) => {
                let (tasks, updates) = self.ledger.subscription();
                effects.push(Effect::Subscribe { tasks, updates });
            }
            Some(Demand::GiveUp) => self.exit(ExitReason::AgentLost, effects),
            None => {}
        }
    }

    fn mind_idleness(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.stage != Stage::Working || !self.tasks.is_empty() || !self.ledger.is_empty() {
            self.idle_since_ms = None;
            return;
        }
        let since_ms = *self.idle_since_ms.get_or_insert(now.mono_ms);
        let idle_ms = now.mono_ms.saturating_sub(since_ms);
        if self.idle_timeout_ms.is_some_and(|timeout_ms| idle_ms >= timeout_ms) {
            self.exit(ExitReason::Idle, effects);
        }
    }

    /// Leaves when nothing is left but jobs that cannot be ended in any other way.
    fn mind_stuck_jobs(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let none_but_stuck = !self.tasks.is_empty() && self.tasks.values().all(Task::is_stuck);
        if self.stage != Stage::Working || !none_but_stuck || !self.ledger.is_empty() {
            self.stuck_since_ms = None;
            return;
        }
        let since_ms = *self.stuck_since_ms.get_or_insert(now.mono_ms);
        if now.mono_ms.saturating_sub(since_ms) >= STUCK_WAIT_MS {
            self.exit(ExitReason::Stuck, effects);
        }
    }

    fn exit(&mut self, reason: ExitReason, effects: &mut Vec<Effect>) {
        self.stage = Stage::Over;
        effects.push(Effect::Exit(reason));
    }

    /// Lets one task react, and forgets it when that ends it.
    fn with_task(
        &mut self,
        now: Now,
        id: &TaskId,
        effects: &mut Vec<Effect>,
        react: impl FnOnce(&mut Task, &mut Context<'_>) -> Fate,
    ) {
        let Some(mut task) = self.tasks.remove(id) else {
            return;
        };
        let fate = react(&mut task, &mut self.context(now, effects));
        if fate == Fate::Lives {
            self.tasks.insert(id.clone(), task);
        }
    }

    fn context<'a>(&'a mut self, now: Now, effects: &'a mut Vec<Effect>) -> Context<'a> {
        Context {
            now,
            effects,
            ledger: &mut self.ledger,
            ids: &mut *self.ids,
            next_work: &mut self.next_work,
            executor_id: &self.limits.executor_id,
            subscribed: self.link.is_subscribed(),
            silent: self.stage != Stage::Working,
        }
    }
}
