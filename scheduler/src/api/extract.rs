//! What handlers take from a request: names in the path, the body, who asks. Absent: what a document
//! means; the engine decides that.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use shiftwork_engine::document::FieldError;
use shiftwork_engine::ids::{AppName, CalendarName, JobName, RunId, TaskId};

use super::BODY_LEN_MAX;
use super::problem::Problem;

// === names in the path ===

/// A name or id that may stand in a path.
pub(crate) trait InPath: Sized {
    /// What it is called in errors.
    const PARAMETER: &'static str;

    /// Reads the percent-decoded text.
    ///
    /// # Errors
    /// Which rule it breaks.
    fn read(text: &str) -> Result<Self, String>;
}

impl InPath for AppName {
    const PARAMETER: &'static str = "app";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl InPath for JobName {
    const PARAMETER: &'static str = "job";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl InPath for CalendarName {
    const PARAMETER: &'static str = "calendar";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl InPath for RunId {
    const PARAMETER: &'static str = "run";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl InPath for TaskId {
    const PARAMETER: &'static str = "task";

    fn read(text: &str) -> Result<Self, String> {
        let task = Self::new(text);
        match task.job_and_item() {
            Some(_) => Ok(task),
            None => {
                Err("is not of the form {job}@-@{item}@-@{READY|FAILOVER}@-@{agentId}@-@{uuid}"
                    .to_owned())
            }
        }
    }
}

/// What a parameter in a path is, and the pattern it has.
pub(crate) fn path_parameter_about(name: &str) -> (&'static str, &'static str) {
    match name {
        RunId::PARAMETER => (
            "A run, as {job}@{logical time or key}.",
            "^[A-Za-z0-9._-]{1,100}@[A-Za-z0-9._-]{1,100}$",
        ),
        TaskId::PARAMETER => (
            "A task, as {job}@-@{item}@-@{READY|FAILOVER}@-@{agent}@-@{uuid}.",
            "^[A-Za-z0-9._-]{1,100}@-@[0-9]{1,4}@-@(READY|FAILOVER)@-@[A-Za-z0-9._-]+@-@[0-9a-f-]{36}$",
        ),
        "user" | "token" | "secret" => ("A name.", "^[A-Za-z0-9._@+-]{1,100}$"),
        "agent" => ("The id of an agent, as Mesos gives it.", "^[^/]+$"),
        _ => ("A name.", "^[A-Za-z0-9._-]{1,100}$"),
    }
}

/// The one name in a path.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: InPath, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::parameter(T::PARAMETER, "must be percent-encoded UTF-8"))?;
        match T::read(&text) {
            Ok(name) => Ok(Self(name)),
            Err(message) => Err(Problem::parameter(T::PARAMETER, message)),
        }
    }
}

// === the body ===

/// The bytes of a body that is JSON, and what they say.
pub(crate) struct JsonBody {
    /// As sent: documents are stored from these.
    pub(crate) bytes: Bytes,
    /// As read.
    pub(crate) value: Value,
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let OptionalJsonBody(body) = OptionalJsonBody::from_request(request, state).await?;
        body.ok_or_else(|| Problem::malformed("a body is required: send the document as JSON"))
    }
}

/// The same where a request may come without a body.
pub(crate) struct OptionalJsonBody(pub(crate) Option<JsonBody>);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if !json {
            return Err(Problem::unsupported_media_type(
                "the body must be JSON: send it with Content-Type: application/json",
            ));
        }
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Self(Some(JsonBody { bytes, value }))),
            Err(error) => Err(Problem::malformed(format!("the body is not valid JSON: {error}"))),
        }
    }
}

/// The name that a document gives itself. The engine has the say over documents; this serves only
/// to find again what it took.
///
/// # Errors
/// As the engine would say it.
pub(crate) fn document_name<T: InPath>(document: &Value, field: &str) -> Result<T, Problem> {
    let text = document.get(field).and_then(Value::as_str).unwrap_or_default();
    T::read(text).map_err(|message| {
        let errors = vec![FieldError { field: field.to_owned(), message }];
        Problem::invalid("the document is wrong", errors)
    })
}

/// True for `application/json` and types built on it, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::too_large(format!("the body is larger than {BODY_LEN_MAX} bytes"))
    } else {
        Problem::malformed("the body ended early")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    #[test]
    fn json_comes_under_several_names() {
        for good in
            ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
        {
            assert!(is_json(&headers(good)), "{good}");
        }
        for bad in ["text/plain", "application/jsonp", "text/json+x", ""] {
            assert!(!is_json(&headers(bad)), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn task_ids_must_have_their_parts() {
        assert!(
            TaskId::read("foo@-@0@-@READY@-@S0@-@6ba7b810-9dad-11d1-80b4-00c04fd430c8").is_ok()
        );
        assert!(<TaskId as InPath>::read("foo").is_err());
        assert!(<RunId as InPath>::read("foo").is_err());
        assert!(<RunId as InPath>::read("foo@20261120T020000Z").is_ok());
    }
}
