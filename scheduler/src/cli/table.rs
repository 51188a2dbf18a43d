//! Tables without borders from rows of JSON, and the cells they share: ages, counts, flags. Absent:
//! which columns a noun has.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use shiftwork_schedule::Timestamp;

use super::output::plain;

/// Stands for what is absent.
const NOTHING: &str = "-";

/// Blanks between columns.
const GAP: u16 = 2;

/// A column: its title and what it shows of a row.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) cell: fn(&Row<'_>) -> String,
}

/// A row: what the API answered, and the moment ages are counted from.
pub(super) struct Row<'a> {
    pub(super) value: &'a Value,
    pub(super) now: Timestamp,
}

impl Row<'_> {
    /// The text of a member, named by a JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> String {
        self.value.pointer(pointer).map_or_else(|| NOTHING.to_owned(), text)
    }

    /// How long ago an instant was, or how far it is ahead.
    pub(super) fn age(&self, pointer: &str) -> String {
        match self.instant(pointer) {
            Some(at) => age(self.now.since(at)),
            None => NOTHING.to_owned(),
        }
    }

    /// From one instant to another, or to now if the other is not there yet.
    pub(super) fn span(&self, from: &str, to: &str) -> String {
        match (self.instant(from), self.instant(to)) {
            (Some(from), to) => short(to.unwrap_or(self.now).since(from).max(0)),
            (None, _) => NOTHING.to_owned(),
        }
    }

    /// A number of milliseconds as a span of time.
    pub(super) fn millis(&self, pointer: &str) -> String {
        let millis = self.value.pointer(pointer).and_then(Value::as_i64);
        match millis {
            Some(millis) if millis < 1_000 => format!("{millis} ms"),
            Some(millis) => short(millis),
            None => NOTHING.to_owned(),
        }
    }

    /// A number of bytes in megabytes as Mesos counts them, rounded up.
    pub(super) fn megabytes(&self, pointer: &str) -> String {
        let bytes = self.value.pointer(pointer).and_then(Value::as_u64);
        bytes.map_or_else(|| NOTHING.to_owned(), |bytes| format!("{} MB", bytes.div_ceil(1 << 20)))
    }

    /// The members of an array.
    pub(super) fn array(&self, pointer: &str) -> &[Value] {
        self.value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn instant(&self, pointer: &str) -> Option<Timestamp> {
        self.value.pointer(pointer)?.as_str()?.parse().ok()
    }
}

/// A value as a cell shows it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// The table, its last column as wide as it needs: it holds the sentences.
pub(super) fn render(columns: &[Column], rows: &[Value], now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.title));
    for value in rows {
        let row = Row { value, now };
        table.add_row(columns.iter().map(|column| plain(&(column.cell)(&row))));
    }
    trimmed(table)
}

/// Names and values, a line each.
pub(super) fn render_pairs(pairs: &[(&str, String)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for (name, value) in pairs {
        table.add_row([format!("{name}:"), plain(value)]);
    }
    trimmed(table)
}

fn trimmed(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

/// `5m ago`, `in 2h`, `now`.
fn age(millis: i64) -> String {
    match millis {
        -999..=999 => "now".to_owned(),
        1000.. => format!("{} ago", short(millis)),
        _ => format!("in {}", short(millis.saturating_neg())),
    }
}

/// A span in its largest two units at most: enough to tell, short enough for a column.
fn short(millis: i64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{millis}ms"),
        1..=119 => format!("{seconds}s"),
        120..=7199 => format!("{minutes}m{:02}s", seconds % 60),
        7200..=172_799 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_have_aligned_columns_and_no_borders() {
        let columns = [
            Column { title: "NAME", cell: |row| row.text("/name") },
            Column { title: "ENABLED", cell: |row| row.text("/enabled") },
            Column { title: "NOTE", cell: |row| row.text("/note") },
        ];
        let rows = [
            json!({"name": "word-count", "enabled": true, "note": "a\nb"}),
            json!({"name": "x", "enabled": false, "note": null}),
        ];
        assert_eq!(
            render(&columns, &rows, Timestamp::from_millis(0)),
            "NAME        ENABLED  NOTE\nword-count  yes      a b\nx           no       -"
        );
        assert_eq!(render(&columns, &[], Timestamp::from_millis(0)), "NAME  ENABLED  NOTE");
    }

    #[test]
    fn pairs_are_aligned() {
        let pairs = [("jobs", "3".to_owned()), ("connected", "yes".to_owned())];
        assert_eq!(render_pairs(&pairs), "jobs:       3\nconnected:  yes");
    }

    #[test]
    fn ages_are_short() {
        let cases = [
            (0, "now"),
            (45_000, "45s ago"),
            (125_000, "2m05s ago"),
            (7_260_000, "2h01m ago"),
            (3 * 86_400_000, "3d ago"),
            (-90_000, "in 90s"),
        ];
        for (millis, text) in cases {
            assert_eq!(age(millis), text);
        }
        let value = json!({"from": "1970-01-01T00:00:01Z", "to": null, "bad": "soon"});
        let row = Row { value: &value, now: Timestamp::from_millis(4_500) };
        assert_eq!(row.span("/from", "/to"), "3s");
        assert_eq!(row.age("/from"), "3s ago");
        assert_eq!(row.age("/bad"), "-");
        assert_eq!(row.span("/to", "/from"), "-");
    }
}
