//! Shows what the API answered, as a table or as it came. Absent: what the columns are.

use serde_json::Value;
use serde_json::value::RawValue;
use shiftwork_schedule::Timestamp;

use super::client::{ApiPath, Client};
use super::error::CliError;
use super::output::{self, Output};
use super::table::{self, Column};

/// Reads and shows a list.
pub(super) async fn list(
    client: &Client,
    out: Output,
    path: &ApiPath,
    limit: Option<usize>,
    columns: &[Column],
) -> Result<(), CliError> {
    items(client, out, &client.list(path, limit).await?, columns)
}

/// Shows items of a list.
pub(super) fn items(
    client: &Client,
    out: Output,
    items: &[Box<RawValue>],
    columns: &[Column],
) -> Result<(), CliError> {
    if out.is_for_programs() {
        return output::print_array(out, items);
    }
    let rows: Result<Vec<Value>, CliError> =
        items.iter().map(|item| client.parse(item.get())).collect();
    output::print(&table::render(columns, &rows?, now()))
}

/// Shows one resource: as it came, or as `render` makes it.
pub(super) fn resource(
    client: &Client,
    out: Output,
    answer: &str,
    render: impl FnOnce(&Value) -> String,
) -> Result<(), CliError> {
    match out {
        Output::Json | Output::Yaml => output::print_json(out, answer),
        Output::Table => output::print(&render(&client.parse(answer)?)),
    }
}

/// Says that something was done: a sentence, or what the API answered, if anything.
pub(super) fn done(out: Output, answer: &str, sentence: &str) -> Result<(), CliError> {
    match out {
        Output::Json | Output::Yaml if answer.is_empty() => Ok(()),
        Output::Json | Output::Yaml => output::print_json(out, answer),
        Output::Table => output::print(&output::plain(sentence)),
    }
}

/// The name of a state as the API writes it, from what somebody typed.
pub(super) fn state_name(text: &str) -> String {
    text.to_ascii_uppercase().replace('-', "_")
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}
