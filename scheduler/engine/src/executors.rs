//! Our executors on agents: what shows that they live, that they are gone, and when one is told to
//! end.

use std::collections::BTreeSet;

use crate::effect::{Action, Effects};
use crate::engine::Engine;
use crate::fleet::{Executor, Presence};
use crate::ids::{AgentId, AppName, ExecutorId, RunId, TaskId};

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
        if self.fleet.executor(agent, &app).is_some() {
            return self.retire_outdated(agent, &app, fx);
        }
        if let Ok(app) = self.app_document(&app) {
            let stranger = Executor {
                app,
                resources: None,
                tasks: BTreeSet::new(),
                former: BTreeSet::new(),
                outdated: false,
                presence: Presence::Seen,
                retired: true,
            };
            self.fleet.add_executor(agent, stranger);
        }
        let (executor, agent) = (executor.clone(), agent.clone());
        fx.action(Action::ShutdownExecutor { executor, agent });
    }

    /// A task of an executor shows that it lives.
    pub(crate) fn confirm_executor(&mut self, run: &RunId, item: u32, task: &TaskId) {
        if let Some(executor) = self.executor_of(run, item)
            && executor.presence == Presence::Launched
            && executor.tasks.contains(task)
        {
            executor.presence = Presence::Seen;
        }
    }

    /// A task of an executor tells that it has ended. Updates may be old: one about an executor
    /// before it says nothing.
    pub(crate) fn executor_lost(&mut self, run: &RunId, item: u32, task: &TaskId) {
        if let Some(executor) = self.executor_of(run, item)
            && executor.tasks.contains(task)
        {
            executor.presence = Presence::Absent;
        }
    }

    fn executor_of(&mut self, run: &RunId, item: u32) -> Option<&mut Executor> {
        let run = self.runs.get(run)?;
        let agent = run.shard(item)?.phase.agent()?;
        self.fleet.executor_mut(agent, &run.job.app)
    }

    /// An executor without tasks whose app has another document now, or none, makes room. Said again
    /// as long as offers name it: the call may have got lost.
    pub(crate) fn retire_outdated(&mut self, agent: &AgentId, app: &AppName, fx: &mut Effects) {
        let current = self.app_document(app).ok();
        let Some(executor) = self.fleet.executor_mut(agent, app) else {
            return;
        };
        let same = current.is_some_and(|now| now.source.get() == executor.app.source.get());
        executor.outdated = !same;
        let idle = executor.tasks.is_empty() && executor.presence == Presence::Seen;
        if idle && (!same || executor.retired) {
            executor.retired = true;
            let executor = ExecutorId::of(app, agent);
            fx.action(Action::ShutdownExecutor { executor, agent: agent.clone() });
        }
    }
}
