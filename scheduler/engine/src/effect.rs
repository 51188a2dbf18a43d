//! Everything the engine can want from the world. Effects are data; the shell carries them out.

use std::collections::BTreeMap;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::command::Reply;
use crate::document::{App, Job};
use crate::event::RequestId;
use crate::ids::{AgentId, AppName, ExecutorId, JobName, OfferId, RunId, TaskId};
use crate::record::{Key, Write};
use crate::resources::Resources;
use crate::statistics::Misfire;
use crate::view::RunView;

/// One effect of a step. The order in the list is the order in which things happened.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A change of the registry. All writes of one step are one transaction.
    Write(Write),
    /// Something for the master. Only after the writes of its step and of all before are durable.
    Action(Action),
    /// Something for the history. Any time; must survive a crash after the writes.
    Trace(Trace),
    /// An answer. Only after the writes of its step and of all before are durable.
    Reply {
        /// To whom.
        request: RequestId,
        /// What.
        reply: Reply,
    },
}

/// A call to the master.
#[derive(Debug, Clone)]
pub enum Action {
    /// Uses all offers held of one agent, and launches on them.
    Accept {
        /// The agent.
        agent: AgentId,
        /// Its offers.
        offers: Vec<OfferId>,
        /// What to launch.
        launches: Vec<Launch>,
    },
    /// Gives offers back.
    Decline {
        /// Which.
        offers: Vec<OfferId>,
        /// For how long nothing like them is wanted, milliseconds.
        refuse_ms: u64,
    },
    /// Says that we will have left agents when they go away.
    AcceptInverseOffers {
        /// Which inverse offers.
        offers: Vec<OfferId>,
        /// For how long the master should not ask again, milliseconds.
        refuse_ms: u64,
    },
    /// Says that we may not have left agents when they go away.
    DeclineInverseOffers {
        /// Which inverse offers.
        offers: Vec<OfferId>,
        /// For how long the master should not ask again, milliseconds.
        refuse_ms: u64,
    },
    /// Asks for offers again, all filters void.
    Revive,
    /// Asks for no more offers.
    Suppress,
    /// Ends a task.
    Kill {
        /// Which.
        task: TaskId,
        /// Where.
        agent: AgentId,
        /// From SIGTERM to SIGKILL, milliseconds.
        grace_ms: u64,
    },
    /// Tells the agent that an update is recorded.
    Acknowledge {
        /// Of which task.
        task: TaskId,
        /// Where.
        agent: AgentId,
        /// Of which update.
        uuid: Vec<u8>,
    },
    /// Asks for the state of tasks; an empty list asks for all the master knows.
    Reconcile {
        /// Which, and where they should be.
        tasks: Vec<(TaskId, AgentId)>,
    },
    /// Ends an executor that has no tasks.
    ShutdownExecutor {
        /// Which.
        executor: ExecutorId,
        /// Where.
        agent: AgentId,
    },
    /// Subscribes as a new framework: the old id is burnt.
    SubscribeAnew,
}

/// One task to launch, with all that its `TaskInfo` needs.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its id.
    pub task: TaskId,
    /// Its resources, with their origins.
    pub resources: Resources,
    /// The executor it runs in; for a job in command mode only its app means anything.
    pub executor: ExecutorLaunch,
    /// The run it belongs to.
    pub run: RunId,
    /// The moment the schedule named.
    pub logical_time: Timestamp,
    /// Which shard.
    pub item: u32,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// The document the run was made with.
    pub job: Arc<Job>,
    /// The job parameter of this run.
    pub job_parameter: String,
    /// The shard's parameter in this run.
    pub sharding_parameter: String,
    /// The environment of this run.
    pub env: BTreeMap<String, String>,
}

/// The executor of a launch: the same to the byte as long as it lives.
#[derive(Debug, Clone)]
pub struct ExecutorLaunch {
    /// Its id.
    pub id: ExecutorId,
    /// The document it was started with.
    pub app: Arc<App>,
    /// What it is charged.
    pub resources: Resources,
}

