//! `/events`: what happens to runs and tasks, as server-sent events. Whoever comes back with the id
//! of the last event it received misses nothing that is still kept. Absent: keeping; the feed has
//! what happened lately, the history what happened before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{Answer, BASE, JOB};
use crate::api::ApiState;
use crate::api::event_view::EventView;
use crate::api::extract::InPath;
use crate::api::operation::{Answered, LAST_EVENT_ID, Operation};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::registry::Standing;
use crate::trace::{EventFilter, EventKey, EventRow};
use shiftwork_engine::ids::{JobName, RunId};

/// Watchers at a time: each costs a task and a connection.
const WATCHERS_MAX: usize = 2_000;
/// Permits of all watchers.
static WATCHERS: Semaphore = Semaphore::const_new(WATCHERS_MAX);

/// Events read at once.
const BATCH_MAX: usize = 500;
/// How often the history is asked whether it has by now what the feed has no longer.
const HISTORY_POLL: Duration = Duration::from_millis(500);

/// Filters events by run.
static RUN: Param = Param { name: "run", about: "Only of this run.", kind: Kind::Text };

/// Filters events by what they happened to.
static KIND: Param = Param {
    name: "kind",
    about: "Only of runs, or only of tasks.",
    kind: Kind::OneOf(&["RUN", "TASK"]),
};

/// Where the stream begins, for who cannot send a header.
static AFTER: Param = Param {
    name: "after",
    about: "The id of an event: begin behind it, as with Last-Event-ID; from now on unless given.",
    kind: Kind::Text,
};

/// The route of events.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(
            format!("{BASE}/events"),
            "watchEvents",
            "Watches what happens to runs and tasks: events `run` and `task` with an Event each.",
        )
        .tag("runs")
        .query(&[&JOB, &RUN, &KIND, &AFTER])
        .header(&LAST_EVENT_ID)
        .answers(200, Answered::Stream(None)),
        watch_events,
    )
}

/// `GET /events?job=&run=&kind=&after=`
async fn watch_events(State(state): State<ApiState>, params: Params, headers: HeaderMap) -> Answer {
    let filter = EventFilter {
        job: params.read(JOB.name, JobName::read)?.map(|job| job.to_string()),
        run: params.read(RUN.name, RunId::read)?.map(|run| run.to_string()),
        kind: params.read(KIND.name, read_kind)?,
        ..EventFilter::default()
    };
    let after = params.read(AFTER.name, str::parse::<EventKey>)?;
    let after = last_event_id(&headers)?.or(after);
    // Who asks a scheduler that does not lead is told so, and not left to wait.
    state.query(|_| ()).await?;
    let permit = WATCHERS.try_acquire().map_err(|_| {
        Problem::unavailable(format!("{WATCHERS_MAX} clients watch already: list runs instead"))
    })?;
    let latest = state.handle.feed().latest();
    let now = *latest.borrow();
    let behind = after.unwrap_or(now);
    let standing = state.leadership.standing.clone();
    let mut watcher =
        Watcher { state, filter, behind, latest, standing, ready: Vec::new(), _permit: permit };
    if behind > now {
        // The registry was begun anew: such a key would wait for ever.
        watcher.behind = now;
        let text = "the id is of another history: the stream begins now";
        watcher.ready.push(Event::default().event("reset").id(now.to_string()).data(text));
    }
    let events = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

fn read_kind(text: &str) -> Result<String, &'static str> {
    match text {
        "RUN" | "TASK" => Ok(text.to_owned()),
        _ => Err("must be RUN or TASK"),
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventKey>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID.name) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|error: crate::trace::EventKeyError| {
        Problem::parameter(LAST_EVENT_ID.name, error.to_string())
    })
}

/// One client's place in the stream.
struct Watcher {
    state: ApiState,
    filter: EventFilter,
    /// The last event it was given, or that was passed over.
    behind: EventKey,
    latest: watch::Receiver<EventKey>,
    standing: watch::Receiver<Standing>,
    /// What it is given next, the last first.
    ready: Vec<Event>,
    _permit: SemaphorePermit<'static>,
}

// === impl Watcher ===

impl Watcher {
    /// The next event; none when this scheduler leads no longer: the client comes back to the one
    /// that does.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some(event);
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
                    }
                }
                Ok(events) => self.take(&events),
                Err(old) => self.read_history(old.complete_behind).await,
            }
        }
    }

    /// Takes what passes the filter.
    fn take(&mut self, events: &[Arc<EventRow>]) {
        if let Some(last) = events.last() {
            self.behind = last.key();
        }
        let wanted = events.iter().filter(|event| self.filter.takes(event));
        self.ready = wanted.map(|event| written(event)).rev().collect();
    }

    /// Goes on in the history, and from where it ends in the feed.
    async fn read_history(&mut self, complete_behind: EventKey) {
        let history = &self.state.history;
        // Asked before the rows are read: what is written in between is then not passed over.
        let written_to_end = history.lag().spool.records == 0;
        match history.events_behind(&self.filter, self.behind, BATCH_MAX).await {
            Ok(rows) if rows.is_empty() && written_to_end => self.behind = complete_behind,
            Ok(rows) if rows.is_empty() => tokio::time::sleep(HISTORY_POLL).await,
            Ok(rows) => {
                let rows: Vec<_> = rows.into_iter().map(Arc::new).collect();
                self.take(&rows);
            }
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

/// An event as it goes over the wire.
fn written(row: &EventRow) -> Event {
    let name = if row.kind == "RUN" { "run" } else { "task" };
    let data = serde_json::to_string(&EventView::from(row)).unwrap_or_default();
    Event::default().event(name).id(row.key().to_string()).data(data)
}
