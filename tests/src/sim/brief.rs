//! What happened in a few words, for the story. Absent: anything that is not told there.

use shiftwork_engine::Event;
use shiftwork_engine::command::Command;
use shiftwork_engine::effect::Action;
use shiftwork_engine::record::Write;

/// An event in a few words, for the story.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Status(update) => {
            let acknowledged = if update.uuid.is_some() { "" } else { ", no uuid" };
            format!("{} {} ({:?}{acknowledged})", update.task, update.state.name(), update.reason)
        }
        Event::Offers(offers) => {
            let ids: Vec<_> = offers.iter().map(|o| format!("{} of {}", o.id, o.agent)).collect();
            format!("offers {}", ids.join(", "))
        }
        Event::Command { command, .. } => self::command(command),
        other => format!("{other:?}"),
    }
}

/// A request, its document as text.
pub(super) fn command(command: &Command) -> String {
    match command {
        Command::CreateApp { document }
        | Command::UpdateApp { document, .. }
        | Command::CreateCalendar { document }
        | Command::UpdateCalendar { document, .. }
        | Command::CreateJob { document }
        | Command::UpdateJob { document, .. } => String::from_utf8_lossy(document).into_owned(),
        other => format!("{other:?}"),
    }
}

pub(super) fn write(write: &Write) -> String {
    let sign = if write.value.is_some() { '+' } else { '-' };
    format!("{sign}{:?}", write.key)
}

pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Accept { agent, launches, offers } => {
            let tasks: Vec<_> = launches.iter().map(|launch| launch.task.as_str()).collect();
            format!("ACCEPT {agent} {offers:?}: {}", tasks.join(", "))
        }
        other => format!("{other:?}"),
    }
}
