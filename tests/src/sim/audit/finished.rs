//! A shard that has finished, and whose end is recorded, never starts again; and the work of a job
//! that wants neither failover nor retries starts once.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::effect::Action;
use shiftwork_engine::event::TaskState;
use shiftwork_engine::ids::{RunId, TaskId};

use super::Task;
use crate::sim::registry::Registry;
use crate::sim::scheduler::{Cause, Step};

/// What has ended well, and what has begun.
#[derive(Debug, Default)]
pub(super) struct Finished {
    finished: BTreeSet<(RunId, u32)>,
    started: BTreeMap<(RunId, u32), TaskId>,
}

impl Finished {
    /// The end of a shard is being recorded.
    pub(super) fn on_transaction(
        &mut self,
        step: &Step,
        registry: &Registry,
        tasks: &BTreeMap<TaskId, Task>,
    ) {
        let Cause::Status(update) = &step.cause else { return };
        let Some(task) = tasks.get(&update.task) else { return };
        let Some(key) = &task.key else { return };
        let current =
            registry.records().get(key).map(Vec::as_slice) == Some(update.task.as_str().as_bytes());
        if update.state == TaskState::Finished && !task.is_daemon() && current {
            self.finished.insert((task.run.clone(), task.item));
        }
    }

    /// A run is made anew under its old id.
    pub(super) fn forget(&mut self, run: &RunId) {
        self.finished.retain(|(of, _)| of != run);
        self.started.retain(|(of, _), _| of != run);
    }

    /// Launches are being recorded. What a deposed leader decides without knowing is never recorded.
    pub(super) fn on_launches(&self, step: &Step) -> Result<(), String> {
        for action in &step.actions {
            let Action::Accept { launches, .. } = action else { continue };
            for launch in launches {
                if self.finished.contains(&(launch.run.clone(), launch.item)) {
                    return Err(format!(
                        "shard {} of run {} has finished and is launched as {}",
                        launch.item, launch.run, launch.task
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_started(
        &mut self,
        task: &TaskId,
        run: &RunId,
        item: u32,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        if !tasks.get(task).is_some_and(Task::starts_once) {
            return Ok(());
        }
        let Some(first) = self.started.insert((run.clone(), item), task.clone()) else {
            return Ok(());
        };
        // One that did not say in time that it runs is killed and launched again by rule, and one
        // that asked for it is done later.
        if tasks.get(&first).is_some_and(|first| first.killed || first.put_off) {
            return Ok(());
        }
        Err(format!("the work of shard {item} of run {run} starts as {first} and again as {task}"))
    }
}
