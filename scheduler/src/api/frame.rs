//! What holds for every route: body limit, compression, panics, unknown routes, requests of foreign
//! pages, headers for browsers, request log. Absent: who asks (`access.rs`), and what a single route
//! declares (`table.rs`).

use std::any::Any;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};

use super::BODY_LEN_MAX;
use super::problem::Problem;

/// Puts the frame around routes that have their state.
pub(super) fn framed(routes: Router) -> Router {
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(same_site))
        .layer(middleware::from_fn(strict_headers))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(CatchPanicLayer::custom(caught))
        // Not what streams, nor what is too small to gain by it.
        .layer(CompressionLayer::new())
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(DefaultOnResponse::new().level(tracing::Level::DEBUG))
                // Not ready is an answer; real failures are logged where they happen.
                .on_failure(()),
        )
}

/// Names the route, not the path: a path may hold anything and make the log unreadable.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    tracing::info_span!("request", method = %request.method(), route)
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::not_found(&format!("resource {}: the API begins at {}", uri.path(), super::rest::BASE))
}

async fn unknown_method(method: Method, uri: Uri) -> Problem {
    Problem::method_not_allowed(format!(
        "{method} is not possible on {}: the Allow header names what is",
        uri.path()
    ))
}

/// A handler that panics costs its request, nothing else. The message stays in the log: it may hold
/// what the client should not see.
fn caught(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("of unknown type");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::internal("a defect of the scheduler, see its log: other requests are not affected")
        .into_response()
}

/// What tells browsers to do nothing with an answer but what it is for. A page of ours has a policy of
/// its own and keeps it.
const STRICT_HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // What is answered may be for one person alone.
    (header::CACHE_CONTROL, "no-store"),
];

async fn strict_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in STRICT_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Without authentication, a browser on the same machine is the one way in for strangers: a page of
/// any site may make it send a POST without a body. Browsers name that site in `Origin`.
async fn same_site(request: Request, next: Next) -> Response {
    if request.method().is_safe() || origin_is_ours(request.headers()) {
        return next.run(request).await;
    }
    Problem::cross_site(
        "changes are not taken from pages of another site: its Origin is not our Host",
    )
    .into_response()
}

fn origin_is_ours(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match origin.to_str().ok().and_then(|origin| origin.split_once("://")) {
        Some((_, authority)) => Some(authority) == host,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::extract::{JsonBody, Named};
    use crate::api::testing::{Answer, send};
    use axum::body::Body;
    use axum::routing::{get, post};
    use shiftwork_engine::ids::JobName;

    fn app() -> Router {
        #[allow(clippy::unused_async)]
        async fn defect() -> &'static str {
            panic!("a defect with a secret")
        }
        framed(
            Router::new()
                .route("/panic", get(defect))
                .route("/echo", post(async |body: JsonBody| body.value.to_string()))
                .route("/bare", post(async || "done"))
                .route("/jobs/{job}", get(async |Named(job): Named<JobName>| job.to_string())),
        )
    }

    async fn ask(request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        send(app(), request.body(body.into()).unwrap()).await
    }

    #[tokio::test]
    async fn unknown_routes_and_methods_are_problems() {
        let answer = ask(Request::get("/nowhere"), "").await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (404, "application/problem+json")
        );
        let answer = ask(Request::get("/echo"), "").await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (405, "application/problem+json")
        );
        assert_eq!(answer.headers["allow"], "POST");
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_keeps_its_message() {
        let answer = ask(Request::get("/panic"), "").await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.json()["type"], "urn:shiftwork:problem:internal-error");
        assert!(!answer.text.contains("secret"));
    }

    #[tokio::test]
    async fn bodies_are_json_and_bounded() {
        let post = || Request::post("/echo").header("content-type", "application/json");
        assert_eq!(ask(post(), r#"{"a":1}"#).await.text, r#"{"a":1}"#);
        assert_eq!(ask(post(), "{").await.status, 400);
        assert_eq!(ask(post(), "").await.status, 400);
        assert_eq!(ask(Request::post("/echo"), "{}").await.status, 415);
        let large = ask(post(), vec![b' '; BODY_LEN_MAX + 1]).await;
        assert_eq!((large.status, large.content_type.as_str()), (413, "application/problem+json"));
    }

    #[tokio::test]
    async fn names_in_the_path_are_decoded_and_checked() {
        assert_eq!(ask(Request::get("/jobs/word%2Dcount"), "").await.text, "word-count");
        for bad in ["/jobs/a%2Fb", "/jobs/%2e%2e", "/jobs/%ff", "/jobs/a%20b"] {
            let answer = ask(Request::get(bad), "").await;
            assert_eq!(answer.status, 400, "{bad}");
            assert_eq!(answer.json()["errors"][0]["field"], "job");
        }
    }

    #[tokio::test]
    async fn changes_from_foreign_pages_are_refused() {
        let from = |origin| {
            Request::post("/bare").header("host", "127.0.0.1:8899").header("origin", origin)
        };
        assert_eq!(ask(from("https://evil.example"), "").await.status, 403);
        assert_eq!(ask(from("null"), "").await.status, 403);
        assert_eq!(ask(from("http://127.0.0.1:8899"), "").await.status, 200);
        assert_eq!(ask(Request::post("/bare"), "").await.status, 200);
        let read = Request::get("/jobs/a").header("origin", "https://evil.example");
        assert_eq!(ask(read, "").await.status, 200);
    }
}
