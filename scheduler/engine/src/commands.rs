//! What users ask for: checked against what is there, then carried out.
//!
//! What a new document applies to:
//!
//! | | of a job | of an app |
//! | --- | --- | --- |
//! | schedule, calendars | at once, for firings after this moment | |
//! | rules between runs (misfire, concurrency, maxPending) | at once | |
//! | a pending run | stays as it was made: work, shards, parameters, resources, jitter, queueTimeout | is launched with the new one |
//! | a running shard | is left alone; timeout and retry are those of its run | keeps its executor, which ends when it is idle |
//! | a shard in back-off | is tried again as its run was made | is launched with the new one |
//! | a rerun | is made with the document of its run | is launched with the new one |
//! | a DAEMON | is ended and launched anew | keeps its executor until it ends |

mod apps;
mod calendars;
mod check;
mod jobs;
mod runs;

use crate::command::{Command, Refusal, Reply};
use crate::document::{FieldError, Fingerprint, Source};
use crate::effect::Effects;
use crate::engine::{Engine, delete, put_json};
use crate::record::{DisabledRecord, Key, Write};
pub use check::Assumed;

impl Engine {
    pub(crate) fn on_command(&mut self, by: &str, command: Command, fx: &mut Effects) -> Reply {
        match command {
            Command::CreateApp { document } => self.create_app(&document, fx),
            Command::UpdateApp { app, document } => self.update_app(&app, &document, fx),
            Command::DeleteApp { app } => self.delete_app(&app, fx),
            Command::SetAppEnabled { app, enabled, reason } => {
                self.set_app_enabled(&app, enabled, by, reason, fx)
            }
            Command::CreateCalendar { document } => self.create_calendar(&document, fx),
            Command::UpdateCalendar { calendar, document } => {
                self.update_calendar(&calendar, &document, fx)
            }
            Command::DeleteCalendar { calendar } => self.delete_calendar(&calendar, fx),
            Command::CreateJob { document } => self.create_job(&document, fx),
            Command::UpdateJob { job, document } => self.update_job(&job, &document, fx),
            Command::DeleteJob { job } => self.delete_job(&job, fx),
            Command::SetJobEnabled { job, enabled, reason } => {
                self.set_job_enabled(&job, enabled, by, reason, fx)
            }
            Command::Trigger { job, key, overrides, submitter } => {
                self.trigger(&job, key, overrides, submitter, by, fx)
            }
            Command::Rerun { ended, failed_only } => self.rerun(*ended, failed_only, by, fx),
            Command::CancelRun { run } => self.cancel_run(&run, by, fx),
            Command::KillTask { task } => self.kill_task(&task, fx),
            Command::Reconcile => self.reconcile_now(fx),
            Command::IfUnchanged { seen, change } => self.if_unchanged(by, seen, *change, fx),
        }
    }

    fn if_unchanged(
        &mut self,
        by: &str,
        seen: Fingerprint,
        change: Command,
        fx: &mut Effects,
    ) -> Reply {
        match self.document_of(&change) {
            Some((what, now)) if Fingerprint::of(now.get()) != seen => {
                Err(Refusal::Changed { what })
            }
            // One that is not there is refused by the command itself, by name.
            _ => self.on_command(by, change, fx),
        }
    }

    /// The stored document that a command is about, and what it is called.
    fn document_of(&self, command: &Command) -> Option<(String, Source)> {
        match command {
            Command::UpdateApp { app, .. }
            | Command::DeleteApp { app }
            | Command::SetAppEnabled { app, .. } => {
                Some((format!("app {app}"), self.app(app)?.document))
            }
            Command::UpdateJob { job, .. }
            | Command::DeleteJob { job }
            | Command::SetJobEnabled { job, .. } => {
                Some((format!("job {job}"), self.job(job)?.document))
            }
            Command::UpdateCalendar { calendar, .. } | Command::DeleteCalendar { calendar } => {
                Some((format!("calendar {calendar}"), self.calendar(calendar)?.document))
            }
            _ => None,
        }
    }
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
