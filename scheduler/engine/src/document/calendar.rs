//! The calendar document: days on which the jobs that name it do not fire.

use serde_json::Value;
use shiftwork_schedule::{Calendar, LocalDate, Zone, parse_weekday};

use super::job::read_name;
use super::reader::{Reader, source};
use super::schedule::read_zone;
use super::{FieldError, Source, Strictness};
use crate::ids::CalendarName;

/// A checked calendar document.
#[derive(Debug, Clone)]
pub struct CalendarDocument {
    /// Unique key.
    pub name: CalendarName,
    /// The excluded days.
    pub calendar: std::sync::Arc<Calendar>,
    /// The document as stored.
    pub source: Source,
}

impl CalendarDocument {
    /// Checks a document. `default_zone` is used where it names none.
    ///
    /// # Errors
    /// Every field that is wrong, with what is wrong.
    pub fn parse(
        text: &[u8],
        strictness: Strictness,
        default_zone: &Zone,
    ) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::parse(text)?;
        let document = read(&mut reader, text, default_zone);
        reader.finish(strictness, document)
    }
}

fn read(reader: &mut Reader, text: &[u8], default_zone: &Zone) -> Option<CalendarDocument> {
    let name = read_name(reader, "calendarName", CalendarName::parse);
    let zone = read_zone(reader, default_zone);
    let weekdays: Vec<u32> = read_list(reader, "weekdays", |value| parse_weekday(value.as_str()?));
    let dates = read_list(reader, "dates", read_date);
    let ranges = read_list(reader, "ranges", |value| {
        let map = value.as_object().filter(|map| map.len() == 2)?;
        let (from, to) = (read_date(map.get("from")?)?, read_date(map.get("to")?)?);
        (from <= to).then_some((from, to))
    });
    reader.ignore(&["description"]);
    let days = dates.into_iter().map(|date| (date, date)).chain(ranges);
    let calendar = Calendar::new(zone?, weekdays, days);
    if calendar.excludes_every_weekday() {
        reader.error("weekdays", "must leave at least one day of the week");
    }
    Some(CalendarDocument {
        name: name?,
        calendar: std::sync::Arc::new(calendar),
        source: source(text)?,
    })
}

fn read_date(value: &Value) -> Option<LocalDate> {
    value.as_str()?.parse().ok()
}

/// Reads a list; what cannot be read is named with its place.
fn read_list<T>(reader: &mut Reader, field: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let expected = match field {
        "weekdays" => "must be a day of the week, as SAT or SATURDAY",
        "dates" => "must be a date, as 2026-12-25",
        _ => "must be an object {from, to} of two dates, as 2026-12-24, the first not the later",
    };
    let list = match reader.take(field) {
        None => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            reader.error(field, format!("must be a list; each of it {expected}"));
            return Vec::new();
        }
    };
    let mut out = Vec::with_capacity(list.len());
    for (place, value) in list.iter().enumerate() {
        match read(value) {
            Some(item) => out.push(item),
            None => reader.error(&format!("{field}[{place}]"), format!("{expected}, is {value}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &str) -> Result<CalendarDocument, Vec<String>> {
        let text = format!(r#"{{"calendarName":"c"{extra}}}"#);
        CalendarDocument::parse(text.as_bytes(), Strictness::Request, &Zone::utc())
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn weekdays_dates_and_ranges_are_taken() {
        let document = parse(
            r#","timeZone":"Europe/Berlin","weekdays":["sat","SUNDAY"],"dates":["2026-12-25"],
            "ranges":[{"from":"2026-12-28","to":"2026-12-31"}],"description":"x""#,
        )
        .unwrap();
        let excludes = |at: &str| document.calendar.excludes(at.parse().unwrap());
        assert!(excludes("2026-12-24T23:00:00Z") && excludes("2026-12-30T12:00:00Z"));
        assert!(!excludes("2026-12-24T12:00:00Z"));
    }

    #[test]
    fn each_mistake_names_its_field_and_place() {
        for (extra, field) in [
            (r#","weekdays":["MON","XYZ"]"#, "weekdays[1]"),
            (r#","weekdays":"MON""#, "weekdays"),
            (r#","weekdays":["MON","TUE","WED","THU","FRI","SAT","SUN"]"#, "weekdays"),
            (r#","dates":["2026-02-30"]"#, "dates[0]"),
            (r#","dates":[20261225]"#, "dates[0]"),
            (r#","ranges":[{"from":"2026-12-31","to":"2026-12-24"}]"#, "ranges[0]"),
            (r#","ranges":[{"from":"2026-12-31"}]"#, "ranges[0]"),
            (r#","ranges":[{"from":"2026-12-30","to":"2026-12-31","x":1}]"#, "ranges[0]"),
            (r#","timeZone":"Nowhere""#, "timeZone"),
            (r#","days":[]"#, "days"),
        ] {
            assert_eq!(parse(extra).unwrap_err(), [field], "{extra}");
        }
    }
}
