//! The two generations of Elastic-Job-Cloud: how they are told apart, and the forms of their answers.
//! Absent: what is answered.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::api::problem::Problem;

/// The header with which clients of 3.x show their token.
pub(super) const ACCESS_TOKEN: &str = "accessToken";

/// A generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Dialect {
    /// 2.x: 204 for changes, 404 for what is absent, errors as text.
    #[default]
    #[value(name = "2")]
    V2,
    /// 3.x: 200 `true` for changes, an empty 200 for what is absent, errors as JSON text.
    #[value(name = "3")]
    V3,
}

/// What a handler answers, in the words of the dialect.
pub(super) type Answer = Result<Response, Refused>;

/// A request that was not carried out.
#[derive(Debug)]
pub(super) enum Refused {
    /// As the Java system refuses: 500 and a message. Clients know these messages.
    Message(Dialect, String),
    /// What it never had words for.
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Message(dialect, message) => dialect.failed(&message),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// The frame of these routes has told it.
impl<S: Send + Sync> FromRequestParts<S> for Dialect {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| {
            tracing::error!(path = parts.uri.path(), "a route stands outside its frame");
            Problem::internal("a defect of the scheduler, see its log")
        })
    }
}

// === impl Dialect ===

impl Dialect {
    /// The dialect of a request, if it shows it: a header, a method or a path that only one has.
    pub(super) fn shown_by(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        if headers.contains_key(ACCESS_TOKEN) || path == "/api/login" {
            return Some(Self::V3);
        }
        match (method.as_str(), last) {
            ("DELETE", "deregister") if path == "/api/job/deregister" => Some(Self::V2),
            ("POST", "enable") | ("DELETE", "deregister") => Some(Self::V3),
            ("DELETE", "disable") | ("GET", "type") => Some(Self::V2),
            _ => None,
        }
    }

    /// A change was made.
    pub(super) fn done(self) -> Response {
        match self {
            Self::V2 => StatusCode::NO_CONTENT.into_response(),
            Self::V3 => self.json(&true),
        }
    }

    /// What was asked for is not there.
    pub(super) fn absent(self) -> Response {
        match self {
            Self::V2 => StatusCode::NOT_FOUND.into_response(),
            Self::V3 => StatusCode::OK.into_response(),
        }
    }

    /// An answer, as Gson writes it.
    pub(super) fn json(self, body: &impl Serialize) -> Response {
        let mut value = match serde_json::to_value(body) {
            Ok(value) => value,
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                return Problem::internal("a defect of the scheduler, see its log").into_response();
            }
        };
        if self == Self::V2 {
            leave_out_nulls(&mut value);
        }
        self.text(StatusCode::OK, escaped(&value.to_string()))
    }

    /// An answer whose members keep their order.
    pub(super) fn ordered_json(self, body: &impl Serialize) -> Response {
        let text = serde_json::to_string(body).unwrap_or_default();
        self.text(StatusCode::OK, escaped(&text))
    }

    fn text(self, status: StatusCode, text: String) -> Response {
        let media_type = match self {
            Self::V2 => "application/json",
            Self::V3 => "application/json; charset=utf-8",
        };
        (status, [(header::CONTENT_TYPE, media_type)], text).into_response()
    }

    /// A refusal as the Java system words it.
    fn failed(self, message: &str) -> Response {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::V2 => {
                (status, [(header::CONTENT_TYPE, "text/plain")], message.to_owned()).into_response()
            }
            Self::V3 => self.text(status, escaped(&Value::from(message).to_string())),
        }
    }
}

/// Gson writes no null unless it is told to.
fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(rows) => rows.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// Gson escapes what could be markup. In JSON these characters stand in strings only.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '=' => out.push_str("\\u003d"),
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\'' => out.push_str("\\u0027"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_shows_its_dialect_where_only_one_has_it() {
        let shown = |method: &str, path: &str| {
            Dialect::shown_by(&method.parse().unwrap(), path, &HeaderMap::new())
        };
        for (method, path, dialect) in [
            ("DELETE", "/api/job/deregister", Some(Dialect::V2)),
            ("DELETE", "/api/job/foo/deregister", Some(Dialect::V3)),
            ("DELETE", "/api/app/foo/disable", Some(Dialect::V2)),
            ("POST", "/api/app/foo/enable", Some(Dialect::V3)),
            ("POST", "/api/app/foo/disable", None),
            ("GET", "/api/job/jobs", None),
            ("POST", "/api/login", Some(Dialect::V3)),
        ] {
            assert_eq!(shown(method, path), dialect, "{method} {path}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("accesstoken", "x".parse().unwrap());
        let read = Dialect::shown_by(&Method::GET, "/api/job/jobs", &headers);
        assert_eq!(read, Some(Dialect::V3));
    }

    #[test]
    fn json_is_as_gson_writes_it() {
        let mut value = json!({"a": "0=x<y>&'z'", "b": null, "c": [{"d": null}]});
        leave_out_nulls(&mut value);
        let text = escaped(&value.to_string());
        assert_eq!(text, r#"{"a":"0\u003dx\u003cy\u003e\u0026\u0027z\u0027","c":[{}]}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
