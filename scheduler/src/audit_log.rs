//! The audit log: who changed what, from where, what it was before and what it is after. The owner
//! writes it beside the change itself, so that no door can leave it out. Absent: keeping it (`trace/`),
//! and the audit of firings (`audit/`), which is something else.

use serde::Serialize;
use shiftwork_engine::Engine;
use shiftwork_engine::command::{Command, Done};
use shiftwork_engine::ids::{AppName, CalendarName, JobName};
use shiftwork_schedule::Timestamp;

use crate::auth::{Actor, Proof};
use crate::trace::AuditLogRow;

/// The longest text of what was before or is after, bytes: a document is smaller.
const STATE_BYTES_MAX: usize = 256 * 1024;

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// What was done: `create`, `update`, `delete`, `enable`, `disable`, `trigger`, ….
    action: &'static str,
    /// What it was done to: `app`, `job`, `calendar`, `run`, `task`, `user`, `token`, `session`, ….
    kind: &'static str,
    name: String,
    app: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl Entry {
    /// An action on something of a kind and a name.
    pub fn new(action: &'static str, kind: &'static str, name: impl ToString) -> Self {
        Self { action, kind, name: name.to_string(), ..Self::default() }
    }

    /// What it was.
    #[must_use]
    pub fn before(mut self, state: &impl Serialize) -> Self {
        self.before = text(state);
        self
    }

    /// What it is.
    #[must_use]
    pub fn after(mut self, state: &impl Serialize) -> Self {
        self.after = text(state);
        self
    }

    /// The row of it.
    pub(crate) fn row(self, by: &Actor, at: Timestamp, epoch: u64, sequence: u64) -> AuditLogRow {
        let known = by.identity.proof != Proof::None || by.door == "scheduler";
        AuditLogRow {
            epoch,
            sequence,
            at_ms: at.as_millis(),
            actor: known.then(|| by.identity.name.clone()),
            role: known.then(|| by.identity.role.name().to_owned()),
            door: by.door.to_owned(),
            origin: by.from.map(|from| from.to_string()),
            action: self.action.to_owned(),
            kind: self.kind.to_owned(),
            name: self.name,
            app: self.app,
            before: self.before,
            after: self.after,
        }
    }
}

fn text(state: &impl Serialize) -> Option<String> {
    serde_json::to_string(state).ok().map(bounded)
}

fn bounded(text: String) -> String {
    if text.len() > STATE_BYTES_MAX { "\"too large to be kept\"".to_owned() } else { text }
}

// === commands ===

/// A command as it is seen before it is carried out.
pub(crate) struct Seen {
    entry: Entry,
    subject: Subject,
}

/// What to look at again afterwards.
enum Subject {
    App(AppName),
    Job(JobName),
    Calendar(CalendarName),
    /// The name is in the document.
    Document,
    Other,
}

