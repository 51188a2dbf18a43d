//! An agent registers: one never seen, one that was unreachable, one that a former master knew, or
//! one whose connection only broke. What it says it has is what counts.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, task_status};

use super::super::Turn;
use super::super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::super::mail::{MissingTask, RegisteredExecutor, RegisteredTask, Registration, ToAgent};
use super::super::status::{Cause, is_terminal};
use super::super::timers::Timer;
use super::framework::{Connection, Framework};
use super::updates::update;
use super::{Master, RegisteredAgent, RunningExecutor, Task};

// === impl Master ===

impl Master {
    /// Takes an agent up with all that it has, and tells it what is missing.
    pub(super) fn on_register(&mut self, turn: &mut Turn<'_>, registration: Registration) {
        let Registration { spec, executors, tasks } = registration;
        let id = spec.id.clone();
        if self.gone.contains(&id) {
            turn.send_agent(&id, ToAgent::Shutdown);
            return;
        }
        let was_registered = self.agents.contains_key(&id);
        if was_registered {
            self.rescind_offers_on(turn, &id);
        }
        let was_unreachable = self.unreachable.remove(&id).is_some();
        self.expected.remove(&id);
        self.recover_frameworks(turn, &executors);
        self.shut_down_removed(turn, &id, &executors);
        let used = tasks.iter().map(|task| &task.resources);
        let mut available = spec.resources.clone();
        // Of an agent that was not known there is no task either.
        let was_known = was_registered || was_unreachable;
        let missing = if was_known { self.missing_tasks(&id, &tasks) } else { Vec::new() };
        // What it does not name may be on its way to it: it is free when the agent says so, not before.
        let unnamed = missing
            .iter()
            .filter_map(|it| self.tasks.get(&(it.framework.clone(), it.task.clone())));
        let used = used.chain(unnamed.map(|task| &task.resources));
        for resources in used.chain(executors.iter().map(|executor| &executor.resources)) {
            available.subtract(&resources.allocated_to(None));
        }
        let mut running = running_executors(executors);
        let former = self.agents.get(&id).map(|agent| &agent.executors);
        for MissingTask { framework, executor, .. } in &missing {
            let Some(executor) = executor.clone() else { continue };
            let key = (framework.clone(), executor);
            if let Some(known) = former.and_then(|former| former.get(&key))
                && !running.contains_key(&key)
            {
                available.subtract(&known.resources.allocated_to(None));
                running.insert(key, known.clone());
            }
        }
        let agent = RegisteredAgent { spec, available, executors: running, is_active: true };
        self.agents.insert(id.clone(), agent);
        for task in tasks {
            self.take_up_task(turn, &id, task, was_unreachable);
        }
        turn.send_agent(&id, ToAgent::Registered { missing });
        self.allocator.consider(&id);
        self.allocator.now();
    }

    /// Frameworks that only agents remember may come back within their failover timeout.
    fn recover_frameworks(&mut self, turn: &mut Turn<'_>, executors: &[RegisteredExecutor]) {
        for executor in executors {
            let Some(id) = executor.framework.id.as_ref().map(FrameworkId::from) else { continue };
            if !self.frameworks.contains_key(&id) && !self.removed.contains(&id) {
                let connection = Connection::Disconnected { remove_at_ms: u64::MAX };
                let mut framework = Framework::new(executor.framework.clone(), connection);
                let remove_at_ms = turn.now_ms.saturating_add(framework.failover_timeout_ms());
                framework.connection = Connection::Disconnected { remove_at_ms };
                framework.is_recovered = true;
                turn.timers.set(remove_at_ms, Timer::FailoverTimeout(id.clone()));
                self.frameworks.insert(id, framework);
            }
        }
    }