/// Something for the history.
#[derive(Debug, Clone)]
pub enum Trace {
    /// The run as it is now.
    Run(Box<RunView>),
    /// Something happened to a task.
    Task {
        /// Of which run.
        run: RunId,
        /// Of which job.
        job: JobName,
        /// Of which app.
        app: AppName,
        /// Whether it runs at all times and tells of firings.
        is_daemon: bool,
        /// When.
        at: Timestamp,
        /// Which shard.
        item: u32,
        /// Which task.
        task: TaskId,
        /// The state as Mesos names it.
        state: &'static str,
        /// In words.
        message: Option<String>,
        /// Who asked for the run, if anybody did.
        submitter: Option<String>,
    },
    /// Firings that got no run of their own.
    Missed {
        /// Of which job.
        job: JobName,
        /// Of which app.
        app: AppName,
        /// The first of them.
        first: Timestamp,
        /// The last of them.
        last: Timestamp,
        /// How many, or at least this many.
        count: u64,
        /// What became of them.
        misfire: Misfire,
        /// Why, in words.
        reason: String,
        /// When that was decided.
        at: Timestamp,
    },
    /// A document or flag was changed.
    Changed(Change),
}

/// A document or flag that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which document or flag.
    pub key: Key,
    /// What it is now; `None` when it was removed.
    pub value: Option<Vec<u8>>,
    /// Who did it.
    pub by: String,
    /// Firings up to here are not its business; those behind are.
    pub at: Timestamp,
}

/// What a step gathers. It is handed out in the order in which it may be carried out: writes
/// (creations before removals, each record once), traces, actions, replies.
#[derive(Debug, Default)]
pub struct Effects {
    /// In the order in which they were asked for.
    writes: Vec<Write>,
    traces: Vec<Trace>,
    actions: Vec<Action>,
    replies: Vec<(RequestId, Reply)>,
}

impl Effects {
    /// Takes all effects so far. What is taken at once is one transaction.
    pub fn take(&mut self) -> Vec<Effect> {
        self.settle_writes();
        let others = self.traces.len() + self.actions.len() + self.replies.len();
        let mut effects = Vec::with_capacity(self.writes.len() + others);
        // Removed from the deepest record up: a run goes before the count of its queue.
        let mut deletes = Vec::new();
        for write in self.writes.drain(..) {
            if write.value.is_some() {
                effects.push(Effect::Write(write));
            } else {
                deletes.push(write);
            }
        }
        effects.extend(deletes.into_iter().rev().map(Effect::Write));
        effects.extend(self.traces.drain(..).map(Effect::Trace));
        effects.extend(self.actions.drain(..).map(Effect::Action));
        let replies = self.replies.drain(..);
        effects.extend(replies.map(|(request, reply)| Effect::Reply { request, reply }));
        effects
    }

    /// In the order of their records, of each the latest.
    fn settle_writes(&mut self) {
        if self.writes.len() > 1 {
            self.writes.reverse();
            self.writes.sort_by(|one, other| one.key.cmp(&other.key));
            self.writes.dedup_by(|older, latest| older.key == latest.key);
        }
    }

    /// A later write of the same record in the same step takes the place of the earlier one.
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Tells the history of every document and flag that this step changes.
    pub(crate) fn trace_changes(&mut self, by: &str, at: Timestamp) {
        self.settle_writes();
        let writes = self.writes.iter().filter(|write| write.key.is_configuration());
        let writes: Vec<Write> = writes.cloned().collect();
        for write in writes {
            self.trace_change(write, by, at);
        }
    }

    /// Tells the history of one document or flag.
    pub(crate) fn trace_change(&mut self, Write { key, value }: Write, by: &str, at: Timestamp) {
        if key.is_configuration() {
            self.traces.push(Trace::Changed(Change { key, value, by: by.to_owned(), at }));
        }
    }

    pub(crate) fn trace(&mut self, trace: Trace) {
        self.traces.push(trace);
    }

    pub(crate) fn action(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.replies.push((request, reply));
    }
}
