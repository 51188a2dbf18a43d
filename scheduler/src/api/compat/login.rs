//! Who may use Elastic-Job-Cloud's REST: whoever may use the native API, and beside them one user who is
//! configured; by the login of 3.x, whose tokens are sessions that expire, or by HTTP Basic as in 2.x.
//! Absent: judging what somebody shows (`auth/`).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Compat;
use super::dialect::Dialect;
use crate::api::access::{Origin, admitted};
use crate::api::problem::Problem;
use crate::auth::{Denied, Identity, LoginError, Proof, Role};

/// How long a token is good for: what Elastic-Job's console grants.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);
/// The realm of 2.x.
const REALM: &str = "Basic realm=\"Elastic Job Console Auth\"";

/// Name and password of the one user.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The frame of all routes: who may pass, and in which dialect.
pub(super) async fn admit(
    State(state): State<Compat>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let shown = Dialect::shown_by(request.method(), path, request.headers());
    let dialect = shown.unwrap_or(state.dialect);
    if path != LOGIN {
        let role = if request.method().is_safe() { Role::Viewer } else { Role::Operator };
        let passes = match admitted(request.extensions()) {
            Ok(identity) => state.passes(&identity, role),
            Err(problem) => Err(problem),
        };
        match passes {
            Ok(()) => {}
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
                return unauthorized(dialect);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    request.extensions_mut().insert(dialect);
    next.run(request).await
}

impl Compat {
    fn passes(&self, identity: &Identity, role: Role) -> Result<(), Problem> {
        // Where a user is configured for these paths, they are not for anybody.
        if identity.proof == Proof::None && self.api.auth.has_configured() {
            return Err(Problem::denied(Denied::Nobody));
        }
        identity.require(role)?;
        // Its lists know no apps that are left out.
        Ok(identity.require_all_apps()?)
    }
}

/// The one path that needs no token.
const LOGIN: &str = "/api/login";

fn unauthorized(dialect: Dialect) -> Response {
    let body = Json(json!({"message": "Unauthorized."}));
    let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
    if dialect == Dialect::V2 {
        let challenge = header::HeaderValue::from_static(REALM);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What a login says.
#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

/// `POST /api/login`
pub(super) async fn login(
    State(state): State<Compat>,
    Origin(from): Origin,
    body: Bytes,
) -> Response {
    let Ok(Login { username, password }) = serde_json::from_slice(&body) else {
        return unauthorized(Dialect::V3);
    };
    let auth = &state.api.auth;
    match auth.login(&username, &password, TOKEN_LIFETIME, "elastic-job", from).await {
        Ok(session) => Json(json!({"accessToken": session.secret})).into_response(),
        Err(LoginError::Denied(Denied::Nobody | Denied::Wrong)) => unauthorized(Dialect::V3),
        Err(LoginError::Denied(denied)) => Problem::denied(denied).into_response(),
        Err(LoginError::Auth(error)) => Problem::from(error).into_response(),
    }
}
