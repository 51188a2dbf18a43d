//! Refusals as RFC 9457 problem documents. Absent: deciding anything; callers know what went wrong.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shiftwork_engine::command::Refusal;
use shiftwork_engine::document::FieldError;

use crate::auth::{AuthError, Denied, Forbidden};
use crate::turn::Unavailable;

/// Media type of a problem document (RFC 9457 section 3).
const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a client may ask again: an election with the default session timeout is
/// over by then more often than not.
const RETRY_AFTER_S: u64 = 3;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Names the kind for programs; never changes for one kind.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Seconds after which to ask again.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

/// One kind of problem: what stays the same over all its occurrences.
struct Kind {
    uri: &'static str,
    title: &'static str,
    status: StatusCode,
}

macro_rules! kinds {
    ($($name:ident = $status:ident, $slug:literal, $title:literal;)*) => {
        $(const $name: Kind = Kind {
            uri: concat!("urn:shiftwork:problem:", $slug),
            title: $title,
            status: StatusCode::$status,
        };)*
    };
}

kinds! {
    MALFORMED = BAD_REQUEST, "malformed-request", "Malformed request";
    UNAUTHENTICATED = UNAUTHORIZED, "unauthenticated", "Authentication required";
    FORBIDDEN = FORBIDDEN, "forbidden", "Forbidden";
    BAD_GATEWAY_KIND = BAD_GATEWAY, "bad-gateway", "Bad gateway";
    TOO_MANY = TOO_MANY_REQUESTS, "too-many-requests", "Too many requests";
    CROSS_SITE = FORBIDDEN, "cross-site-request", "Request of another site";
    NOT_FOUND = NOT_FOUND, "not-found", "Not found";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed";
    CONFLICT = CONFLICT, "conflict", "Conflict";
    CHANGED = PRECONDITION_FAILED, "precondition-failed", "Precondition failed";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "body-too-large", "Body too large";
    MEDIA_TYPE_UNSUPPORTED = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type";
    KEY_REUSED = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Idempotency-Key is already used";
    INVALID = UNPROCESSABLE_ENTITY, "invalid-document", "Invalid document";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal-error", "Internal error";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "Unavailable";
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.uri,
            title: kind.title,
            status: kind.status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// 401 or 429: somebody is not let in.
    pub fn denied(denied: Denied) -> Self {
        match denied {
            Denied::Nobody | Denied::Wrong => Self::new(UNAUTHENTICATED, denied.to_string()),
            Denied::Wait(wait) => Self::too_many(denied.to_string(), wait),
        }
    }

    /// 401, for a reason of its own.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(UNAUTHENTICATED, detail)
    }

    /// 502: another server that is needed does not do its part.
    pub fn bad_gateway(detail: impl Into<String>) -> Self {
        Self::new(BAD_GATEWAY_KIND, detail)
    }

    /// 403: somebody is known and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(FORBIDDEN, detail)
    }

    /// 429: ask again later.
    pub fn too_many(detail: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after_s: Some(wait.as_secs() + 1), ..Self::new(TOO_MANY, detail) }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(MALFORMED, detail)
    }

    /// 400: a query parameter, a header or a name in the path is wrong.
    pub fn parameter(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            errors: vec![FieldError { field: name.to_owned(), message: message.clone() }],
            ..Self::new(MALFORMED, format!("{name} {message}"))
        }
    }

    /// 403: a browser sent it for a page that is not ours.
    pub fn cross_site(detail: impl Into<String>) -> Self {
        Self::new(CROSS_SITE, detail)
    }

    /// 404, with what was looked for.
    pub fn not_found(what: &str) -> Self {
        Self::new(NOT_FOUND, format!("there is no {what}"))
    }

    /// 405.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(METHOD_NOT_ALLOWED, detail)
    }

    /// 412: what the request was made for is no longer so.
    pub fn changed(what: &str) -> Self {
        Self::new(
            CHANGED,
            format!("{what} has changed since it was read: read it again, then repeat the change"),
        )
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(CONFLICT, detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(TOO_LARGE, detail)
    }

    /// 415.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(MEDIA_TYPE_UNSUPPORTED, detail)
    }

    /// 422: the idempotency key was another request's.
    pub fn key_reused(detail: impl Into<String>) -> Self {
        Self::new(KEY_REUSED, detail)
    }

    /// 422: readable, but wrong in what it says.
    pub fn invalid(detail: impl Into<String>, errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(INVALID, detail) }
    }

    /// 500. The cause belongs into the log, not here.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(INTERNAL, detail)
    }

    /// 503.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(UNAVAILABLE, detail) }
    }

    /// Whether what it is about is not there.
    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The same, with the place of the part of a request that it is about.
    #[must_use]
    pub fn of(mut self, place: &str) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }

    /// Whether it contradicts what is there.
    pub fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// Whether its idempotency key was another request's.
    pub fn is_key_reused(&self) -> bool {
        self.kind == KEY_REUSED.uri
    }

    /// Names the kind for programs, as the last part of `type`.
    pub fn slug(&self) -> &'static str {
        self.kind.rsplit(':').next().unwrap_or(self.kind)
    }

    /// What is wrong and how to mend it, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What kind of problem it is, in some words.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What is wrong by field.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound { what } => Self::not_found(&what),
            Refusal::Changed { what } => Self::changed(&what),
            Refusal::Conflict { detail, errors } => Self { errors, ..Self::new(CONFLICT, detail) },
            Refusal::Invalid { detail, errors } => Self::invalid(detail, errors),
            Refusal::KeyReused { key, run } => Self::key_reused(format!(
                "key {key} was used for run {run}, which was asked for with other parameters: send \
                 the same request again, or use another key"
            )),
        }
    }
}

