//! Reads small request objects (overrides, reasons) field by field, so that each error names its
//! field. Absent: app and job documents; the engine reads those.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use shiftwork_engine::command::Overrides;
use shiftwork_engine::document::{FieldError, parse_item_parameters};

use super::problem::Problem;

/// Longest reason for a disabling, characters: it is shown in one cell of a table.
const REASON_LEN_MAX: usize = 1000;

pub(super) struct Fields {
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of an object.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn of(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(given) => Ok(Self { given, errors: Vec::new() }),
            _ => Err(wrong(vec![error("body", "must be a JSON object")])),
        }
    }

    /// A field that must be there and not be empty; empty where it is wrong, which is noted.
    pub(super) fn required(&mut self, name: &str) -> String {
        let text = self.string(name).unwrap_or_default();
        if text.is_empty() {
            self.errors.push(error(name, "is required"));
        }
        text
    }

    /// A field as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| !value.is_null())
    }

    /// Notes what is wrong.
    pub(super) fn wrong(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// Whether something was noted of a field.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.field == name)
    }

    /// A field that is text.
    pub(super) fn string(&mut self, name: &str) -> Option<String> {
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

    /// A list of shard numbers, each once.
    fn items(&mut self, name: &str) -> BTreeSet<u32> {
        let value = match self.given.remove(name) {
            None | Some(Value::Null) => return BTreeSet::new(),
            Some(value) => value,
        };
        let list = serde_json::from_value::<Vec<u32>>(value).unwrap_or_default();
        let items: BTreeSet<u32> = list.iter().copied().collect();
        if items.is_empty() || items.len() != list.len() {
            self.errors.push(error(
                name,
                "must be a list of shard numbers, at least one and none twice: leave it out for all",
            ));
        }
        items
    }

    /// Parameters by shard, in a document's form `0=a,1=b` or as an object.
    fn item_parameters(&mut self, name: &str) -> BTreeMap<u32, String> {
        if !matches!(self.given.get(name), Some(Value::String(_))) {
            let mut parameters = BTreeMap::new();
            for (item, parameter) in self.strings(name) {
                if let Ok(item) = item.parse() {
                    parameters.insert(item, parameter);
                } else {
                    let field = format!("{name}.{item}");
                    self.errors.push(error(&field, "is not the number of a shard"));
                }
            }
            return parameters;
        }
        let text = self.string(name).unwrap_or_default();
        let (parameters, problems) = parse_item_parameters(&text);
        self.errors.extend(problems.into_iter().map(|problem| error(name, problem)));
        parameters
    }

    fn boolean(&mut self, name: &str) -> bool {
        match self.given.remove(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => value,
            Some(_) => {
                self.errors.push(error(name, "must be true or false"));
                false
            }
        }
    }

    /// Whether nothing was wrong and nothing is left over.
    ///
    /// # Errors
    /// By field.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        let unknown = self.given.keys();
        self.errors
            .extend(unknown.map(|name| error(name, "is not a known field: check its spelling")));
        if self.errors.is_empty() { Ok(()) } else { Err(wrong(self.errors)) }
    }
}

/// What is wrong with a field.
pub(super) fn error(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

fn wrong(errors: Vec<FieldError>) -> Problem {
    Problem::invalid("the body of the request is wrong", errors)
}

/// The body of a trigger: `{"jobParameter", "env", "items", "shardingItemParameters", "submitter"}`;
/// what differs for the run, and for whom it is made.
///
/// # Errors
/// 422 with every field that is wrong.
pub(crate) fn trigger(value: Value) -> Result<(Overrides, Option<String>), Problem> {
    let mut fields = Fields::of(value)?;
    let job_parameter = fields.string("jobParameter");
    let env = fields.strings("env");
    let items = fields.items("items");
    let sharding_item_parameters = fields.item_parameters("shardingItemParameters");
    let submitter = fields.string("submitter");
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            fields.errors.push(error(
                &format!("env.{name}"),
                "a name must not be empty nor hold '=' or NUL, a value must not hold NUL",
            ));
        }
    }
    fields.finish()?;
    Ok((Overrides { job_parameter, env, items, sharding_item_parameters }, submitter))
}

/// The body of a rerun: `{"failedOnly"}`.
///
/// # Errors
/// 422 with every field that is wrong.
pub(crate) fn failed_only(value: Value) -> Result<bool, Problem> {
    let mut fields = Fields::of(value)?;
    let failed_only = fields.boolean("failedOnly");
    fields.finish()?;
    Ok(failed_only)
}

/// The body of an enabling or disabling: `{"reason"}`.
///
/// # Errors
/// 422 with every field that is wrong.
pub(crate) fn reason(value: Value) -> Result<Option<String>, Problem> {
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
        let (read, submitter) =
            trigger(json!({"jobParameter": "x", "env": {"A": "1"}, "submitter": "billing"}))
                .unwrap();
        assert_eq!(submitter.as_deref(), Some("billing"));
        assert_eq!(read.job_parameter.as_deref(), Some("x"));
        assert_eq!(read.env["A"], "1");
        let read = trigger(json!({"items": [3, 1], "shardingItemParameters": "1=a, 3=b"}));
        let (read, _) = read.unwrap();
        assert_eq!(read.items.iter().copied().collect::<Vec<_>>(), [1, 3]);
        let parameters = read.sharding_item_parameters;
        assert_eq!((parameters[&1].as_str(), parameters[&3].as_str()), ("a", "b"));
        let (object, _) = trigger(json!({"shardingItemParameters": {"1": "a", "3": "b"}})).unwrap();
        assert_eq!(object.sharding_item_parameters, parameters);
        assert_eq!(failed_only(json!({"failedOnly": true})), Ok(true));
        assert_eq!(failed_only(json!({})), Ok(false));
        assert_eq!(trigger(json!({})), Ok((Overrides::default(), None)));
    }

    #[test]
    fn every_wrong_field_of_an_override_is_named() {
        let body = json!({"jobParameter": 1, "env": {"A": 1, "B=C": "x", "D": "\0"}, "cron": "x"});
        assert_eq!(
            fields_of(&trigger(body).unwrap_err()),
            ["jobParameter", "env.A", "env.B=C", "env.D", "cron"]
        );
        assert_eq!(fields_of(&trigger(json!([])).unwrap_err()), ["body"]);
        for items in [json!([]), json!([1, 1]), json!([-1]), json!("1"), json!([0.5])] {
            let body = json!({"items": items});
            assert_eq!(fields_of(&trigger(body).unwrap_err()), ["items"]);
        }
        for (parameters, field) in [
            (json!("1"), "shardingItemParameters"),
            (json!({"x": "a"}), "shardingItemParameters.x"),
            (json!({"1": 2}), "shardingItemParameters.1"),
            (json!(5), "shardingItemParameters"),
        ] {
            let body = json!({"shardingItemParameters": parameters});
            assert_eq!(fields_of(&trigger(body).unwrap_err()), [field]);
        }
        assert_eq!(fields_of(&failed_only(json!({"failedOnly": 1})).unwrap_err()), ["failedOnly"]);
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
