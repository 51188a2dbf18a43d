//! A run starts whole: all its shards leave in the turn in which it leaves the ready queue.

use std::collections::BTreeSet;

use shiftwork_engine::document::{Concurrency, Execution, Job};
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::ids::RunId;
use shiftwork_engine::record::{Key, Write};

use super::ended;
use super::mind::Mind;
use crate::sim::scheduler::Step;

pub(super) fn on_step(mind: &Mind, step: &Step) -> Result<(), String> {
    for Write { key, value } in &step.writes {
        let (Key::Ready(_, run), None) = (key, value) else { continue };
        let of_run = |launch: &&Launch| launch.run == *run;
        let launches: Vec<&Launch> = launches(step).filter(of_run).collect();
        let Some(first) = launches.first() else { continue };
        let items: BTreeSet<u32> = launches.iter().map(|launch| launch.item).collect();
        let whole = || (0..first.job.sharding_total_count).collect();
        let all: BTreeSet<u32> = mind.partial.get(run).cloned().unwrap_or_else(whole);
        if items != all || launches.len() != all.len() {
            return Err(format!("run {run} of shards {all:?} starts with {items:?}"));
        }
    }
    for launch in launches(step) {
        if super::shard_key(step, &launch.task).is_none() {
            return Err(format!("task {} is launched and not recorded", launch.task));
        }
        let key = Key::Ready(launch.job.name.clone(), launch.run.clone());
        let starts = step.writes.iter().any(|write| write.key == key);
        let goes_on = |run: &&RunId| !ended(step).any(|ended| ended == *run);
        let active: Vec<&RunId> = mind.active_of(&launch.job.name).filter(goes_on).collect();
        if !starts && !active.contains(&&launch.run) {
            return Err(format!("task {} is of a run that is not active", launch.task));
        }
        let max = mind.documents.get(&launch.job.name).map_or(1, |known| active_max(&known.job));
        if starts && active.len() >= max {
            return Err(format!("run {} starts while {active:?} are active", launch.run));
        }
    }
    Ok(())
}

/// How many runs of a job may be active at once.
pub(super) fn active_max(job: &Job) -> usize {
    match (job.execution, job.concurrency) {
        (Execution::Transient, Concurrency::Allow { max }) => max as usize,
        _ => 1,
    }
}

fn launches(step: &Step) -> impl Iterator<Item = &Launch> {
    step.actions
        .iter()
        .filter_map(|action| match action {
            Action::Accept { launches, .. } => Some(launches),
            _ => None,
        })
        .flatten()
}
