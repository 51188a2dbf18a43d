//! `?fields=`: the members of an answer that the client wants, and no others. Absent: saving the
//! work of making the rest; it saves what goes over the wire.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::params::{Kind, Param, Params};
use super::problem::Problem;

/// Chooses members.
pub(super) static FIELDS: Param = Param {
    name: "fields",
    about: "The members wanted of each row, separated by commas; those of members with a dot, as \
            `name,document.cron`.",
    kind: Kind::Text,
};

/// Most fields: more than any answer has members.
const FIELDS_MAX: usize = 64;
/// Deepest field, in names.
const DEPTH_MAX: usize = 8;

/// The members wanted, by name; of each, those wanted of it, none being all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Projection(BTreeMap<String, Projection>);

// === impl Projection ===

impl Projection {
    /// Reads the parameter; none if everything is wanted.
    ///
    /// # Errors
    /// Names what is no member of the answer.
    pub(super) fn read(params: &Params, members: &[String]) -> Result<Option<Self>, Problem> {
        params.read(FIELDS.name, |text| Self::parse(text, members))
    }

    fn parse(text: &str, members: &[String]) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        if fields.len() > FIELDS_MAX {
            return Err(format!("names {} fields, at most {FIELDS_MAX}", fields.len()));
        }
        let mut wanted = Self::default();
        for field in fields {
            let names: Vec<&str> = field.split('.').collect();
            if names.len() > DEPTH_MAX || names.iter().any(|name| name.is_empty()) {
                return Err("must be names separated by commas, as name,document.cron".to_owned());
            }
            let known = names.first().is_some_and(|first| members.iter().any(|it| it == first));
            if !known {
                return Err(format!("names {field}, which is no member: {}", members.join(", ")));
            }
            wanted.add(&names);
        }
        Ok(wanted)
    }

    fn add(&mut self, names: &[&str]) {
        let Some((first, rest)) = names.split_first() else { return };
        let known = self.0.contains_key(*first);
        let member = self.0.entry((*first).to_owned()).or_default();
        if rest.is_empty() {
            // All of it, whatever parts of it were named as well.
            member.0.clear();
        } else if !known || !member.0.is_empty() {
            member.add(rest);
        }
    }

    /// Takes from an answer what is wanted. Refusals stay whole.
    pub(super) async fn apply(self, response: Response) -> Response {
        let json = response.headers().get(header::CONTENT_TYPE)
            == Some(&HeaderValue::from_static("application/json"));
        if response.status() != StatusCode::OK || !json {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // Our own answer, a page at most.
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let Some(chosen) = self.choose(&bytes) else {
            return Problem::internal("an answer could not be cut to its fields").into_response();
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(chosen))
    }

    fn choose(&self, bytes: &Bytes) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        match value.get_mut("items") {
            Some(Value::Array(rows)) => rows.iter_mut().for_each(|row| self.cut(row)),
            _ => self.cut(&mut value),
        }
        serde_json::to_vec(&value).ok()
    }

    fn cut(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::Object(members) => members.retain(|name, member| {
                let wanted = self.0.get(name);
                if let Some(wanted) = wanted {
                    wanted.cut(member);
                }
                wanted.is_some()
            }),
            Value::Array(rows) => rows.iter_mut().for_each(|row| self.cut(row)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members() -> Vec<String> {
        ["name", "document", "shards"].map(str::to_owned).to_vec()
    }

    fn cut(fields: &str, value: Value) -> Value {
        let projection = Projection::parse(fields, &members()).unwrap();
        let bytes = Bytes::from(value.to_string());
        serde_json::from_slice(&projection.choose(&bytes).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_named_is_left() {
        let row = || {
            json!({"name": "a", "document": {"cron": "x", "env": {}}, "next": null,
            "shards": [{"item": 0, "state": "RUNNING"}]})
        };
        assert_eq!(cut("name", row()), json!({"name": "a"}));
        assert_eq!(
            cut("name, document.cron,shards.item", row()),
            json!({"name": "a", "document": {"cron": "x"}, "shards": [{"item": 0}]})
        );
        let whole = json!({"document": {"cron": "x", "env": {}}});
        assert_eq!(cut("document.cron,document", row()), whole);
        assert_eq!(cut("document,document.cron", row()), whole);
        assert_eq!(
            cut("name", json!({"items": [row()], "next": "x"})),
            json!({"items": [{"name": "a"}], "next": "x"})
        );
    }

    #[test]
    fn what_is_no_member_is_named() {
        for bad in ["colour", "name,", "", ".", "name..x", "a.b.c.d.e.f.g.h.i"] {
            assert!(Projection::parse(bad, &members()).is_err(), "{bad}");
        }
        let many = vec!["name"; 65].join(",");
        assert!(Projection::parse(&many, &members()).is_err());
    }
}
