//! A scheduler process as data: its clock, its tenure with the engine, and the turns whose commits
//! are on their way. Absent: when any of it happens.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use shiftwork_engine::command::{Command, Reply};
use shiftwork_engine::effect::{Action, Effect, Trace};
use shiftwork_engine::event::{RequestId, StatusUpdate};
use shiftwork_engine::ids::FrameworkId;
use shiftwork_engine::record::Write;
use shiftwork_engine::{Effects, Engine, Event};

use super::env::{CommitId, Process, StreamId};
use super::registry::Outcome;

/// Commits on their way at once, as the real owner has it.
pub(crate) const COMMITS_IN_FLIGHT_MAX: usize = 8;

/// What made a step.
#[derive(Debug)]
pub(crate) enum Cause {
    /// An engine was restored.
    Restore,
    /// The placement at the end of a turn, and the deadlines met by it.
    Place,
    Status(Box<StatusUpdate>),
    /// A request; the shards it names, if it is for some only.
    Command(BTreeSet<u32>),
    Subscribed,
    FrameworkRemoved,
    /// Any other event.
    Other,
}

/// One step of an engine: what it was about and all that it wants.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) cause: Cause,
    /// What the process's clock showed, milliseconds.
    pub(crate) now: i64,
    pub(crate) writes: Vec<Write>,
    pub(crate) traces: Vec<Trace>,
    pub(crate) actions: Vec<Action>,
    pub(crate) replies: Vec<(RequestId, Reply)>,
}

/// A turn: the steps that are committed together.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) process: Option<Process>,
    pub(crate) epoch: u64,
    /// From 1, within a tenure.
    pub(crate) number: u64,
    pub(crate) steps: Vec<Step>,
    /// What is written at once, in order.
    pub(crate) transactions: Vec<Transaction>,
}

/// The writes of one step, or a part of them where all would be too large.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    step: usize,
    writes: Range<usize>,
    /// With it the step is written whole.
    pub(crate) is_last: bool,
}

/// A turn and its commit.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) turn: Rc<Turn>,
    /// `None`: it has nothing to write.
    pub(crate) commit: Option<CommitId>,
    pub(crate) outcome: Option<Outcome>,
}

/// A process that leads, or believes so.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) engine: Engine,
    pub(crate) epoch: u64,
    pub(crate) inbox: VecDeque<Event>,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) stream: Option<StreamId>,
    /// The id its driver subscribes with.
    pub(crate) framework: Option<FrameworkId>,
    pub(crate) turns: u64,
    /// A turn is on the calendar.
    pub(crate) turn_due: bool,
    /// The wake-up that counts; older ones do not.
    pub(crate) wake: u64,
    /// When its latest call arrives at the master: none overtakes another.
    pub(crate) calls_at: i64,
}

/// A process, in one life after another.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) life: u64,
    pub(crate) up: bool,
    /// It stands still until then.
    pub(crate) paused_until: Option<i64>,
    /// Its clock is off by this much, milliseconds.
    pub(crate) clock_off: i64,
    pub(crate) tenure: Option<Box<Tenure>>,
}

// === impl Cause ===

impl Cause {
    pub(crate) fn of(event: &Event) -> Self {
        match event {
            Event::Status(update) => Self::Status(Box::new(update.clone())),
            Event::Command { command, .. } => Self::Command(match command {
                Command::Trigger { overrides, .. } => overrides.items.clone(),
                Command::Rerun { ended, failed_only: true } => ended.failed_items.clone(),
                Command::Rerun { ended, .. } => ended.overrides.items.clone(),
                _ => BTreeSet::new(),
            }),
            Event::Subscribed { .. } => Self::Subscribed,
            Event::FrameworkRemoved => Self::FrameworkRemoved,
            _ => Self::Other,
        }
    }
}

// === impl Step ===

impl Step {
    pub(crate) fn new(cause: Cause, now: i64) -> Self {
        Self {
            cause,
            now,
            writes: Vec::new(),
            traces: Vec::new(),
            actions: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Takes what a step of the engine gathered.
    pub(crate) fn take(mut self, fx: &mut Effects) -> Self {
        for effect in fx.take() {
            match effect {
                Effect::Write(write) => self.writes.push(write),
                Effect::Action(action) => self.actions.push(action),
                Effect::Trace(trace) => self.traces.push(trace),
                Effect::Reply { request, reply } => self.replies.push((request, reply)),
            }
        }
        self
    }

    fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.traces.is_empty()
            && self.actions.is_empty()
            && self.replies.is_empty()
    }
}

// === impl Turn ===

impl Turn {
    /// The steps of a turn and its transactions: one for each step that writes, or several where
    /// one would have more than `bytes_max`.
    pub(crate) fn new(
        process: Option<Process>,
        (epoch, number): (u64, u64),
        steps: Vec<Step>,
        bytes_max: usize,
    ) -> Self {
        let mut transactions = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            split(place, &step.writes, bytes_max, &mut transactions);
        }
        Self { process, epoch, number, steps, transactions }
    }

    /// The step that a transaction is of.
    pub(crate) fn step_of(&self, transaction: &Transaction) -> Option<&Step> {
        self.steps.get(transaction.step)
    }

    /// What a transaction writes.
    pub(crate) fn writes_of(&self, transaction: &Transaction) -> &[Write] {
        let step = self.step_of(transaction);
        step.and_then(|step| step.writes.get(transaction.writes.clone())).unwrap_or_default()
    }

    /// It wants something of the master that only a leader may want.
    pub(crate) fn acts(&self) -> bool {
        self.steps.iter().flat_map(|step| &step.actions).any(|action| {
            matches!(
                action,
                Action::Accept { .. }
                    | Action::Kill { .. }
                    | Action::Acknowledge { .. }
                    | Action::ShutdownExecutor { .. }
            )
        })
    }

    /// Nothing was wanted, and nothing happened that the auditor should know.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.iter().all(Step::is_empty)
    }
}

/// Splits the writes of a step as the real owner does: in their order, each part as large as it may
/// be.
fn split(step: usize, writes: &[Write], bytes_max: usize, into: &mut Vec<Transaction>) {
    /// What a write costs besides its value: about what the real registry counts.
    const OVERHEAD_BYTES: usize = 160;
    let (mut begin, mut bytes) = (0, 0);
    for (place, write) in writes.iter().enumerate() {
        let size = OVERHEAD_BYTES + write.value.as_ref().map_or(0, Vec::len);
        if bytes + size > bytes_max && place > begin {
            into.push(Transaction { step, writes: begin..place, is_last: false });
            (begin, bytes) = (place, 0);
        }
        bytes += size;
    }
    if begin < writes.len() {
        into.push(Transaction { step, writes: begin..writes.len(), is_last: true });
    }
}

// === impl Instance ===

impl Instance {
    pub(crate) fn new(clock_off: i64) -> Self {
        Self { life: 1, up: true, paused_until: None, clock_off, tenure: None }
    }
}
