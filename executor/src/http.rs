//! HTTP jobs: one request a firing, its answer judged and its body kept. Absent: timers other than
//! those of the connection; when to give up is the core's business.

use std::collections::BTreeMap;
use std::future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use shiftwork_proto::shiftwork::v1::Http;
use shiftwork_schedule::Timestamp;
use tokio::task::{AbortHandle, JoinSet};

use crate::core::{Event, Exited, TaskId, TaskSpec, Usage, WorkEnd, WorkId};
use crate::error_chain;
use crate::logfile::{LogFile, Tail};
use crate::sharding_context;

/// The header with the sharding context; Elastic-Job-Cloud's name.
const CONTEXT_HEADER: HeaderName = HeaderName::from_static("shardingcontext");
/// How long a connection may take where the job says nothing; Elastic-Job-Cloud's default.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
/// How long the server may be silent where the job says nothing; Elastic-Job-Cloud's default.
const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How many redirects are followed; more is a loop.
const REDIRECTS_MAX: usize = 5;
/// How much of a body is read. What a job's endpoint answers is for people to read; who sends more is
/// no longer listened to.
const BODY_LEN_MAX: usize = 8 * 1024 * 1024;
/// The file in the task's directory that takes the bodies.
const BODY_FILE: &str = "stdout";

/// All requests of all tasks of this executor.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    works: BTreeMap<WorkId, (TaskId, AbortHandle)>,
    answers: JoinSet<(WorkId, WorkEnd)>,
    events: Vec<Event>,
}

/// Why a request cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the job's HTTP URI {uri:?} cannot be read; it must be like http://host:port/path")]
    Uri { uri: String },
    #[error("the job's HTTP URI has the scheme {scheme:?}; it must be http or https")]
    Scheme { scheme: String },
    #[error("the job's HTTP method {method:?} is none")]
    Method { method: String },
    #[error("the job's HTTP header {name:?} has a name or value that no header may have")]
    Header { name: String },
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("keeping the answer in {0} failed")]
    Output(PathBuf, #[source] io::Error),
}

/// How an exchange ends early.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("the request failed")]
    Send(#[source] reqwest::Error),
    #[error("the answer broke off after status {status}")]
    Body {
        status: u16,
        #[source]
        source: reqwest::Error,
    },
}

// === impl Requests ===

impl Requests {
    /// Begins a request whose answer is kept in `dir`.
    pub(crate) fn start(
        &mut self,
        work: WorkId,
        spec: &TaskSpec,
        http: &Http,
        firing: Option<Timestamp>,
        dir: &Path,
    ) -> Result<(), RequestError> {
        let request = request(http, &sharding_context::ascii_json(spec, firing))?;
        let path = dir.join(BODY_FILE);
        let log =
            LogFile::new(path.clone()).map_err(|source| RequestError::Output(path, source))?;
        let success: Vec<_> = http.success.iter().map(|range| range.first..=range.last).collect();
        let is_good = move |status: u16| match &success[..] {
            [] => status < StatusCode::BAD_REQUEST.as_u16(),
            ranges => ranges.iter().any(|range| range.contains(&u32::from(status))),
        };
        let abort = self.answers.spawn(async move { (work, perform(request, is_good, log).await) });
        self.works.insert(work, (spec.id.clone(), abort));
        Ok(())
    }

    /// Gives a request up: its connection is closed.
    pub(crate) fn cancel(&mut self, work: WorkId) {
        if let Some((_, abort)) = self.works.get(&work) {
            abort.abort();
            let end = WorkEnd {
                exited: Exited::Cancelled,
                stdout_tail: Bytes::new(),
                stderr_tail: Bytes::new(),
            };
            self.on_end(work, end);
        }
    }

    /// Waits until a request has ended; for ever when there is none.
    pub(crate) async fn wait(&mut self) {
        match self.answers.join_next().await {
            Some(Ok((work, end))) => self.on_end(work, end),
            // Given up, which was told when it was.
            Some(Err(_)) => {}
            None => future::pending().await,
        }
    }

