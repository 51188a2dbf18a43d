//! Requests to the API and its answers, kept as the text they came in. Absent: printing.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ClientArgs;
use super::error::{CliError, refused};
use super::trouble::{self, innermost};
use crate::tls::{ClientTls, ClientTlsFiles};

/// The variable that holds a token.
const TOKEN_VARIABLE: &str = "SHIFTWORK_TOKEN";

/// Where the API begins at the server.
const BASE: &str = "api/v1";

/// A scheduler within reach accepts a connection well within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A scheduler that stands by sends its clients to the leader. More than one change of leader while
/// a request is on its way is a loop.
const REDIRECTS_MAX: usize = 3;

/// Longer than a commit takes while the registry elects a leader of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A stream ends when its reader has seen enough; that a scheduler has gone is seen by its silence.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24 * 365);

/// A stream says something every quarter of a minute.
const SILENCE_MAX: Duration = Duration::from_secs(50);

/// Rows to ask for at once: the most the API gives.
const PAGE_ROWS: usize = 1000;

/// Escapes all that is not plain in a path segment or a query.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A connection to one scheduler.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// What is shown to the scheduler, and to the leader it may send us to.
    token: Option<HeaderValue>,
}

/// A path below the API's base, its variable parts escaped.
#[derive(Debug, Clone)]
pub(super) struct ApiPath(String);

impl ApiPath {
    /// The path through these segments.
    pub(super) fn of(segments: &[&str]) -> Self {
        let escaped = segments.iter().map(|text| utf8_percent_encode(text, ESCAPED).to_string());
        Self(escaped.collect::<Vec<_>>().join("/"))
    }

    /// Adds a query parameter, unless it has no value.
    pub(super) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            let separator = if self.0.contains('?') { "&" } else { "?" };
            let value = utf8_percent_encode(value, ESCAPED).to_string();
            self.0.extend([separator, name, "=", value.as_str()]);
        }
        self
    }
}

/// One page of a list.
#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next: Option<String>,
}

/// What the API said to a change.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether something came to be that was not there before.
    pub(super) created: bool,
    /// JSON; empty where the API says nothing more.
    pub(super) text: String,
}

/// What goes with a request.
#[derive(Debug, Default)]
pub(super) struct Payload {
    /// JSON.
    pub(super) body: Option<String>,
    /// Makes a trigger repeatable.
    pub(super) idempotency_key: Option<String>,
}

impl Payload {
    /// A JSON body.
    pub(super) fn json(body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), idempotency_key: None }
    }
}

impl Client {
    /// Takes everything from the command line and the environment.
    ///
    /// # Errors
    /// When the address is none, or a file cannot be read or does not hold what it should.
    pub(super) fn connect(args: &ClientArgs) -> Result<Self, CliError> {
        let files = ClientTlsFiles { ca: args.ca_file.clone(), ..ClientTlsFiles::default() };
        let tls = ClientTls::load(&files).map_err(|error| CliError::Usage(error.to_string()))?;
        Ok(Self { token: token(args.token_file.as_deref())?, ..Self::new(&args.server, &tls)? })
    }

