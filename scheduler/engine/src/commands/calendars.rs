//! Calendars: registered, replaced, removed.

use std::sync::Arc;

use super::{conflict, exists, invalid_document, not_found, other_name, write_document};
use crate::command::{Done, Refusal, Reply};
use crate::document::{CalendarDocument, Strictness};
use crate::effect::Effects;
use crate::engine::{Engine, delete};
use crate::ids::{CalendarName, JobName};
use crate::record::Key;

/// Jobs named when a calendar is refused to go: enough to find the others.
const USERS_NAMED_MAX: usize = 5;

impl Engine {
    fn check_calendar(&self, document: &[u8]) -> Result<CalendarDocument, Refusal> {
        let zone = &self.settings.default_zone;
        CalendarDocument::parse(document, Strictness::Request, zone).map_err(invalid_document)
    }

    /// A calendar that may be registered.
    pub(super) fn new_calendar(&self, document: &[u8]) -> Result<CalendarDocument, Refusal> {
        let document = self.check_calendar(document)?;
        if self.calendars.contains_key(&document.name) {
            return Err(exists("calendarName", "calendar", document.name.as_str()));
        }
        Ok(document)
    }

    /// A calendar that may take the place of one.
    pub(super) fn changed_calendar(
        &self,
        name: &CalendarName,
        document: &[u8],
    ) -> Result<CalendarDocument, Refusal> {
        let document = self.check_calendar(document)?;
        if document.name != *name {
            return Err(other_name("calendarName", name.as_str()));
        }
        if !self.calendars.contains_key(name) {
            return Err(not_found("calendar", name));
        }
        Ok(document)
    }

    pub(super) fn create_calendar(&mut self, document: &[u8], fx: &mut Effects) -> Reply {
        let document = self.new_calendar(document)?;
        self.store_calendar(document, fx);
        Ok(Done::Created)
    }

    /// What it excludes counts from now on: firings that are pending stay, those it excluded until
    /// now are not made up for. Every firing up to now has been dealt with when this is called.
    pub(super) fn update_calendar(
        &mut self,
        name: &CalendarName,
        document: &[u8],
        fx: &mut Effects,
    ) -> Reply {
        let document = self.changed_calendar(name, document)?;
        self.store_calendar(document, fx);
        Ok(Done::Changed)
    }

    fn store_calendar(&mut self, document: CalendarDocument, fx: &mut Effects) {
        // Else a new leader would look at firings before this moment with the new calendar.
        self.raise_watermark(fx);
        write_document(fx, Key::Calendar(document.name.clone()), &document.source);
        self.problems.remove(&Key::Calendar(document.name.clone()));
        self.calendars.insert(document.name.clone(), Ok(Arc::new(document)));
    }

    pub(super) fn delete_calendar(&mut self, name: &CalendarName, fx: &mut Effects) -> Reply {
        if !self.calendars.contains_key(name) {
            return Err(not_found("calendar", name));
        }
        let users: Vec<&str> = self.users_of(name).map(JobName::as_str).collect();
        if !users.is_empty() {
            let (named, more) = users.split_at(users.len().min(USERS_NAMED_MAX));
            let more =
                if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            return Err(conflict(format!(
                "calendar {name} is in use by {}{more}: take it out of their calendars first",
                named.join(", ")
            )));
        }
        self.calendars.remove(name);
        self.problems.remove(&Key::Calendar(name.clone()));
        delete(fx, Key::Calendar(name.clone()));
        Ok(Done::Deleted)
    }
}
