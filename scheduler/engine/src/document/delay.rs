//! `delay`: once, that long after registration. It is stored as the instant it means, so that a new
//! leader, or a second look, finds the same.

use serde_json::Value;
use shiftwork_schedule::{Timestamp, parse_duration};

use super::FieldError;

/// Puts `at` in the place of `delay` in a job document that has one; `None` where it has none or is
/// no JSON object, which its reader will say.
///
/// # Errors
/// A delay that is none, or one beside another schedule.
pub(crate) fn resolve_delay(
    text: &[u8],
    now: Timestamp,
) -> Result<Option<Vec<u8>>, Vec<FieldError>> {
    let wrong = |message: String| vec![FieldError { field: "delay".to_owned(), message }];
    let Ok(Value::Object(mut document)) = serde_json::from_slice(text) else {
        return Ok(None);
    };
    let delay = match document.remove("delay") {
        None | Some(Value::Null) => return Ok(None),
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