    /// Takes the address of a scheduler; `http://` may be left out.
    ///
    /// # Errors
    /// When it is not an address, or one this program cannot talk to.
    pub(super) fn new(server: &str, tls: &ClientTls) -> Result<Self, CliError> {
        let wrong = |problem: &str| CliError::Address {
            server: server.to_owned(),
            problem: problem.to_owned(),
        };
        let full =
            if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let mut base = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("only http and https are spoken"));
        }
        // Relative paths replace what follows the last slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        base.set_fragment(None);
        let http = tls
            .apply(reqwest::Client::builder())
            // A scheduler is reached directly; a proxy for the web does not know the way.
            .no_proxy()
            // Followed by ourselves: the token goes with it.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|error| wrong(&innermost(&error)))?;
        Ok(Self { http, base, token: None })
    }

    /// Sends a request, and again to the leader where a scheduler that stands by names it.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let built = match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.clone()).build(),
            None => request.build(),
        };
        let mut request = built.map_err(|error| self.unreachable(&error))?;
        for _ in 0..=REDIRECTS_MAX {
            let again = request.try_clone();
            let here = request.url().clone();
            let response =
                self.http.execute(request).await.map_err(|error| self.unreachable(&error))?;
            let (Some(there), Some(mut next)) = (redirected(&here, &response), again) else {
                return Ok(response);
            };
            *next.url_mut() = there;
            request = next;
        }
        Err(self.foreign("it sends its clients in a circle".to_owned()))
    }

    /// Reads one resource.
    pub(super) async fn get(&self, path: &ApiPath) -> Result<Box<RawValue>, CliError> {
        let answer = self.send(Method::GET, path, Payload::default()).await?;
        self.parse(&answer.text)
    }

    /// Reads a list, page by page, up to `limit` rows.
    pub(super) async fn list(
        &self,
        path: &ApiPath,
        limit: Option<usize>,
    ) -> Result<Vec<Box<RawValue>>, CliError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < limit {
            let rows = PAGE_ROWS.min(limit - items.len()).to_string();
            let path = path.clone().with("limit", Some(&rows)).with("cursor", cursor.as_deref());
            let answer = self.send(Method::GET, &path, Payload::default()).await?;
            let page: Page = self.parse(&answer.text)?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(items)
    }

    /// Changes something.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &ApiPath,
        payload: Payload,
    ) -> Result<Answer, CliError> {
        self.send(method, path, payload).await
    }

    /// Reads what goes on for as long as somebody reads it.
    pub(super) async fn stream(
        &self,
        path: &ApiPath,
    ) -> Result<impl Stream<Item = reqwest::Result<Bytes>> + Unpin, CliError> {
        let address = format!("{}{BASE}/{}", self.base, path.0);
        let response = self.answer(self.http.get(address).timeout(STREAM_TIMEOUT)).await?;
        let status = response.status();
        if !status.is_success() {
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            let answered = || self.foreign(format!("HTTP status {status}"));
            return Err(refused(status.as_u16(), &body).unwrap_or_else(answered));
        }
        Ok(Box::pin(response.bytes_stream()))
    }

    /// Reads an answer.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, CliError> {
        serde_json::from_str(text).map_err(|error| self.foreign(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        path: &ApiPath,
        payload: Payload,
    ) -> Result<Answer, CliError> {
        let address = format!("{}{BASE}/{}", self.base, path.0);
        let mut request = self.http.request(method, address);
        if let Some(body) = payload.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        if let Some(key) = payload.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let response = self.answer(request).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            let answered = || self.foreign(format!("HTTP status {status}"));
            return Err(refused(status.as_u16(), &body).unwrap_or_else(answered));
        }
        let text = String::from_utf8(body.into());
        let text = text.map_err(|_| self.foreign("a body that is no text".to_owned()))?;
        Ok(Answer { created: status == StatusCode::CREATED, text })
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        if let Some(problem) = trouble::tls(error, self.base.scheme() == "https") {
            return CliError::Tls { server: self.server(), problem };
        }
        let cause = if error.is_timeout() { "timed out".to_owned() } else { innermost(error) };
        CliError::Unreachable { server: self.server(), cause }
    }

    fn foreign(&self, problem: String) -> CliError {
        CliError::Foreign { server: self.server(), problem }
    }

    fn server(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// Where a scheduler sends us; never from an encrypted connection to one that is not.
fn redirected(here: &Url, response: &Response) -> Option<Url> {
    if response.status() != StatusCode::TEMPORARY_REDIRECT {
        return None;
    }
    let there = here.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    let is_safe = there.scheme() == "https" || here.scheme() == there.scheme();
    (is_safe && matches!(there.scheme(), "http" | "https")).then_some(there)
}

/// The token of the file, or of the environment. There is no option for it: arguments are seen by
/// everybody on a machine.
fn token(file: Option<&Path>) -> Result<Option<HeaderValue>, CliError> {
    let (token, origin) = match file {
        Some(file) => {
            let path = file.display().to_string();
            let text = std::fs::read_to_string(file);
            (text.map_err(|source| CliError::File { path: path.clone(), source })?, path)
        }
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.trim().is_empty() => (token, TOKEN_VARIABLE.to_owned()),
            _ => return Ok(None),
        },
    };
    let token = token.trim();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
    match value.filter(|_| !token.is_empty()) {
        Some(mut value) => {
            value.set_sensitive(true);
            Ok(Some(value))
        }
        None => Err(CliError::Usage(format!(
            "{origin} holds no token: it is one line, as `shiftwork token create` prints it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed_or_refused() {
        let base = |server: &str| {
            Client::new(server, &ClientTls::default()).map(|client| client.base.to_string())
        };
        assert_eq!(base("localhost:8899").unwrap(), "http://localhost:8899/");
        assert_eq!(base("http://h:1/shiftwork").unwrap(), "http://h:1/shiftwork/");
        assert_eq!(base("https://h").unwrap(), "https://h/");
        for bad in ["ftp://h", "http://", "", "http://h:99999"] {
            assert!(matches!(base(bad), Err(CliError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn a_token_is_the_line_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "sw_x\n").unwrap();
        let value = token(Some(&file)).unwrap().unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer sw_x");
        assert!(!format!("{value:?}").contains("sw_x"), "never in a log");
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(token(Some(&file)), Err(CliError::Usage(_))));
        assert!(matches!(token(Some(&directory.path().join("no"))), Err(CliError::File { .. })));
    }

    #[tokio::test]
    async fn a_stream_shows_the_token_as_every_request_does() {
        use axum::http::{HeaderMap, StatusCode};
        use futures_util::StreamExt as _;
        let told = async |headers: HeaderMap| match headers.get(AUTHORIZATION) {
            Some(shown) if shown == "Bearer sw_x" => (StatusCode::OK, "data: here\n\n"),
            _ => (StatusCode::UNAUTHORIZED, ""),
        };
        let router = axum::Router::new().route("/api/v1/events", axum::routing::get(told));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        let token = Some(HeaderValue::from_static("Bearer sw_x"));
        let client = Client { token, ..Client::new(&server, &ClientTls::default()).unwrap() };
        let path = ApiPath::of(&["events"]);
        let mut stream = client.stream(&path).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "data: here\n\n");
    }

    #[test]
    fn paths_and_queries_are_escaped() {
        let path = ApiPath::of(&["runs", "foo@a/b"]).with("state", None).with("job", Some("ä&b"));
        assert_eq!(path.with("n", Some("5")).0, "runs/foo@a%2Fb?job=%C3%A4%26b&n=5");
    }

    #[tokio::test]
    async fn a_closed_port_names_the_address_and_the_way_out() {
        // Bound and dropped: the port is free again and nobody listens on it.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&server, &ClientTls::default()).unwrap();
        let error = client.get(&ApiPath::of(&["status"])).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&server) && text.contains("--server"), "{text}");
        assert!(error.is_passing());
    }
}