    /// What has happened since this was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn on_end(&mut self, work: WorkId, end: WorkEnd) {
        if let Some((task, _)) = self.works.remove(&work) {
            self.events.push(Event::LeaderEnded { task: task.clone(), work, end });
            self.events.push(Event::Gone { task, work, usage: Usage::default() });
        }
    }
}

/// The request as the job describes it. A client of its own: its timeouts are the job's.
fn request(http: &Http, context: &str) -> Result<RequestBuilder, RequestError> {
    let url =
        Url::parse(http.uri.trim()).map_err(|_| RequestError::Uri { uri: http.uri.clone() })?;
    let client = match url.scheme() {
        // Without roots: reading those of the system for each request would be for nothing.
        "http" => Client::builder().tls_certs_only([]),
        "https" => Client::builder().https_only(true),
        scheme => return Err(RequestError::Scheme { scheme: scheme.to_owned() }),
    };
    let method = http.method.trim().to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| RequestError::Method { method: http.method.clone() })?;
    let timeout = |ms: u64, default: Duration| match ms {
        0 => default,
        ms => Duration::from_millis(ms),
    };
    let client = client
        .http1_only()
        // The environment of the agent has no say in where a job's request goes.
        .no_proxy()
        .redirect(Policy::custom(follow))
        .connect_timeout(timeout(http.connect_timeout_ms, CONNECT_TIMEOUT_DEFAULT))
        .read_timeout(timeout(http.read_timeout_ms, READ_TIMEOUT_DEFAULT))
        .build()
        .map_err(RequestError::Client)?;
    let request = client.request(method, url).headers(headers(http, context)?);
    Ok(if http.body.is_empty() { request } else { request.body(http.body.clone()) })
}

fn headers(http: &Http, context: &str) -> Result<HeaderMap, RequestError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        let bad = || RequestError::Header { name: name.clone() };
        let header = HeaderName::try_from(name).map_err(|_| bad())?;
        headers.insert(header, HeaderValue::try_from(value).map_err(|_| bad())?);
    }
    let context = HeaderValue::try_from(context)
        .map_err(|_| RequestError::Header { name: CONTEXT_HEADER.to_string() })?;
    headers.insert(CONTEXT_HEADER, context);
    Ok(headers)
}

/// A few redirects within the scheme that the job names: another could mean that what TLS was to keep
/// goes out in the open, or a protocol nobody asked for.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let before = attempt.previous().first().map(Url::scheme);
    if before != Some(attempt.url().scheme()) {
        let scheme = attempt.url().scheme().to_owned();
        return attempt.error(format!("redirected to another scheme, {scheme}"));
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(format!("redirected more than {REDIRECTS_MAX} times"));
    }
    attempt.follow()
}

async fn perform(
    request: RequestBuilder,
    is_good: impl Fn(u16) -> bool,
    mut log: LogFile,
) -> WorkEnd {
    let mut tail = Tail::default();
    let exited = match exchange(request, &mut log, &mut tail).await {
        Ok(status) => Exited::Answered { status, good: is_good(status) },
        Err(error) => Exited::Failed { reason: error_chain(&error) },
    };
    WorkEnd { exited, stdout_tail: tail.bytes(), stderr_tail: tail.bytes() }
}

/// Sends the request and takes the answer; its status.
async fn exchange(
    request: RequestBuilder,
    log: &mut LogFile,
    tail: &mut Tail,
) -> Result<u16, ExchangeError> {
    // Without its URL: that may hold what is not for a log.
    let sent = request.send().await;
    let mut answer = sent.map_err(|error| ExchangeError::Send(error.without_url()))?;
    let status = answer.status().as_u16();
    let mut left = BODY_LEN_MAX;
    while left > 0 {
        let chunk = answer
            .chunk()
            .await
            .map_err(|error| ExchangeError::Body { status, source: error.without_url() })?;
        let Some(chunk) = chunk else {
            break;
        };
        let kept = chunk.get(..left).unwrap_or(&chunk);
        left -= kept.len();
        log.write(kept, &mut None);
        tail.push(kept);
    }
    Ok(status)
}
