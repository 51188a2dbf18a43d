//! Simulated executors: they live where a process would, behind the same events and effects, and
//! do what is planned for them. They know nothing of what a task is to do, and agents do not know
//! that they are simulated.

mod executor;
mod plan;
mod workload;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shiftwork_proto::mesos::v1::{TaskInfo, executor as api};

pub use plan::{Deed, ExecutorPlan, Reports, TaskPlan, Work};
pub use workload::Workload;

use super::chance::Fate;
use super::event::{Effect, Event, StartExecutor};
use super::id::{AgentId, ContainerId, StreamId, TaskId};
use super::timers::{Alarm, Timer, Timers};
use executor::SimulatedExecutor;
use workload::DrawnWorkload;

/// The wait status of a process that SIGKILL ended.
const KILLED: i32 = 9;
/// The wait status of a process that ended with exit 1.
const CRASHED: i32 = 256;

/// All simulated executors.
#[derive(Debug)]
pub(super) struct Simulation {
    work: Box<dyn Work>,
    seed: u64,
    agents: BTreeSet<AgentId>,
    executors: BTreeMap<ContainerId, SimulatedExecutor>,
    streams: BTreeMap<StreamId, ContainerId>,
    /// What was done since somebody looked; `None` while nobody wants to know.
    deeds: Option<Vec<Deed>>,
}

/// What a simulated executor may use: the time, alarms, and the way to its agent.
pub(super) struct Stage<'a> {
    pub(super) now_ms: u64,
    pub(super) timers: &'a mut Timers,
    pub(super) events: &'a mut VecDeque<Event>,
}

// === impl Stage ===

impl Stage<'_> {
    fn alarm(&mut self, after_ms: u64, container: &ContainerId, alarm: Alarm) {
        let at_ms = self.now_ms.saturating_add(after_ms);
        self.timers.set(at_ms, Timer::Simulated(container.clone(), alarm));
    }
}

// === impl Simulation ===

impl Simulation {
    pub(super) fn new(seed: u64) -> Self {
        let (workload, fate) = (Workload::default(), Fate::new(seed));
        Self {
            work: Box::new(DrawnWorkload { workload, fate }),
            seed,
            agents: BTreeSet::new(),
            executors: BTreeMap::new(),
            streams: BTreeMap::new(),
            deeds: None,
        }
    }

    pub(super) fn set_workload(&mut self, workload: Workload) {
        self.work = Box::new(DrawnWorkload { workload, fate: Fate::new(self.seed) });
    }

    pub(super) fn set_work(&mut self, work: Box<dyn Work>) {
        self.work = work;
    }

    /// From here on it is noted what executors do.
    pub(super) fn watch(&mut self) {
        self.deeds.get_or_insert_default();
    }

