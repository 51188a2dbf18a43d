//! What every part of the world shares: time, chance, faults, the story, and facts for the auditor.

use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::{AgentId, RunId, TaskId};

use super::calendar::Calendar;
use super::cluster::ClusterHappening;
use super::faults::{Fault, Faults};
use super::registry::Outcome;
use super::story::Story;
use crate::random::Random;

/// Names a process: which scheduler, and which of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) instance: usize,
    pub(crate) life: u64,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.instance, self.life)
    }
}

/// Names a subscription at the master.
pub(crate) type StreamId = u64;
/// Names a commit on its way.
pub(crate) type CommitId = u64;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Within the master, the agents or between them.
    Cluster(ClusterHappening),
    /// A process asks for a subscription.
    Subscribe(Process),
    /// The master notices that a stream was closed at the other end.
    StreamClosed(StreamId),
    /// A process learns that it leads no more: its session is gone, or another subscribed with its
    /// framework id.
    Deposed(Process),
    /// A call arrives at the master.
    ToMaster { from: Process, stream: StreamId, action: Box<Action> },
    /// A message of the master arrives; `None`: the driver tells it by itself.
    ToScheduler { to: Process, stream: Option<StreamId>, event: Box<Event> },
    /// A scheduler takes a turn.
    Turn(Process),
    /// A scheduler wakes for its next deadline.
    Wake { process: Process, number: u64 },
    /// A commit takes effect in the registry, or not.
    Apply(CommitId),
    /// The answer to a commit arrives.
    Answer { process: Process, commit: CommitId, outcome: Outcome },
    /// Somebody without a leader may become it.
    Elect,
    /// The session of a process that was not heard of ends.
    SessionEnds(Process),
    /// A process starts again.
    Start(usize),
    /// A user does something.
    User,
    /// A fault comes by itself.
    Fault(Fault),
    /// The registry is back.
    RegistryBack,
    /// The auditor looks at everything.
    Pulse,
}

/// What really happened out there, for the auditor.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The work of a task began.
    WorkStarted { task: TaskId, run: RunId, item: u32, agent: AgentId },
    /// The work of a task ended, in whatever way.
    WorkEnded { task: TaskId },
    /// An agent runs more than it has.
    Overcommitted(String),
    /// A call that no correct scheduler makes.
    Improper(String),
}

/// The shared parts.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) calendar: Calendar<Happening>,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) story: Story,
    pub(crate) facts: Vec<Fact>,
}

// === impl Env ===

impl Env {
    pub(crate) fn now(&self) -> i64 {
        self.calendar.now
    }

    pub(crate) fn cluster(&mut self, after_ms: i64, what: impl Into<ClusterHappening>) {
        self.calendar.after(after_ms, Happening::Cluster(what.into()));
    }

    pub(crate) fn cluster_at(&mut self, at: i64, what: impl Into<ClusterHappening>) {
        self.calendar.at(at, Happening::Cluster(what.into()));
    }

    pub(crate) fn strikes(&mut self, kind: Fault) -> bool {
        self.faults.strikes(kind, &mut self.random)
    }

    pub(crate) fn tell<T: std::fmt::Display>(&mut self, who: &str, what: impl FnOnce() -> T) {
        self.story.tell(self.calendar.now, who, what);
    }
}
