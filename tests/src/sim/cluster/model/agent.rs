//! An agent: its tasks and executors, and the updates it keeps until they are acknowledged. Absent:
//! how work behaves.

use std::collections::{BTreeMap, VecDeque};

use shiftwork_engine::document::Execution;
use shiftwork_engine::effect::Launch;
use shiftwork_engine::event::{Outcome, StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, RunId, TaskId};

use super::master::{MasterExecutor, is_terminal};
use super::{
    AgentMessage, Amounts, Machine, MasterMessage, Model, ModelHappening, RESEND_MS, Update,
};
use crate::sim::env::{Env, Fact};
use crate::sim::faults::Fault;

/// One life of an agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) capacity: Amounts,
    pub(super) hostname: String,
    pub(super) attributes: Vec<(String, String)>,
    /// Whether it and the master reach each other.
    pub(super) linked: bool,
    /// How often the link was cut.
    pub(super) outage: u64,
    pub(super) tasks: BTreeMap<TaskId, AgentTask>,
    pub(super) executors: BTreeMap<ExecutorId, AgentExecutor>,
    /// When the latest message to it arrives: none overtakes another.
    down_at: i64,
    up_at: i64,
}

/// An executor process.
#[derive(Debug)]
pub(super) struct AgentExecutor {
    /// As it was started: what a new master learns of it.
    pub(super) info: MasterExecutor,
    /// Tasks it has been given.
    pub(super) taken: u64,
    /// Tasks it runs.
    pub(super) tasks: usize,
    /// It is on its way out and takes nothing more.
    pub(super) leaving: bool,
}

/// A task, from its launch until its last update is acknowledged.
#[derive(Debug)]
pub(super) struct AgentTask {
    pub(super) run: RunId,
    pub(super) item: u32,
    pub(super) executor: ExecutorId,
    pub(super) amounts: Amounts,
    pub(super) daemon: bool,
    pub(super) working: bool,
    pub(super) killed: bool,
    pub(super) began_at: i64,
    pub(super) latest: TaskState,
    /// Updates not acknowledged; the first one is on its way.
    pub(super) updates: VecDeque<Update>,
}

// === impl Agent ===

impl Agent {
    pub(super) fn new(machine: &Machine) -> Self {
        Self {
            capacity: machine.capacity,
            hostname: machine.hostname.clone(),
            attributes: machine.attributes.clone(),
            linked: true,
            outage: 0,
            tasks: BTreeMap::new(),
            executors: BTreeMap::new(),
            down_at: 0,
            up_at: 0,
        }
    }

    /// The latest state of a task.
    pub(super) fn latest(&self, task: &TaskId) -> Option<TaskState> {
        self.tasks.get(task).map(|task| task.latest)
    }

    pub(super) fn working(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().filter(|(_, task)| task.working).map(|(id, _)| id)
    }
}

impl AgentExecutor {
    fn new(info: MasterExecutor) -> Self {
        Self { info, taken: 0, tasks: 0, leaving: false }
    }
}

impl AgentTask {
    pub(super) fn new(run: RunId, item: u32, executor: ExecutorId) -> Self {
        Self {
            run,
            item,
            executor,
            amounts: Amounts::default(),
            daemon: false,
            working: false,
            killed: false,
            began_at: 0,
            latest: TaskState::Staging,
            updates: VecDeque::new(),
        }
    }
}

impl Model {
    /// Sends to the master; what is sent while the link is cut is lost.
    pub(super) fn send_master(&mut self, id: &AgentId, message: AgentMessage, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let update = matches!(message, AgentMessage::Update(..));
        if !agent.linked || (update && env.strikes(Fault::UpdateLost)) {
            return;
        }
        let mut at = (env.now() + self.random.between(1, 5)).max(agent.up_at);
        if update && env.strikes(Fault::UpdateLate) {
            at += self.random.between(100, 20_000);
        } else {
            agent.up_at = at;
        }
        let what = ModelHappening::AtMaster(id.clone(), message);
        env.cluster(at - env.now(), what);
    }

    /// Sends to an agent; what is sent while the link is cut is lost.
    pub(super) fn send_agent(&mut self, id: &AgentId, message: MasterMessage, env: &mut Env) {
        let kill = matches!(message, MasterMessage::Kill(..));
        let Some(agent) = self.agents.get_mut(id) else { return };
        if !agent.linked || (kill && env.strikes(Fault::KillLost)) {
            return;
        }
        let at = (env.now() + self.random.between(1, 5)).max(agent.down_at);
        agent.down_at = at;
        env.cluster(at - env.now(), ModelHappening::AtAgent(id.clone(), message));
    }

    pub(super) fn at_agent(&mut self, id: &AgentId, message: MasterMessage, env: &mut Env) {
        if !self.agents.get(id).is_some_and(|agent| agent.linked) {
            return;
        }
        match message {
            MasterMessage::Run(launch) => self.run(id, &launch, env),
            MasterMessage::Kill(task, grace_ms) => self.kill_task(id, &task, grace_ms, env),
            MasterMessage::Acknowledge(task, uuid) => self.acknowledged(id, &task, uuid, env),
            MasterMessage::ShutdownExecutor(executor) => self.shut_down(id, executor, env),
            MasterMessage::Missing(tasks) => self.report_missing(id, tasks, env),
            MasterMessage::ShutdownFramework => self.end_all(id, env),
        }
    }

