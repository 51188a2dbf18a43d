//! Jobs: registered, replaced, removed, enabled and disabled.

use std::collections::BTreeSet;

use super::{
    Assumed, disabled, exists, invalid_document, invalid_field, not_found, other_name,
    write_document, write_flag,
};
use crate::command::{Done, Refusal, Reply};
use crate::document::{Job, Strictness, resolve_relative};
use crate::effect::Effects;
use crate::engine::{Engine, JobEntry, delete};
use crate::ids::{CalendarName, JobName, RunId};
use crate::record::{Key, KillIntent, Origin};
use crate::run::Run;
use crate::view::RunState;
use shiftwork_schedule::Schedule;

impl Engine {
    /// `former`: the text of the document that is replaced, if one is.
    fn check_job(
        &self,
        document: &[u8],
        former: Option<&str>,
        assumed: &Assumed,
    ) -> Result<Job, Refusal> {
        let resolved = resolve_relative(document, former, self.now).map_err(invalid_document)?;
        let document = resolved.as_deref().unwrap_or(document);
        let zone = &self.settings.default_zone;
        let job = Job::parse(document, Strictness::Request, zone).map_err(invalid_document)?;
        if !self.apps.contains_key(&job.app) && !assumed.apps.contains(&job.app) {
            let message = format!("app {} is not registered: register it first", job.app);
            return Err(invalid_field("appName", message));
        }
        let unknown = |name: &&CalendarName| {
            !self.calendars.contains_key(*name) && !assumed.calendars.contains(*name)
        };
        if let Some(unknown) = job.calendars.iter().find(unknown) {
            let message = format!("names calendar {unknown}, which is not registered");
            return Err(invalid_field("calendars", message));
        }
        Ok(job)
    }

    /// A new job with a schedule has at least one firing before it.
    fn check_fires(&self, job: &Job) -> Result<(), Refusal> {
        let Some(bounded) = &job.schedule else { return Ok(()) };
        if bounded.next_after(self.now).is_some() {
            return Ok(());
        }
        let field = match bounded.schedule {
            Schedule::Cron { .. } => "cron",
            Schedule::Every(_) => "every",
            Schedule::At(_) => "at",
        };
        let message =
            "has no firing after now: leave it out for a job that only runs when triggered";
        Err(invalid_field(field, message.to_owned()))
    }

    /// A job that may be registered.
    pub(super) fn new_job(&self, document: &[u8], assumed: &Assumed) -> Result<Job, Refusal> {
        let job = self.check_job(document, None, assumed)?;
        if self.jobs.contains_key(&job.name) {
            return Err(exists("jobName", "job", job.name.as_str()));
        }
        self.check_fires(&job)?;
        Ok(job)
    }

    /// A job that may take the place of one.
    pub(super) fn changed_job(
        &self,
        name: &JobName,
        document: &[u8],
        assumed: &Assumed,
    ) -> Result<Job, Refusal> {
        if !self.jobs.contains_key(name) {
            return Err(not_found("job", name));
        }
        let former = self.registered_job(name).map(|old| old.source.get().to_owned());
        let job = self.check_job(document, former.as_deref(), assumed)?;
        if job.name != *name {
            return Err(other_name("jobName", name.as_str()));
        }
        Ok(job)
    }

    pub(super) fn create_job(&mut self, document: &[u8], fx: &mut Effects) -> Reply {
        let job = self.new_job(document, &Assumed::default())?;
        let name = job.name.clone();
        write_document(fx, Key::Job(name.clone()), &job.source);
        let registered = self.registered(&job);
        let entry = JobEntry {
            document: Ok(registered),
            disabled: None,
            effective_from: self.now,
            pending: BTreeSet::new(),
            firings: None,
        };
        self.jobs.insert(name.clone(), entry);
        self.index_job(&name);
        self.start_job(&name, fx);
        Ok(Done::Created)
    }

    /// A document takes effect: from now on, never for the past.
    pub(crate) fn start_job(&mut self, name: &JobName, fx: &mut Effects) {
        self.raise_watermark(fx);
        let from = self.watermark;
        if let Some(entry) = self.jobs.get_mut(name) {
            entry.effective_from = from;
        }
        self.join_schedule(name, from);
        self.ensure_daemon(name, fx);
        self.refresh_ready(name);
    }

