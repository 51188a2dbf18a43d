//! Ties stream and calls together: subscribes for as long as it is wanted, hands events to the
//! owner. Absent: TEARDOWN; tasks go on when a scheduler leaves.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::FrameworkId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::calls::Calls;
use super::choice::Choice;
use super::config::{ConfigError, DriverConfig};
use super::credentials::Credentials;
use super::detect::Detector;
use super::framework::{framework_info, user};
use super::handle::DriverHandle;
use super::http;
use super::masters::MasterSource;
use super::pipeline::Pipeline;
use super::session::{Counters, DriverState, Session, Shared};
use super::subscribe::{EventStream, SubscribeError, subscribe};
use super::wire::{Incoming, UnusableOffer, read_event};

/// ERROR of a master that removed the framework, or whose failover timeout is over.
const ERROR_REMOVED: &str = "Framework has been removed";

/// ERROR on the stream of an instance that another one has replaced.
const ERROR_FAILED_OVER: &str = "Framework failed over";

/// A stream may miss one heartbeat; after two intervals without anything it is dead.
const HEARTBEATS_MISSED_MAX: u32 = 2;

/// How long nothing like an offer that was not understood is wanted, milliseconds: until an operator
/// may have looked at the agent.
const UNUSABLE_OFFER_REFUSE_MS: u64 = 60_000;

/// Starts the driver. Its tasks run on `tracker` until `shutdown`; the stream is then closed after
/// the calls that wait have been sent, and without TEARDOWN.
///
/// `events` is the back-pressure of the stream: while it is full, nothing is read from the master.
/// `framework_id` takes up the framework of that id with its tasks; `None` makes a new one.
///
/// # Errors
/// When the configuration cannot work; nothing is started then.
pub fn spawn(
    config: DriverConfig,
    framework_id: Option<FrameworkId>,
    events: mpsc::Sender<Event>,
    tracker: &TaskTracker,
    shutdown: CancellationToken,
) -> Result<DriverHandle, ConfigError> {
    let source = config.source()?;
    let client = http::client(&config)?;
    let (queue, queued) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(queue, config.calls_queued_max));
    let (stop, flushed) = (shutdown.child_token(), CancellationToken::new());
    let calls = Calls {
        client: client.clone(),
        shared: Arc::clone(&shared),
        events: events.clone(),
        queue: queued,
        pipeline: Pipeline::new(config.credentials.as_ref().and_then(Credentials::authorization)),
        call_timeout: config.timing.call_timeout,
        flush_timeout: config.timing.flush_timeout,
    };
    tracker.spawn(calls.run(stop.clone(), flushed.clone().drop_guard()));
    let choice = match source {
        MasterSource::List(masters) => Choice::in_turn(masters),
        MasterSource::ZooKeeper(masters) => {
            let detector = Detector::new(masters);
            let leader = detector.leader();
            tracker.spawn(detector.run(stop.clone()));
            Choice::leading(leader)
        }
    };
    let driver = Driver {
        backoff: Backoff::new(config.timing.backoff_min, config.timing.backoff_max),
        user: user(&config),
        config,
        client,
        choice,
        framework: framework_id,
        epoch: 0,
        events,
        shared: Arc::clone(&shared),
    };
    tracker.spawn(driver.run(stop, flushed));
    Ok(DriverHandle::new(shared))
}

/// Keeps the subscription.
struct Driver {
    config: DriverConfig,
    user: String,
    client: Client,
    choice: Choice,
    framework: Option<FrameworkId>,
    epoch: u64,
    backoff: Backoff,
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
}

/// How a subscription ended.
#[derive(Debug)]
enum End {
    /// To be made again.
    Lost(SubscribeError),
    /// The framework is no more.
    Removed,
    /// Another instance leads.
    FailedOver,
    /// Nobody takes events any more.
    OwnerGone,
}

// === impl Driver ===

impl Driver {
    async fn run(mut self, stop: CancellationToken, flushed: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let last = tokio::select! {
            biased;
            () = flushed.cancelled() => DriverState::Stopped,
            last = self.keep_subscribed() => last,
        };
        if let Some(session) = shared.session.send_replace(None) {
            session.ended.cancel();
        }
        shared.state.send_replace(last);
        stop.cancel();
    }

    /// Subscribes again and again; returns the final state.
    async fn keep_subscribed(&mut self) -> DriverState {
        loop {
            match self.subscribe_once().await {
                End::Lost(error) => self.on_lost(&error).await,
                End::Removed => {
                    if self.on_removed().await.is_err() {
                        return DriverState::Stopped;
                    }
                }
                End::FailedOver => {
                    tracing::error!(
                        "another instance subscribed with our framework id; this one stops"
                    );
                    return DriverState::FailedOver;
                }
                End::OwnerGone => return DriverState::Stopped,
            }
        }
    }

    async fn subscribe_once(&mut self) -> End {
        let Some(master) = self.choice.choose().await else {
            return End::OwnerGone;
        };
        let info = framework_info(&self.config, &self.user, self.framework.as_ref());
        let answer_timeout = self.config.timing.subscribe_timeout;
        let begun = Instant::now();
        let answer = tokio::select! {
            answer = subscribe(&self.client, &master, info, answer_timeout) => answer,
            () = self.choice.moved() => Err(SubscribeError::Moved),
        };
        let mut stream = match answer {
            Ok(stream) => stream,
            Err(error) => {
                self.choice.failed();
                return End::Lost(error);
            }
        };
        let end = self.listen(&mut stream).await;
        if begun.elapsed() > self.config.timing.backoff_max {
            self.backoff.reset();
        }
        self.close_session(end).await
    }

