//! For tests: a master on a real socket that does only what the test tells it, request by request,
//! and the small things tests of this module share.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use prost::Message as _;
use shiftwork_engine::document::{App, Job, Strictness};
use shiftwork_engine::effect::{ExecutorLaunch, Launch};
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, LaunchKind, RunId, TaskId};
use shiftwork_engine::resources::Resources;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::scheduler::{Call, call, event as wire};
use shiftwork_proto::recordio;
use shiftwork_schedule::{Timestamp, Zone};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DriverConfig, DriverHandle, DriverState, Timing, spawn};

/// A test that waits longer has failed; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A master whose every answer the test gives.
pub(super) struct Master {
    /// `host:port`.
    pub address: String,
    requests: mpsc::UnboundedReceiver<Request>,
    server: JoinHandle<()>,
}

/// A request that waits for its answer.
pub(super) struct Request {
    pub path: String,
    pub stream_id: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    pub call: Call,
    reply: oneshot::Sender<Response>,
}

/// The server's end of an open subscription; the stream ends when it is dropped.
pub(super) struct Stream(mpsc::UnboundedSender<Bytes>);

/// A driver under test with everything it is connected to.
pub(super) struct Rig {
    pub handle: DriverHandle,
    pub events: mpsc::Receiver<Event>,
    pub shutdown: CancellationToken,
    pub tracker: TaskTracker,
}

// === impl Master ===

impl Master {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::on(listener, address)
    }

    /// One that takes what a listener accepts.
    pub(super) fn on<L>(listener: L, address: String) -> Self
    where
        L: axum::serve::Listener<Addr: std::fmt::Debug>,
    {
        let (sender, requests) = mpsc::unbounded_channel();
        let router = Router::new().fallback(take).with_state(sender);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, requests, server }
    }

    /// The next request, whatever it is.
    pub(super) async fn request(&mut self) -> Request {
        timeout(PATIENCE, self.requests.recv()).await.expect("no request came").unwrap()
    }

    /// The next request, which must be of this type.
    pub(super) async fn expect(&mut self, kind: call::Type) -> Request {
        let request = self.request().await;
        assert_eq!(request.call.r#type(), kind);
        request
    }

    /// Takes the next subscription and answers it with SUBSCRIBED.
    pub(super) async fn subscribe(&mut self, stream_id: &str, framework: &str) -> Stream {
        let request = self.expect(call::Type::Subscribe).await;
        let stream = request.open(stream_id);
        stream.send(&subscribed(framework, 15.0));
        stream
    }

    /// Whether no other request is on its way: everything that can go on gets its turn first.
    pub(super) async fn is_idle(&mut self) -> bool {
        /// Turns of the runtime, which looks at its sockets every 61 of them.
        const TURNS: usize = 2000;
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        self.requests.try_recv().is_err()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(requests): State<mpsc::UnboundedSender<Request>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["accept"], "application/x-protobuf");
    let (reply, answer) = oneshot::channel();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let request = Request {
        path: uri.path().to_owned(),
        stream_id: text("mesos-stream-id"),
        authorization: text("authorization"),
        call: Call::decode(body).unwrap(),
        reply,
    };
    if requests.send(request).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    // A request that the test drops is never answered.
    match answer.await {
        Ok(response) => response,
        Err(_) => std::future::pending().await,
    }
}

// === impl Request ===

impl Request {
    pub(super) fn answer(self, response: impl axum::response::IntoResponse) {
        // A driver that no longer waits is part of some tests.
        let _ = self.reply.send(response.into_response());
    }

    pub(super) fn accepted(self) {
        self.answer(StatusCode::ACCEPTED);
    }

    /// 307 to another master, as a master writes it.
    pub(super) fn redirect(self, address: &str) {
        let location = format!("//{address}/master/api/v1/scheduler");
        self.answer((StatusCode::TEMPORARY_REDIRECT, [("location", location)]));
    }

    /// 200 with a stream.
    pub(super) fn open(self, stream_id: &str) -> Stream {
        let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
        let body = futures_util::stream::unfold(receiver, async |mut receiver| {
            let bytes = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(bytes), receiver))
        });
        let headers = [("mesos-stream-id", stream_id.to_owned())];
        self.answer((headers, Body::from_stream(body)));
        Stream(sender)
    }
}

// === impl Stream ===

impl Stream {
    pub(super) fn send(&self, event: &mesos::scheduler::Event) {
        self.send_raw(recordio::encode(&event.encode_to_vec()));
    }

    /// Any bytes, framed or not. A driver that has closed the stream does not get them.
    pub(super) fn send_raw(&self, bytes: Bytes) {
        let _ = self.0.send(bytes);
    }

    /// Waits until the driver has closed the stream.
    pub(super) async fn closed(&self) {
        timeout(PATIENCE, self.0.closed()).await.expect("the stream stayed open");
    }
}

// === impl Rig ===

