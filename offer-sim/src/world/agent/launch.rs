//! Tasks to run and to kill: where they go, and when they are turned away. How an executor comes to
//! be is in `subscribe`.

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorInfo, KillPolicy, TaskInfo, TaskState, executor as api, executor_info,
    framework_info::capability, task_status,
};

use super::super::event::StartExecutor;
use super::super::id::{ExecutorId, FrameworkId, TaskId};
use super::super::mail::{RunTask, ToMaster};
use super::super::status::Cause;
use super::super::timers::Timer;
use super::super::{Effect, Turn};
use super::Agent;
use super::executor::{Executor, Phase, RunningTask};

/// The wait status of an executor that never ran, as an agent reports it.
pub(super) const NO_WAIT_STATUS: i32 = -1;

// === impl Agent ===

impl Agent {
    pub(super) fn on_run_task(&mut self, turn: &mut Turn<'_>, run: RunTask) {
        let Some(framework) = run.framework.id.as_ref().map(FrameworkId::from) else { return };
        let executor_id = run.executor.as_ref().map_or_else(
            || ExecutorId(run.task.task_id.value.clone()),
            |info| ExecutorId::from(&info.executor_id),
        );
        let key = (framework, executor_id);
        let exists = self.executors.contains_key(&key);
        if self.draining {
            self.drop_task(turn, &key, &run, "Agent is shutting down");
        } else if run.launch_executor && exists {
            // The master did not know: it is told that this executor is not the one it wanted.
            let message = ToMaster::ExitedExecutor {
                framework: key.0.clone(),
                executor: key.1.clone(),
                wait_status: NO_WAIT_STATUS,
            };
            self.tell_master(turn, message);
            let why = "Master wants to launch executor, but one already exists";
            self.drop_task(turn, &key, &run, why);
        } else if run.launch_executor {
            self.start_executor(turn, key, run);
        } else {
            self.give_task(turn, &key, run);
        }
    }

    /// Tells that a task never began here.
    fn drop_task(
        &mut self,
        turn: &mut Turn<'_>,
        key: &(FrameworkId, ExecutorId),
        run: &RunTask,
        why: &str,
    ) {
        let aware = run
            .framework
            .capabilities
            .iter()
            .any(|has| has.r#type() == capability::Type::PartitionAware);
        let state = if aware { TaskState::TaskDropped } else { TaskState::TaskLost };
        let cause = Cause::agent(task_status::Reason::ExecutorTerminated, why);
        self.report(turn, key, &(&run.task.task_id).into(), state, cause);
    }

    fn start_executor(
        &mut self,
        turn: &mut Turn<'_>,
        key: (FrameworkId, ExecutorId),
        run: RunTask,
    ) {
        let container = turn.ids.container();
        let is_command = run.executor.is_none();
        let info = run.executor.unwrap_or_else(|| command_executor(&key, &run.task));
        turn.effects.push(Effect::StartExecutor(Box::new(StartExecutor {
            agent: self.spec.id.clone(),
            framework: run.framework.clone(),
            container: container.clone(),
            executor: info.clone(),
            command_task: is_command.then(|| Box::new(run.task.clone())),
        })));
        let subscribe_by_ms = turn.now_ms + turn.config.executor_registration_timeout_ms;
        turn.timers.set(subscribe_by_ms, Timer::Executor(self.spec.id.clone(), container.clone()));
        let task_id = TaskId::from(&run.task.task_id);
        let task = RunningTask {
            state: TaskState::TaskStaging,
            resources: run.resources,
            queued: Some(Box::new(run.task)),
        };
        let executor = Executor {
            framework: run.framework,
            info,
            resources: run.executor_resources,
            container,
            is_command,
            pid: None,
            phase: Phase::Starting { subscribe_by_ms },
            tasks: BTreeMap::from([(task_id, task)]),
            was_used: false,
            is_abandoned: false,
        };
        self.executors.insert(key, executor);
    }

    /// A further task for an executor: sent when it is subscribed, kept until then.
    fn give_task(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, ExecutorId), run: RunTask) {
        let why = match self.executors.get(key).map(|executor| &executor.phase) {
            Some(Phase::Starting { .. } | Phase::Running { .. }) => None,
            Some(Phase::Terminating { .. }) => Some("Executor terminating"),
            Some(Phase::Terminated) => Some("Executor terminated"),
            None => Some("No executor is expected to launch and there is no executor running"),
        };
        if let Some(why) = why {
            self.drop_task(turn, key, &run, why);
        } else if let Some(executor) = self.executors.get_mut(key) {
            let task_id = TaskId::from(&run.task.task_id);
            let task = RunningTask {
                state: TaskState::TaskStaging,
                resources: run.resources,
                queued: Some(Box::new(run.task)),
            };
            executor.tasks.insert(task_id, task);
            self.launch_queued(turn, key);
        }
    }

    /// Sends a subscribed executor the tasks that wait for it.
    pub(super) fn launch_queued(&mut self, turn: &mut Turn<'_>, key: &(FrameworkId, ExecutorId)) {
        let Some(executor) = self.executors.get_mut(key) else { return };
        let Phase::Running { stream: Some(stream) } = &executor.phase else { return };
        for task in executor.tasks.values_mut() {
            if let Some(info) = task.queued.take() {
                executor.was_used = true;
                let event = api::Event {
                    r#type: Some(api::event::Type::Launch.into()),
                    launch: Some(api::event::Launch { task: *info }),
                    ..api::Event::default()
                };
                turn.send_executor(stream, event);
            }
        }
    }

    pub(super) fn on_kill_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        task_id: &TaskId,
        kill_policy: Option<KillPolicy>,
    ) {
        let has_task = |(key, executor): (&(FrameworkId, ExecutorId), &Executor)| {
            (key.0 == *framework && executor.tasks.contains_key(task_id)).then(|| key.clone())
        };
        let Some(key) = self.executors.iter().find_map(has_task) else { return };
        let executor = self.executors.get_mut(&key);
        let task = executor.and_then(|executor| executor.tasks.get_mut(task_id));
        if task.is_some_and(|task| task.queued.take().is_some()) {
            let cause = Cause::agent(
                task_status::Reason::TaskKilledDuringLaunch,
                "Killed before delivery to the executor",
            );
            self.report(turn, &key, task_id, TaskState::TaskKilled, cause);
            return;
        }
        let event = api::Event {
            r#type: Some(api::event::Type::Kill.into()),
            kill: Some(api::event::Kill { task_id: task_id.into(), kill_policy }),
            ..api::Event::default()
        };
        self.tell(turn, &key, event);
    }
}

/// The executor that an agent makes up for a task with a command of its own.
fn command_executor(key: &(FrameworkId, ExecutorId), task: &TaskInfo) -> ExecutorInfo {
    ExecutorInfo {
        r#type: Some(executor_info::Type::Custom.into()),
        executor_id: (&key.1).into(),
        framework_id: Some((&key.0).into()),
        command: Some(CommandInfo::default()),
        name: Some(format!("Command Executor (Task: {})", task.task_id.value)),
        source: Some(task.task_id.value.clone()),
        resources: task.resources.clone(),
        ..ExecutorInfo::default()
    }
}
