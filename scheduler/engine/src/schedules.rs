//! Timer entries shared by all jobs with the same schedule, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shiftwork_schedule::{BoundedSchedule, Timestamp};

use crate::ids::JobName;

/// Names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScheduleId(u64);

impl ScheduleId {
    /// Not greater than any.
    pub(crate) const FIRST: Self = Self(0);
}

/// One distinct schedule.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) schedule: Arc<BoundedSchedule>,
    pub(crate) jobs: BTreeSet<JobName>,
    /// Firings up to here have been dealt with.
    pub(crate) done_until: Timestamp,
}

/// All distinct schedules.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    ids: BTreeMap<Arc<BoundedSchedule>, ScheduleId>,
    entries: BTreeMap<ScheduleId, Entry>,
    last_id: u64,
}

impl Schedules {
    /// Adds a job to the entry of its schedule. `from`: firings up to here are not its business.
    /// Gives its id, and the schedule that all its jobs share.
    pub(crate) fn join(
        &mut self,
        schedule: Arc<BoundedSchedule>,
        job: JobName,
        from: Timestamp,
    ) -> (ScheduleId, Arc<BoundedSchedule>) {
        if let Some(id) = self.ids.get(&schedule)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.jobs.insert(job);
            return (*id, Arc::clone(&entry.schedule));
        }
        self.last_id += 1;
        let id = ScheduleId(self.last_id);
        self.ids.insert(Arc::clone(&schedule), id);
        let jobs = BTreeSet::from([job]);
        self.entries.insert(id, Entry { schedule: Arc::clone(&schedule), jobs, done_until: from });
        (id, schedule)
    }

    /// Takes a job out; gives the entry's id if that was its last job.
    pub(crate) fn leave(
        &mut self,
        schedule: &BoundedSchedule,
        job: &JobName,
    ) -> Option<ScheduleId> {
        let id = *self.ids.get(schedule)?;
        let entry = self.entries.get_mut(&id)?;
        entry.jobs.remove(job);
        if !entry.jobs.is_empty() {
            return None;
        }
        self.entries.remove(&id);
        self.ids.remove(schedule);
        Some(id)
    }

    pub(crate) fn get(&self, id: ScheduleId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ScheduleId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }
}
