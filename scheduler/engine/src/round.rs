//! Firings under way: of many that are due together, each turn makes so many. What they make is stored
//! turn by turn; the watermark follows when all have been made, and until then nothing of it is
//! launched. So a leader that takes over in between finds every run that was made, and makes the rest.

use std::ops::Bound;
use std::sync::Arc;

use shiftwork_schedule::{Timestamp, Timetable};

use crate::effect::Effects;
use crate::engine::Engine;
use crate::firing::FoundLatest;
use crate::ids::{JobName, RunId};
use crate::schedules::ScheduleId;
use crate::statistics::Misfire;
use crate::timers::Deadline;

/// Firings that are due together and not all made.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The schedule whose jobs are being looked at.
    current: Option<Current>,
    /// Something has been made that the watermark does not cover yet.
    is_open: bool,
    /// Jobs looked at in this turn.
    looked_at: usize,
    /// Runs of a former leader's round that have waited too long, and are not covered yet.
    overdue: Vec<RunId>,
}

/// A schedule of whose jobs some have been looked at.
#[derive(Debug)]
struct Current {
    id: ScheduleId,
    /// Its firings up to here were dealt with before.
    from: Timestamp,
    /// The job that was looked at last.
    after: Option<JobName>,
    found: FoundLatest,
}

impl Round {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// A turn has ended: the next may look at as many jobs again.
    pub(crate) fn begin_turn(&mut self) {
        self.looked_at = 0;
    }

    /// A run is to end with the round.
    pub(crate) fn expire_at_end(&mut self, run: RunId) {
        self.is_open = true;
        self.overdue.push(run);
    }

    /// How many jobs may still be looked at in this turn; none if none.
    pub(crate) fn room(&self, looked_at_max: usize) -> Option<usize> {
        looked_at_max.checked_sub(self.looked_at).filter(|room| *room > 0)
    }
}

impl Engine {
    pub(crate) fn on_schedule_due(&mut self, id: ScheduleId) {
        let Some(entry) = self.schedules.get_mut(id) else {
            return;
        };
        let from = std::mem::replace(&mut entry.done_until, self.now);
        self.round.is_open = true;
        self.round.current = Some(Current { id, from, after: None, found: FoundLatest::default() });
    }

    /// Looks at some more jobs of the schedule that is being fired; false if there is none.
    pub(crate) fn go_on_firing(&mut self, room: usize, fx: &mut Effects) -> bool {
        let Some(mut current) = self.round.current.take() else {
            return false;
        };
        // All its jobs have been removed, and it with them.
        let Some(entry) = self.schedules.get(current.id) else {
            return true;
        };
        let schedule = Arc::clone(&entry.schedule);
        let behind = current.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let jobs: Vec<JobName> =
            entry.jobs.range((behind, Bound::Unbounded)).take(room).cloned().collect();
        self.round.looked_at = self.round.looked_at.saturating_add(jobs.len());
        for name in &jobs {
            let Some(entry) = self.jobs.get(name) else {
                continue;
            };
            let from = current.from.max(entry.effective_from);
            let Ok(registered) = &entry.document else {
                continue;
            };
            let timetable = self.timetable_of(&registered.calendars, &schedule);
            let job = registered.for_run(name);
            match timetable {
                Ok(timetable) => self.fire(&job, &timetable, from, &mut current.found, fx),
                Err(problem) => {
                    let timetable =
                        Timetable { schedule: Arc::clone(&schedule), calendars: Vec::new() };
                    self.miss(&job, &timetable, (from, self.now), Misfire::Missed, &problem, fx);
                }
            }
        }
        if jobs.len() == room {
            current.after = jobs.into_iter().next_back();
            self.round.current = Some(current);
        } else if let Some(next) = schedule.next_after(self.now) {
            self.timers.set(Deadline::Schedule(current.id), next);
        }
        true
    }

    /// All that is due has been made: the watermark may say so.
    pub(crate) fn end_round(&mut self, fx: &mut Effects) {
        if self.round.is_open && self.round.current.is_none() {
            self.round.is_open = false;
            self.raise_watermark(fx);
            for run in std::mem::take(&mut self.round.overdue) {
                self.expire(&run, fx);
            }
        }
    }

    /// Makes all that is due. What changes documents moves the watermark, too, and may not pass over a
    /// firing.
    pub(crate) fn finish_round(&mut self, fx: &mut Effects) {
        self.meet_deadlines(usize::MAX, fx);
    }
}
