//! Style sheet, scripts and icon, compiled into the program. Absent: a build step.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::api::ApiState;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Name, media type, text.
const FILES: [(&str, &str, &str); 6] = [
    ("console.css", CSS, include_str!("assets/console.css")),
    ("console.js", JS, include_str!("assets/console.js")),
    ("log.js", JS, include_str!("assets/log.js")),
    ("preview.js", JS, include_str!("assets/preview.js")),
    ("morph.js", JS, include_str!("assets/morph.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The routes of the files.
pub(super) fn routes() -> Router<ApiState> {
    FILES.into_iter().fold(Router::new(), |router, (name, media_type, text)| {
        let tag = tag(text);
        let serve = async move |headers: HeaderMap| file(&headers, media_type, text, &tag);
        router.route(&format!("/console/{name}"), get(serve))
    })
}

/// Changes with the file: a browser that has it asks, and need not read it again.
fn tag(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let bytes: Vec<String> = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{}\"", bytes.concat())
}

fn file(headers: &HeaderMap, media_type: &'static str, text: &'static str, tag: &str) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let caching = [
        (header::ETAG, HeaderValue::from_str(tag).unwrap_or(HeaderValue::from_static("\"\""))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if known.is_some_and(|known| known.contains(tag)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (caching, kind, text).into_response()
}
