//! The books of our executors on agents: for each app the one that is launched in, and those before it
//! that only end what they have. Absent: what is told to the master about them (`executors.rs`).
//!
//! Mesos refuses a task whose `ExecutorInfo` differs from that of the executor with the same id that
//! runs. So an app whose document changed gets another executor, with an id of its own: a generation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::App;
use crate::fleet::Fleet;
use crate::ids::{AgentId, AppName, ExecutorId, TaskId};
use crate::resources::Resources;

/// An executor of ours on an agent.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    /// The document it was started with: repeated in every launch as long as it lives.
    pub app: Arc<App>,
    /// Which of the app's executors on its agent, from 1.
    pub generation: u32,
    /// What it was charged; `None` if it was started by a former leader.
    pub resources: Option<Resources>,
    /// Tasks launched in it and not ended.
    pub tasks: BTreeSet<TaskId>,
    /// Tasks of executors with its id before it that have not been told to have ended.
    pub former: BTreeSet<TaskId>,
    /// Whether it is there.
    pub(crate) presence: Presence,
}

/// Whether an executor is there. Offers tell: they name all that live on their agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was launched and has not shown itself: the launch may have got lost.
    Launched,
    /// The same, and one with its id has ended: it, or the one before it. Only an offer can show that
    /// it lives.
    Doubted,
    /// The master or a task has shown that it lives.
    Seen,
    /// It has ended, or its agent is away; some of its tasks have not been told of.
    Absent,
}

// === impl Executor ===

impl Executor {
    pub(crate) fn new(app: Arc<App>, generation: u32, presence: Presence) -> Self {
        let (tasks, former) = (BTreeSet::new(), BTreeSet::new());
        Self { app, generation, resources: None, tasks, former, presence }
    }

    pub(crate) fn id(&self, agent: &AgentId) -> ExecutorId {
        ExecutorId::of_generation(&self.app.name, agent, self.generation)
    }

    /// True if this is the document it was started with.
    pub(crate) fn runs(&self, app: &App) -> bool {
        self.app.source.get() == app.source.get()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.former.is_empty()
    }

    /// True for one that may have to be paid for again, as it was described.
    pub(crate) fn is_unseen(&self) -> bool {
        matches!(self.presence, Presence::Launched | Presence::Doubted)
    }

    fn holds(&self, task: &TaskId) -> bool {
        self.tasks.contains(task) || self.former.contains(task)
    }

    /// False for one that neither lives nor is waited for.
    fn is_wanted(&self) -> bool {
        self.presence != Presence::Absent || !self.is_idle()
    }

    fn see(&mut self, agent: &AgentId, seen: &[ExecutorId]) {
        if seen.contains(&self.id(agent)) {
            self.presence = Presence::Seen;
        } else if self.presence == Presence::Seen || self.is_idle() {
            // Of one that was never seen this offer tells after the ends of all its tasks.
            self.presence = Presence::Absent;
        }
    }

    /// It has ended. Launches that are on their way to it start it again, as it was described; what
    /// is told of its other tasks says nothing of that one.
    pub(crate) fn ended(&mut self, on_their_way: impl Fn(&TaskId) -> bool) {
        let (coming, former): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.tasks).into_iter().partition(on_their_way);
        self.tasks = coming;
        if self.tasks.is_empty() {
            self.tasks = former;
            self.presence = Presence::Absent;
        } else {
            self.former.extend(former);
            self.presence = Presence::Doubted;
        }
    }
}

// === impl Fleet ===

impl Fleet {
    /// The executor of an app that is launched in.
    pub(crate) fn executor(&self, agent: &AgentId, app: &AppName) -> Option<&Executor> {
        self.executors.get(agent)?.get(app)
    }

    pub(crate) fn executor_mut(&mut self, agent: &AgentId, app: &AppName) -> Option<&mut Executor> {
        self.executors.get_mut(agent)?.get_mut(app)
    }

    /// All executors of ours on an agent.
    pub(crate) fn executors_on(&self, agent: &AgentId) -> impl Iterator<Item = &Executor> {
        let current = self.executors.get(agent).into_iter().flat_map(BTreeMap::values);
        current.chain(self.draining.get(agent).into_iter().flat_map(BTreeMap::values))
    }

