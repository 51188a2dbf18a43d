//! The way to the owner of the world: what it can be asked, and how the answer comes back. Nothing
//! is decided or carried out here.

use shiftwork_proto::mesos::v1::{executor, scheduler};
use shiftwork_proto::offersim::v1 as wire;
use shiftwork_proto::offersim::v1::{FromAgent, ToAgent};
use tokio::sync::{mpsc, oneshot};

use crate::admin::FaultError;
use crate::http::States;
use crate::world::{AgentSpec, AgentSummary, Event, RecoveredUpdates, Rejection, StreamId};

/// Inputs waiting for the owner. More than this many callers at once wait their turn.
const INPUTS_MAX: usize = 1024;
/// What the owner is asked, with the way to answer.
#[derive(Debug)]
pub(crate) enum Input {
    /// SUBSCRIBE of a scheduler.
    SubscribeScheduler {
        call: Box<scheduler::Call>,
        stream: Option<String>,
        reply: oneshot::Sender<Result<Opened<scheduler::Event>, Rejection>>,
    },
    /// Any other call of a scheduler.
    CallScheduler {
        call: Box<scheduler::Call>,
        stream: Option<String>,
        reply: oneshot::Sender<Result<(), Rejection>>,
    },
    /// SUBSCRIBE of an executor.
    SubscribeExecutor {
        call: Box<executor::Call>,
        reply: oneshot::Sender<Result<Opened<executor::Event>, Rejection>>,
    },
    /// Any other call of an executor.
    CallExecutor { call: Box<executor::Call>, reply: oneshot::Sender<Result<(), Rejection>> },
    /// The local agent is ready to register.
    Register { spec: AgentSpec, recovered: Vec<RecoveredUpdates> },
    /// Something happened at the local agent.
    World(Event),
    /// A process of agents connected to this master.
    LinkOpened { link: u64, sender: mpsc::Sender<Box<ToAgent>> },
    /// It says something for one of its agents.
    FromAgent { link: u64, message: Box<FromAgent> },
    /// Its connection ended.
    LinkClosed { link: u64 },
    /// The agents of this process are connected to a master.
    MasterConnected { sender: mpsc::Sender<Box<FromAgent>> },
    /// It says something to one of them.
    FromMaster { message: Box<ToAgent> },
    /// They are not connected any more.
    MasterGone,
    /// This master was elected.
    Elected,
    /// Somebody wants something to go wrong. Answered with the agents concerned.
    Inject { fault: wire::Fault, reply: oneshot::Sender<Result<Vec<AgentSummary>, FaultError>> },
    /// What operators ask for with `/state`.
    State { reply: oneshot::Sender<Result<States, Rejection>> },
    /// Which agents are named by any of these selectors.
    ListAgents { selectors: Vec<String>, reply: oneshot::Sender<Vec<AgentSummary>> },
    /// An executor of the local agent ended, and nothing of it is left.
    Exited { event: Event, unsent: Vec<executor::Call> },
}

/// A stream just opened.
#[derive(Debug)]
pub(crate) struct Opened<E> {
    pub(crate) id: StreamId,
    pub(crate) events: mpsc::Receiver<E>,
}

/// The way to the owner.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    inputs: mpsc::Sender<Input>,
    gone: mpsc::UnboundedSender<StreamId>,
}

// === impl Hub ===

impl Hub {
    /// The way to an owner, and what the owner listens to.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Input>, mpsc::UnboundedReceiver<StreamId>) {
        let (inputs, inputs_rx) = mpsc::channel(INPUTS_MAX);
        // Bounded by the number of streams: each says once that it is gone.
        let (gone, gone_rx) = mpsc::unbounded_channel();
        (Self { inputs, gone }, inputs_rx, gone_rx)
    }

    /// Sends an input; an owner that ended needs none.
    pub(crate) async fn send(&self, input: Input) {
        let _ended = self.inputs.send(input).await;
    }

    /// Sends an input made with a reply channel and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        input: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Input,
    ) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.send(input(reply)).await;
        answer.await.unwrap_or_else(|_| Err(Rejection::unavailable("shutting down")))
    }

    /// Says that the reader of a stream is gone.
    pub(crate) fn stream_gone(&self, stream: StreamId) {
        let _ended = self.gone.send(stream);
    }
}
