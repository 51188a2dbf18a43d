//! Reads small request objects (overrides, reasons) field by field, so that each error names its
//! field. Absent: app and job documents; the engine reads those.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shiftwork_engine::command::Overrides;
use shiftwork_engine::document::FieldError;

use super::problem::Problem;

/// Longest reason for a disabling, characters: it is shown in one cell of a table.
const REASON_LEN_MAX: usize = 1000;

struct Fields {
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    fn of(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(given) => Ok(Self { given, errors: Vec::new() }),
            _ => Err(wrong(vec![error("body", "must be a JSON object")])),
        }
    }

    fn string(&mut self, name: &str) -> Option<String> {
        match self.given.remove(name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.errors.push(error(name, "must be a string"));
                None
            }
        }
    }

    fn strings(&mut self, name: &str) -> BTreeMap<String, String> {
        let mut strings = BTreeMap::new();
        match self.given.remove(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (key, value) in map {
                    if let Value::String(text) = value {
                        strings.insert(key, text);
                    } else {
                        self.errors.push(error(&format!("{name}.{key}"), "must be a string"));
                    }
                }
            }
            Some(_) => self.errors.push(error(name, "must be an object of strings")),
        }
        strings
    }

    fn finish(mut self) -> Result<(), Problem> {
        let unknown = self.given.keys();
        self.errors
            .extend(unknown.map(|name| error(name, "is not a known field: check its spelling")));
        if self.errors.is_empty() { Ok(()) } else { Err(wrong(self.errors)) }
    }
}

fn error(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

fn wrong(errors: Vec<FieldError>) -> Problem {
    Problem::invalid("the body of the request is wrong", errors)
}

/// The body of a trigger: `{"jobParameter", "env"}`.
///
/// # Errors
/// 422 with every field that is wrong.
pub(super) fn overrides(value: Value) -> Result<Overrides, Problem> {
    let mut fields = Fields::of(value)?;
    let job_parameter = fields.string("jobParameter");
    let env = fields.strings("env");
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            fields.errors.push(error(
                &format!("env.{name}"),
                "a name must not be empty nor hold '=' or NUL, a value must not hold NUL",
            ));
        }
    }
    fields.finish()?;
    Ok(Overrides { job_parameter, env })
}

/// The body of an enabling or disabling: `{"reason"}`.
///
/// # Errors
/// 422 with every field that is wrong.
pub(super) fn reason(value: Value) -> Result<Option<String>, Problem> {
    let mut fields = Fields::of(value)?;
    let reason = fields.string("reason").filter(|text| !text.trim().is_empty());
    if reason.as_ref().is_some_and(|text| text.chars().count() > REASON_LEN_MAX) {
        fields.errors.push(error(
            "reason",
            format!("must have at most {REASON_LEN_MAX} characters: link to the longer text"),
        ));
    }
    fields.finish()?;
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields_of(problem: &Problem) -> Vec<String> {
        let document = serde_json::to_value(problem).unwrap();
        assert_eq!(document["status"], 422);
        let errors = document["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn overrides_are_read() {
        let read = overrides(json!({"jobParameter": "x", "env": {"A": "1"}})).unwrap();
        assert_eq!(read.job_parameter.as_deref(), Some("x"));
        assert_eq!(read.env["A"], "1");
        assert!(overrides(json!({})).unwrap().is_empty());
    }

    #[test]
    fn every_wrong_field_of_an_override_is_named() {
        let body = json!({"jobParameter": 1, "env": {"A": 1, "B=C": "x", "D": "\0"}, "cron": "x"});
        assert_eq!(
            fields_of(&overrides(body).unwrap_err()),
            ["jobParameter", "env.A", "env.B=C", "env.D", "cron"]
        );
        assert_eq!(fields_of(&overrides(json!([])).unwrap_err()), ["body"]);
    }

    #[test]
    fn a_reason_is_short_text() {
        assert_eq!(reason(json!({"reason": "maintenance"})), Ok(Some("maintenance".to_owned())));
        assert_eq!(reason(json!({"reason": null})), Ok(None));
        assert_eq!(
            fields_of(&reason(json!({"reason": "x".repeat(1001)})).unwrap_err()),
            ["reason"]
        );
        assert_eq!(fields_of(&reason(json!({"why": "x"})).unwrap_err()), ["why"]);
    }
}
