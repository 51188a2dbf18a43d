//! The alarms of the world in one ordered set. No meaning of their own: whoever set an alarm checks,
//! when it rings, whether it still matters.

use std::collections::BTreeSet;

use super::id::{AgentId, ContainerId, FrameworkId, OfferId, TaskId};

/// What rings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A heartbeat to a framework is due.
    Heartbeat(FrameworkId),
    /// A disconnected framework is given up.
    FailoverTimeout(FrameworkId),
    /// An offer was not answered.
    OfferTimeout(OfferId),
    /// A filter on an agent's resources ended.
    FilterExpiry(AgentId),
    /// Resources that came back are offered.
    Allocate,
    /// An unacknowledged update is sent again.
    UpdateRetry(AgentId, (FrameworkId, TaskId)),
    /// An executor did not subscribe, or did not leave, in time.
    Executor(AgentId, ContainerId),
    /// An agent's way to the master was closed for as long as its health checks bear.
    AgentHealth(AgentId),
    /// An agent looks for the master again.
    Reregister(AgentId),
    /// Agents that a former master knew had time enough to register again.
    ReregisterTimeout,
    /// A framework may be sent inverse offers again that it answered.
    InverseOffers,
    /// A status update that was held back goes on.
    HeldUpdate(u64),
    /// The next event of a slow stream leaves.
    Outbox,
    /// A message arrives that was under way.
    Mail(u64),
    /// An agent whose connection broke makes another.
    Relink(AgentId),
    /// Something is due in a simulated executor.
    Simulated(ContainerId, Alarm),
}

/// What is due in a simulated executor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// It is up.
    Up,
    /// It crashes.
    Crash,
    /// It leaves, as it was told to.
    Leave,
    /// It leaves if it was given no more tasks than these meanwhile.
    Idle(u64),
    /// The work of a task begins.
    Run(TaskId),
    /// A task says that it goes on.
    Report(TaskId),
    /// The work of a task is over.
    End(TaskId),
    /// A task has ended that was killed.
    Killed(TaskId),
}

/// Alarms by time, then by kind, so that a run is the same each time.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(u64, Timer)>);

// === impl Timers ===

impl Timers {
    /// Lets `timer` ring at `at_ms`. An alarm set before keeps ringing at its own time.
    pub(super) fn set(&mut self, at_ms: u64, timer: Timer) {
        self.0.insert((at_ms, timer));
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.0.first().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
