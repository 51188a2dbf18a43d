//! `Watch`: the stream of events as gRPC. Absent: finding what happens (`watching.rs`).

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::watch_response::What;
use tonic::Status;

use super::request;
use super::wire::ToWire as _;
use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::api::rest::events::may_watch;
use crate::api::watching::{Watched, Watcher};
use crate::auth::Identity;
use crate::trace::{EventFilter, EventKey};

/// Messages of one watcher.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

/// States of one filter: each costs a comparison per event.
const STATES_MAX: usize = 32;

/// Begins to watch.
///
/// # Errors
/// What is wrong with the request, 403 for other apps' events, or 503.
pub(super) async fn begin(
    state: &ApiState,
    identity: &Identity,
    request: wire::WatchRequest,
) -> Result<Messages, Problem> {
    let job = request::filter::<JobName>("job", &request.job)?;
    let run = request::filter::<RunId>("run", &request.run)?;
    may_watch(state, identity, job.as_ref(), run.as_ref()).await?;
    let (filter, after) = read(request)?;
    let watcher = Watcher::begin(state, identity, filter, after).await?;
    let told = watcher.stream().map(|watched| Ok(told(&watched)));
    // Without an error a client would take it for the end of what it watches.
    let moved = stream::once(async {
        Err(Status::unavailable(
            "this scheduler leads no longer: go on behind the last cursor at the leader",
        ))
    });
    Ok(Box::pin(told.chain(moved)))
}

fn read(request: wire::WatchRequest) -> Result<(EventFilter, Option<EventKey>), Problem> {
    let kind = match wire::EventKind::try_from(request.kind) {
        Ok(wire::EventKind::Unspecified) => None,
        Ok(wire::EventKind::Run) => Some("RUN".to_owned()),
        Ok(wire::EventKind::Task) => Some("TASK".to_owned()),
        Err(_) => return Err(Problem::parameter("kind", "is none that this version knows")),
    };
    if request.states.len() > STATES_MAX {
        return Err(Problem::parameter("states", format!("are more than {STATES_MAX}")));
    }
    let filter = EventFilter {
        job: request::filter::<JobName>("job", &request.job)?.map(|job| job.to_string()),
        run: request::filter::<RunId>("run", &request.run)?.map(|run| run.to_string()),
        submitter: request::given(request.submitter),
        kind,
        states: request.states,
        ..EventFilter::default()
    };
    let after = request::given(request.after).map(|text| text.parse::<EventKey>()).transpose();
    let after = after.map_err(|error| Problem::parameter("after", error.to_string()))?;
    Ok((filter, after))
}

fn told(watched: &Watched) -> wire::WatchResponse {
    let (cursor, what) = match watched {
        Watched::Event(row) => (row.key(), What::Event(row.as_ref().to_wire())),
        Watched::Progress(key) => (*key, What::Progress(wire::Progress {})),
        Watched::Reset(key) => (*key, What::Reset(wire::Reset {})),
    };
    wire::WatchResponse { cursor: cursor.to_string(), what: Some(what) }
}
