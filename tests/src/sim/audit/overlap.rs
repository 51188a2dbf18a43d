//! A shard runs as one task at a time: another one takes its place only when it has ended, or was
//! lost by the rules.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::Settings;
use shiftwork_engine::document::OnUnreachable;
use shiftwork_engine::event::TaskState;
use shiftwork_engine::ids::{JobName, RunId, TaskId};
use shiftwork_engine::record::{Key, Write};

use super::mind::{Before, Mind};
use super::{Task, cause, is_terminal};
use crate::sim::scheduler::{Cause, Step};

/// Tasks whose work goes on, by shard.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    working: BTreeMap<(JobName, u32), BTreeSet<TaskId>>,
}

/// A shard's task makes room for another, or for none: it must have ended or be lost.
pub(super) fn on_step(
    mind: &Mind,
    step: &Step,
    tasks: &mut BTreeMap<TaskId, Task>,
) -> Result<(), String> {
    for Write { key, value } in &step.writes {
        let Some(task) = mind.shards.get(key) else { continue };
        if value.as_deref() == Some(task.as_str().as_bytes()) {
            continue;
        }
        if value.is_none() && run_of(mind, key).is_some_and(|run| mind.waits(run)) {
            continue;
        }
        // A task that Mesos calls lost may work on; nobody can know.
        let is_waited_for = tasks.get(task).is_some_and(Task::is_waited_for);
        let Some(lost) = verdict(mind, step, task, is_waited_for) else {
            let heard = mind.heard.get(task);
            return Err(format!(
                "task {task} is given up ({}); last heard: {heard:?}, now {}, subscribed at {:?}",
                cause(step),
                mind.now,
                mind.subscribed_at
            ));
        };
        if let Some(known) = tasks.get_mut(task) {
            known.given_up |= lost;
        }
    }
    Ok(())
}

/// The run whose shard an entry stands for.
fn run_of<'a>(mind: &'a Mind, key: &'a Key) -> Option<&'a RunId> {
    match key {
        Key::RunningShard(job, _) => mind.primary.get(job),
        Key::ParallelShard(run, _) => Some(run),
        _ => None,
    }
}

/// Whether a task has ended (`false`) or is lost by the rules (`true`); `None` if neither. One that is
/// waited for is not lost because nobody reaches it.
fn verdict(mind: &Mind, step: &Step, task: &TaskId, is_waited_for: bool) -> Option<bool> {
    let waited = |since: i64, ms: u64| mind.now.saturating_sub(since) >= ms as i64;
    if mind.framework_removed || matches!(step.cause, Cause::FrameworkRemoved) {
        return Some(true);
    }
    let known =
        Before { heard: mind.heard.get(task).copied(), asked: mind.asked.get(task).copied() };
    let before = mind.before.as_ref().filter(|(of, _)| of == task).map(|(_, before)| *before);
    let judge = |known: Before| judge(mind, known, is_waited_for, waited);
    judge(known).or_else(|| judge(before?))
}

/// The verdict on what is known of a task.
fn judge(
    mind: &Mind,
    known: Before,
    is_waited_for: bool,
    waited: impl Fn(i64, u64) -> bool,
) -> Option<bool> {
    let settings = Settings::default();
    let never = if known.heard.is_none() { mind.subscribed_at } else { None };
    let unanswered = known.asked.or(never);
    if unanswered.is_some_and(|since| waited(since, settings.reconcile_grace_ms)) {
        return Some(true);
    }
    let heard = known.heard?;
    match heard.state {
        TaskState::Unreachable => {
            let given_up = !is_waited_for && waited(heard.since, settings.unreachable_timeout_ms);
            given_up.then_some(true)
        }
        state if is_terminal(state) => Some(super::is_loss(state)),
        _ => None,
    }
}

impl Task {
    /// Its job waits for what cannot be reached, and nobody wants it to end.
    fn is_waited_for(&self) -> bool {
        self.job.on_unreachable == OnUnreachable::Wait && !self.killed
    }

    /// Whether both may not work at the same time: tasks of the same run, or of runs of which
    /// neither was launched beside another.
    fn excludes(&self, other: &Self) -> bool {
        self.run == other.run || !(self.beside || other.beside)
    }
}

impl Overlap {
    pub(super) fn on_started(
        &mut self,
        task: &TaskId,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        let Some(known) = tasks.get(task) else {
            return Err(format!("task {task} works and was never launched"));
        };
        let working = self.working.entry((known.job.name.clone(), known.item)).or_default();
        let other = working.iter().find(|other| {
            tasks.get(*other).is_some_and(|other| !other.given_up && known.excludes(other))
        });
        let result = match other {
            Some(other) if !known.given_up => {
                Err(format!("tasks {other} and {task} of the same shard work at the same time"))
            }
            _ => Ok(()),
        };
        working.insert(task.clone());
        result
    }

    pub(super) fn on_ended(&mut self, task: &TaskId, tasks: &BTreeMap<TaskId, Task>) {
        if let Some(known) = tasks.get(task)
            && let Some(working) = self.working.get_mut(&(known.job.name.clone(), known.item))
        {
            working.remove(task);
        }
    }
}
