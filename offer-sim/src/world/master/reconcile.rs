//! RECONCILE and KILL: what the master answers about tasks it knows, and about those it does not.
//! Answers carry no uuid and are not sent again.

use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, scheduler, task_status};

use super::super::Turn;
use super::super::id::{AgentId, FrameworkId, TaskId};
use super::super::mail::ToAgent;
use super::super::status::Cause;
use super::updates::update;
use super::{Master, Task, is_terminal};

// === impl Master ===

impl Master {
    /// A framework's tasks, by id.
    pub(super) fn tasks_of<'a>(
        &'a self,
        framework: &'a FrameworkId,
    ) -> impl Iterator<Item = (&'a (FrameworkId, TaskId), &'a Task)> {
        let first = (framework.clone(), TaskId(String::new()));
        self.tasks.range(first..).take_while(move |(key, _)| key.0 == *framework)
    }

    /// RECONCILE: of the tasks named, or of all that have not ended when none is.
    pub(super) fn on_reconcile(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        asked: &[scheduler::call::reconcile::Task],
    ) {
        let seconds = turn.timestamp_seconds();
        let answers: Vec<TaskStatus> = if asked.is_empty() {
            self.tasks_of(framework)
                .filter(|(_, task)| !is_terminal(task.state_told()))
                .map(|(key, task)| latest(&key.1, task, seconds))
                .collect()
        } else {
            let answer = |asked: &scheduler::call::reconcile::Task| {
                let agent = asked.agent_id.as_ref().map(AgentId::from);
                self.answer(framework, &(&asked.task_id).into(), agent.as_ref(), seconds)
            };
            asked.iter().filter_map(answer).collect()
        };
        for status in answers {
            self.tell(turn, framework, update(status));
        }
    }

    /// KILL: goes to the agent; a task nobody knows is answered as if it had been asked about.
    pub(super) fn on_kill(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: Option<scheduler::call::Kill>,
    ) {
        let Some(call) = call else { return };
        let task = TaskId::from(&call.task_id);
        if let Some(known) = self.tasks.get(&(framework.clone(), task.clone())) {
            let agent = known.agent.clone();
            let message =
                ToAgent::KillTask { framework: framework.clone(), task, policy: call.kill_policy };
            turn.send_agent(&agent, message);
        } else {
            let agent = call.agent_id.as_ref().map(AgentId::from);
            let seconds = turn.timestamp_seconds();
            if let Some(status) = self.answer(framework, &task, agent.as_ref(), seconds) {
                self.tell(turn, framework, update(status));
            }
        }
    }

    /// The state of one task. `None` while its agent is expected to register: it may know.
    fn answer(
        &self,
        framework: &FrameworkId,
        id: &TaskId,
        agent: Option<&AgentId>,
        seconds: f64,
    ) -> Option<TaskStatus> {
        if let Some(task) = self.tasks.get(&(framework.clone(), id.clone())) {
            return Some(latest(id, task, seconds));
        }
        let (state, message) = match agent {
            Some(agent) if self.expected.contains(agent) => return None,
            Some(agent) if self.agents.contains_key(agent) => {
                (TaskState::TaskGone, "Reconciliation: Task is unknown to the agent")
            }
            _ => (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
        };
        let state = self.frameworks.get(framework)?.lost_as(state);
        let cause = Cause::master(task_status::Reason::Reconciliation, message);
        Some(cause.status(id, agent, state, seconds))
    }
}

fn latest(id: &TaskId, task: &Task, seconds: f64) -> TaskStatus {
    let message = "Reconciliation: Latest task state";
    let cause = Cause::master(task_status::Reason::Reconciliation, message);
    TaskStatus {
        executor_id: task.executor.as_ref().map(Into::into),
        container_status: task.container.clone(),
        ..cause.status(id, Some(&task.agent), task.state_told(), seconds)
    }
}
