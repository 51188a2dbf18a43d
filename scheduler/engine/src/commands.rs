//! What users ask for: checked against what is there, then carried out.

use std::sync::Arc;

use crate::command::{Command, Done, OVERRIDES_LEN_MAX, Overrides, Refusal, Reply};
use crate::document::{App, Execution, FieldError, Job, Strictness};
use crate::effect::Effects;
use crate::engine::{AppEntry, Engine, JobEntry, delete, put_json};
use crate::ids::{AppName, JobName, RunId, TaskId};
use crate::record::{DisabledRecord, Key, KillIntent, Origin, Write};
use crate::view::RunState;

/// Pending runs of one job that triggers may pile up.
const TRIGGERED_PENDING_MAX: usize = 1_000;

impl Engine {
    pub(crate) fn on_command(&mut self, by: &str, command: Command, fx: &mut Effects) -> Reply {
        match command {
            Command::CreateApp { document } => self.create_app(&document, fx),
            Command::UpdateApp { app, document } => self.update_app(&app, &document, fx),
            Command::DeleteApp { app } => self.delete_app(&app, fx),
            Command::SetAppEnabled { app, enabled, reason } => {
                self.set_app_enabled(&app, enabled, by, reason, fx)
            }
            Command::CreateJob { document } => self.create_job(&document, fx),
            Command::UpdateJob { job, document } => self.update_job(&job, &document, fx),
            Command::DeleteJob { job } => self.delete_job(&job, fx),
            Command::SetJobEnabled { job, enabled, reason } => {
                self.set_job_enabled(&job, enabled, by, reason, fx)
            }
            Command::Trigger { job, key, overrides } => self.trigger(&job, key, overrides, fx),
            Command::CancelRun { run } => self.cancel_run(&run, by, fx),
            Command::KillTask { task } => self.kill_task(&task, fx),
            Command::Reconcile => self.reconcile_now(fx),
        }
    }

    // --- apps ---

    fn create_app(&mut self, document: &[u8], fx: &mut Effects) -> Reply {
        let app = App::parse(document, Strictness::Request).map_err(invalid_document)?;
        if self.apps.contains_key(&app.name) {
            return Err(exists("appName", "app", app.name.as_str()));
        }
        write_document(fx, Key::App(app.name.clone()), &app.source);
        let name = app.name.clone();
        self.apps.insert(name, AppEntry { document: Ok(Arc::new(app)), disabled: None });
        Ok(Done::Created)
    }

    fn update_app(&mut self, name: &AppName, document: &[u8], fx: &mut Effects) -> Reply {
        let app = App::parse(document, Strictness::Request).map_err(invalid_document)?;
        if app.name != *name {
            return Err(other_name("appName", name.as_str()));
        }
        let Some(entry) = self.apps.get_mut(name) else {
            return Err(not_found("app", name));
        };
        write_document(fx, Key::App(name.clone()), &app.source);
        entry.document = Ok(Arc::new(app));
        self.retire_executors_of(name, fx);
        self.place_needed = true;
        Ok(Done::Changed)
    }

    fn delete_app(&mut self, name: &AppName, fx: &mut Effects) -> Reply {
        if !self.apps.contains_key(name) {
            return Err(not_found("app", name));
        }
        for job in self.jobs_of(name) {
            self.remove_job(&job, fx);
        }
        self.apps.remove(name);
        delete(fx, Key::App(name.clone()));
        delete(fx, Key::DisabledApp(name.clone()));
        self.retire_executors_of(name, fx);
        Ok(Done::Deleted)
    }

    fn set_app_enabled(
        &mut self,
        name: &AppName,
        enabled: bool,
        by: &str,
        reason: Option<String>,
        fx: &mut Effects,
    ) -> Reply {
        let now = self.now;
        let Some(entry) = self.apps.get_mut(name) else {
            return Err(not_found("app", name));
        };
        if entry.disabled.is_none() == enabled {
            return Ok(Done::Changed);
        }
        let record = (!enabled).then(|| disabled(name.as_str(), by, reason, now));
        write_flag(fx, Key::DisabledApp(name.clone()), record.as_ref());
        entry.disabled = record;
        for job in self.jobs_of(name) {
            self.after_flag(&job, enabled, fx);
        }
        Ok(Done::Changed)
    }

    fn jobs_of(&self, app: &AppName) -> Vec<JobName> {
        let of = |entry: &JobEntry| match &entry.document {
            Ok(job) => job.app == *app,
            Err(_) => false,
        };
        self.jobs.iter().filter(|(_, entry)| of(entry)).map(|(name, _)| name.clone()).collect()
    }

    fn retire_executors_of(&mut self, app: &AppName, fx: &mut Effects) {
        let agents: Vec<_> = self.fleet.executors.keys().cloned().collect();
        for agent in agents {
            self.retire_outdated(&agent, app, fx);
        }
    }

    // --- jobs ---

