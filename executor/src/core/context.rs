//! What a task may do to the world around it while it reacts: start, signal, report. Absent: the
//! other tasks, so that no task can touch a sibling.

use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use super::TaskSpec;
use super::event::{Effect, Ids, Now, Signal, TaskId, WorkId};
use super::ledger::Ledger;
use super::report::Report;
use super::work::Work;

/// How many unacknowledged updates a task may have before its firings go unreported: what half an
/// hour without an agent costs a daemon that fires every fifteen seconds, in some 100 KiB.
const UNACKNOWLEDGED_MAX: usize = 256;

/// The world of one step.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) ids: &'a mut dyn Ids,
    pub(super) next_work: &'a mut u64,
    pub(super) executor_id: &'a str,
    /// Whether an update may be sent as soon as it is made.
    pub(super) subscribed: bool,
    /// Whether the executor is shutting down: nothing that happens now is reported.
    pub(super) silent: bool,
}

// === impl Context ===

impl Context<'_> {
    pub(super) fn start(&mut self, spec: &Arc<TaskSpec>, firing: Option<Timestamp>) -> Work {
        let work = WorkId(*self.next_work);
        *self.next_work += 1;
        self.effects.push(Effect::Start { work, spec: Arc::clone(spec), firing });
        Work::new(work, self.now)
    }

    pub(super) fn signal(&mut self, work: WorkId, signal: Option<Signal>) {
        self.effects.extend(signal.map(|signal| Effect::Signal { work, signal }));
    }

    /// Makes an update: into the checkpoint first, then on its way if there is a way.
    pub(super) fn report(&mut self, task: &TaskId, report: Report) {
        if self.silent {
            return;
        }
        let update = report.into_update(task, self.executor_id, self.ids.fresh(), self.now);
        self.ledger.add_update(task.clone(), update.clone(), self.subscribed);
        self.effects.push(Effect::Checkpoint(update.clone()));
        if self.subscribed {
            self.effects.push(Effect::Send(update));
        }
    }

    /// Whether a report that could be left out may still be made for `task`.
    pub(super) fn may_report(&self, task: &TaskId) -> bool {
        self.ledger.pending(task) < UNACKNOWLEDGED_MAX
    }
}