    pub(super) fn take_deeds(&mut self) -> Vec<Deed> {
        self.deeds.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn executors(&self) -> impl Iterator<Item = (&AgentId, &ContainerId)> {
        self.executors.iter().map(|(container, executor)| (&executor.agent, container))
    }

    /// From here on the executors of this agent are simulated.
    pub(super) fn add_agent(&mut self, agent: AgentId) {
        self.agents.insert(agent);
    }

    pub(super) fn has_agent(&self, agent: &AgentId) -> bool {
        self.agents.contains(agent)
    }

    /// The host is gone, and with it all that ran there; nobody is told.
    pub(super) fn remove_agent(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
        let gone = self.executors.iter().filter(|(_, it)| it.agent == *agent);
        let gone: Vec<_> = gone.map(|(container, _)| container.clone()).collect();
        for container in gone {
            self.remove(&container);
        }
    }

    /// Carries out an effect that concerns a simulated agent; gives any other back.
    pub(super) fn absorb(&mut self, stage: &mut Stage<'_>, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::StartExecutor(start) if self.agents.contains(&start.agent) => {
                self.start(stage, *start);
            }
            Effect::ToExecutor { stream, event } if self.streams.contains_key(&stream) => {
                if let Some(container) = self.streams.get(&stream).cloned() {
                    self.on_event(stage, &container, *event);
                }
            }
            Effect::CloseExecutor { stream } if self.streams.contains_key(&stream) => {
                self.streams.remove(&stream);
            }
            Effect::KillExecutor { agent, container } if self.agents.contains(&agent) => {
                self.exit(stage, &container, KILLED);
            }
            Effect::KeepUpdate { agent, .. } | Effect::ForgetUpdate { agent, .. }
                if self.agents.contains(&agent) => {}
            other => return Some(other),
        }
        None
    }

    /// An executor's start takes its time; then it lives for as long as it was planned.
    fn start(&mut self, stage: &mut Stage<'_>, start: StartExecutor) {
        let container = start.container.clone();
        let plan = self.work.executor(&start);
        let info = self.deeds.is_some().then(|| Box::new(start.executor.clone()));
        let executor = SimulatedExecutor::new(start, plan);
        if let (Some(deeds), Some(info)) = (&mut self.deeds, info) {
            deeds.push(Deed::Started {
                agent: executor.agent.clone(),
                framework: executor.framework.clone(),
                container: container.clone(),
                executor: info,
            });
        }
        self.executors.insert(container.clone(), executor);
        let Some(up_after_ms) = plan.up_after_ms else { return };
        stage.alarm(up_after_ms, &container, Alarm::Up);
        if let Some(ms) = plan.crash_after_ms {
            stage.alarm(up_after_ms.saturating_add(ms), &container, Alarm::Crash);
        }
    }

    /// An executor crashes because somebody wants it to.
    pub(super) fn crash(&mut self, stage: &mut Stage<'_>, container: &ContainerId) {
        self.exit(stage, container, CRASHED);
    }

    /// Does what is due.
    pub(super) fn on_alarm(&mut self, stage: &mut Stage<'_>, container: &ContainerId, due: &Alarm) {
        match due {
            Alarm::Up => self.on_up(stage, container),
            Alarm::Crash => self.exit(stage, container, CRASHED),
            Alarm::Leave => self.exit(stage, container, 0),
            Alarm::Idle(taken) => {
                let found = self.executors.get(container);
                if found.is_some_and(|it| it.tasks.is_empty() && it.taken == *taken) {
                    self.exit(stage, container, 0);
                }
            }
            Alarm::Run(task) => self.on_run(stage, container, task),
            Alarm::Report(task) => {
                let executor = self.executors.get_mut(container);
                if let Some(every_ms) = executor.and_then(|executor| executor.say(stage, task)) {
                    stage.alarm(every_ms, container, Alarm::Report(task.clone()));
                }
            }
            Alarm::End(task) => {
                let executor = self.executors.get_mut(container);
                if executor.is_some_and(|executor| executor.end_task(stage, task)) {
                    self.on_task_over(stage, container, task);
                }
            }
            Alarm::Killed(task) => self.on_killed(stage, container, task),
        }
    }

    /// The executor is up and subscribes.
    fn on_up(&mut self, stage: &mut Stage<'_>, container: &ContainerId) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        self.streams.insert(executor.stream.clone(), container.clone());
        executor.subscribe(stage, container);
    }

    fn on_event(&mut self, stage: &mut Stage<'_>, container: &ContainerId, event: api::Event) {
        if let Some(launch) = event.launch {
            self.on_launch(stage, container, launch.task);
        } else if let Some(kill) = event.kill {
            let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
            let grace_ms = grace.map(|it| it.nanoseconds.max(0).unsigned_abs() / 1_000_000);
            self.on_kill(stage, container, &(&kill.task_id).into(), grace_ms);
        } else if event.r#type() == api::event::Type::Shutdown {
            self.on_shutdown(stage, container);
        }
    }

    fn on_launch(&mut self, stage: &mut Stage<'_>, container: &ContainerId, task: TaskInfo) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        if executor.is_leaving {
            return;
        }
        let plan = self.work.task(&task);
        let (id, run_after_ms) = (TaskId::from(&task.task_id), plan.run_after_ms);
        executor.take(stage, &task, plan);
        if let Some(deeds) = &mut self.deeds {
            let (agent, framework) = (executor.agent.clone(), executor.framework.clone());
            deeds.push(Deed::Took { agent, framework, task: Box::new(task) });
        }
        match run_after_ms {
            Some(0) => self.on_run(stage, container, &id),
            Some(ms) => stage.alarm(ms, container, Alarm::Run(id)),
            None => {}
        }
    }

    /// The work of a task begins.
    fn on_run(&mut self, stage: &mut Stage<'_>, container: &ContainerId, task: &TaskId) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        let Some(running) = executor.run(stage, task) else { return };
        if let Some(ms) = running.plan.end_after_ms {
            stage.alarm(ms, container, Alarm::End(task.clone()));
        }
        if let Some(reports) = &running.plan.reports {
            stage.alarm(reports.every_ms, container, Alarm::Report(task.clone()));
        }
        if let Some(deeds) = &mut self.deeds {
            deeds.push(Deed::Began { agent: executor.agent.clone(), task: task.clone() });
        }
    }

    fn on_kill(
        &mut self,
        stage: &mut Stage<'_>,
        container: &ContainerId,
        task: &TaskId,
        grace_ms: Option<u64>,
    ) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        let Some(after_ms) = executor.begin_kill(stage, task) else { return };
        match after_ms.min(grace_ms.unwrap_or(u64::MAX)) {
            0 => self.on_killed(stage, container, task),
            ms => stage.alarm(ms, container, Alarm::Killed(task.clone())),
        }
    }

    fn on_killed(&mut self, stage: &mut Stage<'_>, container: &ContainerId, task: &TaskId) {
        let executor = self.executors.get_mut(container);
        if executor.is_some_and(|executor| executor.end_kill(stage, task)) {
            self.on_task_over(stage, container, task);
        }
    }

    /// SHUTDOWN: its tasks are killed, and it leaves.
    fn on_shutdown(&mut self, stage: &mut Stage<'_>, container: &ContainerId) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        executor.is_leaving = true;
        let leave_after_ms = executor.plan.leave_after_ms;
        let tasks: Vec<TaskId> = executor.tasks.keys().cloned().collect();
        for task in tasks {
            self.on_killed(stage, container, &task);
        }
        match leave_after_ms {
            0 => self.exit(stage, container, 0),
            ms => stage.alarm(ms, container, Alarm::Leave),
        }
    }

    /// A task has ended: the executor of a command goes with it, any other when it stays idle.
    fn on_task_over(&mut self, stage: &mut Stage<'_>, container: &ContainerId, task: &TaskId) {
        let Some(executor) = self.executors.get(container) else { return };
        if let Some(deeds) = &mut self.deeds {
            deeds.push(Deed::Over { agent: executor.agent.clone(), task: task.clone() });
        }
        if executor.leaves_with_task() {
            self.exit(stage, container, 0);
        } else if executor.tasks.is_empty()
            && let Some(idle_ms) = executor.plan.idle_ms
        {
            stage.alarm(idle_ms, container, Alarm::Idle(executor.taken));
        }
    }

    /// The executor's process ended; its agent hears of it, and closes its stream.
    fn exit(&mut self, stage: &mut Stage<'_>, container: &ContainerId, wait_status: i32) {
        // Its stream stays known until its agent closes it.
        if let Some(executor) = self.executors.remove(container) {
            self.note_end(container, &executor);
            stage.events.push_back(Event::ExecutorExited {
                agent: executor.agent,
                container: container.clone(),
                wait_status,
            });
        }
    }

    fn remove(&mut self, container: &ContainerId) {
        if let Some(executor) = self.executors.remove(container) {
            self.note_end(container, &executor);
            self.streams.remove(&executor.stream);
        }
    }

    /// With an executor all its tasks are over.
    fn note_end(&mut self, container: &ContainerId, executor: &SimulatedExecutor) {
        if let Some(deeds) = &mut self.deeds {
            let agent = &executor.agent;
            let over = |task: &TaskId| Deed::Over { agent: agent.clone(), task: task.clone() };
            deeds.extend(executor.tasks.keys().map(over));
            deeds.push(Deed::Exited { agent: agent.clone(), container: container.clone() });
        }
    }
}
