//! Takes fields out of a JSON object one by one and collects every error instead of the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{DOCUMENT_LEN_MAX, FieldError, Source, Strictness};

/// The field named in errors about the text as a whole.
const WHOLE: &str = "document";

/// Reads one JSON object.
pub(super) struct Reader {
    /// Prefix of field names in errors: empty, or `retry.` within a nested object.
    prefix: String,
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Reader {
    /// Parses the text of a document.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Vec<FieldError>> {
        let whole = |message: String| vec![FieldError { field: WHOLE.to_owned(), message }];
        if text.len() > DOCUMENT_LEN_MAX {
            return Err(whole(format!(
                "has {} bytes, the limit is {DOCUMENT_LEN_MAX}: move large parameters into the app's package",
                text.len()
            )));
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(given)) => {
                Ok(Self { prefix: String::new(), given, errors: Vec::new() })
            }
            Ok(_) => Err(whole("must be a JSON object".to_owned())),
            Err(error) => Err(whole(format!("is not valid JSON: {error}"))),
        }
    }

    fn nested(&self, name: &str, given: Map<String, Value>) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), given, errors: Vec::new() }
    }

    /// Notes an error at a field.
    pub(super) fn error(&mut self, name: &str, message: impl Into<String>) {
        let field = format!("{}{name}", self.prefix);
        self.errors.push(FieldError { field, message: message.into() });
    }

    /// Takes a field; JSON `null` counts as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a field back that was only looked at.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.given.insert(name.to_owned(), value);
    }

    /// A field that is accepted because older clients send it, and has no meaning here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.given.remove(*name);
        }
    }

    /// A field of the documented set that this version does not act on: refused by name rather
    /// than silently without effect.
    pub(super) fn refuse(&mut self, names: &[&str]) {
        for name in names {
            let set = match self.take(name) {
                None | Some(Value::Bool(false)) => false,
                Some(Value::Array(list)) => !list.is_empty(),
                Some(Value::Object(map)) => !map.is_empty(),
                Some(Value::String(text)) => !text.is_empty(),
                Some(_) => true,
            };
            if set {
                self.error(name, "is not supported by this version: leave it out");
            }
        }
    }

    pub(super) fn string(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.contains('\0') => {
                self.error(name, "must not hold NUL");
                None
            }
            Value::String(text) => Some(text),
            other => {
                self.error(name, format!("must be a string, is {}", kind(&other)));
                None
            }
        }
    }

    /// A string that is present and not blank.
    pub(super) fn required(&mut self, name: &str) -> Option<String> {
        let before = self.errors.len();
        match self.string(name) {
            Some(text) if !text.trim().is_empty() => Some(text),
            _ => {
                if self.errors.len() == before {
                    self.error(name, "is required");
                }
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Value::Bool(value)) => value,
            Some(other) => {
                self.error(name, format!("must be true or false, is {}", kind(&other)));
                default
            }
        }
    }

    /// A number, or a string that holds one, as clients of Elastic-Job-Cloud send it.
    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.take(name)?;
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => Some(number),
            _ => {
                self.error(name, format!("must be a number, is {value}"));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let number = self.number(name)?;
        if number.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&number) {
            Some(number as u32)
        } else {
            self.error(name, format!("must be a whole number from {min} to {max}, is {number}"));
            None
        }
    }

    /// A duration in milliseconds, written as `"90s"`.
    pub(super) fn duration(&mut self, name: &str) -> Option<u64> {
        let text = self.string(name)?;
        match shiftwork_schedule::parse_duration(&text) {
            Ok(millis) => Some(millis),
            Err(error) => {
                self.error(name, error.to_string());
                None
            }
        }
    }

    /// A duration that is not zero.
    pub(super) fn positive_duration(&mut self, name: &str) -> Option<u64> {
        let millis = self.duration(name)?;
        if millis == 0 {
            self.error(name, "must be longer than nothing: leave it out for no limit");
            return None;
        }
        Some(millis)
    }

    /// An object of strings.
    pub(super) fn strings(&mut self, name: &str) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        match self.take(name) {
            None => {}
            Some(Value::Object(map)) => {
                for (key, value) in map {
                    match value {
                        Value::String(text) => {
                            out.insert(key, text);
                        }
                        other => self.error(
                            &format!("{name}.{key}"),
                            format!("must be a string, is {}", kind(&other)),
                        ),
                    }
                }
            }
            Some(other) => {
                self.error(name, format!("must be an object of strings, is {}", kind(&other)));
            }
        }
        out
    }

    /// Reads a nested object with `read`, its errors joined to ours under its name.
    pub(super) fn object<T>(
        &mut self,
        name: &str,
        strictness: Strictness,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        match self.take(name)? {
            Value::Object(map) => {
                let mut inner = self.nested(name, map);
                let out = read(&mut inner);
                inner.end_of_fields(strictness);
                self.errors.append(&mut inner.errors);
                Some(out)
            }
            other => {
                self.error(name, format!("must be an object, is {}", kind(&other)));
                None
            }
        }
    }

    fn end_of_fields(&mut self, strictness: Strictness) {
        if strictness == Strictness::Request {
            let unknown: Vec<String> = self.given.keys().cloned().collect();
            for name in unknown {
                self.error(&name, "is not a known field: check its spelling");
            }
        }
    }

    /// Ends reading: all errors, or the value.
    pub(super) fn finish<T>(
        mut self,
        strictness: Strictness,
        value: Option<T>,
    ) -> Result<T, Vec<FieldError>> {
        self.end_of_fields(strictness);
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }
}

/// The text of a document, compact, as it is stored.
pub(super) fn source(text: &[u8]) -> Option<Source> {
    let value: Value = serde_json::from_slice(text).ok()?;
    serde_json::value::to_raw_value(&value).ok().map(Arc::from)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