impl Seen {
    /// Looks at what a command is about to change.
    pub(crate) fn before(engine: &Engine, command: &Command) -> Self {
        let of = |action, kind, name: &dyn std::fmt::Display, subject: Subject| {
            let mut entry = Entry::new(action, kind, name);
            (entry.before, entry.app) = subject.state(engine);
            Self { entry, subject }
        };
        match command {
            Command::CreateApp { document } => Self::created("app", "appName", document),
            Command::CreateJob { document } => Self::created("job", "jobName", document),
            Command::CreateCalendar { document } => {
                Self::created("calendar", "calendarName", document)
            }
            Command::UpdateApp { app, .. } => of("update", "app", app, Subject::App(app.clone())),
            Command::DeleteApp { app } => of("delete", "app", app, Subject::App(app.clone())),
            Command::SetAppEnabled { app, enabled, reason } => {
                let was = engine.app(app).map(|view| view.enabled);
                of(switch(*enabled), "app", app, Subject::Other).switched(
                    was,
                    *enabled,
                    reason.as_deref(),
                    Some(app.to_string()),
                )
            }
            Command::UpdateCalendar { calendar, .. } => {
                of("update", "calendar", calendar, Subject::Calendar(calendar.clone()))
            }
            Command::DeleteCalendar { calendar } => {
                of("delete", "calendar", calendar, Subject::Calendar(calendar.clone()))
            }
            Command::UpdateJob { job, .. } => of("update", "job", job, Subject::Job(job.clone())),
            Command::DeleteJob { job } => of("delete", "job", job, Subject::Job(job.clone())),
            Command::SetJobEnabled { job, enabled, reason } => {
                let was = engine.job(job).map(|view| view.enabled);
                of(switch(*enabled), "job", job, Subject::Other).switched(
                    was,
                    *enabled,
                    reason.as_deref(),
                    app_of(engine, job),
                )
            }
            Command::Trigger { job, overrides, .. } => {
                let mut seen = of("trigger", "job", job, Subject::Other);
                seen.entry.app = app_of(engine, job);
                seen.entry.after = if overrides.is_empty() { None } else { text(overrides) };
                seen
            }
            Command::Rerun { ended, .. } => {
                let mut seen = of("rerun", "run", &ended.run, Subject::Other);
                seen.entry.app = app_of(engine, &ended.run.job());
                seen
            }
            Command::CancelRun { run } => {
                let mut seen = of("cancel", "run", run, Subject::Other);
                seen.entry.app = app_of(engine, &run.job());
                seen
            }
            Command::KillTask { task } => {
                let mut seen = of("kill", "task", task, Subject::Other);
                seen.entry.app = task.job_and_item().and_then(|(job, _)| app_of(engine, &job));
                seen
            }
            Command::Reconcile => of("reconcile", "scheduler", &"tasks", Subject::Other),
            Command::IfUnchanged { change, .. } => Self::before(engine, change),
        }
    }

    fn created(kind: &'static str, field: &str, document: &[u8]) -> Self {
        let document: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
        let name = document.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
        let mut entry = Entry::new("create", kind, name);
        let app = document.get("appName").and_then(serde_json::Value::as_str);
        entry.app = app.map(ToOwned::to_owned);
        entry.after = text(&document);
        Self { entry, subject: Subject::Document }
    }

    fn switched(
        mut self,
        was: Option<bool>,
        enabled: bool,
        reason: Option<&str>,
        app: Option<String>,
    ) -> Self {
        self.entry.app = app;
        self.entry.before = was.and_then(|was| text(&serde_json::json!({"enabled": was})));
        self.entry.after = text(&serde_json::json!({"enabled": enabled, "reason": reason}));
        self
    }

    /// The entry of a command that was carried out.
    pub(crate) fn after(self, engine: &Engine, done: &Done) -> Entry {
        let mut entry = self.entry;
        match (&self.subject, done) {
            (Subject::Other, Done::RunCreated(run) | Done::RunExists(run)) => {
                let changed = entry.after.take().and_then(|text| serde_json::from_str(&text).ok());
                let changed: Option<serde_json::Value> = changed;
                entry.after = text(&serde_json::json!({"run": run, "overrides": changed}));
            }
            (Subject::Document | Subject::Other, _) => {}
            (subject, _) => entry.after = subject.state(engine).0,
        }
        entry
    }
}

impl Subject {
    /// Its document and its app.
    fn state(&self, engine: &Engine) -> (Option<String>, Option<String>) {
        let kept = |text: &str| Some(bounded(text.to_owned()));
        match self {
            Self::App(app) => {
                let document = engine.app(app).and_then(|view| kept(view.document.get()));
                (document, Some(app.to_string()))
            }
            Self::Job(job) => {
                let document = engine.job(job).and_then(|view| kept(view.document.get()));
                (document, app_of(engine, job))
            }
            Self::Calendar(name) => {
                (engine.calendar(name).and_then(|view| kept(view.document.get())), None)
            }
            Self::Document | Self::Other => (None, None),
        }
    }
}

fn switch(enabled: bool) -> &'static str {
    if enabled { "enable" } else { "disable" }
}

fn app_of(engine: &Engine, job: &JobName) -> Option<String> {
    engine.job(job)?.app.map(|app| app.to_string())
}
