//! The Mesos v1 executor API over HTTP: one subscription and the calls beside it. Absent: when to
//! subscribe, and what events mean.

use std::time::Duration;

use prost::Message as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::executor::{Call, Event, call};
use shiftwork_proto::recordio;
use shiftwork_proto::required::{self, RequiredError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::transport::TransportError;

/// How long the agent may take to answer a call, or to begin its answer to SUBSCRIBE. It is on the
/// same machine; an agent this slow is as good as gone.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);
/// How often the kernel asks whether the agent's end of a silent subscription still exists. The
/// agent's own heartbeats come half an hour apart.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The largest event accepted. The largest real one is a LAUNCH: a job's parameters and environment.
const EVENT_LEN_MAX: usize = 4 * 1024 * 1024;
/// Events read ahead of the core. Small: what is not read waits in the socket.
const EVENTS_AHEAD_MAX: usize = 64;
/// How much of a refusal's text goes into the log.
const REFUSAL_LEN_MAX: usize = 300;
/// Full name of the events' type.
const EVENT: &str = "mesos.v1.executor.Event";
/// The media type of the protobuf encoding.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The agent, as something to subscribe with.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    client: Client,
    url: String,
    framework_id: mesos::FrameworkId,
    executor_id: mesos::ExecutorId,
}

/// A subscription, from the moment it is asked for. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Connection {
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    /// Unbounded, but never holds more than the updates that are not acknowledged, which are
    /// bounded themselves.
    updates: mpsc::UnboundedSender<call::Update>,
    _tasks: JoinSet<()>,
}

/// Why there is no subscription, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("the way to the agent cannot be set up")]
    Transport(#[source] TransportError),
    #[error("the authentication token holds characters that no HTTP header may carry")]
    Token,
    #[error("{call} to the agent at {url} failed")]
    Call {
        call: &'static str,
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the agent at {url} did not answer {call} within {} s", ANSWER_WAIT_MAX.as_secs())]
    Silent { call: &'static str, url: String },
    #[error("the agent answered {call} with {status}: {text}")]
    Refused { call: &'static str, status: StatusCode, text: String },
    #[error("the event stream broke")]
    Stream(#[source] reqwest::Error),
    #[error("the event stream is not RecordIO")]
    RecordIo(#[from] recordio::RecordIoError),
    #[error("an event of the stream cannot be decoded")]
    Undecodable(#[from] RequiredError),
    #[error("the agent ended the event stream")]
    Ended,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn new(config: &Config) -> Result<Self, ConnectionError> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, PROTOBUF), (ACCEPT, PROTOBUF)]);
        if let Some(token) = &config.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
                .map_err(|_| ConnectionError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = config
            .transport
            .set_up(Client::builder(), &config.agent_endpoint)
            .map_err(ConnectionError::Transport)?
            .default_headers(headers)
            .http1_only()
            // The agent is this machine's own; a proxy from the environment has no say in it.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(ANSWER_WAIT_MAX)
            .tcp_keepalive(KEEPALIVE)
            .build()
            .map_err(ConnectionError::Client)?;
        Ok(Self {
            client,
            url: config.transport.url(&config.agent_endpoint),
            framework_id: mesos::FrameworkId { value: config.framework_id.clone() },
            executor_id: mesos::ExecutorId { value: config.executor_id.clone() },
        })
    }

    /// Begins to subscribe; how it goes is told by the connection.
    pub(crate) fn subscribe(&self, subscribe: call::Subscribe) -> Connection {
        let (event_sender, events) = mpsc::channel(EVENTS_AHEAD_MAX);
        let (updates, update_receiver) = mpsc::unbounded_channel();
        let agent = self.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let error = agent.serve(subscribe, &event_sender, update_receiver).await;
            // Nobody listens only when the connection was dropped; then nobody needs to know.
            let _unheard = event_sender.send(Err(error)).await;
        });
        Connection { events, updates, _tasks: tasks }
    }

    /// Reads events and sends updates until either fails.
    async fn serve(
        &self,
        subscribe: call::Subscribe,
        events: &mpsc::Sender<Result<Event, ConnectionError>>,
        updates: mpsc::UnboundedReceiver<call::Update>,
    ) -> ConnectionError {
        let call = Call {
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..self.call()
        };
        let response = match self.post("SUBSCRIBE", &call).await {
            Ok(response) => response,
            Err(error) => return error,
        };
        tokio::select! {
            error = read_events(response, events) => error,
            error = self.send_updates(updates) => error,
        }
    }

    async fn send_updates(
        &self,
        mut updates: mpsc::UnboundedReceiver<call::Update>,
    ) -> ConnectionError {
        while let Some(update) = updates.recv().await {
            let call = Call {
                r#type: Some(call::Type::Update.into()),
                update: Some(update),
                ..self.call()
            };
            // One at a time: the order of a task's updates is part of their meaning.
            if let Err(error) = self.post("UPDATE", &call).await {
                return error;
            }
        }
        ConnectionError::Ended
    }

    async fn post(&self, name: &'static str, call: &Call) -> Result<Response, ConnectionError> {
        let request = self.client.post(&self.url).body(call.encode_to_vec()).send();
        let response = match tokio::time::timeout(ANSWER_WAIT_MAX, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(source)) => {
                return Err(ConnectionError::Call { call: name, url: self.url.clone(), source });
            }
            Err(_) => {
                return Err(ConnectionError::Silent { call: name, url: self.url.clone() });
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = tokio::time::timeout(ANSWER_WAIT_MAX, response.text());
        let text = text.await.ok().and_then(Result::ok).unwrap_or_default();
        let text = text.chars().take(REFUSAL_LEN_MAX).collect();
        Err(ConnectionError::Refused { call: name, status, text })
    }

    fn call(&self) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: None,
            subscribe: None,
            update: None,
            message: None,
        }
    }
}

// === impl Connection ===

impl Connection {
    /// The next event, or why there will be none.
    pub(crate) async fn next(&mut self) -> Result<Event, ConnectionError> {
        self.events.recv().await.unwrap_or(Err(ConnectionError::Ended))
    }

    /// Sends an update after those before it. If the connection has ended, it is sent with the next.
    pub(crate) fn send(&self, update: call::Update) {
        let _ended = self.updates.send(update);
    }
}

async fn read_events(
    mut response: Response,
    events: &mpsc::Sender<Result<Event, ConnectionError>>,
) -> ConnectionError {
    let mut decoder = recordio::Decoder::new(EVENT_LEN_MAX);
    loop {
        let event = match next_event(&mut response, &mut decoder).await {
            Ok(event) => event,
            Err(error) => return error,
        };
        if events.send(Ok(event)).await.is_err() {
            return ConnectionError::Ended;
        }
    }
}

async fn next_event(
    response: &mut Response,
    decoder: &mut recordio::Decoder,
) -> Result<Event, ConnectionError> {
    loop {
        if let Some(record) = decoder.next()? {
            return Ok(required::decode(EVENT, record)?);
        }
        match response.chunk().await.map_err(ConnectionError::Stream)? {
            Some(chunk) => decoder.push(&chunk),
            None => return Err(ConnectionError::Ended),
        }
    }
}
