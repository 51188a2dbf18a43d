//! What is kept of a job's document while the job waits: its text, and the little that is asked of
//! every job. A job that fires or is asked for is parsed then, which takes some microseconds; a
//! million that wait take no room for what nobody looks at. Absent: checks; only documents that
//! were parsed once come here.

use std::sync::Arc;

use shiftwork_schedule::BoundedSchedule;

use crate::document::{Execution, Job, Source};
use crate::engine::Engine;
use crate::ids::{AppName, CalendarName, JobName};

/// A job's document at rest.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) source: Source,
    pub(crate) app: AppName,
    pub(crate) execution: Execution,
    /// Shared by all jobs with the same one, once it has joined its timer.
    pub(crate) schedule: Option<Arc<BoundedSchedule>>,
    pub(crate) calendars: Box<[CalendarName]>,
    /// How many of its runs may be active at once.
    pub(crate) active_max: u32,
}

impl Engine {
    /// What is kept of a job.
    pub(crate) fn registered(&self, job: &Job) -> Registered {
        let app = self.apps.get_key_value(&job.app).map(|(app, _)| app);
        Registered {
            source: Arc::clone(&job.source),
            app: app.unwrap_or(&job.app).clone(),
            execution: job.execution,
            schedule: job.schedule.clone(),
            calendars: job.calendars.clone().into(),
            active_max: job.active_max(),
        }
    }

    /// A job that can be read and its document at rest.
    pub(crate) fn registered_job(&self, name: &JobName) -> Option<&Registered> {
        self.jobs.get(name)?.document.as_ref().ok()
    }

    /// The parsed document of a job that can be read, shared with its pending runs if they were
    /// made with the same.
    pub(crate) fn parsed_job(&self, name: &JobName) -> Option<Arc<Job>> {
        let entry = self.jobs.get(name)?;
        let registered = entry.document.as_ref().ok()?;
        let pending = entry.pending.last().and_then(|(_, run)| self.runs.get(run));
        if let Some(run) = pending.filter(|run| Arc::ptr_eq(&run.job.source, &registered.source)) {
            return Some(Arc::clone(&run.job));
        }
        Job::parse_again(&registered.source, registered.schedule.clone()).map(Arc::new)
    }
}
