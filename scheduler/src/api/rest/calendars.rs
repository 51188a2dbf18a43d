//! `/calendars`: the days on which jobs do not fire, as documents. Absent: the handlers; documents share them.

use shiftwork_engine::command::Command;
use shiftwork_engine::ids::CalendarName;
use shiftwork_engine::view::CalendarView;
use shiftwork_engine::{Assumed, Engine, Order};

use super::documents::{self, Document};
use crate::api::page::List;
use crate::api::params::{Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;

/// Calendars.
pub(in crate::api) struct Calendars;

/// The routes of calendars.
pub(super) fn routes(table: Table) -> Table {
    table.with(documents::routes::<Calendars>)
}

impl Document for Calendars {
    type Name = CalendarName;
    type View = CalendarView;
    type Filter = ();

    const NOUN: &'static str = "calendar";
    const TYPE: &'static str = "Calendar";
    const LIST: List = List("calendars");
    const DESCENDING: List = List("calendars-");
    const SCHEMA: &'static str = "Calendar";
    const DOCUMENT_SCHEMA: &'static str = "CalendarDocument";
    const NAME_FIELD: &'static str = "calendarName";
    const OF_APP: bool = false;
    const FILTERS: &'static [&'static Param] = &[];

    fn filter(_: &Params) -> Result<(), Problem> {
        Ok(())
    }

    fn create(document: Vec<u8>) -> Command {
        Command::CreateCalendar { document }
    }

    fn update(calendar: CalendarName, document: Vec<u8>) -> Command {
        Command::UpdateCalendar { calendar, document }
    }

    fn delete(calendar: CalendarName) -> Command {
        Command::DeleteCalendar { calendar }
    }

    fn one(engine: &Engine, name: &CalendarName) -> Option<CalendarView> {
        engine.calendar(name)
    }

    fn some(
        engine: &Engine,
        (): &(),
        after: Option<&CalendarName>,
        order: Order,
        limit: usize,
    ) -> Vec<CalendarView> {
        engine.calendars(after, order, limit)
    }

    fn name_of(view: &CalendarView) -> &str {
        &view.name
    }

    fn app_of(_: &CalendarView) -> Option<String> {
        None
    }

    fn assume(name: &CalendarName, assumed: &mut Assumed) {
        assumed.calendars.insert(name.clone());
    }

    fn text_of(view: &CalendarView) -> &str {
        view.document.get()
    }
}
