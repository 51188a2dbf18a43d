//! Nothing that waits is passed over for ever: a run does not start while another one waits that
//! comes first by age and priority, could start as well, and needs no more.

use shiftwork_engine::document::Job;
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::ids::RunId;
use shiftwork_engine::record::Key;
use shiftwork_engine::resources::Kind;

use super::ended;
use super::gangs::active_max;
use super::mind::{Mind, Pending, firing_of};
use crate::sim::scheduler::Step;

/// One step of priority outweighs this much waiting, milliseconds.
const PRIORITY_STEP_MS: i64 = 6_000;
/// Runs made so shortly after each other have no order.
const TIE_MS: i64 = 1_000;

pub(super) fn on_step(mind: &Mind, step: &Step) -> Result<(), String> {
    for write in &step.writes {
        let (Key::Ready(_, started), None) = (&write.key, &write.value) else { continue };
        let Some(first) = launches(step).find(|launch| launch.run == *started) else { continue };
        let Some(known) = mind.waiting.get(started) else { continue };
        let shards = launches(step).filter(|launch| launch.run == *started).count();
        for (job, pending) in &mind.pending {
            let head = pending.iter().filter_map(|run| Some((run, mind.waiting.get(run)?)));
            let Some((run, waiting)) =
                head.min_by_key(|(run, waiting)| (waiting.logical_time, *run))
            else {
                continue;
            };
            let starts = step.writes.iter().any(|write| {
                write.value.is_none() && matches!(&write.key, Key::Ready(_, gone) if gone == run)
            });
            let comes_first = rank(waiting) + TIE_MS < rank(known);
            if starts
                || job == &first.job.name
                || !comes_first
                || !may_start(mind, step, run, waiting)
            {
                continue;
            }
            let needed = mind
                .partial
                .get(run)
                .map_or(waiting.job.sharding_total_count as usize, std::collections::BTreeSet::len);
            if needed <= shards && needs_no_more(&waiting.job, &first.job) {
                return Err(format!(
                    "run {started} starts while {run} waits, which comes first and needs no more"
                ));
            }
        }
    }
    Ok(())
}

/// The order in which runs that wait have their turn: lower is first.
fn rank(pending: &Pending) -> i64 {
    pending.made_at - i64::from(pending.job.priority) * PRIORITY_STEP_MS
}

fn may_start(mind: &Mind, step: &Step, run: &RunId, pending: &Pending) -> bool {
    let job = &pending.job;
    let Some(document) = mind.documents.get(&job.name) else { return false };
    let enabled = mind.is_enabled(job) && mind.is_enabled(&document.job);
    let goes_on = |run: &&RunId| !ended(step).any(|ended| ended == *run);
    let active = mind.active_of(&job.name).filter(goes_on).count();
    let room = active < active_max(job).min(active_max(&document.job));
    let delay = if firing_of(run).is_some() { job.jitter_delay_ms() } else { 0 };
    let held = pending.logical_time.saturating_add(delay).as_millis() > mind.now;
    enabled && room && !held && job.constraints.is_empty()
}

/// Shard by shard, and in the same executor.
fn needs_no_more(waiting: &Job, started: &Job) -> bool {
    let (waits, starts) = (&waiting.demand, &started.demand);
    waiting.app == started.app
        && waits.ports <= starts.ports
        && Kind::ALL.into_iter().all(|kind| waits.of(kind) <= starts.of(kind))
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
