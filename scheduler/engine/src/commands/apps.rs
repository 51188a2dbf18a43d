//! Apps: registered, replaced, removed, enabled and disabled.

use std::sync::Arc;

use super::{
    disabled, exists, invalid_document, not_found, other_name, write_document, write_flag,
};
use crate::command::{Done, Refusal, Reply};
use crate::document::{App, Strictness};
use crate::effect::Effects;
use crate::engine::{AppEntry, Engine, delete};
use crate::ids::AppName;
use crate::record::{Key, KillIntent};
use crate::view::RunState;

impl Engine {
    /// An app that may be registered.
    pub(super) fn new_app(&self, document: &[u8]) -> Result<App, Refusal> {
        let app = App::parse(document, Strictness::Request).map_err(invalid_document)?;
        if self.apps.contains_key(&app.name) {
            return Err(exists("appName", "app", app.name.as_str()));
        }
        Ok(app)
    }

    /// An app that may take the place of one.
    pub(super) fn changed_app(&self, name: &AppName, document: &[u8]) -> Result<App, Refusal> {
        let app = App::parse(document, Strictness::Request).map_err(invalid_document)?;
        if app.name != *name {
            return Err(other_name("appName", name.as_str()));
        }
        if !self.apps.contains_key(name) {
            return Err(not_found("app", name));
        }
        Ok(app)
    }

    pub(super) fn create_app(&mut self, document: &[u8], fx: &mut Effects) -> Reply {
        let app = self.new_app(document)?;
        write_document(fx, Key::App(app.name.clone()), &app.source);
        let name = app.name.clone();
        self.apps.insert(name, AppEntry { document: Ok(Arc::new(app)), disabled: None });
        Ok(Done::Created)
    }

    pub(super) fn update_app(
        &mut self,
        name: &AppName,
        document: &[u8],
        fx: &mut Effects,
    ) -> Reply {
        let app = self.changed_app(name, document)?;
        let Some(entry) = self.apps.get_mut(name) else {
            return Err(not_found("app", name));
        };
        write_document(fx, Key::App(name.clone()), &app.source);
        entry.document = Ok(Arc::new(app));
        self.problems.remove(&Key::App(name.clone()));
        self.drain_executors_of(name, fx);
        self.place_needed = true;
        Ok(Done::Changed)
    }

    pub(super) fn delete_app(&mut self, name: &AppName, fx: &mut Effects) -> Reply {
        if !self.apps.contains_key(name) {
            return Err(not_found("app", name));
        }
        for job in self.jobs_of(name) {
            self.remove_job(&job, fx);
        }
        self.end_runs_of(name, fx);
        self.apps.remove(name);
        self.problems.remove(&Key::App(name.clone()));
        delete(fx, Key::App(name.clone()));
        delete(fx, Key::DisabledApp(name.clone()));
        self.drain_executors_of(name, fx);
        Ok(Done::Deleted)
    }

    pub(super) fn set_app_enabled(
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
        self.after_app_flag(name, enabled, fx);
        Ok(Done::Changed)
    }

    /// Ends what is left of an app that goes: runs of jobs that have moved to another app since.
    fn end_runs_of(&mut self, app: &AppName, fx: &mut Effects) {
        let of_app = self.runs.values().filter(|run| run.job.app == *app);
        let runs: Vec<_> = of_app.map(|run| (run.id.clone(), run.is_pending())).collect();
        for (run, pending) in runs {
            if pending {
                let reason = KillIntent::Delete.words().to_owned();
                self.end_pending(&run, RunState::Cancelled, reason, fx);
            } else {
                self.cancel_active(&run, KillIntent::Delete, fx);
            }
        }
    }
}