    /// What runs for frameworks that were removed while the agent was away is to end.
    fn shut_down_removed(
        &self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        executors: &[RegisteredExecutor],
    ) {
        let of = executors.iter().filter_map(|executor| executor.framework.id.as_ref());
        let frameworks: BTreeSet<_> = of.map(FrameworkId::from).collect();
        for framework in frameworks.intersection(&self.removed) {
            let message = ToAgent::ShutdownFramework { framework: framework.clone() };
            turn.send_agent(agent, message);
        }
    }

    /// Tasks that should be on an agent, and that it does not name.
    fn missing_tasks(&self, agent: &AgentId, named: &[RegisteredTask]) -> Vec<MissingTask> {
        let named: BTreeSet<_> = named.iter().map(|it| (&it.framework, &it.task)).collect();
        let here = self.tasks.iter().filter(|(_, task)| task.agent == *agent);
        let missing = here.filter(|(key, _)| !named.contains(&(&key.0, &key.1)));
        let tell = |((framework, id), task): (&(FrameworkId, TaskId), &Task)| {
            let state = self.frameworks.get(framework)?.lost_as(TaskState::TaskDropped);
            let executor = task.executor.clone();
            Some(MissingTask { framework: framework.clone(), task: id.clone(), executor, state })
        };
        missing.filter_map(tell).collect()
    }

    /// Takes up one task. The framework of one that was unreachable is told that it is back; one
    /// that knows nothing of partitions was told that the task is lost, so it is killed.
    fn take_up_task(
        &mut self,
        turn: &mut Turn<'_>,
        agent: &AgentId,
        registered: RegisteredTask,
        was_unreachable: bool,
    ) {
        let RegisteredTask { framework, task, state, .. } = registered;
        if self.removed.contains(&framework) {
            return;
        }
        let known = self.frameworks.get(&framework);
        let aware = known.is_none_or(|it| it.can(capability::Type::PartitionAware));
        if was_unreachable && !aware && !is_terminal(state) {
            let message = ToAgent::KillTask {
                framework: framework.clone(),
                task: task.clone(),
                policy: None,
            };
            turn.send_agent(agent, message);
        }
        if was_unreachable && aware && !is_terminal(state) {
            let reason = task_status::Reason::AgentReregistered;
            let cause = Cause::master(reason, "Unreachable agent re-reregistered");
            let status = cause.status(&task, Some(agent), state, turn.timestamp_seconds());
            let container_status = registered.container.clone();
            self.tell(turn, &framework, update(TaskStatus { container_status, ..status }));
        }
        let record = Task {
            agent: agent.clone(),
            executor: registered.executor,
            resources: registered.resources,
            state,
            sent: registered.sent.map(|status| *status),
            container: registered.container,
            recovered: registered.outlived,
            unreachable_since_ms: None,
        };
        self.tasks.insert((framework, task), record);
    }
}

/// The executors that the master charges; those made up by the agent it does not know, and their
/// task has what they hold.
fn running_executors(
    executors: Vec<RegisteredExecutor>,
) -> BTreeMap<(FrameworkId, ExecutorId), RunningExecutor> {
    let charged = executors.into_iter().filter(|executor| !executor.is_command);
    let key = |executor: RegisteredExecutor| {
        let framework = executor.framework.id.as_ref().map(FrameworkId::from)?;
        let id = ExecutorId::from(&executor.info.executor_id);
        let running = RunningExecutor { info: executor.info, resources: executor.resources };
        Some(((framework, id), running))
    };
    charged.filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::resources::Resources;
    use super::*;

    #[test]
    fn executors_made_up_by_the_agent_are_not_charged() {
        let executor = |is_command| RegisteredExecutor {
            framework: shiftwork_proto::mesos::v1::FrameworkInfo {
                id: Some((&FrameworkId::from("f")).into()),
                ..shiftwork_proto::mesos::v1::FrameworkInfo::default()
            },
            info: shiftwork_proto::mesos::v1::ExecutorInfo::default(),
            resources: Resources::default(),
            is_command,
        };
        assert_eq!(running_executors(vec![executor(true)]).len(), 0);
        assert_eq!(running_executors(vec![executor(false)]).len(), 1);
    }
}
