//! `/leader`: which scheduler decides. Answered by every scheduler, also by one that stands by.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use shiftwork_schedule::Timestamp;

use super::{Answer, LEADER_PATH};
use crate::api::ApiState;
use crate::api::operation::Operation;
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::registry::Standing;

/// The leader as seen from here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LeaderView {
    /// The process, unique among all that may lead.
    pub(in crate::api) id: String,
    /// Where it answers: REST and gRPC.
    pub(in crate::api) addresses: Vec<String>,
    /// When it took the lead.
    pub(in crate::api) since: Timestamp,
    /// Whether the scheduler that was asked is the leader.
    pub(in crate::api) is_self: bool,
}

/// The routes of the leader.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(LEADER_PATH, "getLeader", "Which scheduler decides.")
            .shared()
            .one("Leader")
            .refuses(&[404]),
        get,
    )
}

/// `GET /leader`
async fn get(State(state): State<ApiState>) -> Answer {
    Ok(Json(leader(&state)?).into_response())
}

/// Who leads, as far as this process knows.
///
/// # Errors
/// 404 while nobody does; 503 with the reason when this process cannot ask or lead.
pub(in crate::api) fn leader(state: &ApiState) -> Result<LeaderView, Problem> {
    let standing = state.leadership.standing.borrow().clone();
    let (leader, is_self) = match standing {
        Standing::Leading => (state.leadership.own.borrow().clone(), true),
        Standing::Standby { leader } => (leader, false),
        Standing::Starting => (None, false),
        Standing::Hindered { why } => {
            let detail = format!("this scheduler cannot take the lead: {why}");
            return Err(Problem::unavailable(detail));
        }
    };
    let leader = leader
        .ok_or_else(|| Problem::not_found("leader at the moment: an election takes seconds"))?;
    let since = Timestamp::from_millis(leader.since.as_millisecond());
    Ok(LeaderView { id: leader.id, addresses: leader.addresses, since, is_self })
}
