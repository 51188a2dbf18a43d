//! `/events`: what happens to runs and tasks, as server-sent events. Whoever comes back with the id
//! of the last event it received misses nothing that is still kept. Absent: finding what happens
//! (`watching.rs`).

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::StreamExt as _;
use shiftwork_engine::ids::{JobName, RunId};

use super::{Answer, BASE, JOB};
use crate::api::ApiState;
use crate::api::access::Named;
use crate::api::event_view::EventView;
use crate::api::extract::InPath;
use crate::api::operation::{Answered, LAST_EVENT_ID, Operation};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::watching::{Watched, Watcher};
use crate::auth::Identity;
use crate::trace::{EventFilter, EventKey};

/// Filters events by run.
static RUN: Param = Param { name: "run", about: "Only of this run.", kind: Kind::Text };

/// Filters events by who asked for the run.
static SUBMITTER: Param = Param {
    name: "submitter",
    about: "Only of runs that this submitter asked for.",
    kind: Kind::Text,
};

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
        .filtered()
        .query(&[&JOB, &RUN, &SUBMITTER, &KIND, &AFTER])
        .header(&LAST_EVENT_ID)
        .answers(200, Answered::Stream(None)),
        watch_events,
    )
}

/// `GET /events?job=&run=&submitter=&kind=&after=`
async fn watch_events(
    State(state): State<ApiState>,
    identity: Identity,
    params: Params,
    headers: HeaderMap,
) -> Answer {
    let job = params.read(JOB.name, JobName::read)?;
    let run = params.read(RUN.name, RunId::read)?;
    may_watch(&state, &identity, job.as_ref(), run.as_ref()).await?;
    let filter = EventFilter {
        job: job.map(|job| job.to_string()),
        run: run.map(|run| run.to_string()),
        submitter: params.text(SUBMITTER.name).map(str::to_owned),
        kind: params.read(KIND.name, read_kind)?,
        ..EventFilter::default()
    };
    let after = params.read(AFTER.name, str::parse::<EventKey>)?;
    let after = last_event_id(&headers)?.or(after);
    let watcher = Watcher::begin(&state, &identity, filter, after).await?;
    let events = watcher.stream().map(|watched| Ok::<_, Infallible>(written(&watched)));
    Ok(Sse::new(events).into_response())
}

/// An event does not say of which app it is: whoever is shown some apps only names a job or a run, and
/// the watcher looks at the app of each run.
///
/// # Errors
/// 403, or 404 for a job that is not there.
pub(in crate::api) async fn may_watch(
    state: &ApiState,
    identity: &Identity,
    job: Option<&JobName>,
    run: Option<&RunId>,
) -> Result<(), Problem> {
    let job = job.cloned().map(Named::Job);
    match job.or_else(|| run.cloned().map(Named::Run)) {
        _ if identity.apps.is_all() => Ok(()),
        Some(named) => named.admit_if_there(state, identity).await,
        None => Err(Problem::forbidden(format!(
            "{} is shown some apps only: watch one job or one run",
            identity.name
        ))),
    }
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

/// What is watched as it goes over the wire. Progress has only an id, which is no event to a client:
/// it remembers where to go on.
fn written(watched: &Watched) -> Event {
    match watched {
        Watched::Event(row) => {
            let name = if row.kind == "RUN" { "run" } else { "task" };
            let data = serde_json::to_string(&EventView::from(&**row)).unwrap_or_default();
            Event::default().event(name).id(row.key().to_string()).data(data)
        }
        Watched::Progress(key) => Event::default().id(key.to_string()),
        Watched::Reset(key) => {
            let text = "the id is of another history: the stream begins now";
            Event::default().event("reset").id(key.to_string()).data(text)
        }
    }
}
