//! When all has come to its end: what the registry and the leader's memory still hold. Neither grows
//! with what has been, only with what is.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::ids::{JobName, RunId, TaskId};
use shiftwork_engine::record::Key;
use shiftwork_engine::{Engine, RunFilter};

/// More than any world has.
const LIST_MAX: usize = 10_000;

/// Each record is of an app, job, calendar, run or task that is there.
pub(super) fn nothing_ended(
    engine: &Engine,
    records: &BTreeMap<Key, Vec<u8>>,
) -> Result<(), String> {
    let live = engine.live_runs(&RunFilter::default(), None, LIST_MAX);
    let runs: BTreeSet<&RunId> = live.iter().map(|run| &run.id).collect();
    let jobs: BTreeSet<&JobName> = live.iter().map(|run| &run.job).collect();
    let running = engine.running(None, LIST_MAX);
    let tasks: BTreeSet<&TaskId> = running.iter().map(|task| &task.task_id).collect();
    let is_wanted = |key: &Key, value: &[u8]| match key {
        Key::Ready(_, run) | Key::ParallelRunning(run) | Key::ParallelFailover(run, _) => {
            runs.contains(run)
        }
        Key::ReadyCount(job) | Key::Running(job) | Key::Failover(job, _) => jobs.contains(job),
        Key::RunningShard(..) | Key::ParallelShard(..) => {
            let task = TaskId::new(String::from_utf8_lossy(value).into_owned());
            tasks.contains(&task)
        }
        Key::DisabledJob(job) => engine.job(job).is_some(),
        Key::DisabledApp(app) => engine.app(app).is_some(),
        Key::App(_) | Key::Job(_) | Key::Calendar(_) | Key::Watermark | Key::FrameworkId => true,
    };
    match records.iter().find(|(key, value)| !is_wanted(key, value)) {
        Some((key, value)) => {
            Err(format!("{key:?} is still stored: {}", String::from_utf8_lossy(value)))
        }
        None => Ok(()),
    }
}

/// A leader holds little more than one that has just begun, whatever it has seen.
pub(super) fn memory_is_bounded(engine: &Engine, restored: &Engine) -> Result<(), String> {
    /// Agents, executors and offers of a cluster of this size, which only a leader of some time
    /// knows, written out.
    const CLUSTER_LEN: usize = 128 * 1024;
    // What a value shows of itself grows with what it holds, and is the same on every machine.
    let [own, least] = [engine, restored].map(|engine| format!("{engine:?}").len());
    if own > least + CLUSTER_LEN {
        return Err(format!("a leader of some time shows {own} bytes, a new one {least}"));
    }
    Ok(())
}
