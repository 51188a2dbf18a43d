//! `/apps`: apps as documents that can be switched off. Absent: the handlers; documents share them.

use shiftwork_engine::command::Command;
use shiftwork_engine::ids::AppName;
use shiftwork_engine::view::AppView;
use shiftwork_engine::{Assumed, Engine, Order};

use super::documents::{self, Document, Switched};
use crate::api::page::List;
use crate::api::params::{Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;

/// Apps.
pub(in crate::api) struct Apps;

/// The routes of apps.
pub(super) fn routes(table: Table) -> Table {
    table.with(documents::routes::<Apps>).with(documents::switches::<Apps>)
}

impl Document for Apps {
    type Name = AppName;
    type View = AppView;
    type Filter = ();

    const NOUN: &'static str = "app";
    const TYPE: &'static str = "App";
    const LIST: List = List("apps");
    const DESCENDING: List = List("apps-");
    const SCHEMA: &'static str = "App";
    const DOCUMENT_SCHEMA: &'static str = "AppDocument";
    const NAME_FIELD: &'static str = "appName";
    const OF_APP: bool = true;
    const FILTERS: &'static [&'static Param] = &[];

    fn filter(_: &Params) -> Result<(), Problem> {
        Ok(())
    }

    fn create(document: Vec<u8>) -> Command {
        Command::CreateApp { document }
    }

    fn update(app: AppName, document: Vec<u8>) -> Command {
        Command::UpdateApp { app, document }
    }

    fn delete(app: AppName) -> Command {
        Command::DeleteApp { app }
    }

    fn one(engine: &Engine, name: &AppName) -> Option<AppView> {
        engine.app(name)
    }

    fn some(
        engine: &Engine,
        (): &(),
        after: Option<&AppName>,
        order: Order,
        limit: usize,
    ) -> Vec<AppView> {
        engine.apps(after, order, limit)
    }

    fn name_of(view: &AppView) -> &str {
        &view.name
    }

    fn app_of(view: &AppView) -> Option<String> {
        Some(view.name.clone())
    }

    fn assume(name: &AppName, assumed: &mut Assumed) {
        assumed.apps.insert(name.clone());
    }

    fn text_of(view: &AppView) -> &str {
        view.document.get()
    }
}

impl Switched for Apps {
    fn set_enabled(app: AppName, enabled: bool, reason: Option<String>) -> Command {
        Command::SetAppEnabled { app, enabled, reason }
    }
}
