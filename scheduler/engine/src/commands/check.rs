//! What the engine would say to a document, without taking it. Absent: the checks themselves; they are
//! those that a registration passes.

use std::collections::BTreeSet;

use super::invalid_document;
use crate::command::{Command, Refusal};
use crate::document::{FieldError, Fingerprint};
use crate::engine::Engine;
use crate::ids::{AppName, CalendarName};

/// What is taken to be registered, because whoever asks would register it before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assumed {
    /// Apps.
    pub apps: BTreeSet<AppName>,
    /// Calendars.
    pub calendars: BTreeSet<CalendarName>,
}

impl Engine {
    /// Whether a document would be taken.
    ///
    /// # Errors
    /// The refusal that the change would meet.
    pub fn check(&self, change: &Command, assumed: &Assumed) -> Result<(), Refusal> {
        match change {
            Command::CreateApp { document } => self.new_app(document).map(drop),
            Command::UpdateApp { app, document } => self.changed_app(app, document).map(drop),
            Command::CreateCalendar { document } => self.new_calendar(document).map(drop),
            Command::UpdateCalendar { calendar, document } => {
                self.changed_calendar(calendar, document).map(drop)
            }
            Command::CreateJob { document } => self.new_job(document, assumed).map(drop),
            Command::UpdateJob { job, document } => {
                self.changed_job(job, document, assumed).map(drop)
            }
            Command::IfUnchanged { seen, change } => match self.document_of(change) {
                Some((what, now)) if Fingerprint::of(now.get()) != *seen => {
                    Err(Refusal::Changed { what })
                }
                _ => self.check(change, assumed),
            },
            _ => {
                let message = "is for documents of apps, calendars and jobs only".to_owned();
                let field = "dryRun".to_owned();
                Err(invalid_document(vec![FieldError { field, message }]))
            }
        }
    }
}
