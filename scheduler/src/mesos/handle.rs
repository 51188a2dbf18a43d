//! What the owner holds of a running driver. Absent: anything that waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shiftwork_engine::effect::Action;
use tokio::sync::{mpsc, watch};

use super::session::{DriverState, DriverStats, Queued, Shared};

/// The way to a running driver.
#[derive(Debug, Clone)]
pub struct DriverHandle {
    shared: Arc<Shared>,
}

/// Actions that were submitted to a handle without a driver.
#[derive(Debug)]
pub struct Actions {
    queued: mpsc::UnboundedReceiver<Queued>,
    shared: Arc<Shared>,
}

// === impl Actions ===

impl Actions {
    /// Waits for actions and adds at most `count_max` of them, in order; 0 when no handle is left.
    pub async fn recv_many(&mut self, actions: &mut Vec<Action>, count_max: usize) -> usize {
        let mut queued = Vec::new();
        let taken = self.queued.recv_many(&mut queued, count_max).await;
        self.shared.counters.calls_queued.fetch_sub(taken, Ordering::Relaxed);
        actions.extend(queued.into_iter().map(|queued| queued.action));
        taken
    }
}

// === impl DriverHandle ===

impl DriverHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A handle without a driver behind it, and what is submitted to it: for whoever stands in for
    /// the master without HTTP, as a measurement of the rest does.
    pub fn detached() -> (Self, Actions) {
        let (queue, queued) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(queue, usize::MAX));
        (Self::new(Arc::clone(&shared)), Actions { queued, shared })
    }

    /// Queues actions, to be carried out in this order; never waits.
    ///
    /// The queue has no bound that would make the owner wait, because the owner must go on taking
    /// events. If the master does not keep up and more than [`calls_queued_max`](super::DriverConfig::calls_queued_max)
    /// calls wait, the subscription is dropped and made again: what waits is dropped with it, which
    /// is safe, because agents repeat updates that are not acknowledged, the engine repeats kills and
    /// reconciles, and each ACCEPT that is dropped is reported as [`LaunchFailed`](shiftwork_engine::event::Event::LaunchFailed).
    ///
    /// After a final [`DriverState`] actions vanish.
    pub fn submit(&self, actions: Vec<Action>) {
        for action in actions {
            if matches!(action, Action::SubscribeAnew) {
                self.subscribe_anew();
            } else {
                self.shared.enqueue(action);
            }
        }
    }

    /// Where the driver stands now and from now on.
    pub fn state(&self) -> watch::Receiver<DriverState> {
        self.shared.state.subscribe()
    }

    /// Counts since the start.
    pub fn stats(&self) -> DriverStats {
        self.shared.stats()
    }

    /// Only an id that is burnt is given up: otherwise the tasks running under it would be lost.
    fn subscribe_anew(&self) {
        let accepted = self.shared.state.send_if_modified(|state| {
            let removed = *state == DriverState::Removed;
            if removed {
                *state = DriverState::Connecting;
            }
            removed
        });
        if !accepted {
            tracing::warn!("a new framework was asked for though the old one is not removed");
        }
    }
}
