//! All deadlines in one ordered set: a million of them cost nothing until they are due.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_schedule::Timestamp;

use crate::ids::{AgentId, RunId, TaskId};
use crate::schedules::ScheduleId;

/// Something that becomes due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// Jobs of a schedule fire.
    Schedule(ScheduleId),
    /// A run has been held back by its job's jitter for long enough.
    Held(RunId),
    /// A shard may be launched again.
    Waiting(RunId, u32),
    /// A task should have reported RUNNING.
    Launch(TaskId),
    /// A killed task should have ended.
    Kill(TaskId),
    /// An unreachable task counts as lost.
    Unreachable(TaskId),
    /// A run took too long.
    RunTimeout(RunId),
    /// A run waited too long.
    QueueTimeout(RunId),
    /// What does not end by itself leaves an agent that goes away.
    Maintenance(AgentId),
    /// Offers have been held long enough.
    OfferHold,
    /// Offers are wanted for work that is about to come.
    Lookahead,
    /// Placement is tried even if nothing seems to have changed.
    LaunchCycle,
    /// The master is asked about every task.
    Reconcile,
    /// The master is asked again about tasks it has not answered for.
    ReconcileRetry,
    /// Tasks the master has not answered for count as lost.
    ReconcileGrace,
}

/// The ordered set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: BTreeMap<Deadline, Timestamp>,
    order: BTreeSet<(Timestamp, Deadline)>,
    /// Those of them that bring work.
    work: BTreeSet<(Timestamp, Deadline)>,
}

impl Deadline {
    /// Shards may be launched when it is met.
    fn brings_work(&self) -> bool {
        matches!(self, Self::Schedule(_) | Self::Held(_) | Self::Waiting(..))
    }

    /// When it is met something is concluded from the silence of others.
    fn judges_silence(&self) -> bool {
        matches!(self, Self::Launch(_) | Self::Unreachable(_) | Self::ReconcileGrace)
    }
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, deadline: Deadline, at: Timestamp) {
        if let Some(old) = self.at.insert(deadline.clone(), at) {
            self.remove(&(old, deadline.clone()));
        }
        if deadline.brings_work() {
            self.work.insert((at, deadline.clone()));
        }
        self.order.insert((at, deadline));
    }

    /// Sets a deadline unless it is already set for that time or earlier.
    pub(crate) fn set_no_later(&mut self, deadline: Deadline, at: Timestamp) {
        if self.at.get(&deadline).is_none_or(|old| *old > at) {
            self.set(deadline, at);
        }
    }

    /// Time has passed in which nobody could be heard: it does not count as their silence.
    pub(crate) fn allow_for_gap(&mut self, gap_ms: u64) {
        let judging: Vec<Deadline> =
            self.at.keys().filter(|deadline| deadline.judges_silence()).cloned().collect();
        for deadline in judging {
            if let Some(at) = self.at.get(&deadline).copied() {
                self.set(deadline, at.saturating_add(gap_ms));
            }
        }
    }

    /// Drops a deadline if it is set.
    pub(crate) fn cancel(&mut self, deadline: &Deadline) {
        if let Some(at) = self.at.remove(deadline) {
            self.remove(&(at, deadline.clone()));
        }
    }

    fn remove(&mut self, entry: &(Timestamp, Deadline)) {
        self.order.remove(entry);
        if entry.1.brings_work() {
            self.work.remove(entry);
        }
    }

    /// Takes the earliest deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Deadline> {
        if self.order.first()?.0 > now {
            return None;
        }
        let entry = self.order.pop_first()?;
        if entry.1.brings_work() {
            self.work.remove(&entry);
        }
        self.at.remove(&entry.1);
        Some(entry.1)
    }

    /// When the earliest is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Deadlines that bring work, in order, with their times.
    pub(crate) fn work(&self) -> impl Iterator<Item = &(Timestamp, Deadline)> {
        self.work.iter()
    }

    /// When the first of them after an instant is.
    pub(crate) fn next_work_after(&self, after: Timestamp) -> Option<Timestamp> {
        // Schedules are the least of the deadlines of an instant, and this one the least of them.
        let after = (after.saturating_add(1), Deadline::Schedule(ScheduleId::FIRST));
        self.work.range(after..).next().map(|(at, _)| *at)
    }

    /// When this one is due.
    #[cfg(test)]
    pub(crate) fn at(&self, deadline: &Deadline) -> Option<Timestamp> {
        self.at.get(deadline).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_once() {
        let at = Timestamp::from_millis;
        let mut timers = Timers::default();
        timers.set(Deadline::OfferHold, at(20));
        timers.set(Deadline::Reconcile, at(10));
        timers.set(Deadline::OfferHold, at(5));
        timers.set_no_later(Deadline::OfferHold, at(7));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(30)), Some(Deadline::OfferHold));
        assert_eq!(timers.pop_due(at(30)), Some(Deadline::Reconcile));
        assert_eq!(timers.pop_due(at(30)), None);
        timers.set(Deadline::Reconcile, at(1));
        timers.cancel(&Deadline::Reconcile);
        assert_eq!(timers.next(), None);
    }
}
