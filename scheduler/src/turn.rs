//! The owner loop: the one place where events, commits and effects meet.
//!
//! A turn takes a batch of inputs, steps the engine through each, places once, appends what
//! happened to the history's spool, commits the writes, and only when they are durable releases
//! actions and replies. Turns are pipelined: the next one runs while earlier commits are on their
//! way; releases keep their order. Absent: what any of it means, the way in (`inbox.rs`),
//! and how effects are told apart (`turned.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use shiftwork_engine::command::Reply;
use shiftwork_engine::event::{RequestId, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::{Action, Effects, Engine, Event, Trace};
use shiftwork_schedule::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent_files::AgentBook;
use crate::audit_log::{Entry, Seen};
use crate::auth::Actor;
use crate::cycle_times::CycleTimes;
use crate::feed::Feed;
use crate::inbox::Input;
pub use crate::inbox::{Handle, INPUTS_MAX, Inbox, Unavailable, channel};
use crate::linger::Linger;
use crate::mesos::DriverHandle;
use crate::metrics::{EngineCounts, Metrics};
use crate::registry::{CommitError, Epoch, Lease, Registry, Tenure};
use crate::secrets::Secrets;
use crate::trace::{EventRow, History, TraceRecord};
use crate::trace_rows::TraceRows;
use crate::turned::{Released, Turned, fired};

/// Inputs of one turn: bounds how long a lone reply waits for its commit.
const TURN_INPUTS_MAX: usize = 1_000;
/// Commits on their way at once: enough that none waits for the one before to be answered, and no more,
/// so that under load what comes meanwhile goes together.
const COMMITS_IN_FLIGHT_MAX: usize = 3;
/// Calls to the master that may wait before launches are put off: about a tenth of a second's at what a
/// busy master takes. Acknowledgements wait behind them, and what is not acknowledged within seconds
/// is told again: whoever launches on is told more and more, and finishes nothing.
const CALLS_QUEUED_AT_LAUNCH_MAX: usize = 2_000;
/// How long launches are put off then, milliseconds.
const CALLS_PAUSE_MS: i64 = 20;
/// The owner looks at the wall clock at least this often, so that a step of it is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A clock that is set back further ends the tenure, milliseconds: the engine's time never goes back, and
/// would stand still for as long. Whoever leads next begins with the time as it is.
const CLOCK_BACK_MAX_MS: i64 = 5_000;

/// Why a tenure ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Shutdown,
    /// A commit failed or its outcome is unknown: the engine's memory is no longer the truth.
    Commit(CommitError),
    /// Another process leads, or may: nothing of this one's may leave any more.
    LeaseLost,
    /// The clock of this machine was set back.
    ClockSetBack {
        /// By how much, milliseconds.
        by_ms: i64,
    },
    /// Every handle is gone.
    Abandoned,
}

/// One tenure: the engine and what carries its effects out.
pub struct Owner {
    engine: Engine,
    registry: Box<dyn Registry>,
    epoch: Epoch,
    lease: Lease,
    outlets: Outlets,
    rows: TraceRows,
    traces: broadcast::Sender<Arc<Trace>>,
    feed: Feed,
    times: Arc<CycleTimes>,
    replies: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    last_request: u64,
    /// What is to be told to the engine by itself: tasks that did not leave.
    own: Vec<Event>,
    in_flight: FuturesOrdered<BoxFuture<'static, Committed>>,
    clock: fn() -> Timestamp,
    /// The latest that the clock has shown.
    latest: Timestamp,
}

/// Where an owner's effects go, besides the registry.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// Calls to the master.
    pub driver: DriverHandle,
    /// What happened, for people.
    pub history: History,
    /// What happened, in numbers.
    pub metrics: Metrics,
    /// Where agents are, for the history of tasks.
    pub agents: AgentBook,
    /// What tasks get that documents only name.
    pub secrets: Secrets,
}

/// A turn whose commit has ended.
struct Committed {
    result: Result<(), CommitError>,
    released: Released,
}

/// The wall clock, in the engine's unit.
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

// === impl Owner ===

impl Owner {
    /// Begins a tenure. `restored` is what restoring the engine wants from the world.
    pub fn new(
        engine: Engine,
        mut restored: Effects,
        registry: Box<dyn Registry>,
        tenure: &Tenure,
        outlets: Outlets,
        inbox: &Inbox,
    ) -> Self {
        let mut owner = Self {
            engine,
            registry,
            epoch: tenure.epoch,
            lease: tenure.lease.clone(),
            rows: TraceRows::new(tenure.epoch, outlets.agents.clone()),
            outlets,
            traces: inbox.traces.clone(),
            feed: inbox.feed.clone(),
            times: Arc::clone(&inbox.times),
            replies: BTreeMap::new(),
            last_request: 0,
            own: Vec::new(),
            in_flight: FuturesOrdered::new(),
            clock: now,
            latest: now(),
        };
        owner.feed.begin(owner.epoch.0);
        let mut turn = Turned::default();
        turn.take(&mut restored);
        owner.commit(turn);
        owner
    }

