//! The queue of calls: one in flight at a time, strictly in the order given; only ACKNOWLEDGEs that
//! stand together go side by side, and many of them in one piece. Absent: repeating what the engine repeats by its own timers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use prost::Message as _;
use reqwest::{Client, StatusCode};
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::OfferId;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backoff::Backoff;
use super::http::{STREAM_ID, post, refusal_hint, refusal_text};
use super::pipeline::Pipeline;
use super::session::{Counters, Queued, Session, Shared};
use super::wire::{WireError, call_kind, write_call};

/// Actions taken from the queue at once: enough to find ACKNOWLEDGEs that stand together.
const BATCH_LEN_MAX: usize = 1024;

/// ACKNOWLEDGEs in flight at once. They are independent of each other, a wave of them follows every
/// launch, and a round trip each would hold up the ACCEPT behind them.
const ACKNOWLEDGE_CONCURRENCY: usize = 16;

/// ACKNOWLEDGEs that stand together and go in one piece: fewer are as fast side by side.
const PIPELINED_MIN: usize = 32;

/// ACKNOWLEDGEs of one piece: its answers fit the socket's buffers, whatever the master does first.
const PIPELINED_MAX: usize = 256;

/// Tries of one call: a master that changes its mind within a second is served by the same stream,
/// a longer outage ends it.
const TRIES_MAX: u32 = 5;

/// Before the second try of a call.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// The longest wait between tries of a call.
const RETRY_DELAY_MAX: Duration = Duration::from_millis(400);

/// How long nothing like the offers of a failed launch is wanted: until the engine has sorted out
/// what became of the tasks.
const DECLINE_REFUSE_MS: u64 = 1000;

