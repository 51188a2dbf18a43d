//! Simulated executors: they live where a process would, behind the same events and effects, and
//! end their tasks as distributions say. They know nothing of what a task is to do, and agents do
//! not know that they are simulated.

mod executor;
mod workload;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shiftwork_proto::mesos::v1::executor as api;

pub use workload::Workload;

use super::chance::Fate;
use super::event::{Effect, Event, StartExecutor};
use super::id::{AgentId, ContainerId, StreamId, TaskId};
use super::timers::{Timer, Timers};
use executor::SimulatedExecutor;

/// The wait status of a process that SIGKILL ended.
const KILLED: i32 = 9;
/// The wait status of a process that ended with exit 1.
const CRASHED: i32 = 256;

/// All simulated executors.
#[derive(Debug)]
pub(super) struct Simulation {
    workload: Workload,
    fate: Fate,
    agents: BTreeSet<AgentId>,
    executors: BTreeMap<ContainerId, SimulatedExecutor>,
    streams: BTreeMap<StreamId, ContainerId>,
}

/// What a simulated executor may use: the time, alarms, and the way to its agent.
pub(super) struct Stage<'a> {
    pub(super) now_ms: u64,
    pub(super) timers: &'a mut Timers,
    pub(super) events: &'a mut VecDeque<Event>,
}

// === impl Simulation ===

impl Simulation {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            workload: Workload::default(),
            fate: Fate::new(seed),
            agents: BTreeSet::new(),
            executors: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    pub(super) fn set_workload(&mut self, workload: Workload) {
        self.workload = workload;
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
            if let Some(executor) = self.executors.remove(&container) {
                self.streams.remove(&executor.stream);
            }
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

    /// An executor's start took its time; then it lives for as long as chance gives it.
    fn start(&mut self, stage: &mut Stage<'_>, start: StartExecutor) {
        let container = start.container.clone();
        let name = container.0.as_str();
        let delay = self.workload.start_delay.sample_ms(self.fate.draw("start", name));
        let executor = SimulatedExecutor::new(start);
        self.executors.insert(container.clone(), executor);
        let Some(delay_ms) = delay else { return };
        let up_ms = stage.now_ms + delay_ms;
        stage.timers.set(up_ms, Timer::SimulatedStart(container.clone()));
        let lifetime = &self.workload.executor_lifetime;
        if let Some(ms) = lifetime.sample_ms(self.fate.draw("lifetime", &container.0)) {
            stage.timers.set(up_ms + ms, Timer::SimulatedCrash(container));
        }
    }

    /// Does what is due, when it is of a simulated executor.
    pub(super) fn on_timer(&mut self, stage: &mut Stage<'_>, timer: &Timer) {
        match timer {
            Timer::SimulatedStart(container) => self.on_started(stage, container),
            Timer::SimulatedCrash(container) => self.exit(stage, container, CRASHED),
            Timer::SimulatedEnd(container, task) => self.on_task_over(stage, container, task),
            _ => {}
        }
    }

    /// The executor is up and subscribes.
    fn on_started(&mut self, stage: &mut Stage<'_>, container: &ContainerId) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        self.streams.insert(executor.stream.clone(), container.clone());
        executor.subscribe(stage, container);
    }

    /// The work of a task is over.
    fn on_task_over(&mut self, stage: &mut Stage<'_>, container: &ContainerId, task: &TaskId) {
        let fails = self.fate.happens("failure", &task.0, self.workload.failure_rate);
        let Some(executor) = self.executors.get_mut(container) else { return };
        if executor.end_task(stage, task, fails) {
            self.exit(stage, container, 0);
        }
    }

    fn on_event(&mut self, stage: &mut Stage<'_>, container: &ContainerId, event: api::Event) {
        let Some(executor) = self.executors.get_mut(container) else { return };
        if let Some(launch) = event.launch {
            let name = launch.task.task_id.value.clone();
            let duration = if self.workload.runs_forever(&launch.task) {
                None
            } else {
                self.workload.task_duration.sample_ms(self.fate.draw("duration", &name))
            };
            if let Some(ms) = duration {
                let timer = Timer::SimulatedEnd(container.clone(), TaskId(name));
                stage.timers.set(stage.now_ms + ms, timer);
            }
            executor.launch(stage, &launch.task);
        } else if let Some(kill) = event.kill {
            if executor.kill_task(stage, &(&kill.task_id).into()) {
                self.exit(stage, container, 0);
            }
        } else if event.r#type() == api::event::Type::Shutdown {
            executor.kill_all(stage);
            self.exit(stage, container, 0);
        }
    }

    /// The executor's process ended; its agent hears of it, and closes its stream.
    fn exit(&mut self, stage: &mut Stage<'_>, container: &ContainerId, wait_status: i32) {
        if let Some(executor) = self.executors.remove(container) {
            stage.events.push_back(Event::ExecutorExited {
                agent: executor.agent,
                container: container.clone(),
                wait_status,
            });
        }
    }
}
