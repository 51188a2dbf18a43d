//! One simulated executor: what it tells its agent of its tasks. When, is decided outside.

use std::collections::BTreeSet;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus, executor as api, task_status};

use super::super::chance::Fate;
use super::super::event::{Event, StartExecutor};
use super::super::id::{AgentId, ContainerId, ExecutorId, FrameworkId, StreamId, TaskId};
use super::Stage;

/// An executor that would be a process.
#[derive(Debug)]
pub(super) struct SimulatedExecutor {
    pub(super) agent: AgentId,
    pub(super) stream: StreamId,
    framework: FrameworkId,
    id: ExecutorId,
    /// Made up by the agent for one task with a command of its own; it leaves with its task.
    is_command: bool,
    /// Its framework knows `TASK_KILLING`.
    tells_killing: bool,
    tasks: BTreeSet<TaskId>,
    /// Updates sent: their uuids follow from this and the container's name.
    updates: u64,
    fate: Fate,
}

// === impl SimulatedExecutor ===

impl SimulatedExecutor {
    pub(super) fn new(start: StartExecutor) -> Self {
        let knows_killing = |has: &shiftwork_proto::mesos::v1::framework_info::Capability| {
            has.r#type() == capability::Type::TaskKillingState
        };
        let fate = Fate::new(Fate::new(0).draw("uuid", &start.container.0));
        Self {
            stream: StreamId(format!("simulated-{}", start.container)),
            framework: start.framework.id.as_ref().map_or_else(|| "".into(), FrameworkId::from),
            id: (&start.executor.executor_id).into(),
            is_command: start.command_task.is_some(),
            tells_killing: start.framework.capabilities.iter().any(knows_killing),
            tasks: BTreeSet::new(),
            updates: 0,
            agent: start.agent,
            fate,
        }
    }

    pub(super) fn subscribe(&self, stage: &mut Stage<'_>, container: &ContainerId) {
        stage.events.push_back(Event::ExecutorStarted {
            agent: self.agent.clone(),
            container: container.clone(),
            // There is no process; 1 is one that nobody may kill by mistake.
            pid: 1,
        });
        stage.events.push_back(Event::ExecutorSubscribe {
            agent: self.agent.clone(),
            stream: self.stream.clone(),
            framework: self.framework.clone(),
            executor: self.id.clone(),
            subscribe: api::call::Subscribe::default(),
        });
    }

    /// A task with a command of its own is STARTING first, as a command executor says it.
    pub(super) fn launch(&mut self, stage: &mut Stage<'_>, task: &TaskInfo) {
        let task = TaskId::from(&task.task_id);
        if self.is_command {
            self.report(stage, &task, TaskState::TaskStarting, None);
        }
        self.report(stage, &task, TaskState::TaskRunning, None);
        self.tasks.insert(task);
    }

    /// Reports the end of a task that runs; whether the executor leaves with it.
    pub(super) fn end_task(&mut self, stage: &mut Stage<'_>, task: &TaskId, fails: bool) -> bool {
        if !self.tasks.remove(task) {
            return false;
        }
        let (state, status) =
            if fails { (TaskState::TaskFailed, 1) } else { (TaskState::TaskFinished, 0) };
        let message = self.is_command.then(|| format!("Command exited with status {status}"));
        self.report(stage, task, state, message);
        self.is_command
    }

    /// Ends a task as it was asked; whether the executor leaves with it.
    pub(super) fn kill_task(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> bool {
        if !self.tasks.remove(task) {
            return false;
        }
        if self.tells_killing {
            self.report(stage, task, TaskState::TaskKilling, None);
        }
        let message =
            self.is_command.then(|| "Command terminated with signal Terminated".to_owned());
        self.report(stage, task, TaskState::TaskKilled, message);
        self.is_command
    }

    pub(super) fn kill_all(&mut self, stage: &mut Stage<'_>) {
        for task in std::mem::take(&mut self.tasks) {
            self.report(stage, &task, TaskState::TaskKilled, None);
        }
    }

    fn report(
        &mut self,
        stage: &mut Stage<'_>,
        task: &TaskId,
        state: TaskState,
        message: Option<String>,
    ) {
        self.updates += 1;
        let half = |part: &str| self.fate.draw(part, &self.updates.to_string()).to_be_bytes();
        let uuid = [half("first"), half("second")].concat();
        let status = TaskStatus {
            task_id: task.into(),
            state: state.into(),
            message,
            source: Some(task_status::Source::Executor.into()),
            timestamp: Some(stage.now_ms as f64 / 1000.0),
            uuid: Some(Bytes::from(uuid)),
            ..TaskStatus::default()
        };
        stage.events.push_back(Event::ExecutorUpdate {
            agent: self.agent.clone(),
            framework: self.framework.clone(),
            executor: self.id.clone(),
            status: Box::new(status),
        });
    }
}
