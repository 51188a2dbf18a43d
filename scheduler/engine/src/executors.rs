//! Our executors on agents: what shows that they live, that they are gone, and when one is told to
//! end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::App;
use crate::effect::{Action, Effects};
use crate::engine::Engine;
use crate::executor_book::{Executor, Presence};
use crate::fleet::Fleet;
use crate::ids::{AgentId, AppName, ExecutorId, RunId, TaskId};
use crate::record::Shard;

impl Engine {
    /// An offer names an executor of ours. One that nobody remembers, since it had no task when the
    /// leader changed, or that should have ended, is told to end: what it was started with may differ
    /// from what would be launched in it.
    pub(crate) fn see_executor(
        &mut self,
        agent: &AgentId,
        executor: &ExecutorId,
        fx: &mut Effects,
    ) {
        let Some(app) = executor.app() else { return };
        if self.fleet.executors_on(agent).any(|known| known.id(agent) == *executor) {
            // Said again as long as offers name it: the call may have got lost.
            return self.shut_down_idle(agent, fx, |known| known.id(agent) == *executor);
        }
        if let Ok(app) = self.app_document(&app) {
            // Until it has ended, its id is not given to another.
            let stranger = Executor::new(app, executor.generation(), Presence::Seen);
            self.fleet.add_draining(agent, stranger);
        }
        let (executor, agent) = (executor.clone(), agent.clone());
        fx.action(Action::ShutdownExecutor { executor, agent });
    }

    /// A task of an executor shows that it lives.
    pub(crate) fn confirm_executor(&mut self, run: &RunId, item: u32, task: &TaskId) {
        if let Some(executor) = self.executor_of(run, item, task)
            && executor.presence == Presence::Launched
            && executor.tasks.contains(task)
        {
            executor.presence = Presence::Seen;
        }
    }

    /// A task of an executor tells that it has ended. Updates may be old: one about an executor
    /// before it says nothing.
    pub(crate) fn executor_lost(&mut self, run: &RunId, item: u32, task: &TaskId) {
        let Some(executor) = self.executor_of(run, item, task) else {
            return;
        };
        if !executor.tasks.contains(task) {
            return;
        }
        let others: Vec<TaskId> =
            executor.tasks.iter().filter(|other| *other != task).cloned().collect();
        let (coming, up): (BTreeSet<_>, BTreeSet<_>) =
            others.into_iter().partition(|other| self.may_be_on_its_way(other));
        // A task that never came up may have met the end of an executor with the same id before this
        // one, in which others did come up. Should it be this one's, they will tell.
        let is_unsure = self.may_be_on_its_way(task) && !up.is_empty();
        if let Some(executor) = self.executor_of(run, item, task) {
            if is_unsure {
                executor.presence = Presence::Doubted;
                return;
            }
            executor.ended(|other| coming.contains(other));
        }
    }

    /// The master refused a task because its executor runs as another than we described: one that a
    /// former leader, or a former version of this program, started. The next launch starts its own.
    pub(crate) fn executor_differs(&mut self, run: &RunId, item: u32, task: &TaskId) {
        let Some((agent, app)) = self.place_of(run, item) else {
            return;
        };
        if let Some(executor) = self.fleet.executor(&agent, &app)
            && executor.tasks.contains(task)
        {
            if let Some(executor) = self.fleet.executor_mut(&agent, &app) {
                executor.presence = Presence::Seen;
            }
            self.fleet.drain(&agent, &app);
        }
    }

    fn executor_of(&mut self, run: &RunId, item: u32, task: &TaskId) -> Option<&mut Executor> {
        let (agent, app) = self.place_of(run, item)?;
        self.fleet.executor_of_task(&agent, &app, task)
    }

    fn place_of(&self, run: &RunId, item: u32) -> Option<(AgentId, AppName)> {
        let run = self.runs.get(run)?;
        Some((run.shard(item)?.phase.agent()?.clone(), run.job.app.clone()))
    }

    /// An executor whose app has another document now, or none, is launched in no more; those that are
    /// not launched in end when they have no tasks.
    pub(crate) fn drain_outdated(&mut self, agent: &AgentId, app: &AppName, fx: &mut Effects) {
        let current = self.app_document(app).ok();
        if let Some(executor) = self.fleet.executor(agent, app)
            && !current.is_some_and(|now| executor.runs(&now))
        {
            self.fleet.drain(agent, app);
        }
        self.shut_down_idle(agent, fx, |executor| executor.app.name == *app);
    }

    fn shut_down_idle(
        &self,
        agent: &AgentId,
        fx: &mut Effects,
        wanted: impl Fn(&Executor) -> bool,
    ) {
        for executor in self.fleet.draining.get(agent).into_iter().flat_map(BTreeMap::values) {
            let idle = executor.tasks.is_empty() && executor.presence == Presence::Seen;
            if idle && wanted(executor) {
                let (executor, agent) = (executor.id(agent), agent.clone());
                fx.action(Action::ShutdownExecutor { executor, agent });
            }
        }
    }

    /// As [`Engine::drain_outdated`] on every agent.
    pub(crate) fn drain_executors_of(&mut self, app: &AppName, fx: &mut Effects) {
        let current = self.fleet.executors.keys();
        let agents: BTreeSet<_> = current.chain(self.fleet.draining.keys()).cloned().collect();
        for agent in agents {
            self.drain_outdated(&agent, app, fx);
        }
    }

    /// The executor of a live task of a former leader. It is launched in again if it is certain that it was started with
    /// the document of now: `uncertain` where another one was in force when the run was last written.
    pub(crate) fn restore_executor(
        &mut self,
        agent: &AgentId,
        app: &Arc<App>,
        shard: &Shard,
        task: &TaskId,
    ) {
        let generation = shard.executor_generation;
        let now = self.app_document(&app.name).ok();
        let certain =
            !shard.other_app && now.is_some_and(|now| now.source.get() == app.source.get());
        let fleet = &mut self.fleet;
        let known = fleet
            .executors_on(agent)
            .find(|known| known.app.name == app.name && known.generation == generation);
        if known.is_none() {
            let executor = Executor::new(Arc::clone(app), generation, Presence::Seen);
            match fleet.executor(agent, &app.name).map(|current| current.generation) {
                Some(current) if current > generation => fleet.add_draining(agent, executor),
                _ if !certain => fleet.add_draining(agent, executor),
                _ => {
                    fleet.drain(agent, &app.name);
                    fleet.add_executor(agent, executor);
                }
            }
            fleet.restore_usage(agent, &app.demand);
        }
        let is_current = |fleet: &Fleet| {
            fleet.executor(agent, &app.name).is_some_and(|own| own.generation == generation)
        };
        if !certain && is_current(fleet) {
            fleet.drain(agent, &app.name);
        }
        let executor = if is_current(fleet) {
            fleet.executor_mut(agent, &app.name)
        } else {
            let draining = fleet.draining.get_mut(agent);
            draining.and_then(|of| of.get_mut(&(app.name.clone(), generation)))
        };
        if let Some(executor) = executor {
            executor.tasks.insert(task.clone());
            if executor.resources.is_none() {
                executor.resources = shard.executor_resources.as_deref().cloned();
            }
        }
    }
}
