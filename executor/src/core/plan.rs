//! When a daemon's shard fires next. Absent: the firing itself, and any clock.
//!
//! A firing is identified by its moment in the schedule. Each moment fires at most once, whatever
//! the wall clock does; moments that pass unfired are a gap, of which at most the latest is made up
//! for.

use shiftwork_schedule::{BoundedSchedule, Timestamp};

/// A firing this late is still on time: a busy machine or a small step of the clock must not cost a
/// firing. Quartz's default misfire threshold, which Elastic-Job-Cloud 2.x used.
const LATE_MS_MAX: i64 = 60_000;

/// The firing plan of one daemon task.
#[derive(Debug)]
pub(super) struct Plan {
    schedule: BoundedSchedule,
    misfire: bool,
    /// The latest moment that was fired; nothing at or before it fires again.
    fired: Option<Timestamp>,
    next: Option<Timestamp>,
}

impl Plan {
    pub(super) fn new(schedule: BoundedSchedule, misfire: bool, now: Timestamp) -> Self {
        let next = schedule.next_after(now);
        Self { schedule, misfire, fired: None, next }
    }

    /// The moment that comes next; `None` when the schedule is exhausted.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// For an idle daemon: the moment to fire now, if one is due.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let latest = self.pass(now)?;
        let late_ms = now.as_millis().saturating_sub(latest.as_millis());
        (self.misfire || late_ms <= LATE_MS_MAX).then(|| self.fire(latest))
    }

    /// For a daemon whose firing has just ended: the missed moment to make up for at once, if any.
    pub(super) fn due_after_firing(&mut self, now: Timestamp) -> Option<Timestamp> {
        let latest = self.pass(now)?;
        self.misfire.then(|| self.fire(latest))
    }

    /// The wall clock was set back: what was passed over as a gap may come again, what was fired may
    /// not.
    pub(super) fn on_clock_set_back(&mut self, now: Timestamp) {
        let after = self.fired.map_or(now, |fired| fired.max(now));
        self.next = self.schedule.next_after(after);
    }

    fn fire(&mut self, moment: Timestamp) -> Timestamp {
        self.fired = Some(moment);
        moment
    }

    /// Passes over every moment up to `now`; the latest of them.
    fn pass(&mut self, now: Timestamp) -> Option<Timestamp> {
        let first = self.next.filter(|&next| next <= now)?;
        // Not counted through: a gap of years of a schedule that fires every second is no loop.
        let latest = self.schedule.last_at_or_before(now, first).unwrap_or(first);
        self.next = self.schedule.next_after(now);
        Some(latest)
    }
}
