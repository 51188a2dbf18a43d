//! A watcher's way through what happens to runs and tasks, whatever the door: server-sent events and
//! gRPC are two faces of it. Whoever comes back with the last key it was told misses nothing that is
//! still kept. Absent: keeping; the feed has what happened lately, the history what happened before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use futures_util::{Stream, stream};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use shiftwork_engine::ids::RunId;

use super::ApiState;
use super::access::Named;
use super::problem::Problem;
use crate::auth::Identity;
use crate::registry::Standing;
use crate::trace::{EventFilter, EventKey, EventRow};

/// Watchers at a time: each costs a task and a connection.
const WATCHERS_MAX: usize = 2_000;
/// Permits of all watchers.
static WATCHERS: Semaphore = Semaphore::const_new(WATCHERS_MAX);

/// Events read at once.
const BATCH_MAX: usize = 500;
/// Runs of which a watcher remembers whether they are theirs.
const RUNS_KNOWN_MAX: usize = 10_000;
/// How often the history is asked whether it has by now what the feed has no longer.
const HISTORY_POLL: Duration = Duration::from_millis(500);
/// How often a watcher to whom nothing happens is told up to where it has seen everything: the line
/// is kept open by it, and its key stays a young one.
const PROGRESS_EVERY: Duration = Duration::from_secs(15);

/// What a watcher is told.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    /// Something happened.
    Event(Arc<EventRow>),
    /// Nothing more has happened up to here: told first, and from time to time.
    Progress(EventKey),
    /// The key it came with is of another history, and would be waited for for ever: it begins here.
    Reset(EventKey),
}

/// One client's place in the stream.
pub(super) struct Watcher {
    state: ApiState,
    filter: EventFilter,
    /// Who is shown some apps only: events are those of their runs, whatever app the job is of by now.
    restricted: Option<Identity>,
    /// Whether runs that were met are theirs.
    theirs: HashMap<String, bool>,
    /// The last event it was given, or that was passed over.
    behind: EventKey,
    latest: watch::Receiver<EventKey>,
    standing: watch::Receiver<Standing>,
    /// What it is given next.
    ready: std::vec::IntoIter<Arc<EventRow>>,
    begin: Option<Watched>,
    /// When it was told something last.
    told_at: Instant,
    _permit: SemaphorePermit<'static>,
}

// === impl Watcher ===

impl Watcher {
    /// Begins behind a key, or now.
    ///
    /// # Errors
    /// 503 when this scheduler does not lead, or has watchers enough.
    pub(super) async fn begin(
        state: &ApiState,
        identity: &Identity,
        filter: EventFilter,
        after: Option<EventKey>,
    ) -> Result<Self, Problem> {
        // Who asks a scheduler that does not lead is told so, and not left to wait.
        state.query(|_| ()).await?;
        let permit = WATCHERS.try_acquire().map_err(|_| {
            Problem::unavailable(format!("{WATCHERS_MAX} clients watch already: list runs instead"))
        })?;
        let latest = state.handle.feed().latest();
        let now = *latest.borrow();
        let begin = match after {
            Some(after) if after > now => Watched::Reset(now),
            Some(after) => Watched::Progress(after),
            None => Watched::Progress(now),
        };
        Ok(Self {
            state: state.clone(),
            filter,
            restricted: (!identity.apps.is_all()).then(|| identity.clone()),
            theirs: HashMap::new(),
            behind: after.unwrap_or(now).min(now),
            standing: state.leadership.standing.clone(),
            latest,
            ready: Vec::new().into_iter(),
            begin: Some(begin),
            told_at: Instant::now(),
            _permit: permit,
        })
    }

    /// What happens from here on; ends when this scheduler leads no longer: the client comes back to
    /// the one that does.
    pub(super) fn stream(self) -> impl Stream<Item = Watched> + Send {
        stream::unfold(self, |mut watcher| async move {
            let watched = watcher.next().await?;
            watcher.told_at = Instant::now();
            Some((watched, watcher))
        })
    }

    async fn next(&mut self) -> Option<Watched> {
        if let Some(begin) = self.begin.take() {
            return Some(begin);
        }
        loop {
            if let Some(event) = self.ready.next() {
                return Some(Watched::Event(event));
            }
            let progress_at = self.told_at + PROGRESS_EVERY;
            if Instant::now() >= progress_at {
                return Some(Watched::Progress(self.behind));
            }
            self.latest.mark_unchanged();
            match self.state.handle.feed().behind(self.behind, BATCH_MAX) {
                Ok(events) if events.is_empty() => {
                    tokio::select! {
                        changed = self.latest.changed() => changed.ok()?,
                        changed = self.standing.changed() => {
                            changed.ok()?;
                            if *self.standing.borrow() != Standing::Leading {
                                return None;
                            }
                        }
                        () = tokio::time::sleep_until(progress_at) => {}
                    }
                }
                Ok(events) => self.take(events).await,
                Err(old) => self.read_history(old.complete_behind).await,
            }
        }
    }

    /// Takes what passes the filter and is theirs to see.
    async fn take(&mut self, mut events: Vec<Arc<EventRow>>) {
        if let Some(last) = events.last() {
            self.behind = last.key();
        }
        events.retain(|event| self.filter.takes(event));
        if let Some(identity) = self.restricted.clone() {
            if self.theirs.len() > RUNS_KNOWN_MAX {
                self.theirs.clear();
            }
            for event in &events {
                if !self.theirs.contains_key(&event.run_id) {
                    let is_theirs = self.is_theirs(&identity, event).await;
                    self.theirs.insert(event.run_id.clone(), is_theirs);
                }
            }
            events.retain(|event| self.theirs.get(&event.run_id).copied().unwrap_or(false));
        }
        self.ready = events.into_iter();
    }

    /// Whether an event is of an app of theirs. While the history is behind or cannot be read, nobody
    /// knows of a run that has ended: the watcher waits, and nothing is shown on a guess.
    async fn is_theirs(&self, identity: &Identity, event: &EventRow) -> bool {
        let Ok(run) = RunId::parse(&event.run_id) else {
            return false;
        };
        while *self.standing.borrow() == Standing::Leading {
            // Asked before the run is looked for: what is written in between is then not overlooked.
            let written_to_end = self.state.history.lag().spool.records == 0;
            match Named::Run(run.clone()).admit(&self.state, identity).await {
                Ok(()) => return true,
                Err(problem) if problem.status() == StatusCode::FORBIDDEN => return false,
                Err(problem) if problem.status() == StatusCode::NOT_FOUND && written_to_end => {
                    return false;
                }
                Err(_) => tokio::time::sleep(HISTORY_POLL).await,
            }
        }
        false
    }

    /// Goes on in the history, and from where it ends in the feed.
    async fn read_history(&mut self, complete_behind: EventKey) {
        let history = &self.state.history;
        // Asked before the rows are read: what is written in between is then not passed over.
        let written_to_end = history.lag().spool.records == 0;
        match history.events_behind(&self.filter, self.behind, BATCH_MAX).await {
            Ok(rows) if rows.is_empty() && written_to_end => self.behind = complete_behind,
            Ok(rows) if rows.is_empty() => tokio::time::sleep(HISTORY_POLL).await,
            Ok(rows) => self.take(rows.into_iter().map(Arc::new).collect()).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a watcher waits for the history, which cannot be read"
                );
                tokio::time::sleep(HISTORY_POLL).await;
            }
        }
    }
}
