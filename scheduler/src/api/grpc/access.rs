//! Who may call which method: the same question as before a route of REST. Absent: the answer (`auth/`).

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};

use crate::api::ApiState;
use crate::auth::{Denied, Identity, Role};

/// What the methods begin with that only read; all others change something.
const READING: [&str; 4] = ["Get", "List", "Why", "Watch"];

/// Asks who a call of the scheduler's service is from.
pub(super) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // Health and reflection hold nothing of anybody's.
    let Some(method) = path.strip_prefix("/shiftwork.v1.Scheduler/") else {
        return next.run(request).await;
    };
    let reads = READING.iter().any(|verb| method.starts_with(verb));
    let role = if reads { Role::Viewer } else { Role::Operator };
    let from = peer(&request).map(|address| address.ip().to_canonical());
    let headers = request.headers().clone();
    match state.auth.admit(&headers, from).await {
        Ok(identity) => {
            if let Err(status) = may(&identity, role) {
                return status.into_http::<axum::body::Body>().into_response();
            }
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(denied) => {
            state.metrics.on_denied(denied);
            let code = match denied {
                Denied::Nobody | Denied::Wrong => Code::Unauthenticated,
                Denied::Wait(_) => Code::ResourceExhausted,
            };
            Status::new(code, denied.to_string()).into_http::<axum::body::Body>().into_response()
        }
    }
}

/// Lists here know no apps that are left out: who may use some apps only uses REST.
fn may(identity: &Identity, role: Role) -> Result<(), Status> {
    let allowed = identity.require(role).and_then(|()| identity.require_all_apps());
    allowed.map_err(|forbidden| Status::new(Code::PermissionDenied, forbidden.to_string()))
}

fn peer(request: &Request) -> Option<SocketAddr> {
    let extensions = request.extensions();
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let tls = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr();
    plain.or_else(tls)
}
