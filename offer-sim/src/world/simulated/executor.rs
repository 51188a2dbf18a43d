//! One simulated executor: what it tells its agent of its tasks. When, is decided outside.

use std::collections::BTreeMap;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus, executor as api, task_status};

use super::super::chance::Fate;
use super::super::event::{Event, StartExecutor};
use super::super::id::{AgentId, ContainerId, ExecutorId, FrameworkId, StreamId, TaskId};
use super::Stage;
use super::plan::{ExecutorPlan, TaskPlan};

/// An executor that would be a process.
#[derive(Debug)]
pub(super) struct SimulatedExecutor {
    pub(super) agent: AgentId,
    pub(super) stream: StreamId,
    pub(super) framework: FrameworkId,
    pub(super) plan: ExecutorPlan,
    id: ExecutorId,
    /// Made up by the agent for one task with a command of its own; it leaves with its task.
    is_command: bool,
    /// Its framework knows `TASK_KILLING`.
    tells_killing: bool,
    /// It was told to leave, and takes nothing more.
    pub(super) is_leaving: bool,
    /// Tasks that have not ended.
    pub(super) tasks: BTreeMap<TaskId, SimulatedTask>,
    /// Tasks it was ever given.
    pub(super) taken: u64,
    /// Updates sent: their uuids follow from this and the container's name.
    updates: u64,
    fate: Fate,
}

/// A task of a simulated executor.
#[derive(Debug)]
pub(super) struct SimulatedTask {
    pub(super) plan: TaskPlan,
    /// Its work began.
    pub(super) is_working: bool,
    /// It is to end.
    pub(super) is_killed: bool,
}

// === impl SimulatedExecutor ===

impl SimulatedExecutor {
    pub(super) fn new(start: StartExecutor, plan: ExecutorPlan) -> Self {
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
            is_leaving: false,
            tasks: BTreeMap::new(),
            taken: 0,
            updates: 0,
            agent: start.agent,
            plan,
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

    /// Takes a task. One with a command of its own is STARTING first, as a command executor says it.
    pub(super) fn take(&mut self, stage: &mut Stage<'_>, task: &TaskInfo, plan: TaskPlan) {
        let task = TaskId::from(&task.task_id);
        if self.is_command || plan.says_starting {
            self.report(stage, &task, TaskState::TaskStarting, None, None);
        }
        self.taken += 1;
        self.tasks.insert(task, SimulatedTask { plan, is_working: false, is_killed: false });
    }

    /// The work of a task begins, unless it is to end already.
    pub(super) fn run(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> Option<&SimulatedTask> {
        let found = self.tasks.get_mut(task).filter(|task| !task.is_killed)?;
        found.is_working = true;
        self.report(stage, task, TaskState::TaskRunning, None, None);
        self.tasks.get(task)
    }

    /// Says what a task says from time to time; how long until it does so again.
    pub(super) fn say(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> Option<u64> {
        let found = self.tasks.get(task).filter(|task| !task.is_killed)?;
        let reports = found.plan.reports.clone()?;
        for message in reports.messages {
            let message = Some(message.to_owned());
            self.report(stage, task, TaskState::TaskRunning, message, None);
        }
        Some(reports.every_ms)
    }

    /// Reports the end of a task's work; false if it had ended before.
    pub(super) fn end_task(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> bool {
        let Some(SimulatedTask { plan, .. }) = self.tasks.remove(task) else { return false };
        let (state, status) =
            if plan.fails { (TaskState::TaskFailed, 1) } else { (TaskState::TaskFinished, 0) };
        let message = self.is_command.then(|| format!("Command exited with status {status}"));
        self.report(stage, task, state, message, plan.data);
        true
    }

    /// A task is to end: after how long it does, unless it is ending already.
    pub(super) fn begin_kill(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> Option<u64> {
        let found = self.tasks.get_mut(task).filter(|task| !task.is_killed)?;
        found.is_killed = true;
        let (after_ms, says) = (found.plan.kill_after_ms, found.plan.says_killing);
        if self.tells_killing && says {
            self.report(stage, task, TaskState::TaskKilling, None, None);
        }
        Some(after_ms)
    }

    /// A task has ended as it was asked to; false if it had ended before.
    pub(super) fn end_kill(&mut self, stage: &mut Stage<'_>, task: &TaskId) -> bool {
        if self.tasks.remove(task).is_none() {
            return false;
        }
        let message =
            self.is_command.then(|| "Command terminated with signal Terminated".to_owned());
        self.report(stage, task, TaskState::TaskKilled, message, None);
        true
    }

    /// Whether it goes with the task that just ended.
    pub(super) fn leaves_with_task(&self) -> bool {
        self.is_command
    }

    fn report(
        &mut self,
        stage: &mut Stage<'_>,
        task: &TaskId,
        state: TaskState,
        message: Option<String>,
        data: Option<Bytes>,
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
            data,
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
