//! Names under which a browser reaches this machine without asking anybody where it is.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Whether the Host of a request is an address, `localhost` or a name below it: any other name may be
/// of somebody's site that leads here, too, and its pages would then count as this machine's own.
pub fn host_is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<Authority>() else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Refuses requests under other names.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    if host_is_local(request.headers()) {
        return next.run(request).await;
    }
    let text = "only requests under names of this machine are taken: the Host is another";
    (StatusCode::FORBIDDEN, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_count_as_local() {
        let local = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            host_is_local(&headers)
        };
        for good in ["127.0.0.1:8899", "localhost", "LOCALHOST:1", "[::1]:8899", "a.localhost:2"] {
            assert!(local(good), "{good}");
        }
        for bad in ["evil.example:8899", "localhost.evil.example", "", "a b", "127.0.0.1.nip.io"] {
            assert!(!local(bad), "{bad}");
        }
        assert!(host_is_local(&HeaderMap::new()));
    }
}
