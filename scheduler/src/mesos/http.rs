//! The HTTP of the v1 API: the client, redirects, what every request carries and how it is refused.
//! Absent: what requests mean.

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::config::{ConfigError, DriverConfig};
use super::credentials::Credentials;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Ties calls to one subscription.
pub(super) const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Most of a refusal's text that is kept, in bytes: the first line says it.
const REFUSAL_LEN_MAX: usize = 1024;

/// Builds the client for subscriptions and calls.
///
/// Redirects are followed by hand, because the stream and its calls must go to the same master.
/// Nothing is tried again on its own: a second ACCEPT would be another ACCEPT. There is no timeout
/// on reading, because the stream never ends; whoever reads it watches the heartbeats.
pub(super) fn client(config: &DriverConfig) -> Result<Client, ConfigError> {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = config.credentials.as_ref().and_then(Credentials::authorization) {
        headers.insert(AUTHORIZATION, authorization);
    }
    let builder = Client::builder()
        .default_headers(headers)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(config.timing.connect_timeout)
        .tcp_nodelay(true);
    config.tls.apply(builder).build().map_err(ConfigError::Client)
}

/// The leading master as a `Location` names it: `//host:port/path` or a whole URL. It must speak what
/// the one that names it speaks: credentials that were meant for TLS are not sent without it.
pub(super) fn redirect_target(from: &Url, location: &str) -> Option<Url> {
    from.join(location).ok().filter(|url| url.scheme() == from.scheme() && url.has_host())
}

/// A POST of one protobuf message.
pub(super) fn post(client: &Client, url: &Url, body: Bytes) -> RequestBuilder {
    client.post(url.clone()).header(CONTENT_TYPE, PROTOBUF).header(ACCEPT, PROTOBUF).body(body)
}

/// What a master says about a request it did not take.
pub(super) async fn refusal_text(mut response: Response) -> String {
    let mut text: Vec<u8> = Vec::new();
    // An answer that breaks off has said what it could.
    while let Ok(Some(chunk)) = response.chunk().await {
        let rest = REFUSAL_LEN_MAX - text.len();
        text.extend_from_slice(chunk.get(..rest).unwrap_or(&chunk));
        if text.len() >= REFUSAL_LEN_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// How to mend a refusal, where its status alone tells.
pub(super) fn refusal_hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            " (it asks for credentials that it knows: check --mesos-principal and \
             --mesos-secret-file)"
        }
        StatusCode::FORBIDDEN => {
            " (the principal may not do this: check --mesos-principal and the master's ACLs)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_master_is_named_without_a_scheme() {
        let from = Url::parse("http://m1:5050/api/v1/scheduler").unwrap();
        let target = |location: &str| redirect_target(&from, location).map(String::from);
        assert_eq!(
            target("//m2:5050/master/api/v1/scheduler").as_deref(),
            Some("http://m2:5050/master/api/v1/scheduler")
        );
        assert_eq!(target("http://m3:1/x").as_deref(), Some("http://m3:1/x"));
        assert_eq!(target("https://m3/x"), None, "not what is spoken here");
        assert_eq!(target("//:bad"), None);
        let from = Url::parse("https://m1:5050/api/v1/scheduler").unwrap();
        assert_eq!(redirect_target(&from, "http://m2:5050/x"), None, "never out of TLS");
        let kept = redirect_target(&from, "//m2:5050/x").map(String::from);
        assert_eq!(kept.as_deref(), Some("https://m2:5050/x"));
    }
}