impl From<Forbidden> for Problem {
    fn from(Forbidden(detail): Forbidden) -> Self {
        Self::forbidden(detail)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid { field, message } => {
                let errors = vec![FieldError { field: field.to_owned(), message }];
                Self::invalid("the request is wrong", errors)
            }
            AuthError::NotFound(what) => Self::not_found(&what),
            AuthError::Conflict(detail) => Self::conflict(detail),
            AuthError::Unavailable(error) => error.into(),
            AuthError::Internal(detail) => {
                tracing::error!(detail, "users or tokens cannot be changed");
                Self::internal("a defect of the scheduler, see its log")
            }
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Self {
        Self::unavailable(
            "this scheduler does not lead at the moment: ask again shortly, or ask the leader",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after_s) = (self.status, self.retry_after_s);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"shiftwork\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> serde_json::Value {
        serde_json::to_value(problem).unwrap()
    }

    #[test]
    fn the_document_has_the_members_of_rfc_9457() {
        let errors = vec![FieldError { field: "cron".into(), message: "is empty".into() }];
        let refusal = Refusal::Invalid { detail: "the job is wrong".into(), errors };
        assert_eq!(
            json(&refusal.into()),
            serde_json::json!({
                "type": "urn:shiftwork:problem:invalid-document",
                "title": "Invalid document",
                "status": 422,
                "detail": "the job is wrong",
                "errors": [{"field": "cron", "message": "is empty"}],
            })
        );
    }

    #[test]
    fn refusals_have_their_status() {
        let not_found = Refusal::NotFound { what: "app foo".into() };
        let conflict =
            Refusal::Conflict { detail: "job foo exists: update it".into(), errors: Vec::new() };
        assert_eq!(Problem::from(not_found).status().as_u16(), 404);
        assert_eq!(Problem::from(conflict).status().as_u16(), 409);
        assert_eq!(json(&Problem::not_found("app foo"))["detail"], "there is no app foo");
    }

    #[test]
    fn unavailable_says_when_to_ask_again() {
        let response = Problem::unavailable("x").into_response();
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert!(!Problem::internal("x").into_response().headers().contains_key("retry-after"));
    }

    #[test]
    fn a_parameter_is_named() {
        let document = json(&Problem::parameter("limit", "must be a number"));
        assert_eq!(document["status"], 400);
        assert_eq!(document["errors"][0]["field"], "limit");
        assert_eq!(document["detail"], "limit must be a number");
    }
}