/// What became of a call.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("it cannot be written")]
    Unwritable(#[source] WireError),
    #[error("the master refused it with {status}: {text}{}", refusal_hint(*status))]
    Refused { status: StatusCode, text: String },
    #[error("the master could not take it, {status}: {text}")]
    Unavailable { status: StatusCode, text: String },
    #[error("no connection to the master")]
    NotSent(#[source] reqwest::Error),
    #[error("the master did not answer; whether it took the call is unknown")]
    Unknown(#[source] reqwest::Error),
    #[error("its subscription has ended")]
    SessionEnded,
}

/// Sends what is queued.
pub(super) struct Calls {
    pub client: Client,
    pub shared: Arc<Shared>,
    pub events: mpsc::Sender<Event>,
    pub queue: mpsc::UnboundedReceiver<Queued>,
    pub pipeline: Pipeline,
    pub call_timeout: Duration,
    pub flush_timeout: Duration,
}

// === impl CallError ===

impl CallError {
    /// Whether the same call may be sent once more. All but ACCEPT do no harm when they arrive
    /// twice; a second ACCEPT would find its offers used and report its tasks as dropped.
    fn may_retry(&self, is_accept: bool) -> bool {
        match self {
            Self::NotSent(_) => true,
            Self::Unavailable { .. } | Self::Unknown(_) => !is_accept,
            Self::Unwritable(_) | Self::Refused { .. } | Self::SessionEnded => false,
        }
    }
}

// === impl Calls ===

impl Calls {
    /// Sends until stopped, then what still waits, within the flush timeout. `_flushed` tells the
    /// stream that it may close.
    pub(super) async fn run(mut self, stop: CancellationToken, _flushed: DropGuard) {
        let flush_timeout = self.flush_timeout;
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(flush_timeout).await;
        };
        tokio::select! {
            () = self.send_all(&stop) => {}
            () = overdue => tracing::warn!("calls were left unsent at shutdown"),
        }
    }

    async fn send_all(&mut self, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_LEN_MAX);
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
                taken = self.queue.recv_many(&mut batch, BATCH_LEN_MAX) => taken,
            };
            if taken == 0 {
                return;
            }
            self.send_batch(batch.drain(..).collect()).await;
        }
    }

    async fn send_batch(&mut self, mut batch: VecDeque<Queued>) {
        let is_acknowledge = |queued: &Queued| matches!(queued.action, Action::Acknowledge { .. });
        while let Some(first) = batch.pop_front() {
            if !is_acknowledge(&first) {
                self.send_one(first).await;
                continue;
            }
            let others = batch.iter().take_while(|queued| is_acknowledge(queued)).count();
            let mut together: VecDeque<Queued> =
                std::iter::once(first).chain(batch.drain(..others)).collect();
            self.send_in_pieces(&mut together).await;
            let this = &*self;
            stream::iter(together)
                .for_each_concurrent(ACKNOWLEDGE_CONCURRENCY, |queued| this.send_one(queued))
                .await;
        }
    }

    /// Sends ACKNOWLEDGEs as many at a time as make a piece, and takes those out that the master took.
    /// Leaves what must be sent one by one.
    async fn send_in_pieces(&mut self, together: &mut VecDeque<Queued>) {
        while together.len() >= PIPELINED_MIN {
            let Some(session) = self.shared.session() else { return };
            let write = |queued: &Queued| {
                let is_ours = queued.epoch == session.epoch;
                let call = is_ours.then(|| write_call(&queued.action, &session.framework));
                Some(Bytes::from(call?.ok()??.encode_to_vec()))
            };
            let calls: Vec<Bytes> = together.iter().take(PIPELINED_MAX).map_while(write).collect();
            if calls.len() < PIPELINED_MIN {
                return;
            }
            let sending = self.pipeline.send(&session, &calls);
            let taken = tokio::select! {
                biased;
                () = session.ended.cancelled() => return,
                taken = tokio::time::timeout(self.call_timeout, sending) => taken.unwrap_or(0),
            };
            together.drain(..taken);
            let counters = &self.shared.counters;
            counters.calls.fetch_add(taken as u64, Ordering::Relaxed);
            counters.calls_queued.fetch_sub(taken, Ordering::Relaxed);
            if taken < calls.len() {
                return;
            }
        }
    }

    async fn send_one(&self, Queued { epoch, action }: Queued) {
        self.shared.counters.calls_queued.fetch_sub(1, Ordering::Relaxed);
        let session = self.shared.session().filter(|session| session.epoch == epoch);
        let result = match &session {
            Some(session) => self.deliver(session, &action).await,
            None => Err(CallError::SessionEnded),
        };
        let Err(error) = result else { return };
        let counter = match error {
            CallError::Unwritable(_) | CallError::Refused { .. } => {
                &self.shared.counters.calls_refused
            }
            _ => &self.shared.counters.calls_dropped,
        };
        Counters::count(counter);
        if matches!(error, CallError::SessionEnded) {
            tracing::debug!(call = call_kind(&action), "call dropped: its subscription has ended");
        } else {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(call = call_kind(&action), %error, cause, "call failed");
        }
        self.on_failed(session.as_deref(), action, &error).await;
    }

    /// Settles what a failed call leaves open.
    async fn on_failed(&self, session: Option<&Session>, action: Action, error: &CallError) {
        if let Action::Accept { offers, launches, .. } = action {
            if let Some(session) = session.filter(|_| !matches!(error, CallError::SessionEnded)) {
                self.give_back(session, offers).await;
            }
            let tasks = launches.into_iter().map(|launch| launch.task).collect();
            // Without an owner nobody is left to tell.
            let _ = self.events.send(Event::LaunchFailed { tasks }).await;
        } else if let Some(session) = session.filter(|_| !is_settled(error)) {
            // A DECLINE, REVIVE or SUPPRESS that is lost would leave us and the master with
            // different ideas for ever; a new subscription begins with none.
            session.ended.cancel();
        }
    }

    /// Declines the offers of a failed ACCEPT before the engine hears of it: they do not leak, and
    /// should the ACCEPT still arrive, it finds them void.
    async fn give_back(&self, session: &Session, offers: Vec<OfferId>) {
        let decline = Action::Decline { offers, refuse_ms: DECLINE_REFUSE_MS };
        match self.deliver(session, &decline).await {
            Ok(()) | Err(CallError::SessionEnded) => {}
            Err(error) => {
                tracing::warn!(%error, "the offers of a failed launch cannot be given back");
                session.ended.cancel();
            }
        }
    }

    /// Sends one call, more than once if that is safe and may help.
    async fn deliver(&self, session: &Session, action: &Action) -> Result<(), CallError> {
        let call = write_call(action, &session.framework).map_err(CallError::Unwritable)?;
        let Some(call) = call else { return Ok(()) };
        let body = Bytes::from(call.encode_to_vec());
        let is_accept = matches!(action, Action::Accept { .. });
        let attempts = async {
            let mut backoff = Backoff::new(RETRY_DELAY_MIN, RETRY_DELAY_MAX);
            let mut tries = 1;
            loop {
                let result = self.send(session, body.clone()).await;
                match &result {
                    Err(error) if tries < TRIES_MAX && error.may_retry(is_accept) => {}
                    _ => return result,
                }
                tokio::time::sleep(backoff.next_delay()).await;
                tries += 1;
            }
        };
        tokio::select! {
            biased;
            () = session.ended.cancelled() => Err(CallError::SessionEnded),
            result = attempts => result,
        }
    }

    async fn send(&self, session: &Session, body: Bytes) -> Result<(), CallError> {
        let response = post(&self.client, &session.url, body)
            .header(STREAM_ID, session.stream_id.clone())
            .timeout(self.call_timeout)
            .send()
            .await
            .map_err(|error| {
                let error = error.without_url();
                if error.is_connect() {
                    CallError::NotSent(error)
                } else {
                    CallError::Unknown(error)
                }
            })?;
        let status = response.status();
        if status.is_success() {
            Counters::count(&self.shared.counters.calls);
            return Ok(());
        }
        let text = refusal_text(response).await;
        if status.is_server_error() {
            Err(CallError::Unavailable { status, text })
        } else {
            Err(CallError::Refused { status, text })
        }
    }
}

/// Whether the master has decided on the call, or its whole subscription is over.
fn is_settled(error: &CallError) -> bool {
    match error {
        CallError::Unwritable(_) | CallError::Refused { .. } | CallError::SessionEnded => true,
        CallError::Unavailable { .. } | CallError::NotSent(_) | CallError::Unknown(_) => false,
    }
}