    /// The executor in which a task was launched.
    pub(crate) fn executor_of_task(
        &mut self,
        agent: &AgentId,
        app: &AppName,
        task: &TaskId,
    ) -> Option<&mut Executor> {
        let current = self.executors.get_mut(agent).and_then(|of| of.get_mut(app));
        let draining = self.draining.get_mut(agent).into_iter().flatten();
        let draining = draining.filter(|((name, _), _)| name == app).map(|(_, executor)| executor);
        current.into_iter().chain(draining).find(|executor| executor.holds(task))
    }

    /// The generation of an app's next executor on an agent: behind all that are known.
    pub(crate) fn next_generation(&self, agent: &AgentId, app: &AppName) -> u32 {
        let known = self.executors_on(agent).filter(|executor| executor.app.name == *app);
        known.map(|executor| executor.generation).max().map_or(1, |last| last.saturating_add(1))
    }

    /// A new executor to launch in. One that has ended is replaced under its own id, and its tasks that
    /// have not been told of stay with it.
    pub(crate) fn add_executor(&mut self, agent: &AgentId, mut executor: Executor) {
        let executors = self.executors.entry(agent.clone()).or_default();
        if let Some(before) = executors.remove(&executor.app.name) {
            executor.former.extend(before.tasks);
            executor.former.extend(before.former);
        }
        executors.insert(executor.app.name.clone(), executor);
    }

    /// Nothing more is launched in the executor of an app: the next launch starts another generation.
    pub(crate) fn drain(&mut self, agent: &AgentId, app: &AppName) {
        if let Some(executors) = self.executors.get_mut(agent)
            && let Some(executor) = executors.remove(app)
        {
            if executors.is_empty() {
                self.executors.remove(agent);
            }
            self.add_draining(agent, executor);
        }
    }

    /// An executor nothing is launched in.
    pub(crate) fn add_draining(&mut self, agent: &AgentId, executor: Executor) {
        // One that never showed itself and has no task left may not exist.
        if executor.presence != Presence::Seen && executor.is_idle() {
            return;
        }
        let key = (executor.app.name.clone(), executor.generation);
        self.draining.entry(agent.clone()).or_default().insert(key, executor);
    }

    /// An offer names all executors of ours that its agent runs: others have ended.
    pub(crate) fn see_executors(&mut self, agent: &AgentId, seen: &[ExecutorId]) {
        self.retain_executors(agent, |executor| {
            executor.see(agent, seen);
            executor.is_wanted()
        });
    }

    /// An executor is gone; what became of its tasks is not known yet. The news may be old: of one that
    /// was launched and not seen, it may tell of the one with its id before it.
    pub(crate) fn executor_gone(
        &mut self,
        agent: &AgentId,
        id: &ExecutorId,
        on_their_way: impl Fn(&TaskId) -> bool,
    ) {
        self.retain_executors(agent, |executor| {
            if executor.id(agent) == *id {
                match executor.presence {
                    Presence::Launched | Presence::Doubted => {
                        executor.presence = Presence::Doubted;
                    }
                    Presence::Seen | Presence::Absent => executor.ended(&on_their_way),
                }
            }
            executor.is_wanted()
        });
    }

    /// All executors of an agent are gone.
    pub(crate) fn executors_gone(&mut self, agent: &AgentId) {
        self.retain_executors(agent, |executor| {
            executor.presence = Presence::Absent;
            executor.is_wanted()
        });
    }

    fn retain_executors(&mut self, agent: &AgentId, mut keep: impl FnMut(&mut Executor) -> bool) {
        if let Some(executors) = self.executors.get_mut(agent) {
            executors.retain(|_, executor| keep(executor));
            if executors.is_empty() {
                self.executors.remove(agent);
            }
        }
        if let Some(executors) = self.draining.get_mut(agent) {
            executors.retain(|_, executor| keep(executor));
            if executors.is_empty() {
                self.draining.remove(agent);
            }
        }
    }

    /// A task of an executor has ended. One that never showed itself and has no task left may not exist:
    /// the next launch charges it again as it was described, until an offer tells.
    pub(crate) fn task_ended(&mut self, agent: &AgentId, app: &AppName, task: &TaskId) {
        if let Some(executor) = self.executor_of_task(agent, app, task) {
            executor.former.remove(task);
            executor.tasks.remove(task);
        }
        self.retain_executors(agent, |executor| {
            executor.app.name != *app
                || executor.presence != Presence::Absent
                || !executor.is_idle()
        });
    }
}