    /// Reads the stream until it ends.
    async fn listen(&mut self, stream: &mut EventStream) -> End {
        let ended = CancellationToken::new();
        let mut patience = self.config.timing.subscribe_timeout;
        loop {
            let record = tokio::select! {
                biased;
                () = ended.cancelled() => Err(SubscribeError::Calls),
                () = self.choice.moved() => Err(SubscribeError::Moved),
                record = stream.next(patience) => record,
            };
            let record = match record {
                Ok(record) => record,
                Err(error) => return End::Lost(error),
            };
            let event = match read_event(record) {
                Ok(Incoming::Subscribed { framework, heartbeat_interval }) => {
                    patience = self.patience(heartbeat_interval);
                    self.open_session(stream, framework.clone(), ended.clone());
                    Event::Subscribed { framework }
                }
                Ok(Incoming::Offers { usable, unusable, agents }) => {
                    self.config.agents.learn(agents);
                    self.refuse(unusable);
                    Event::Offers(usable)
                }
                Ok(Incoming::Event(event)) => event,
                Ok(Incoming::Failure { event, how }) => {
                    tracing::warn!(failure = ?event, how, "an executor or agent is gone");
                    event
                }
                Ok(Incoming::Error(message)) => return end_of(message),
                Ok(Incoming::Heartbeat) => {
                    Counters::count(&self.shared.counters.heartbeats);
                    continue;
                }
                Ok(Incoming::Ignored(kind)) => {
                    tracing::debug!(kind, "event without use for us");
                    continue;
                }
                Err(error) => {
                    Counters::count(&self.shared.counters.bad_messages);
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "a message of the master is left out");
                    continue;
                }
            };
            if self.shared.session().is_none() {
                return End::Lost(SubscribeError::OutOfOrder);
            }
            if self.events.send(event).await.is_err() {
                return End::OwnerGone;
            }
        }
    }

    fn patience(&self, heartbeat_interval: Duration) -> Duration {
        heartbeat_interval * HEARTBEATS_MISSED_MAX + self.config.timing.heartbeat_slack
    }

    /// Calls may go out from now on.
    fn open_session(
        &mut self,
        stream: &EventStream,
        framework: FrameworkId,
        ended: CancellationToken,
    ) {
        if self.framework.as_ref().is_some_and(|known| *known != framework) {
            tracing::error!(known = ?self.framework, given = %framework, "the master gave us another framework id");
        }
        Counters::count(&self.shared.counters.subscriptions);
        self.framework = Some(framework.clone());
        self.epoch += 1;
        let master = stream.url.authority().to_owned();
        tracing::info!(%framework, master, "subscribed");
        self.shared.session.send_replace(Some(Arc::new(Session {
            epoch: self.epoch,
            url: stream.url.clone(),
            stream_id: stream.stream_id.clone(),
            framework: framework.clone(),
            ended,
        })));
        self.shared.state.send_replace(DriverState::Subscribed { framework, master });
    }

    /// No call goes out any more; the owner learns that all offers are void.
    async fn close_session(&mut self, end: End) -> End {
        let Some(session) = self.shared.session.send_replace(None) else {
            return end;
        };
        session.ended.cancel();
        self.shared.state.send_replace(DriverState::Connecting);
        if self.events.send(Event::Disconnected).await.is_err() { End::OwnerGone } else { end }
    }

    /// Gives back what was not understood: nobody else could, and it would be held for ever.
    fn refuse(&self, unusable: Vec<UnusableOffer>) {
        for UnusableOffer { id, error } in unusable {
            Counters::count(&self.shared.counters.bad_messages);
            tracing::error!(offer = ?id, %error, "an offer is not understood and declined");
            if let Some(id) = id {
                let refuse_ms = UNUSABLE_OFFER_REFUSE_MS;
                self.shared.enqueue(Action::Decline { offers: vec![id], refuse_ms });
            }
        }
    }

    async fn on_lost(&mut self, error: &SubscribeError) {
        if matches!(error, SubscribeError::Moved) {
            self.backoff.reset();
        }
        let delay = self.backoff.next_delay();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let retry_ms = delay.as_millis() as u64;
        match error {
            SubscribeError::Master { .. } | SubscribeError::Refused { .. } => {
                tracing::error!(%error, cause, retry_ms, "no subscription");
            }
            _ => tracing::warn!(%error, cause, retry_ms, "no subscription"),
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            // Another one leads: no reason to let it wait for what the old one did.
            () = self.choice.moved() => self.backoff.reset(),
        }
    }

    /// Tells the owner and waits until it has given up the old id.
    async fn on_removed(&mut self) -> Result<(), mpsc::error::SendError<Event>> {
        tracing::error!(framework = ?self.framework, "the master removed this framework");
        self.framework = None;
        let mut state = self.shared.state.subscribe();
        self.shared.state.send_replace(DriverState::Removed);
        self.events.send(Event::FrameworkRemoved).await?;
        // The sender lives in `self.shared`, so that this cannot fail.
        let _ = state.wait_for(|state| *state != DriverState::Removed).await;
        Ok(())
    }
}

fn end_of(message: String) -> End {
    match message.as_str() {
        ERROR_REMOVED => End::Removed,
        ERROR_FAILED_OVER => End::FailedOver,
        _ => End::Lost(SubscribeError::Master { message }),
    }
}
