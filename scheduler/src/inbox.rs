//! The way to the owner of the engine: commands and questions go in by a handle, and wait in an inbox
//! that outlives tenures. Absent: what is done with them (`turn.rs`).

use std::sync::Arc;

use shiftwork_engine::command::{Command, Reply};
use shiftwork_engine::{Engine, Trace};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::audit_log::Entry;
use crate::auth::Actor;
use crate::cycle_times::CycleTimes;
use crate::feed::Feed;
use crate::registry::{Change, Standing};

/// Inputs waiting for the owner: a burst of a busy cluster fits, and a shell that outruns the
/// owner waits instead of filling the memory.
pub const INPUTS_MAX: usize = 10_000;
/// Traces a slow watcher may be behind before it misses some.
const WATCH_MAX: usize = 1_000;

/// This process does not decide at the moment: it is starting, stopping, or has lost the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this scheduler is not leading at the moment: try again shortly")]
pub struct Unavailable;

/// Something for the owner.
pub(crate) enum Input {
    Command {
        by: Actor,
        command: Command,
        reply: oneshot::Sender<Reply>,
    },
    Query(Box<dyn FnOnce(&Engine) + Send>),
    /// Nodes that are not the engine's.
    Store {
        by: Actor,
        changes: Vec<Change>,
        entry: Entry,
        done: Box<dyn FnOnce() + Send>,
    },
}

/// The way to the owner, for every shell that serves users.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    traces: broadcast::Sender<Arc<Trace>>,
    feed: Feed,
    times: Arc<CycleTimes>,
}

/// The owner's end of all handles: outlives its tenures.
pub struct Inbox {
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) traces: broadcast::Sender<Arc<Trace>>,
    pub(crate) feed: Feed,
    pub(crate) times: Arc<CycleTimes>,
}

/// Makes the two ends.
pub fn channel() -> (Handle, Inbox) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    let (traces, _) = broadcast::channel(WATCH_MAX);
    let times = Arc::<CycleTimes>::default();
    let feed = Feed::default();
    let handle = Handle {
        inputs: sender,
        traces: traces.clone(),
        feed: feed.clone(),
        times: Arc::clone(&times),
    };
    (handle, Inbox { inputs, traces, feed, times })
}

// === impl Handle ===

impl Handle {
    /// Asks for a change and waits until it is durable or refused.
    ///
    /// # Errors
    /// [`Unavailable`] when nobody leads here; whether the change was made is then unknown.
    pub async fn command(
        &self,
        by: impl Into<Actor>,
        command: Command,
    ) -> Result<Reply, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Command { by: by.into(), command, reply };
        self.inputs.send(input).await.map_err(|_| Unavailable)?;
        answer.await.map_err(|_| Unavailable)
    }

    /// Writes nodes of the registry that are not the engine's, together, and waits until they are
    /// durable. `done` is called then, whether or not anybody still waits; it must be quick.
    ///
    /// # Errors
    /// [`Unavailable`] when nobody leads here; whether they were written is then unknown.
    pub async fn store(
        &self,
        by: Actor,
        changes: Vec<Change>,
        entry: Entry,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        let done = move || {
            done();
            // Nobody waits any more: the change stands.
            let _ = reply.send(());
        };
        let input = Input::Store { by, changes, entry, done: Box::new(done) };
        self.inputs.send(input).await.map_err(|_| Unavailable)?;
        answer.await.map_err(|_| Unavailable)
    }

    /// Asks a question between two turns. It must be quick: everything else waits for it.
    ///
    /// # Errors
    /// [`Unavailable`] when nobody leads here.
    pub async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let ask = move |engine: &Engine| {
            // Nobody waits any more: the answer has no use.
            let _ = reply.send(question(engine));
        };
        self.inputs.send(Input::Query(Box::new(ask))).await.map_err(|_| Unavailable)?;
        answer.await.map_err(|_| Unavailable)
    }

    /// How long the owner's turns and launch cycles take.
    pub fn cycle_times(&self) -> &CycleTimes {
        &self.times
    }

    /// What happened lately, by key.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// What happens from now on. A watcher that falls behind is told how much it missed.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Trace>> {
        self.traces.subscribe()
    }
}

// === impl Inbox ===

impl Inbox {
    /// Lets go of everything that waits: who asked hears that nobody leads.
    pub fn refuse_all(&mut self) {
        while self.inputs.try_recv().is_ok() {}
    }

    /// The same for everything that comes, while another process leads. Never ends.
    pub async fn refuse_on_standby(&mut self, mut standing: watch::Receiver<Standing>) {
        loop {
            let on_standby = |standing: &Standing| {
                matches!(standing, Standing::Standby { .. } | Standing::Hindered { .. })
            };
            if standing.wait_for(on_standby).await.is_err() || self.inputs.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}
