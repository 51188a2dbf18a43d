//! Taking over from a former life of the agent: its executors end, their last updates are taken
//! up. Nothing is started again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shiftwork_proto::mesos::v1::TaskStatus;
use tokio_util::sync::CancellationToken;

use super::record::{self, ExecutorRecord};
use super::run::read_unacknowledged;
use super::{Layout, journal, processes, sandbox};
use crate::world::{ContainerId, ExecutorId, FrameworkId, RecoveredUpdates, TaskId};

/// How long executors may take to leave by themselves once their agent is gone: they notice a
/// broken stream at once, and end their tasks.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// Pause between two looks whether they are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends what a former life started and collects the updates that nobody acknowledged.
pub(super) async fn recover(
    layout: &Arc<Layout>,
    shutdown: CancellationToken,
) -> Vec<RecoveredUpdates> {
    let records = record::read_executors(layout);
    let deadline = Instant::now() + LEAVE_WITHIN;
    let is_alive = |(_, record): &(ContainerId, ExecutorRecord)| record.process.is_alive();
    while records.iter().any(is_alive) && Instant::now() < deadline && !shutdown.is_cancelled() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let layout = layout.clone();
    let task = tokio::task::spawn_blocking(move || {
        let recovered = records
            .iter()
            .flat_map(|(container, record)| take_over(&layout, container, record))
            .collect();
        sandbox::collect_garbage(&layout);
        recovered
    });
    task.await.unwrap_or_default()
}

/// Ends one executor and reads what it had to say. A container with nothing left to say is
/// forgotten.
fn take_over(
    layout: &Layout,
    container: &ContainerId,
    record: &ExecutorRecord,
) -> Vec<RecoveredUpdates> {
    if record.process.is_alive() {
        processes::kill_group(record.process.pid);
    }
    processes::kill_sandbox(&record.sandbox);
    let recovered = read_updates(&layout.journal(container), container, record);
    if recovered.is_empty() {
        journal::remove_file(&layout.journal(container));
        record::remove_executor(layout, container);
    }
    recovered
}

/// The unacknowledged updates of a container, by task: those the agent had taken, then those that
/// the executor had not yet got rid of.
fn read_updates(
    journal: &Path,
    container: &ContainerId,
    record: &ExecutorRecord,
) -> Vec<RecoveredUpdates> {
    let kept = journal::read(journal);
    let own = read_unacknowledged(&record.sandbox).into_iter().map(|update| update.status);
    let mut seen = kept.acknowledged;
    let mut by_task: BTreeMap<TaskId, Vec<TaskStatus>> = BTreeMap::new();
    for status in kept.updates.into_iter().chain(own) {
        if seen.insert(Bytes::copy_from_slice(status.uuid())) {
            by_task.entry((&status.task_id).into()).or_default().push(status);
        }
    }
    let of_task = |(task, statuses)| RecoveredUpdates {
        framework: FrameworkId(record.framework_id.clone()),
        executor: ExecutorId(record.executor_id.clone()),
        container: container.clone(),
        task,
        statuses,
    };
    by_task.into_iter().map(of_task).collect()
}
