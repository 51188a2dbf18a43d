//! Plain answers: accepted, rejected, wrong method. Streams are in `stream`.

use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::world::Rejection;

/// The media type of every text that is answered.
const TEXT: &str = "text/plain; charset=utf-8";

/// 202 without a body, or the rejection.
pub(super) fn accepted(result: Result<(), Rejection>) -> Response {
    match result {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(rejection) => rejected(&rejection),
    }
}

pub(super) fn rejected(rejection: &Rejection) -> Response {
    let status =
        StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, TEXT)], rejection.text.clone()).into_response()
}

/// 404 without a body.
pub(super) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)]).into_response()
}

pub(super) async fn method_not_allowed(method: Method) -> Response {
    let text = format!("Expecting one of {{ 'POST' }}, but received '{method}'");
    let headers = [(ALLOW, "POST"), (CONTENT_TYPE, TEXT)];
    (StatusCode::METHOD_NOT_ALLOWED, headers, text).into_response()
}
