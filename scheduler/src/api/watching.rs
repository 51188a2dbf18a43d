//! A watcher's way through what happens to runs and tasks, whatever the door: server-sent events and
//! gRPC are two faces of it. Whoever comes back with the last key it was told misses nothing that is
//! still kept. Absent: keeping; the feed has what happened lately, the history what happened before.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::ApiState;
use super::problem::Problem;
use crate::auth::{AppScope, Identity};
use crate::registry::Standing;
use crate::trace::{EventFilter, EventKey, EventRow};

/// Watchers at a time: each costs a task and a connection.
const WATCHERS_MAX: usize = 2_000;
/// Permits of all watchers.
static WATCHERS: Semaphore = Semaphore::const_new(WATCHERS_MAX);

/// Events read at once.
const BATCH_MAX: usize = 500;
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
    /// The apps whose runs it is told of, whatever app a job is of by now.
    apps: AppScope,
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
            apps: identity.apps.clone(),
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
                Ok(events) => self.take(events),
                Err(old) => self.read_history(old.complete_behind).await,
            }
        }
    }

    /// Takes what passes the filter and is theirs to see. What was recorded before events named their
    /// apps is shown to those alone who see all.
    fn take(&mut self, mut events: Vec<Arc<EventRow>>) {
        if let Some(last) = events.last() {
            self.behind = last.key();
        }
        let is_theirs = |event: &EventRow| match &event.app {
            Some(app) => self.apps.covers(app),
            None => self.apps.is_all(),
        };
        events.retain(|event| self.filter.takes(event) && is_theirs(event));
        self.ready = events.into_iter();
    }

    /// Goes on in the history, and from where it ends in the feed.
    async fn read_history(&mut self, complete_behind: EventKey) {
        let history = &self.state.history;
        // Asked before the rows are read: what is written in between is then not passed over.
        let written_to_end = history.lag().spool.records == 0;
        match history.events_behind(&self.filter, self.behind, BATCH_MAX).await {
            Ok(rows) if rows.is_empty() && written_to_end => self.behind = complete_behind,
            Ok(rows) if rows.is_empty() => tokio::time::sleep(HISTORY_POLL).await,
            Ok(rows) => self.take(rows.into_iter().map(Arc::new).collect()),
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
