//! One subscription: finds the leading master, opens the stream, cuts it into records, notices when
//! it is dead. Absent: what records say, and trying again.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use shiftwork_proto::mesos::v1::FrameworkInfo;
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use shiftwork_proto::recordio::{Decoder, MAX_RECORD_LEN_DEFAULT, RecordIoError};
use tokio::time::timeout;

use super::http::{STREAM_ID, post, redirect_target, refusal_hint, refusal_text};

/// Redirects followed for one subscription: masters that do not lead name the one that does, and
/// while they elect they may name each other.
const REDIRECTS_MAX: usize = 5;

/// Why there is no subscription, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubscribeError {
    #[error("no connection to the master at {url}; check address and network")]
    Connect {
        url: Url,
        #[source]
        source: reqwest::Error,
    },
    #[error("the master at {url} did not answer SUBSCRIBE within {} ms", waited.as_millis())]
    NoAnswer { url: Url, waited: Duration },
    #[error("the master at {url} refused SUBSCRIBE with {status}: {text}{}", refusal_hint(*status))]
    Refused { url: Url, status: StatusCode, text: String },
    #[error("the master at {url} names no leading master that speaks what it speaks: {location:?}")]
    Location { url: Url, location: String },
    #[error(
        "{REDIRECTS_MAX} masters in a row said that another one leads; an election may be going on"
    )]
    Redirects,
    #[error("the answer of {url} carries no Mesos-Stream-Id; is it a Mesos 1.x master?")]
    NoStreamId { url: Url },
    #[error("the master was silent for {} ms, though it owes heartbeats", waited.as_millis())]
    Silent { waited: Duration },
    #[error("the master ended the stream")]
    Ended,
    #[error("the stream broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the stream is out of step")]
    Framing(#[source] RecordIoError),
    #[error("the master ended the subscription: {message}")]
    Master { message: String },
    #[error("the master sent other events before SUBSCRIBED")]
    OutOfOrder,
    #[error("the master does not take our calls")]
    Calls,
    #[error("another master leads now")]
    Moved,
}

/// The stream of a subscription that a master took up.
#[derive(Debug)]
pub(super) struct EventStream {
    /// Where the subscription is, and so where its calls go.
    pub url: Url,
    /// What its calls carry.
    pub stream_id: HeaderValue,
    response: Response,
    decoder: Decoder,
}

/// Subscribes at `first` or at whichever master it names as leading.
///
/// # Errors
/// When no master takes the subscription; `answer_timeout` is for each one's answer.
pub(super) async fn subscribe(
    client: &Client,
    first: &Url,
    framework: FrameworkInfo,
    answer_timeout: Duration,
) -> Result<EventStream, SubscribeError> {
    let body = Bytes::from(subscribe_call(framework).encode_to_vec());
    let mut url = first.clone();
    for _ in 0..=REDIRECTS_MAX {
        let answer = timeout(answer_timeout, post(client, &url, body.clone()).send()).await;
        let response = match answer {
            Err(_) => {
                return Err(SubscribeError::NoAnswer { url, waited: answer_timeout });
            }
            Ok(Err(source)) => {
                return Err(SubscribeError::Connect { url, source: source.without_url() });
            }
            Ok(Ok(response)) => response,
        };
        match response.status() {
            StatusCode::OK => return EventStream::open(url, response),
            StatusCode::TEMPORARY_REDIRECT => url = leader(&url, &response)?,
            status => {
                let text = refusal_text(response).await;
                return Err(SubscribeError::Refused { url, status, text });
            }
        }
    }
    Err(SubscribeError::Redirects)
}

fn subscribe_call(framework: FrameworkInfo) -> Call {
    let mut call = Call { framework_id: framework.id.clone(), ..Call::default() };
    call.set_type(call::Type::Subscribe);
    call.subscribe =
        Some(call::Subscribe { framework_info: framework, suppressed_roles: Vec::new() });
    call
}

fn leader(url: &Url, response: &Response) -> Result<Url, SubscribeError> {
    let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let location = String::from_utf8_lossy(location).into_owned();
    redirect_target(url, &location)
        .ok_or_else(|| SubscribeError::Location { url: url.clone(), location })
}

// === impl EventStream ===

impl EventStream {
    fn open(url: Url, response: Response) -> Result<Self, SubscribeError> {
        let Some(stream_id) = response.headers().get(STREAM_ID).cloned() else {
            return Err(SubscribeError::NoStreamId { url });
        };
        let decoder = Decoder::new(MAX_RECORD_LEN_DEFAULT);
        Ok(Self { url, stream_id, response, decoder })
    }

    /// The next record. Safe to drop while it waits: nothing that arrived is lost.
    ///
    /// # Errors
    /// When the stream ended, broke, lost its framing, or nothing at all came for `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Bytes, SubscribeError> {
        loop {
            if let Some(record) = self.decoder.next().map_err(SubscribeError::Framing)? {
                return Ok(record);
            }
            let chunk = timeout(patience, self.response.chunk())
                .await
                .map_err(|_| SubscribeError::Silent { waited: patience })?
                .map_err(|error| SubscribeError::Broken(error.without_url()))?;
            let Some(bytes) = chunk else {
                self.decoder.finish().map_err(SubscribeError::Framing)?;
                return Err(SubscribeError::Ended);
            };
            self.decoder.push(&bytes);
        }
    }
}