    fn check_job(&self, document: &[u8]) -> Result<Job, Refusal> {
        let zone = &self.settings.default_zone;
        let job = Job::parse(document, Strictness::Request, zone).map_err(invalid_document)?;
        if !self.apps.contains_key(&job.app) {
            let message = format!("app {} is not registered: register it first", job.app);
            return Err(invalid_field("appName", message));
        }
        Ok(job)
    }

    fn create_job(&mut self, document: &[u8], fx: &mut Effects) -> Reply {
        let job = Arc::new(self.check_job(document)?);
        let name = job.name.clone();
        if self.jobs.contains_key(&name) {
            return Err(exists("jobName", "job", name.as_str()));
        }
        write_document(fx, Key::Job(name.clone()), &job.source);
        let entry = JobEntry {
            document: Ok(Arc::clone(&job)),
            disabled: None,
            effective_from: self.now,
            pending: std::collections::BTreeSet::new(),
            ready: None,
        };
        self.jobs.insert(name, entry);
        self.start_job(&job, fx);
        Ok(Done::Created)
    }

    /// A document takes effect: from now on, never for the past.
    fn start_job(&mut self, job: &Arc<Job>, fx: &mut Effects) {
        self.raise_watermark(fx);
        let from = self.watermark;
        if let Some(entry) = self.jobs.get_mut(&job.name) {
            entry.effective_from = from;
        }
        self.join_schedule(job, from);
        self.ensure_daemon(&job.name, fx);
        self.refresh_ready(&job.name);
    }

    fn update_job(&mut self, name: &JobName, document: &[u8], fx: &mut Effects) -> Reply {
        if !self.jobs.contains_key(name) {
            return Err(not_found("job", name));
        }
        let job = Arc::new(self.check_job(document)?);
        if job.name != *name {
            return Err(other_name("jobName", name.as_str()));
        }
        let Some(entry) = self.jobs.get_mut(name) else {
            return Err(not_found("job", name));
        };
        let old = std::mem::replace(&mut entry.document, Ok(Arc::clone(&job)));
        if old.as_ref().is_ok_and(|old| old.source.get() == job.source.get()) {
            return Ok(Done::Changed);
        }
        write_document(fx, Key::Job(name.clone()), &job.source);
        if let Ok(old) = old {
            self.leave_schedule(&old);
        }
        self.replace_daemon(name, fx);
        self.start_job(&job, fx);
        Ok(Done::Changed)
    }

    /// A daemon takes up a new document: its run ends, and the next one is made with it.
    fn replace_daemon(&mut self, name: &JobName, fx: &mut Effects) {
        for run in self.pending_runs(name) {
            if self.runs.get(&run).is_some_and(|run| run.origin == Origin::Daemon) {
                let reason = KillIntent::Update.words().to_owned();
                self.end_pending(&run, RunState::Cancelled, reason, fx);
            }
        }
        if let Some(active) = self.active.get(name).cloned()
            && self.runs.get(&active).is_some_and(crate::run::Run::is_daemon)
        {
            self.cancel_active(&active, KillIntent::Update, fx);
        }
    }

    fn pending_runs(&self, name: &JobName) -> Vec<RunId> {
        let Some(entry) = self.jobs.get(name) else {
            return Vec::new();
        };
        entry.pending.iter().map(|(_, run)| run.clone()).collect()
    }

    fn delete_job(&mut self, name: &JobName, fx: &mut Effects) -> Reply {
        if !self.jobs.contains_key(name) {
            return Err(not_found("job", name));
        }
        self.remove_job(name, fx);
        Ok(Done::Deleted)
    }

    fn remove_job(&mut self, name: &JobName, fx: &mut Effects) {
        for run in self.pending_runs(name) {
            let reason = KillIntent::Delete.words().to_owned();
            self.end_pending(&run, RunState::Cancelled, reason, fx);
        }
        let Some(entry) = self.jobs.remove(name) else {
            return;
        };
        if let Some(key) = &entry.ready {
            self.ready.remove(key);
        }
        if let Ok(job) = &entry.document {
            self.leave_schedule(job);
        }
        delete(fx, Key::Job(name.clone()));
        delete(fx, Key::DisabledJob(name.clone()));
        delete(fx, Key::ReadyCount(name.clone()));
        if let Some(active) = self.active.get(name).cloned() {
            self.cancel_active(&active, KillIntent::Delete, fx);
        }
    }

    fn set_job_enabled(
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
        entry.disabled = record;
        self.after_flag(name, enabled, fx);
        Ok(Done::Changed)
    }

    fn after_flag(&mut self, name: &JobName, enabled: bool, fx: &mut Effects) {
        if enabled {
            self.ensure_daemon(name, fx);
        } else if let Some(active) = self.active.get(name).cloned() {
            self.cancel_active(&active, KillIntent::Disable, fx);
        }
        self.refresh_ready(name);
    }

    // --- runs and tasks ---

