//! What counts from registration: `delay`, once, that long after it, and `every` without a
//! `startAt`. Both are stored as the instant they mean, so that a new leader, or a second look, finds
//! the same.

use serde_json::{Map, Value};
use shiftwork_schedule::{Timestamp, parse_duration};

use super::FieldError;

/// Puts `at` in the place of `delay`, and a `startAt` beside an `every` that has none: its first
/// firing comes one period after registration. `former` is the document that is replaced, if one is:
/// with the same period its phase goes on. `None` where there is nothing to do, or no JSON object,
/// which its reader will say.
///
/// # Errors
/// A delay that is none, or one beside another schedule.
pub(crate) fn resolve_relative(
    text: &[u8],
    former: Option<&str>,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, Vec<FieldError>> {
    let wrong = |message: String| vec![FieldError { field: "delay".to_owned(), message }];
    let Ok(Value::Object(mut document)) = serde_json::from_slice(text) else {
        return Ok(None);
    };
    let delay = match document.remove("delay") {
        None | Some(Value::Null) => return Ok(resolve_every(document, former, now)),
        Some(Value::String(delay)) => delay,
        Some(other) => return Err(wrong(format!("must be a duration as \"90s\", is {other}"))),
    };
    if document.get("at").is_some_and(|at| !at.is_null()) {
        return Err(wrong("only one of delay and at may be given".to_owned()));
    }
    let millis = parse_duration(&delay).map_err(|error| wrong(error.to_string()))?;
    document.insert("at".to_owned(), now.saturating_add(millis).to_string().into());
    // A map of JSON values can always be written.
    Ok(serde_json::to_vec(&document).ok())
}

/// An `every` without `startAt` gets one.
fn resolve_every(
    mut document: Map<String, Value>,
    former: Option<&str>,
    now: Timestamp,
) -> Option<Vec<u8>> {
    let every = document.get("every")?.as_str()?.to_owned();
    if document.get("startAt").is_some_and(|start_at| !start_at.is_null()) {
        return None;
    }
    // A period that is none is reported by the reader.
    let period_ms = parse_duration(&every).ok()?;
    let former: Option<Value> = former.and_then(|former| serde_json::from_str(former).ok());
    let same = former.filter(|former| former.get("every").and_then(Value::as_str) == Some(&every));
    let start_at = same
        .and_then(|former| former.get("startAt").cloned())
        .unwrap_or_else(|| now.saturating_add(period_ms).to_string().into());
    document.insert("startAt".to_owned(), start_at);
    serde_json::to_vec(&document).ok()
}
