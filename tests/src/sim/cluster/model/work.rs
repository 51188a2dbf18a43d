//! Executors and the work of tasks: how it begins, fails, fires, is killed, and ends.

use shiftwork_engine::event::{Outcome, StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, TaskId};
use shiftwork_engine::record::Usage;

use super::agent::AgentTask;
use super::master::is_terminal;
use super::{AgentMessage, Model, ModelHappening};
use crate::sim::cluster::{DAEMON_LIFE_MS, EXIT_CODES, FIRING_MS};
use crate::sim::env::{Env, Fact};

impl Model {
    fn task_mut(&mut self, id: &AgentId, task: &TaskId) -> Option<&mut AgentTask> {
        let found = self.agents.get_mut(id)?.tasks.get_mut(task)?;
        (!is_terminal(found.latest)).then_some(found)
    }

    pub(super) fn task_starts(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        if self.task_mut(id, task).is_none_or(|task| task.killed) {
            return;
        }
        if self.random.chance(0.5) {
            let (state, reason) = (TaskState::Starting, StatusReason::Other);
            self.update(id, task, state, reason, None, None, env);
        }
        if !self.random.chance(self.habits.stuck) {
            let after = self.random.between(1, 200);
            env.cluster(after, ModelHappening::TaskRuns(id.clone(), task.clone()));
        }
    }

    pub(super) fn task_runs(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        let now = env.now();
        let Some(found) = self.task_mut(id, task).filter(|task| !task.killed) else { return };
        found.working = true;
        found.began_at = now;
        let daemon = found.daemon;
        env.facts.push(Fact::WorkStarted {
            task: task.clone(),
            run: found.run.clone(),
            item: found.item,
            agent: id.clone(),
        });
        let (state, reason) = (TaskState::Running, StatusReason::Other);
        self.update(id, task, state, reason, None, None, env);
        let ends = ModelHappening::TaskEnds(id.clone(), task.clone());
        if daemon {
            env.cluster(self.random.waiting_ms(DAEMON_LIFE_MS), ends);
            self.fire_later(id, task, env);
        } else {
            let mean = self.habits.work_mean_ms;
            env.cluster(self.random.waiting_ms(mean).min(20 * mean as i64), ends);
        }
    }

    fn fire_later(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        let after = self.random.waiting_ms(FIRING_MS);
        env.cluster(after, ModelHappening::DaemonFires(id.clone(), task.clone()));
    }

    pub(super) fn daemon_fires(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        if self.task_mut(id, task).is_none_or(|task| task.killed) {
            return;
        }
        for message in ["BEGIN", "COMPLETE"] {
            let (state, reason) = (TaskState::Running, StatusReason::Other);
            self.update(id, task, state, reason, Some(message), None, env);
        }
        self.fire_later(id, task, env);
    }

    pub(super) fn task_ends(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        let failed = self.random.chance(self.habits.failing);
        let exit_code = if failed { *self.random.pick(&EXIT_CODES) } else { 0 };
        let now = env.now();
        let Some(found) = self.task_mut(id, task) else { return };
        let duration_ms = (now - found.began_at).unsigned_abs();
        let usage = Some(Usage { duration_ms, ..Usage::default() });
        let outcome = Outcome { exit_code: Some(exit_code), usage, ..Outcome::default() };
        let state = if failed { TaskState::Failed } else { TaskState::Finished };
        self.update(id, task, state, StatusReason::Other, None, Some(outcome), env);
        self.left_executor(id, task, env);
    }

    /// The work is told to end; how long that takes is its own affair, up to the grace.
    pub(super) fn kill_task(&mut self, id: &AgentId, task: &TaskId, grace_ms: u64, env: &mut Env) {
        let Some(found) = self.task_mut(id, task) else { return };
        let (again, working) = (std::mem::replace(&mut found.killed, true), found.working);
        if again {
            return;
        }
        if working && self.random.chance(0.5) {
            let (state, reason) = (TaskState::Killing, StatusReason::Other);
            self.update(id, task, state, reason, None, None, env);
        }
        let most = if working { grace_ms as i64 } else { 10 };
        let after = self.random.between(1, most.max(1));
        env.cluster(after, ModelHappening::KillDone(id.clone(), task.clone()));
    }

    pub(super) fn kill_done(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        if self.task_mut(id, task).is_none() {
            return;
        }
        let (state, reason) = (TaskState::Killed, StatusReason::Other);
        self.update(id, task, state, reason, None, None, env);
        self.left_executor(id, task, env);
    }

    /// A task has ended: its executor has one less, and leaves if it stays idle.
    fn left_executor(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let Some(executor) = agent.tasks.get(task).map(|task| task.executor.clone()) else {
            return;
        };
        let Some(found) = agent.executors.get_mut(&executor) else { return };
        found.tasks = found.tasks.saturating_sub(1);
        if found.tasks == 0 {
            let idle = ModelHappening::ExecutorIdle(id.clone(), executor, found.taken);
            env.cluster(self.habits.idle_ms, idle);
        }
    }

    pub(super) fn executor_idle(
        &mut self,
        id: &AgentId,
        executor: &ExecutorId,
        taken: u64,
        env: &mut Env,
    ) {
        let found = self.agents.get(id).and_then(|agent| agent.executors.get(executor));
        if found.is_some_and(|found| found.tasks == 0 && found.taken == taken) {
            self.end_executor(id, executor, env);
        }
    }

    /// An executor is told to end: it takes nothing more and is gone a little later.
    pub(super) fn shut_down(&mut self, id: &AgentId, executor: ExecutorId, env: &mut Env) {
        let found = self.agents.get_mut(id).and_then(|a| a.executors.get_mut(&executor));
        if let Some(found) = found {
            found.leaving = true;
            let after = self.random.between(10, 500);
            env.cluster(after, ModelHappening::ExecutorLeaves(id.clone(), executor));
        }
    }

    /// An executor ends, and with it all its tasks.
    pub(super) fn end_executor(&mut self, id: &AgentId, executor: &ExecutorId, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if agent.executors.remove(executor).is_none() {
            return;
        }
        let of_it = |(_, task): &(&TaskId, &AgentTask)| {
            task.executor == *executor && !is_terminal(task.latest)
        };
        let tasks: Vec<TaskId> =
            agent.tasks.iter().filter(of_it).map(|(id, _)| id.clone()).collect();
        env.tell(id.as_str(), || format!("executor {executor} ends with {} tasks", tasks.len()));
        for task in tasks {
            let (state, reason) = (TaskState::Failed, StatusReason::ExecutorLost);
            self.update(id, &task, state, reason, None, None, env);
        }
        self.send_master(id, AgentMessage::ExecutorExited(executor.clone()), env);
    }

    /// Everything ends at once and nobody is told.
    pub(super) fn end_all(&mut self, id: &AgentId, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.executors.clear();
        for (task, found) in std::mem::take(&mut agent.tasks) {
            if found.working {
                env.facts.push(Fact::WorkEnded { task });
            }
        }
    }
}