    fn trigger(
        &mut self,
        name: &JobName,
        key: Option<String>,
        overrides: Overrides,
        fx: &mut Effects,
    ) -> Reply {
        let Some(entry) = self.jobs.get(name) else {
            return Err(not_found("job", name));
        };
        let job = match &entry.document {
            Ok(job) => Arc::clone(job),
            Err(broken) => {
                let detail = format!("job {name} cannot run: {}", broken.problem);
                return Err(conflict(detail));
            }
        };
        let pending = entry.pending.len();
        if job.execution == Execution::Daemon {
            return Err(conflict(format!("job {name} is a DAEMON: it always runs")));
        }
        if let Some(reason) = self.disabled_reason(name, &job.app) {
            return Err(conflict(format!("{reason}: enable it first")));
        }
        check_overrides(&overrides)?;
        let key = key.unwrap_or_else(|| self.random.run_uuid(self.now).to_string());
        let id = RunId::triggered(name, &key)
            .map_err(|error| invalid_field("Idempotency-Key", error.to_string()))?;
        if self.runs.contains_key(&id) || self.ended_triggers.contains(&id) {
            return Ok(Done::RunExists(id));
        }
        if pending >= TRIGGERED_PENDING_MAX {
            let detail = format!("{pending} runs of job {name} are pending: wait or cancel some");
            return Err(conflict(detail));
        }
        self.enqueue(&job, id.clone(), self.now, Origin::Trigger, overrides, fx);
        Ok(Done::RunCreated(id))
    }

    fn cancel_run(&mut self, id: &RunId, by: &str, fx: &mut Effects) -> Reply {
        let Some(run) = self.runs.get(id) else {
            return Err(not_found("live run", id));
        };
        if run.is_daemon() {
            let detail = format!("a DAEMON always runs: disable job {} instead", run.job.name);
            return Err(conflict(detail));
        }
        if run.is_pending() {
            self.end_pending(id, RunState::Cancelled, format!("cancelled by {by}"), fx);
        } else {
            self.cancel_active(id, KillIntent::Cancel, fx);
        }
        Ok(Done::Accepted)
    }

    fn kill_task(&mut self, task: &TaskId, fx: &mut Effects) -> Reply {
        let Some((run, item)) = self.tasks.get(task).cloned() else {
            return Err(not_found("live task", task));
        };
        let daemon = self.runs.get(&run).is_some_and(crate::run::Run::is_daemon);
        let intent = if daemon { KillIntent::Relaunch } else { KillIntent::Cancel };
        self.kill_shard(&run, item, intent, fx);
        Ok(Done::Accepted)
    }

    fn reconcile_now(&mut self, fx: &mut Effects) -> Reply {
        if !self.connected {
            return Err(conflict("not subscribed at the Mesos master: try again later".to_owned()));
        }
        self.reconcile_all(fx);
        Ok(Done::Accepted)
    }
}

fn check_overrides(overrides: &Overrides) -> Result<(), Refusal> {
    let len = overrides.job_parameter.as_ref().map_or(0, String::len)
        + overrides.env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if len > OVERRIDES_LEN_MAX {
        let message = format!("parameters of {len} bytes, the limit is {OVERRIDES_LEN_MAX}");
        return Err(invalid_field("env", message));
    }
    let bad = |name: &str, value: &str| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = overrides.env.iter().find(|(name, value)| bad(name, value)) {
        let message = "a name must not be empty nor hold '=', and nothing may hold NUL".to_owned();
        return Err(invalid_field(&format!("env.{name}"), message));
    }
    if overrides.job_parameter.as_ref().is_some_and(|text| text.contains('\0')) {
        return Err(invalid_field("jobParameter", "must not hold NUL".to_owned()));
    }
    Ok(())
}

fn write_document(fx: &mut Effects, key: Key, source: &crate::document::Source) {
    fx.write(Write { key, value: Some(source.get().as_bytes().to_vec()) });
}

fn write_flag(fx: &mut Effects, key: Key, record: Option<&DisabledRecord>) {
    match record {
        Some(record) => put_json(fx, key, record),
        None => delete(fx, key),
    }
}

fn disabled(
    name: &str,
    by: &str,
    reason: Option<String>,
    at: shiftwork_schedule::Timestamp,
) -> DisabledRecord {
    DisabledRecord { name: name.to_owned(), by: by.to_owned(), reason, at }
}

fn not_found(what: &str, name: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound { what: format!("{what} {name}") }
}

fn conflict(detail: String) -> Refusal {
    Refusal::Conflict { detail, errors: Vec::new() }
}

fn exists(field: &str, what: &str, name: &str) -> Refusal {
    let detail = format!("{what} {name} exists already: update it or choose another name");
    let error = FieldError { field: field.to_owned(), message: "exists already".to_owned() };
    Refusal::Conflict { detail, errors: vec![error] }
}

fn invalid_document(errors: Vec<FieldError>) -> Refusal {
    Refusal::Invalid { detail: "the document has errors; nothing was stored".to_owned(), errors }
}

fn invalid_field(field: &str, message: String) -> Refusal {
    let error = FieldError { field: field.to_owned(), message };
    Refusal::Invalid { detail: format!("{} {}", error.field, error.message), errors: vec![error] }
}

fn other_name(field: &str, name: &str) -> Refusal {
    invalid_field(field, format!("must be {name}, the name in the address"))
}
