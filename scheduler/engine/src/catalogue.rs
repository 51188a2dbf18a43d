//! Which documents refer to which: jobs by app and by calendar, and the timetable a job follows.
//! Absent: what a change of a document does to runs.

use std::sync::Arc;

use shiftwork_schedule::{BoundedSchedule, Timetable};

use crate::engine::{Engine, JobEntry};
use crate::ids::{AppName, CalendarName, JobName};
use crate::registered::Registered;

impl Engine {
    /// A job's document has taken its place.
    pub(crate) fn index_job(&mut self, name: &JobName) {
        let Some(JobEntry { document: Ok(job), .. }) = self.jobs.get(name) else {
            return;
        };
        self.jobs_by_app.entry(job.app.clone()).or_default().insert(name.clone());
        for calendar in &job.calendars {
            self.jobs_by_calendar.entry(calendar.clone()).or_default().insert(name.clone());
        }
    }

    /// A job's document has left its place.
    pub(crate) fn unindex_job(&mut self, name: &JobName, job: &Registered) {
        if let Some(jobs) = self.jobs_by_app.get_mut(&job.app) {
            jobs.remove(name);
            if jobs.is_empty() {
                self.jobs_by_app.remove(&job.app);
            }
        }
        for calendar in &job.calendars {
            if let Some(jobs) = self.jobs_by_calendar.get_mut(calendar) {
                jobs.remove(name);
                if jobs.is_empty() {
                    self.jobs_by_calendar.remove(calendar);
                }
            }
        }
    }

    /// The jobs of an app, by name.
    pub(crate) fn jobs_of(&self, app: &AppName) -> Vec<JobName> {
        self.jobs_by_app.get(app).map(|jobs| jobs.iter().cloned().collect()).unwrap_or_default()
    }

    /// The jobs that name a calendar, by name.
    pub(crate) fn users_of(&self, calendar: &CalendarName) -> impl Iterator<Item = &JobName> {
        self.jobs_by_calendar.get(calendar).into_iter().flatten()
    }

    /// A schedule less the days these calendars exclude.
    ///
    /// # Errors
    /// A calendar that is missing or cannot be read: nobody knows then when the job may fire.
    pub(crate) fn timetable_of(
        &self,
        names: &[CalendarName],
        schedule: &Arc<BoundedSchedule>,
    ) -> Result<Timetable, String> {
        let mut calendars = Vec::with_capacity(names.len());
        for name in names {
            match self.calendars.get(name) {
                Some(Ok(document)) => calendars.push(Arc::clone(&document.calendar)),
                Some(Err(broken)) => {
                    return Err(format!("calendar {name} cannot be read: {}", broken.problem));
                }
                None => return Err(format!("calendar {name} is missing: register it")),
            }
        }
        Ok(Timetable { schedule: Arc::clone(schedule), calendars })
    }

    /// When a job fires; `None` without such a job, `Ok(None)` for one that only runs on request.
    ///
    /// # Errors
    /// Why nobody knows, in words: a document of it cannot be read.
    pub fn timetable(&self, name: &JobName) -> Option<Result<Option<Timetable>, String>> {
        Some(match &self.jobs.get(name)?.document {
            Ok(job) => {
                let schedule = job.schedule.as_ref();
                schedule.map(|schedule| self.timetable_of(&job.calendars, schedule)).transpose()
            }
            Err(broken) => {
                Err(format!("the document of job {name} cannot be read: {}", broken.problem))
            }
        })
    }
}
