//! What another program changed in the registry: documents and flags take effect as they do through
//! a command, and what they cannot mean is reported where it stands. Absent: writing the changed
//! record itself; it is there already, and who restores from it comes to the same state.

use std::collections::BTreeSet;

use crate::document::resolve_relative;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::ids::{AppName, CalendarName, JobName};
use crate::record::{DisabledRecord, Key, Write};

impl Engine {
    /// Takes in a record that somebody else wrote or removed. Records that only a leader writes are
    /// not taken over from others: the memory is the truth, and what is there now is reported.
    pub(crate) fn on_registry_changed(&mut self, change: Write, fx: &mut Effects) {
        let Write { key, value } = change;
        self.problems.remove(&key);
        match key {
            Key::App(name) => self.on_app_changed(name, value.as_deref(), fx),
            Key::Job(name) => self.on_job_changed(name, value.as_deref(), fx),
            Key::Calendar(name) => self.on_calendar_changed(name, value.as_deref(), fx),
            Key::DisabledApp(name) => self.on_app_flag_changed(name, value.as_deref(), fx),
            Key::DisabledJob(name) => self.on_job_flag_changed(name, value.as_deref(), fx),
            key => self.problem(&key, "changed by another program, which has no effect"),
        }
    }

    fn on_app_changed(&mut self, name: AppName, value: Option<&[u8]>, fx: &mut Effects) {
        if let Some(value) = value {
            self.restore_app(name.clone(), value);
        } else if let Some(entry) = self.apps.get_mut(&name) {
            // Its jobs stay, and say what they miss: to remove them too is the command's business.
            if entry.disabled.is_some() {
                entry.document = Err(crate::restore::absent());
            } else {
                self.apps.remove(&name);
            }
        }
        self.drain_executors_of(&name, fx);
        for job in self.jobs_of(&name) {
            self.ensure_daemon(&job, fx);
            self.refresh_ready(&job);
        }
        self.place_needed = true;
    }

    fn on_job_changed(&mut self, name: JobName, value: Option<&[u8]>, fx: &mut Effects) {
        let Some(value) = value else {
            self.remove_job(&name, fx);
            return;
        };
        let former = self.registered_job(&name).map(|old| old.source.get().to_owned());
        if former.as_ref().is_some_and(|old| old.as_bytes() == value.trim_ascii()) {
            return;
        }
        // What counts from registration is stored as the instant it means, as through a command. What
        // is wrong with it is said by the reader, too.
        let resolved = resolve_relative(value, former.as_deref(), self.now).ok().flatten();
        if let Some(resolved) = &resolved {
            fx.write(Write { key: Key::Job(name.clone()), value: Some(resolved.clone()) });
        }
        let value = resolved.as_deref().unwrap_or(value);
        let old = self.jobs.get_mut(&name).map(|entry| {
            let document = Err(crate::restore::absent());
            std::mem::replace(&mut entry.document, document)
        });
        if let Some(Ok(old)) = old {
            self.leave_schedule(&name, &old);
            self.unindex_job(&name, &old);
        }
        self.restore_job(name.clone(), value);
        // What runs goes on where the new document cannot be read: a slip of the pen ends nothing.
        if self.registered_job(&name).is_some() {
            self.replace_daemon(&name, fx);
        }
        self.start_job(&name, fx);
    }

    fn on_calendar_changed(&mut self, name: CalendarName, value: Option<&[u8]>, fx: &mut Effects) {
        // Else a new leader would look at firings before this moment with the new calendar.
        self.raise_watermark(fx);
        match value {
            Some(value) => self.restore_calendar(name, value),
            None => drop(self.calendars.remove(&name)),
        }
    }

    fn on_app_flag_changed(&mut self, name: AppName, value: Option<&[u8]>, fx: &mut Effects) {
        let record = value.map(|value| self.disabled_record(name.as_str(), value));
        if record.is_none() && !self.apps.contains_key(&name) {
            return;
        }
        let enabled = record.is_none();
        let entry = self.app_entry(name.clone());
        let was_enabled = entry.disabled.is_none();
        entry.disabled = record;
        // Nothing but the flag was known of it.
        if enabled && entry.document.as_ref().is_err_and(crate::restore::is_absent) {
            self.apps.remove(&name);
        }
        if enabled != was_enabled {
            self.after_app_flag(&name, enabled, fx);
        }
    }

    fn on_job_flag_changed(&mut self, name: JobName, value: Option<&[u8]>, fx: &mut Effects) {
        let record: Option<DisabledRecord> =
            value.map(|value| self.disabled_record(name.as_str(), value));
        if record.is_none() && !self.jobs.contains_key(&name) {
            return;
        }
        let enabled = record.is_none();
        let entry = self.job_entry(name.clone());
        let was_enabled = entry.disabled.is_none();
        entry.disabled = record.map(Box::new);
        if enabled && entry.document.as_ref().is_err_and(crate::restore::is_absent) {
            self.jobs.remove(&name);
        } else if enabled != was_enabled {
            self.after_flag(&name, enabled, fx);
        }
    }

    /// The flag of an app has changed: its jobs, and those that have moved to another app and still
    /// have runs of this one.
    pub(crate) fn after_app_flag(&mut self, name: &AppName, enabled: bool, fx: &mut Effects) {
        let of_app = self.runs.values().filter(|run| run.job.app == *name);
        let mut jobs: BTreeSet<JobName> = of_app.map(|run| run.job.name.clone()).collect();
        jobs.extend(self.jobs_of(name));
        for job in jobs {
            self.after_flag(&job, enabled, fx);
        }
    }
}
