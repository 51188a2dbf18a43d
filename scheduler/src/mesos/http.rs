//! The HTTP of the v1 API: the client, the addresses of masters, what every request carries. Absent:
//! what requests mean.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::config::{ConfigError, Timing};

/// Where a master takes calls and subscriptions.
const SCHEDULER_PATH: &str = "/api/v1/scheduler";

/// The port of a Mesos master unless told otherwise.
const MASTER_PORT_DEFAULT: u16 = 5050;

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
pub(super) fn client(timing: &Timing) -> Result<Client, ConfigError> {
    Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(timing.connect_timeout)
        .tcp_nodelay(true)
        .build()
        .map_err(ConfigError::Client)
}

/// The URL of the scheduler API of a master given as `host:port` or `host`.
pub(super) fn master_url(address: &str) -> Result<Url, ConfigError> {
    let bad = || ConfigError::BadMaster { address: address.to_owned() };
    // What could end the authority of a URL cannot be part of it.
    if address.is_empty() || address.contains(['/', '\\', '?', '#', '@']) {
        return Err(bad());
    }
    let mut url = Url::parse(&format!("http://{address}{SCHEDULER_PATH}")).map_err(|_| bad())?;
    // The parser drops port 80 as the scheme's own: whoever writes it means it.
    if url.port().is_none() && !address.ends_with(":80") {
        url.set_port(Some(MASTER_PORT_DEFAULT)).map_err(|()| bad())?;
    }
    Ok(url)
}

/// The leading master as a `Location` names it: `//host:port/path` or a whole URL.
pub(super) fn redirect_target(from: &Url, location: &str) -> Option<Url> {
    from.join(location).ok().filter(|url| url.scheme() == "http" && url.has_host())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_host_and_port() {
        let url = |text: &str| master_url(text).map(String::from);
        assert_eq!(url("m1:6050").unwrap(), "http://m1:6050/api/v1/scheduler");
        assert_eq!(url("m1").unwrap(), "http://m1:5050/api/v1/scheduler");
        assert_eq!(url("m1:80").unwrap(), "http://m1/api/v1/scheduler");
        assert_eq!(url("[::1]:5050").unwrap(), "http://[::1]:5050/api/v1/scheduler");
        for bad in ["", "http://m1:5050", "zk://z:2181/mesos", "u@m1", "m1:x", "m1:70000", "a b"] {
            let error = url(bad).unwrap_err().to_string();
            assert!(error.contains("host:port"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_leading_master_is_named_without_a_scheme() {
        let from = master_url("m1:5050").unwrap();
        let target = |location: &str| redirect_target(&from, location).map(String::from);
        assert_eq!(
            target("//m2:5050/master/api/v1/scheduler").as_deref(),
            Some("http://m2:5050/master/api/v1/scheduler")
        );
        assert_eq!(target("http://m3:1/x").as_deref(), Some("http://m3:1/x"));
        assert_eq!(target("https://m3/x"), None, "TLS is not spoken");
        assert_eq!(target("//:bad"), None);
    }
}
