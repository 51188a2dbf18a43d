//! What the agent has not acknowledged: tasks and updates, in the order they were made. Absent: the
//! file that mirrors it, and any decision on when to send.
//!
//! The rule is the executor API's: an update is kept until its ACKNOWLEDGED; a task is kept until
//! the first ACKNOWLEDGED of any of its updates; a subscription carries all of both.

use std::collections::BTreeMap;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::mesos::v1::executor::call::Update;

use super::TaskId;

/// After so many acknowledgements the checkpoint is written anew, so that it holds at most this
/// many updates that nobody needs.
const ACKNOWLEDGED_MAX: usize = 64;

/// Tasks and updates the agent may not know of.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<Bytes, u64>,
    next_number: u64,
    tasks: BTreeMap<TaskId, TaskInfo>,
    pending: BTreeMap<TaskId, usize>,
    acknowledged: usize,
}

#[derive(Debug)]
struct Entry {
    task: TaskId,
    update: Update,
    sent: bool,
}

// === impl Ledger ===

impl Ledger {
    /// A task was handed over by the agent.
    pub(super) fn add_task(&mut self, task: TaskId, info: TaskInfo) {
        self.tasks.insert(task, info);
    }

    /// An update was made; `sent` when it leaves at once.
    pub(super) fn add_update(&mut self, task: TaskId, update: Update, sent: bool) {
        let number = self.next_number;
        self.next_number += 1;
        if let Some(uuid) = &update.status.uuid {
            self.numbers.insert(uuid.clone(), number);
        }
        *self.pending.entry(task.clone()).or_insert(0) += 1;
        self.entries.insert(number, Entry { task, update, sent });
    }

    /// The agent holds the update with this id. Says whether it was awaited.
    pub(super) fn acknowledge(&mut self, task: &TaskId, uuid: &[u8]) -> bool {
        let Some(&number) = self.numbers.get(uuid) else {
            return false;
        };
        if self.entries.get(&number).is_none_or(|entry| entry.task != *task) {
            return false;
        }
        self.entries.remove(&number);
        self.numbers.remove(uuid);
        self.tasks.remove(task);
        self.acknowledged += 1;
        if let Some(count) = self.pending.get_mut(task) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.pending.remove(task);
            }
        }
        true
    }

    /// Everything, for a new subscription; all of it counts as sent from now on.
    pub(super) fn subscription(&mut self) -> (Vec<TaskInfo>, Vec<Update>) {
        let updates = self.entries.values_mut().map(Entry::send).collect();
        (self.tasks.values().cloned().collect(), updates)
    }

    /// What was made since the subscription was asked for; counts as sent from now on.
    pub(super) fn unsent(&mut self) -> Vec<Update> {
        self.entries.values_mut().filter(|entry| !entry.sent).map(Entry::send).collect()
    }

    /// What the checkpoint is to hold, when it is worth writing anew.
    pub(super) fn rewrite_due(&mut self) -> Option<Vec<Update>> {
        let due = self.acknowledged >= ACKNOWLEDGED_MAX
            || (self.entries.is_empty() && self.acknowledged > 0);
        due.then(|| {
            self.acknowledged = 0;
            self.entries.values().map(|entry| entry.update.clone()).collect()
        })
    }

    /// How many updates of `task` wait for their acknowledgement.
    pub(super) fn pending(&self, task: &TaskId) -> usize {
        self.pending.get(task).copied().unwrap_or(0)
    }

    /// Whether the agent may not know all there is to know of `task`.
    pub(super) fn knows(&self, task: &TaskId) -> bool {
        self.tasks.contains_key(task) || self.pending.contains_key(task)
    }

    /// Whether the agent knows everything.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tasks.is_empty()
    }
}

// === impl Entry ===

impl Entry {
    fn send(&mut self) -> Update {
        self.sent = true;
        self.update.clone()
    }
}
