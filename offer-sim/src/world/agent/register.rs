//! Registering with a master, for the first time or again: the agent says all that it has, and the
//! master tells it what it should have had. What has changed meanwhile is in `updates`.

use shiftwork_proto::mesos::v1::task_status;

use super::super::Turn;
use super::super::id::{ExecutorId, FrameworkId};
use super::super::mail::{MissingTask, RegisteredExecutor, RegisteredTask, Registration, ToMaster};
use super::super::resources::Resources;
use super::super::status::{Cause, is_terminal};
use super::Agent;
use super::executor::{Executor, Phase};
use super::launch::NO_WAIT_STATUS;

// === impl Agent ===

impl Agent {
    /// Tells the master of itself, its executors and its tasks.
    pub(in super::super) fn register(&self, turn: &mut Turn<'_>) {
        let executors = self.living().map(|(_, executor)| RegisteredExecutor {
            framework: executor.framework.clone(),
            info: executor.info.clone(),
            resources: executor.resources.clone(),
            is_command: executor.is_command,
        });
        let registration = Registration {
            spec: self.spec.clone(),
            executors: executors.collect(),
            tasks: self.registered_tasks(),
        };
        self.tell_master(turn, ToMaster::Register(Box::new(registration)));
    }

    fn living(&self) -> impl Iterator<Item = (&(FrameworkId, ExecutorId), &Executor)> {
        let lives = |executor: &Executor| {
            !executor.is_abandoned && !matches!(executor.phase, Phase::Terminated)
        };
        self.executors.iter().filter(move |(_, executor)| lives(executor))
    }

    /// Tasks that run, and those of which an update was not acknowledged.
    fn registered_tasks(&self) -> Vec<RegisteredTask> {
        let mut tasks = Vec::new();
        for (key, executor) in self.living() {
            for (task, running) in &executor.tasks {
                let stream = self.streams.get(&(key.0.clone(), task.clone()));
                tasks.push(RegisteredTask {
                    framework: key.0.clone(),
                    task: task.clone(),
                    executor: (!executor.is_command).then(|| key.1.clone()),
                    resources: running.resources.clone(),
                    state: running.state,
                    sent: stream.and_then(|stream| stream.first().cloned()).map(Box::new),
                    container: Some(self.container_status(executor)),
                    outlived: false,
                });
            }
        }
        for ((framework, task), stream) in &self.streams {
            let executor = self.executors.get(&(framework.clone(), stream.executor.clone()));
            let runs = executor.is_some_and(|executor| executor.tasks.contains_key(task));
            if runs || stream.first().is_none() {
                continue;
            }
            let is_command = executor.is_some_and(|executor| executor.is_command);
            let container = stream.container.as_ref().map(super::super::status::container_status);
            tasks.push(RegisteredTask {
                framework: framework.clone(),
                task: task.clone(),
                executor: (!is_command).then(|| stream.executor.clone()),
                resources: Resources::default(),
                state: stream.latest,
                sent: stream.first().cloned().map(Box::new),
                container,
                outlived: executor.is_none(),
            });
        }
        tasks
    }

    /// The master took the agent up. Tasks that it thought were here never arrived, or are gone.
    pub(super) fn on_registered(&mut self, turn: &mut Turn<'_>, missing: Vec<MissingTask>) {
        self.send_all(turn);
        let mut unknown = Vec::new();
        for MissingTask { framework, task, executor, state } in missing {
            let key = (framework, executor.unwrap_or_else(|| ExecutorId(task.0.clone())));
            // It may have arrived since the agent said what it has.
            let executor = self.executors.get(&key);
            let is_here = executor.is_some_and(|executor| executor.tasks.contains_key(&task));
            let stream = self.streams.get(&(key.0.clone(), task.clone()));
            if !is_here && stream.is_none_or(|stream| !is_terminal(stream.latest)) {
                if executor.is_none() && !unknown.contains(&key) {
                    unknown.push(key.clone());
                }
                let message = "Reconciliation: task unknown to the agent";
                let cause = Cause::agent(task_status::Reason::Reconciliation, message);
                self.report(turn, &key, &task, state, cause);
            }
        }
        // The master keeps what these would have cost until it hears that they are not there.
        for (framework, executor) in unknown {
            let wait_status = NO_WAIT_STATUS;
            self.tell_master(turn, ToMaster::ExitedExecutor { framework, executor, wait_status });
        }
    }
}