    /// Runs until it must stop. Gives the registry back for the next tenure.
    pub async fn run(
        mut self,
        inbox: &mut Inbox,
        events: &mut mpsc::Receiver<Event>,
        shutdown: &CancellationToken,
    ) -> (Ended, Box<dyn Registry>) {
        let ended = self.turns(inbox, events, shutdown).await;
        self.outlets.metrics.follow_tenure(Some(&EngineCounts::of(&self.engine)));
        // What a commit came to is counted, also where the lease ended before its answer was looked at.
        while !matches!(ended, Ended::Shutdown)
            && let Some(Some(_)) = self.in_flight.next().now_or_never()
        {}
        if matches!(ended, Ended::Shutdown)
            && let Some(error) = self.drain().await
        {
            return (Ended::Commit(error), self.registry);
        }
        (ended, self.registry)
    }

    async fn turns(
        &mut self,
        inbox: &mut Inbox,
        events: &mut mpsc::Receiver<Event>,
        shutdown: &CancellationToken,
    ) -> Ended {
        let mut inputs = Vec::new();
        let mut happened = Vec::new();
        let mut linger = Linger::default();
        loop {
            let room = self.in_flight.len() < COMMITS_IN_FLIGHT_MAX;
            let sleep = self.sleep();
            let sleep = linger.left(Instant::now()).map_or(sleep, |left| left.min(sleep));
            let lease = self.lease.clone();
            tokio::select! {
                biased;
                () = lease.lost() => return Ended::LeaseLost,
                Some(committed) = self.in_flight.next() => {
                    // A process that was frozen learns here first that its time is over.
                    if !self.lease.is_held() {
                        return Ended::LeaseLost;
                    }
                    if let Err(error) = self.release(committed) {
                        return Ended::Commit(error);
                    }
                    if !self.own.is_empty() {
                        let own = std::mem::take(&mut self.own);
                        self.turn(own.into_iter(), std::iter::empty());
                    }
                    continue;
                }
                () = shutdown.cancelled() => return Ended::Shutdown,
                count = events.recv_many(&mut happened, TURN_INPUTS_MAX), if room => {
                    if count == 0 {
                        return Ended::Abandoned;
                    }
                    if linger.holds(Instant::now(), &happened) && !sleep.is_zero() {
                        continue;
                    }
                }
                count = inbox.inputs.recv_many(&mut inputs, TURN_INPUTS_MAX), if room => {
                    if count == 0 {
                        return Ended::Abandoned;
                    }
                    // Who only asks changes nothing: what waits goes on waiting.
                    let only_asks = inputs.iter().all(|input| matches!(input, Input::Query(_)));
                    if only_asks && !sleep.is_zero() && self.over().is_none() {
                        self.turn(std::iter::empty(), inputs.drain(..));
                        continue;
                    }
                }
                () = tokio::time::sleep(sleep), if room => {}
            }
            if let Some(ended) = self.over() {
                return ended;
            }
            linger.end();
            self.turn(happened.drain(..), inputs.drain(..));
        }
    }

    /// Why nothing more may be decided, if it may not.
    fn over(&mut self) -> Option<Ended> {
        if !self.lease.is_held() {
            return Some(Ended::LeaseLost);
        }
        let now = (self.clock)();
        self.latest = self.latest.max(now);
        let by_ms = self.latest.since(now);
        (by_ms > CLOCK_BACK_MAX_MS).then_some(Ended::ClockSetBack { by_ms })
    }

    /// Until the next deadline of the engine.
    fn sleep(&self) -> Duration {
        let Some(deadline) = self.engine.next_deadline() else { return SLEEP_MAX };
        let millis = deadline.since((self.clock)()).max(0).unsigned_abs();
        Duration::from_millis(millis).min(SLEEP_MAX)
    }

    fn turn(&mut self, happened: impl Iterator<Item = Event>, inputs: impl Iterator<Item = Input>) {
        let mut turn = Turned::default();
        let mut fx = Effects::default();
        let now = (self.clock)();
        let begun = Instant::now();
        for event in happened {
            self.engine.step(now, event, &mut fx);
            turn.take(&mut fx);
        }
        for input in inputs {
            match input {
                Input::Command { by, command, reply } => {
                    self.last_request += 1;
                    let request = RequestId(self.last_request);
                    self.replies.insert(request, reply);
                    let seen = Seen::before(&self.engine, &command);
                    let event = Event::Command { request, by: by.to_string(), command };
                    self.engine.step(now, event, &mut fx);
                    turn.take(&mut fx);
                    if let Some((_, Ok(done))) =
                        turn.released.replies.iter().rfind(|(to, _)| *to == request)
                    {
                        turn.entries.push((by, seen.after(&self.engine, done)));
                    }
                }
                Input::Query(question) => question(&self.engine),
                Input::Store { by, changes, entry, done } => {
                    turn.split(changes);
                    turn.entries.push((by, entry));
                    turn.released.stored.push(done);
                }
            }
        }
        if self.outlets.driver.stats().calls_queued > CALLS_QUEUED_AT_LAUNCH_MAX {
            self.engine.put_off_launches(now.plus_millis(CALLS_PAUSE_MS));
        }
        let placing = Instant::now();
        let placed = self.engine.place(now, &mut fx);
        turn.take(&mut fx);
        let cycle = placed.then(|| placing.elapsed());
        if let Some(cycle) = cycle {
            self.times.launch_cycle.record(cycle);
        }
        self.commit(turn);
        self.times.turn.record(begun.elapsed());
        self.outlets.metrics.on_turn(begun.elapsed(), cycle);
    }