impl Rig {
    pub(super) fn start(masters: &[&Master], framework: Option<&str>) -> Self {
        let addresses = masters.iter().map(|master| master.address.clone()).collect();
        Self::start_with(config(addresses), framework, 64)
    }

    pub(super) fn start_with(
        config: DriverConfig,
        framework: Option<&str>,
        events_max: usize,
    ) -> Self {
        let (sender, events) = mpsc::channel(events_max);
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let framework = framework.map(FrameworkId::new);
        let handle = spawn(config, framework, sender, &tracker, shutdown.clone()).unwrap();
        tracker.close();
        Self { handle, events, shutdown, tracker }
    }

    pub(super) async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.expect("no event came").unwrap()
    }

    pub(super) async fn expect_subscribed(&mut self, framework: &str) {
        let framework = FrameworkId::new(framework);
        assert_eq!(self.event().await, Event::Subscribed { framework });
    }

    pub(super) async fn expect_disconnected(&mut self) {
        assert_eq!(self.event().await, Event::Disconnected);
    }

    pub(super) async fn state(&self, wanted: impl Fn(&DriverState) -> bool) -> DriverState {
        let mut state = self.handle.state();
        timeout(PATIENCE, state.wait_for(|state| wanted(state))).await.unwrap().unwrap().clone()
    }

    /// All tasks of the driver have ended.
    pub(super) async fn ended(&self) {
        timeout(PATIENCE, self.tracker.wait()).await.expect("the driver goes on");
    }
}

/// Short waits between tries, long ones for what must not happen.
pub(super) fn config(masters: Vec<String>) -> DriverConfig {
    let mut config = DriverConfig::new(masters);
    config.timing = Timing {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        connect_timeout: PATIENCE,
        subscribe_timeout: PATIENCE,
        heartbeat_slack: Duration::from_millis(50),
        call_timeout: PATIENCE,
        flush_timeout: PATIENCE,
    };
    config
}

pub(super) fn event(kind: wire::Type) -> mesos::scheduler::Event {
    mesos::scheduler::Event { r#type: Some(kind as i32), ..Default::default() }
}

pub(super) fn subscribed(framework: &str, heartbeat_seconds: f64) -> mesos::scheduler::Event {
    mesos::scheduler::Event {
        subscribed: Some(wire::Subscribed {
            framework_id: mesos::FrameworkId { value: framework.to_owned() },
            heartbeat_interval_seconds: Some(heartbeat_seconds),
            master_info: None,
        }),
        ..event(wire::Type::Subscribed)
    }
}

pub(super) fn error(message: &str) -> mesos::scheduler::Event {
    mesos::scheduler::Event {
        error: Some(wire::Error { message: message.to_owned() }),
        ..event(wire::Type::Error)
    }
}

pub(super) fn rescind(offer: &str) -> mesos::scheduler::Event {
    let offer_id = mesos::OfferId { value: offer.to_owned() };
    mesos::scheduler::Event {
        rescind: Some(wire::Rescind { offer_id }),
        ..event(wire::Type::Rescind)
    }
}

pub(super) const APP: &str = r#"{"appName":"etl","appURL":"http://repo/etl.tar.gz",
    "uris":["http://repo/extra.zip"],"bootstrapScript":"bin/start","appCacheEnable":false,
    "cpuCount":0.2,"memoryMB":64,"env":{"B":"2","A":"1"},"eventTraceSamplingCount":10,
    "idleTimeout":"90s"}"#;

pub(super) const JOB: &str = r#"{"jobName":"nightly","appName":"etl",
    "jobExecutionType":"TRANSIENT","cron":"0 0 2 * * ?","shardingTotalCount":3,
    "shardingItemParameters":"0=north,1=south","jobParameter":"p","cpuCount":0.5,"memoryMB":64,
    "jobType":"SCRIPT","scriptCommandLine":"bin/job","timeout":"1h","killGracePeriod":"7s"}"#;

/// A launch of item 1 of the job on `agent`.
pub(super) fn launch(
    job: &str,
    agent: &AgentId,
    resources: Resources,
    executor: Resources,
) -> Launch {
    let utc = Zone::parse("UTC").unwrap();
    let job = Arc::new(Job::parse(job.as_bytes(), Strictness::Request, &utc).unwrap());
    let app = Arc::new(App::parse(APP.as_bytes(), Strictness::Request).unwrap());
    let logical_time = Timestamp::from_millis(1_795_140_000_000);
    Launch {
        task: TaskId::of(&job.name, 1, LaunchKind::Ready, agent, uuid::Uuid::nil()),
        resources,
        executor: ExecutorLaunch { id: ExecutorId::of(&app.name, agent), app, resources: executor },
        run: RunId::scheduled(&job.name, logical_time),
        logical_time,
        item: 1,
        attempt: 2,
        job_parameter: job.job_parameter.clone(),
        sharding_parameter: "south, this time".to_owned(),
        env: [("K".to_owned(), "v".to_owned())].into(),
        job,
    }
}