    fn run(&mut self, id: &AgentId, launch: &Launch, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let executor = launch.executor.id.clone();
        let mut task = AgentTask::new(launch.run.clone(), launch.item, executor.clone());
        task.amounts = Amounts::of(&launch.resources);
        task.daemon = launch.job.execution == Execution::Daemon;
        agent.tasks.insert(launch.task.clone(), task);
        let starts = !agent.executors.contains_key(&executor);
        let info = MasterExecutor {
            app: launch.executor.app.source.clone(),
            resources: launch.executor.resources.clone(),
        };
        let found = agent.executors.entry(executor).or_insert_with(|| AgentExecutor::new(info));
        if found.leaving {
            let (state, reason) = (TaskState::Dropped, StatusReason::ExecutorLost);
            self.update(id, &launch.task, state, reason, None, None, env);
            return;
        }
        found.taken += 1;
        found.tasks += 1;
        let (least, most) = if starts { (200, 3000) } else { (5, 100) };
        let after = self.random.between(least, most);
        env.cluster(after, ModelHappening::TaskStarts(id.clone(), launch.task.clone()));
    }

    /// The master has tasks that the agent did not name: their launch got lost on the way.
    fn report_missing(&mut self, id: &AgentId, tasks: Vec<TaskId>, env: &mut Env) {
        for task in tasks {
            let Some(agent) = self.agents.get_mut(id) else { return };
            if agent.tasks.contains_key(&task) {
                continue;
            }
            let slave = self.master.slaves.get(id);
            let executor = slave.and_then(|slave| Some(slave.tasks.get(&task)?.executor.clone()));
            let (Some(executor), Some((job, item))) = (executor, task.job_and_item()) else {
                continue;
            };
            let lives = agent.executors.contains_key(&executor);
            let run = RunId::scheduled(&job, shiftwork_schedule::Timestamp::MIN);
            agent.tasks.insert(task.clone(), AgentTask::new(run, item, executor.clone()));
            let (state, reason) = (TaskState::Dropped, StatusReason::Other);
            self.update(id, &task, state, reason, None, None, env);
            if !lives {
                self.send_master(id, AgentMessage::ExecutorExited(executor), env);
            }
        }
    }

    /// A task changes its state: the update is kept, and sent if none is on its way before it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn update(
        &mut self,
        id: &AgentId,
        task: &TaskId,
        state: TaskState,
        reason: StatusReason,
        message: Option<&'static str>,
        outcome: Option<Outcome>,
        env: &mut Env,
    ) {
        let Some(found) = self.agents.get_mut(id).and_then(|agent| agent.tasks.get_mut(task))
        else {
            return;
        };
        self.updates_made += 1;
        found.latest = state;
        if found.working && is_terminal(state) {
            found.working = false;
            env.facts.push(Fact::WorkEnded { task: task.clone() });
        }
        let uuid = self.updates_made;
        found.updates.push_back(Update { uuid, state, reason, message, outcome });
        let first = found.updates.len() == 1;
        env.tell(id.as_str(), || format!("{task} {}", state.name()));
        if first {
            self.send_first(id, task, env);
        }
    }

    /// Sends the first update of a task that is not acknowledged.
    pub(super) fn send_first(&mut self, id: &AgentId, task: &TaskId, env: &mut Env) {
        let found = self.agents.get(id).and_then(|agent| agent.tasks.get(task));
        let Some(first) = found.and_then(|task| task.updates.front().cloned()) else { return };
        env.cluster(RESEND_MS, ModelHappening::Resend(id.clone(), task.clone(), first.uuid));
        self.send_master(id, AgentMessage::Update(task.clone(), first), env);
    }

    pub(super) fn resend(&mut self, id: &AgentId, task: &TaskId, uuid: u64, env: &mut Env) {
        let found = self.agents.get(id).and_then(|agent| agent.tasks.get(task));
        if found.and_then(|task| task.updates.front()).is_some_and(|first| first.uuid == uuid) {
            self.send_first(id, task, env);
        }
    }

    fn acknowledged(&mut self, id: &AgentId, task: &TaskId, uuid: u64, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let Some(found) = agent.tasks.get_mut(task) else { return };
        if found.updates.front().is_none_or(|first| first.uuid != uuid) {
            return;
        }
        found.updates.pop_front();
        if found.updates.is_empty() && is_terminal(found.latest) {
            agent.tasks.remove(task);
        } else {
            self.send_first(id, task, env);
        }
    }

    /// Sends all first updates again: the agent has just registered.
    pub(super) fn resend_all(&mut self, id: &AgentId, env: &mut Env) {
        let Some(agent) = self.agents.get(id) else { return };
        let tasks: Vec<TaskId> = agent.tasks.keys().cloned().collect();
        for task in tasks {
            self.send_first(id, &task, env);
        }
    }
}
