//! What the parts of the driver and its handle share: the subscription that lives now, the state
//! shown outside, the counters. Absent: anything that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use reqwest::Url;
use reqwest::header::HeaderValue;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::FrameworkId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Where the driver stands, for whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverState {
    /// No subscription; one is being tried.
    Connecting,
    /// Subscribed.
    Subscribed {
        /// The id under which the master knows us.
        framework: FrameworkId,
        /// The leading master, `host:port`.
        master: String,
    },
    /// The framework was removed; nothing happens until [`Action::SubscribeAnew`] is submitted.
    Removed,
    /// **Final.** Another instance subscribed with our framework id: it leads now. The owner must
    /// give up leadership and must not start a driver with this id unless it is elected again.
    FailedOver,
    /// **Final.** Shut down, or the owner no longer takes events.
    Stopped,
}

/// Counts since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriverStats {
    /// Subscriptions that a master took.
    pub subscriptions: u64,
    /// Heartbeats of the master.
    pub heartbeats: u64,
    /// Messages of the master that made no sense and were left out.
    pub bad_messages: u64,
    /// Calls the master took.
    pub calls: u64,
    /// Calls the master refused, and calls that could not be written.
    pub calls_refused: u64,
    /// Calls that were dropped because their subscription had ended or the master did not answer.
    pub calls_dropped: u64,
    /// Calls that wait now.
    pub calls_queued: usize,
}

/// One subscription. A call made for it is never sent under another.
#[derive(Debug)]
pub(super) struct Session {
    /// Distinguishes the subscriptions of this process.
    pub epoch: u64,
    /// Where calls go.
    pub url: Url,
    /// What calls carry.
    pub stream_id: HeaderValue,
    /// Whose calls they are.
    pub framework: FrameworkId,
    /// Cancelled when the stream has ended, or to end it.
    pub ended: CancellationToken,
}

/// An action with the subscription it was submitted under.
#[derive(Debug)]
pub(super) struct Queued {
    /// [`Session::epoch`], or [`EPOCH_NONE`].
    pub epoch: u64,
    pub action: Action,
}

/// The epoch of actions submitted while there was no subscription.
pub(super) const EPOCH_NONE: u64 = 0;

/// Counters behind [`DriverStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub subscriptions: AtomicU64,
    pub heartbeats: AtomicU64,
    pub bad_messages: AtomicU64,
    pub calls: AtomicU64,
    pub calls_refused: AtomicU64,
    pub calls_dropped: AtomicU64,
    pub calls_queued: AtomicUsize,
}

/// What the stream, the calls and the handle share.
#[derive(Debug)]
pub(super) struct Shared {
    pub session: watch::Sender<Option<Arc<Session>>>,
    pub state: watch::Sender<DriverState>,
    pub queue: mpsc::UnboundedSender<Queued>,
    pub counters: Counters,
    pub calls_queued_max: usize,
}

// === impl Counters ===

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(queue: mpsc::UnboundedSender<Queued>, calls_queued_max: usize) -> Self {
        Self {
            session: watch::Sender::new(None),
            state: watch::Sender::new(DriverState::Connecting),
            queue,
            counters: Counters::default(),
            calls_queued_max,
        }
    }

    /// The subscription that lives now.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone()
    }

    /// Queues one action under the subscription that lives now.
    pub(super) fn enqueue(&self, action: Action) {
        let session = self.session();
        let epoch = session.as_ref().map_or(EPOCH_NONE, |session| session.epoch);
        let queued = self.counters.calls_queued.fetch_add(1, Ordering::Relaxed) + 1;
        if self.queue.send(Queued { epoch, action }).is_err() {
            self.counters.calls_queued.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if let Some(session) = session.filter(|_| queued > self.calls_queued_max)
            && !session.ended.is_cancelled()
        {
            tracing::error!(
                queued,
                "the master does not keep up with our calls; the subscription is made again"
            );
            session.ended.cancel();
        }
    }

    pub(super) fn stats(&self) -> DriverStats {
        let counters = &self.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DriverStats {
            subscriptions: load(&counters.subscriptions),
            heartbeats: load(&counters.heartbeats),
            bad_messages: load(&counters.bad_messages),
            calls: load(&counters.calls),
            calls_refused: load(&counters.calls_refused),
            calls_dropped: load(&counters.calls_dropped),
            calls_queued: counters.calls_queued.load(Ordering::Relaxed),
        }
    }
}
