//! What a scheduler answers to gRPC that does not lead: where the leader is. Absent: passing calls on.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::api::Leadership;
use crate::registry::{LeaderInfo, Standing};

/// Metadata of a refusal: the leader's `host:port` for gRPC.
pub(super) const LEADER: &str = "shiftwork-leader";

/// What begins the leader's address for gRPC among its addresses.
const SCHEMES: [&str; 2] = ["grpc://", "grpcs://"];

/// The one method that every scheduler answers itself.
const GET_LEADER: &str = "/shiftwork.v1.Scheduler/GetLeader";

/// Answers in place of the scheduler's service while another process leads.
pub(super) async fn answer(
    State(leadership): State<Leadership>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/shiftwork.") || path == GET_LEADER {
        return next.run(request).await;
    }
    let standing = leadership.standing.borrow().clone();
    match standing {
        Standing::Standby { leader } => {
            refusal(leader.as_ref()).into_http::<axum::body::Body>().into_response()
        }
        Standing::Hindered { why } => {
            let text = format!("this scheduler cannot take the lead: {why}");
            Status::new(Code::Unavailable, text).into_http::<axum::body::Body>().into_response()
        }
        Standing::Starting | Standing::Leading => next.run(request).await,
    }
}

/// Says who leads.
fn refusal(leader: Option<&LeaderInfo>) -> Status {
    let address = leader.and_then(grpc_address);
    let Some(address) = address else {
        return Status::new(
            Code::Unavailable,
            "this scheduler does not lead, and nobody else is known to serve gRPC as yet: an \
             election takes seconds",
        );
    };
    let mut status = Status::new(
        Code::Unavailable,
        format!("this scheduler stands by: the leader is at {address}"),
    );
    if let Ok(value) = MetadataValue::try_from(address) {
        status.metadata_mut().insert(LEADER, value);
    }
    status
}

/// Where the leader serves gRPC, as `host:port`.
fn grpc_address(leader: &LeaderInfo) -> Option<&str> {
    leader
        .addresses
        .iter()
        .find_map(|address| SCHEMES.iter().find_map(|scheme| address.strip_prefix(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(addresses: &[&str]) -> LeaderInfo {
        LeaderInfo {
            id: "other".to_owned(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            since: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_leader_is_named_where_it_serves_grpc() {
        let status = refusal(Some(&leader(&["http://10.0.0.1:8899", "grpc://10.0.0.1:8898"])));
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.metadata().get(LEADER).unwrap(), "10.0.0.1:8898");
        // One of an earlier version serves REST only.
        let status = refusal(Some(&leader(&["http://10.0.0.1:8899"])));
        assert!(status.metadata().get(LEADER).is_none());
        assert!(refusal(None).message().contains("election"));
    }
}
