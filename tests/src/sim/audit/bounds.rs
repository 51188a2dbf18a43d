//! Queues and records are bounded: a job has no more pending runs than its rules allow, and no record
//! is larger than a registry takes.

use std::collections::BTreeSet;

use shiftwork_engine::document::{Execution, MisfirePolicy};
use shiftwork_engine::ids::RunId;
use shiftwork_engine::record::{Key, Write};

use super::mind::{Mind, firing_of};
use crate::sim::scheduler::Step;

/// Pending runs of one job that triggers may pile up.
const TRIGGERED_MAX: usize = 1_000;

/// The largest value of one node that a registry takes, bytes.
const VALUE_BYTES_MAX: usize = 900_000;

pub(super) fn on_transaction(writes: &[Write]) -> Result<(), String> {
    let length = |write: &&Write| write.value.as_ref().map_or(0, Vec::len);
    match writes.iter().find(|write| length(write) > VALUE_BYTES_MAX) {
        Some(write) => Err(format!("{:?} has {} bytes", write.key, length(&write))),
        None => Ok(()),
    }
}

pub(super) fn on_step(mind: &Mind, step: &Step) -> Result<(), String> {
    for Write { key, value } in &step.writes {
        let (Key::Ready(job, run), Some(_)) = (key, value) else { continue };
        let none = BTreeSet::new();
        let pending = mind.pending.get(job).unwrap_or(&none);
        if pending.contains(run) {
            continue;
        }
        let stays = |run: &&RunId| !removed(step, job).any(|removed| removed == *run);
        let scheduled = |run: &&RunId| firing_of(run).is_some();
        let all = pending.iter().filter(stays).chain(made(step, job));
        let of_schedule = all.filter(scheduled).count();
        let Some(document) = mind.documents.get(job) else { continue };
        let bound = match (document.job.execution, document.job.misfire.policy) {
            (Execution::Transient, MisfirePolicy::All) => document.job.misfire.max_pending as usize,
            _ => 1,
        };
        // Runs that an earlier document allowed stay.
        let bound = bound.max(pending.len());
        if firing_of(run).is_some() && of_schedule > bound {
            return Err(format!("{job} gets {run} beside {pending:?}, {bound} are allowed"));
        }
        if pending.len() > bound + TRIGGERED_MAX {
            return Err(format!("{job} has {} pending runs", pending.len()));
        }
    }
    Ok(())
}

fn made<'a>(
    step: &'a Step,
    job: &'a shiftwork_engine::ids::JobName,
) -> impl Iterator<Item = &'a RunId> {
    step.writes.iter().filter_map(move |write| match (&write.key, &write.value) {
        (Key::Ready(of, run), Some(_)) if of == job => Some(run),
        _ => None,
    })
}

fn removed<'a>(
    step: &'a Step,
    job: &'a shiftwork_engine::ids::JobName,
) -> impl Iterator<Item = &'a RunId> {
    step.writes.iter().filter_map(move |write| match (&write.key, &write.value) {
        (Key::Ready(of, run), None) if of == job => Some(run),
        _ => None,
    })
}