    /// Sends a turn's writes on their way; what rests on them waits for them.
    fn commit(&mut self, turn: Turned) {
        let Turned { batch, traces, entries, mut released, problem } = turn;
        if let Some(problem) = problem {
            // Ids are checked at the edge, so that a path is never too long.
            tracing::error!(%problem, "a record has no place in the registry");
        }
        released.fired.extend(traces.iter().filter_map(fired));
        released.events.extend(self.record(traces, entries));
        if batch.is_empty() && released.is_empty() {
            return;
        }
        // A call to the master rests on the lead even where nothing is written: an empty commit
        // asks the fence, so that a deposed leader neither kills nor acknowledges.
        let fenced = !batch.is_empty() || !released.actions.is_empty();
        let operations = batch.iter().map(|transaction| transaction.changes.len()).sum();
        let begun = Instant::now();
        let commit = fenced.then(|| self.registry.commit(self.epoch, batch));
        let metrics = self.outlets.metrics.clone();
        self.in_flight.push_back(Box::pin(async move {
            let result = match commit {
                Some(commit) => commit.await,
                None => Ok(()),
            };
            if fenced {
                metrics.on_commit(operations, begun.elapsed(), result.is_ok());
            }
            Committed { result, released }
        }));
    }

    /// Into the spool before the commit: what is committed is never missing from the history.
    /// What is in the history and was not committed is done again and told again.
    /// Gives the events, which watchers are told of when the commit is durable.
    fn record(&mut self, traces: Vec<Trace>, entries: Vec<(Actor, Entry)>) -> Vec<Arc<EventRow>> {
        if traces.is_empty() && entries.is_empty() {
            return Vec::new();
        }
        for trace in &traces {
            self.outlets.metrics.on_trace(trace);
        }
        let now = now();
        let mut rows = Vec::with_capacity(traces.len());
        for trace in &traces {
            self.rows.push(trace, now, &mut rows);
        }
        for (by, entry) in entries {
            rows.push(self.rows.audit_log(&by, entry, now));
        }
        if let Err(error) = self.outlets.history.append(&rows) {
            tracing::error!(%error, rows = rows.len(), "the history's spool cannot be written");
        }
        if self.traces.receiver_count() > 0 {
            for trace in traces {
                let _ = self.traces.send(Arc::new(trace));
            }
        }
        let event = |row| match row {
            TraceRecord::Event(event) => Some(Arc::new(event)),
            _ => None,
        };
        rows.into_iter().filter_map(event).collect()
    }

    /// Gives tasks their secrets in the moment they leave. One that cannot have them does not leave, and
    /// has failed.
    fn resolve_secrets(&mut self, actions: &mut [Action]) {
        for action in actions {
            for (launch, problem) in self.outlets.secrets.resolve(action) {
                tracing::warn!(task = %launch.task, %problem, "not launched");
                self.own.push(Event::Status(StatusUpdate {
                    task: launch.task,
                    agent: None,
                    state: TaskState::Error,
                    reason: StatusReason::Other,
                    message: Some(format!("not launched: {problem}")),
                    uuid: None,
                    outcome: None,
                }));
            }
        }
    }

    fn release(&mut self, mut committed: Committed) -> Result<(), CommitError> {
        committed.result?;
        if !committed.released.fired.is_empty() {
            self.outlets.metrics.on_firings_recorded(&committed.released.fired, now());
        }
        self.feed.add(committed.released.events);
        self.resolve_secrets(&mut committed.released.actions);
        if !committed.released.actions.is_empty() {
            self.outlets.metrics.on_actions(&committed.released.actions);
            self.outlets.driver.submit(committed.released.actions);
        }
        for done in committed.released.stored {
            done();
        }
        for (request, reply) in committed.released.replies {
            if let Some(waiting) = self.replies.remove(&request) {
                // The client has gone: the change stands.
                let _ = waiting.send(reply);
            }
        }
        Ok(())
    }

    /// Lets the commits on their way end, so that what was promised is kept.
    async fn drain(&mut self) -> Option<CommitError> {
        let lease = self.lease.clone();
        loop {
            let committed = tokio::select! {
                biased;
                () = lease.lost() => return None,
                committed = self.in_flight.next() => committed,
            };
            let committed = committed.filter(|_| lease.is_held())?;
            if let Err(error) = self.release(committed) {
                return Some(error);
            }
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
