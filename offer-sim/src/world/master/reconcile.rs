//! RECONCILE and KILL: what the master answers about tasks it knows, and about those it does not.
//! Answers carry no uuid and are not sent again.

use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, TimeInfo, scheduler, task_status};

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
                .filter(|(_, task)| task.unreachable_since_ms.is_none())
                .filter(|(_, task)| !is_terminal(task.state_told()))
                .map(|(key, task)| latest(&key.1, task, seconds))
                .collect()
        } else {
            let answer = |asked: &scheduler::call::reconcile::Task| {
                let agent = asked.agent_id.as_ref().map(AgentId::from);
                self.answer(turn.now_ms, framework, &(&asked.task_id).into(), agent.as_ref())
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
        let known = self.tasks.get(&(framework.clone(), task.clone()));
        if let Some(known) = known.filter(|known| known.unreachable_since_ms.is_none()) {
            let agent = known.agent.clone();
            let message =
                ToAgent::KillTask { framework: framework.clone(), task, policy: call.kill_policy };
            turn.send_agent(&agent, message);
        } else {
            let agent = call.agent_id.as_ref().map(AgentId::from);
            if let Some(status) = self.answer(turn.now_ms, framework, &task, agent.as_ref()) {
                self.tell(turn, framework, update(status));
            }
        }
    }

    /// The state of one task. `None` while an agent is expected to register that may know it.
    fn answer(
        &self,
        now_ms: u64,
        framework: &FrameworkId,
        id: &TaskId,
        agent: Option<&AgentId>,
    ) -> Option<TaskStatus> {
        let seconds = now_ms as f64 / 1000.0;
        let known = self.tasks.get(&(framework.clone(), id.clone()));
        if let Some(task) = known.filter(|task| task.unreachable_since_ms.is_none()) {
            return Some(latest(id, task, seconds));
        }
        let agent = known.map(|task| &task.agent).or(agent);
        let away_since_ms = agent.and_then(|agent| self.unreachable.get(agent)).copied();
        let (state, message) = match agent {
            Some(agent) if self.expected.contains(agent) => return None,
            Some(agent) if self.agents.contains_key(agent) => {
                (TaskState::TaskGone, "Reconciliation: Task is unknown to the agent")
            }
            Some(_) if away_since_ms.is_some() => {
                (TaskState::TaskUnreachable, "Reconciliation: Task is unreachable")
            }
            Some(agent) if self.gone.contains(agent) => {
                (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone")
            }
            None if !self.expected.is_empty() => return None,
            _ if now_ms < self.expects_strangers_until_ms => return None,
            _ => (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
        };
        let state = self.frameworks.get(framework)?.lost_as(state);
        let cause = Cause::master(task_status::Reason::Reconciliation, message);
        let status = cause.status(id, agent, state, seconds);
        Some(TaskStatus { unreachable_time: away_since_ms.map(time_info), ..status })
    }
}

/// A time as the wire has it.
pub(super) fn time_info(ms: u64) -> TimeInfo {
    TimeInfo { nanoseconds: ms.saturating_mul(1_000_000).min(i64::MAX as u64) as i64 }
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