    pub(super) fn update_job(
        &mut self,
        name: &JobName,
        document: &[u8],
        fx: &mut Effects,
    ) -> Reply {
        let job = self.changed_job(name, document, &Assumed::default())?;
        let old = self.registered_job(name);
        if old.is_some_and(|old| old.source.get() == job.source.get()) {
            return Ok(Done::Changed);
        }
        let registered = self.registered(&job);
        let Some(entry) = self.jobs.get_mut(name) else {
            return Err(not_found("job", name));
        };
        let old = std::mem::replace(&mut entry.document, Ok(registered));
        self.problems.remove(&Key::Job(name.clone()));
        write_document(fx, Key::Job(name.clone()), &job.source);
        if let Ok(old) = old {
            self.leave_schedule(name, &old);
            self.unindex_job(name, &old);
            self.forget_rules(old.rules);
        }
        self.index_job(name);
        self.replace_daemon(name, fx);
        self.start_job(name, fx);
        Ok(Done::Changed)
    }

    /// A daemon takes up a new document: its run ends, and the next one is made with it.
    pub(crate) fn replace_daemon(&mut self, name: &JobName, fx: &mut Effects) {
        for run in self.pending_runs(name) {
            if self.runs.get(&run).is_some_and(|run| run.origin == Origin::Daemon) {
                let reason = KillIntent::Update.words().to_owned();
                self.end_pending(&run, RunState::Cancelled, reason, fx);
            }
        }
        for active in self.active_ids(name) {
            if self.runs.get(&active).is_some_and(Run::is_daemon) {
                self.cancel_active(&active, KillIntent::Update, fx);
            }
        }
    }

    fn pending_runs(&self, name: &JobName) -> Vec<RunId> {
        let Some(entry) = self.jobs.get(name) else {
            return Vec::new();
        };
        entry.pending.iter().map(|(_, run)| run.clone()).collect()
    }

    pub(super) fn delete_job(&mut self, name: &JobName, fx: &mut Effects) -> Reply {
        if !self.jobs.contains_key(name) {
            return Err(not_found("job", name));
        }
        self.remove_job(name, fx);
        Ok(Done::Deleted)
    }

    pub(crate) fn remove_job(&mut self, name: &JobName, fx: &mut Effects) {
        for run in self.pending_runs(name) {
            let reason = KillIntent::Delete.words().to_owned();
            self.end_pending(&run, RunState::Cancelled, reason, fx);
        }
        let Some(entry) = self.jobs.remove(name) else {
            return;
        };
        for key in self.ready_of.remove(name).unwrap_or_default() {
            self.ready.remove(&key);
        }
        if let Ok(job) = entry.document {
            self.leave_schedule(name, &job);
            self.unindex_job(name, &job);
            self.forget_rules(job.rules);
        }
        self.problems.remove(&Key::Job(name.clone()));
        delete(fx, Key::Job(name.clone()));
        delete(fx, Key::DisabledJob(name.clone()));
        delete(fx, Key::ReadyCount(name.clone()));
        for active in self.active_ids(name) {
            self.cancel_active(&active, KillIntent::Delete, fx);
        }
    }

    pub(super) fn set_job_enabled(
        &mut self,
        name: &JobName,
        enabled: bool,
        by: &str,
        reason: Option<String>,
        fx: &mut Effects,
    ) -> Reply {
        let now = self.now;
        let Some(entry) = self.jobs.get_mut(name) else {
            return Err(not_found("job", name));
        };
        if entry.disabled.is_none() == enabled {
            return Ok(Done::Changed);
        }
        let record = (!enabled).then(|| disabled(name.as_str(), by, reason, now));
        write_flag(fx, Key::DisabledJob(name.clone()), record.as_ref());
        entry.disabled = record.map(Box::new);
        self.after_flag(name, enabled, fx);
        Ok(Done::Changed)
    }

    pub(crate) fn after_flag(&mut self, name: &JobName, enabled: bool, fx: &mut Effects) {
        if enabled {
            self.ensure_daemon(name, fx);
            self.expire_before_start(name, fx);
        } else {
            for active in self.active_ids(name) {
                // The run may be of another app than the job is by now.
                let app = self.runs.get(&active).map(|run| run.job.app.clone());
                if app.is_some_and(|app| self.disabled_reason(name, &app).is_some()) {
                    self.cancel_active(&active, KillIntent::Disable, fx);
                }
            }
        }
        self.refresh_ready(name);
    }
}
