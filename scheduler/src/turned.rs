//! What a turn came to: writes as transactions, what happened, and what waits for the commit. Absent:
//! the turns (`turn.rs`).

use std::sync::Arc;

use shiftwork_engine::command::Reply;
use shiftwork_engine::event::RequestId;
use shiftwork_engine::record::Origin;
use shiftwork_engine::view::RunState;
use shiftwork_engine::{Action, Effect, Effects, Trace};
use shiftwork_schedule::Timestamp;

use crate::audit_log::Entry;
use crate::auth::Actor;
use crate::registry::{Change, PathError, TRANSACTION_BYTES_MAX, Transaction, keys};
use crate::trace::EventRow;

/// What waits for a commit.
#[derive(Default)]
pub(crate) struct Released {
    pub(crate) actions: Vec<Action>,
    pub(crate) replies: Vec<(RequestId, Reply)>,
    pub(crate) events: Vec<Arc<EventRow>>,
    pub(crate) stored: Vec<Box<dyn FnOnce() + Send>>,
    /// The moments whose firings have got their runs.
    pub(crate) fired: Vec<Timestamp>,
}

/// What a turn came to.
#[derive(Default)]
pub(crate) struct Turned {
    pub(crate) batch: Vec<Transaction>,
    pub(crate) traces: Vec<Trace>,
    pub(crate) entries: Vec<(Actor, Entry)>,
    pub(crate) released: Released,
    pub(crate) problem: Option<PathError>,
}

/// The moment that the schedule named, if this tells of its run's beginning.
pub(crate) fn fired(trace: &Trace) -> Option<Timestamp> {
    match trace {
        Trace::Run(run) if run.state == RunState::Pending && run.origin == Origin::Schedule => {
            Some(run.logical_time)
        }
        _ => None,
    }
}

// === impl Released ===

impl Released {
    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty()
            && self.replies.is_empty()
            && self.events.is_empty()
            && self.stored.is_empty()
            && self.fired.is_empty()
    }
}

// === impl Turned ===

impl Turned {
    /// Takes the effects of one step.
    pub(crate) fn take(&mut self, fx: &mut Effects) {
        let mut writes = Vec::new();
        for effect in fx.take() {
            match effect {
                Effect::Write(write) => match keys::change_of(write) {
                    Ok(change) => writes.push(change),
                    Err(problem) => self.problem = Some(problem),
                },
                Effect::Action(action) => self.released.actions.push(action),
                Effect::Trace(trace) => self.traces.push(trace),
                Effect::Reply { request, reply } => self.released.replies.push((request, reply)),
            }
        }
        self.split(writes);
    }

    /// One step is one transaction. Where it is too large it is split in its order, creations
    /// before removals, so that its last part decides.
    pub(crate) fn split(&mut self, changes: Vec<Change>) {
        let mut transaction = Transaction::default();
        let mut bytes = 0;
        for change in changes {
            let size = change.bytes();
            if bytes + size > TRANSACTION_BYTES_MAX && !transaction.changes.is_empty() {
                self.batch.push(std::mem::take(&mut transaction));
                bytes = 0;
            }
            bytes += size;
            transaction.changes.push(change);
        }
        if !transaction.changes.is_empty() {
            self.batch.push(transaction);
        }
    }
}
