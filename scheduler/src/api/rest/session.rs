//! `/session`: who somebody is, and the session that a browser begins with name and password. Absent:
//! tokens, which need no session.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shiftwork_schedule::Timestamp;

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::access::{Caller, Origin};
use crate::api::access_fields;
use crate::api::extract::JsonBody;
use crate::api::operation::{Answered, Operation};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::auth::{
    AppScope, COOKIE, Identity, LoginError, Proof, Role, SECURE_COOKIE, SESSION_LIFETIME, Session,
    csrf_token,
};
use crate::turn;

/// The routes of sessions.
pub(super) fn routes(table: Table) -> Table {
    let path = format!("{BASE}/session");
    let tagged = |operation: Operation| operation.tag("access").shared();
    table
        .route(
            tagged(Operation::get(&path, "getSession", "Who I am, and what I may do."))
                .one("Session"),
            get,
        )
        .route(
            tagged(Operation::post(
                &path,
                "login",
                "Begins a session with name and password: the answer sets its cookie.",
            ))
            .open()
            .body("Login")
            .answers(200, Answered::One("Session"))
            .refuses(&[401, 429]),
            login,
        )
        .route(
            tagged(Operation::delete(&path, "logout", "Ends the session."))
                .role(Role::Viewer)
                .answers(204, Answered::Empty),
            logout,
        )
}

/// Who somebody is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    name: String,
    role: Role,
    apps: AppScope,
    /// False where nobody is asked.
    authenticated: bool,
    /// When a session ends that begins now.
    expires_at: Option<Timestamp>,
    /// To be sent as X-CSRF-Token with changes, where the session is in a cookie.
    csrf_token: Option<String>,
}

impl SessionView {
    fn of(identity: Identity, expires_at: Option<Timestamp>, csrf_token: Option<String>) -> Self {
        Self {
            name: identity.name,
            role: identity.role,
            apps: identity.apps,
            authenticated: identity.proof != Proof::None,
            expires_at,
            csrf_token,
        }
    }
}

/// `GET /session`
async fn get(identity: Identity, headers: HeaderMap) -> Answer {
    let token = csrf_token(&headers).filter(|_| identity.proof == Proof::Cookie);
    Ok(Json(SessionView::of(identity, None, token)).into_response())
}

/// `POST /session`
async fn login(State(state): State<ApiState>, Origin(from): Origin, body: JsonBody) -> Answer {
    let (name, password) = access_fields::login(body.value)?;
    let begun = state.auth.login(&name, &password, SESSION_LIFETIME, "rest", from).await;
    let session = begun.map_err(|error| match error {
        LoginError::Denied(denied) => Problem::denied(denied),
        LoginError::Auth(error) => error.into(),
    })?;
    let cookie = cookie(&session, state.secure_cookies);
    let mut shown = HeaderMap::new();
    shown.insert(header::COOKIE, cookie.clone());
    let token = csrf_token(&shown);
    let view = SessionView::of(session.identity, Some(session.expires_at), token);
    Ok(with_cookie(cookie, Json(view).into_response()))
}

/// `DELETE /session`
async fn logout(State(state): State<ApiState>, Caller(by): Caller, headers: HeaderMap) -> Answer {
    state.auth.logout(&headers, by).await?;
    let gone = gone(state.secure_cookies);
    Ok(with_cookie(gone, StatusCode::NO_CONTENT.into_response()))
}

fn with_cookie(cookie: HeaderValue, mut response: Response) -> Response {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// The cookie of a session: no script reads it, and no other site's page sends it.
pub(crate) fn cookie(session: &Session, secure: bool) -> HeaderValue {
    let age_s = session.expires_at.since(turn::now()).max(0) / 1000;
    set_cookie(&session.secret, age_s, secure)
}

/// What makes a browser forget it.
pub(crate) fn gone(secure: bool) -> HeaderValue {
    set_cookie("", 0, secure)
}

fn set_cookie(value: &str, age_s: i64, secure: bool) -> HeaderValue {
    let (name, flag) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let text = format!("{name}={value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Strict{flag}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
