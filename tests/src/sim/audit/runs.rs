//! No run is forgotten: it leaves the ready queue by its launch or its end, and the running queue by
//! its end, and both are told.

use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::RunId;
use shiftwork_engine::record::{Key, Write};

use super::mind::Mind;
use super::{cause, ended};
use crate::sim::registry::Registry;
use crate::sim::scheduler::Step;

pub(super) fn on_step(mind: &Mind, step: &Step) -> Result<(), String> {
    for Write { key, value } in &step.writes {
        match (key, value) {
            (Key::Ready(_, run), None)
                if !launched(step, run) && !ended(step).any(|ended| ended == run) =>
            {
                return Err(format!(
                    "run {run} left the ready queue, neither launched nor ended ({})",
                    cause(step)
                ));
            }
            (Key::Running(_) | Key::ParallelRunning(_), None) => {
                let run = match key {
                    Key::Running(job) => mind.primary.get(job),
                    Key::ParallelRunning(run) => Some(run),
                    _ => None,
                };
                let Some(run) = run else { continue };
                if !mind.waits(run) && !ended(step).any(|ended| ended == run) {
                    return Err(format!(
                        "run {run} left the running queue and did not end ({})",
                        cause(step)
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn launched(step: &Step, run: &RunId) -> bool {
    step.actions.iter().any(|action| match action {
        Action::Accept { launches, .. } => launches.iter().any(|launch| launch.run == *run),
        _ => false,
    })
}

pub(super) fn on_transaction(
    step: &Step,
    writes: &[Write],
    registry: &Registry,
) -> Result<(), String> {
    match registry.orphan(writes) {
        Some(key) => Err(format!("{key:?} would be left without its parent ({})", cause(step))),
        None => Ok(()),
    }
}
