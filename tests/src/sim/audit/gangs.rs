//! A run starts whole: all its shards leave in the turn in which it leaves the ready queue.

use std::collections::BTreeSet;

use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::record::{Key, Write};

use super::mind::Mind;
use crate::sim::scheduler::Step;

pub(super) fn on_step(mind: &Mind, step: &Step) -> Result<(), String> {
    for Write { key, value } in &step.writes {
        let (Key::Ready(_, run), None) = (key, value) else { continue };
        let of_run = |launch: &&Launch| launch.run == *run;
        let launches: Vec<&Launch> = launches(step).filter(of_run).collect();
        let Some(first) = launches.first() else { continue };
        let items: BTreeSet<u32> = launches.iter().map(|launch| launch.item).collect();
        let all: BTreeSet<u32> = (0..first.job.sharding_total_count).collect();
        if items != all || launches.len() != all.len() {
            return Err(format!("run {run} of {} shards starts with {items:?}", all.len()));
        }
    }
    for launch in launches(step) {
        let key = Key::RunningShard(launch.job.name.clone(), launch.item);
        let recorded = step.writes.iter().any(|write| {
            write.key == key && write.value.as_deref() == Some(launch.task.as_str().as_bytes())
        });
        if !recorded {
            return Err(format!("task {} is launched and not recorded", launch.task));
        }
        let active = mind.active.get(&launch.job.name);
        let starts = step
            .writes
            .iter()
            .any(|write| write.key == Key::Ready(launch.job.name.clone(), launch.run.clone()));
        if active != Some(&launch.run) && !starts {
            return Err(format!(
                "task {} is of run {}, while {active:?} is active",
                launch.task, launch.run
            ));
        }
    }
    Ok(())
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
