//! `/session/oidc`: logging in through an identity provider. Absent: its protocol (`oidc/`).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::session::cookie;
use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::access::Origin;
use crate::api::operation::{Answered, Operation};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::auth::{Actor, Identity, Proof, SESSION_LIFETIME};
use crate::oidc::{Oidc, OidcError};

/// The cookie that binds a login to the browser that began it.
const STATE_COOKIE: &str = "shiftwork-login";
/// How long a browser keeps it, seconds.
const STATE_AGE_S: u64 = 600;

static CODE: Param =
    Param { name: "code", about: "What the provider gave the browser.", kind: Kind::Text };
static STATE: Param =
    Param { name: "state", about: "What it was sent there with.", kind: Kind::Text };
static ERROR: Param = Param { name: "error", about: "Why the provider refused.", kind: Kind::Text };
static DESCRIPTION: Param =
    Param { name: "error_description", about: "The same in words.", kind: Kind::Text };
static ISS: Param = Param { name: "iss", about: "The provider.", kind: Kind::Text };
static SESSION_STATE: Param =
    Param { name: "session_state", about: "Not looked at.", kind: Kind::Text };

/// The routes of an identity provider's logins.
pub(super) fn routes(table: Table) -> Table {
    let path = format!("{BASE}/session/oidc");
    let tagged = |operation: Operation| operation.tag("access").open();
    table
        .route(
            tagged(Operation::get(&path, "beginOidc", "Sends the browser to the provider."))
                .answers(303, Answered::Empty)
                .refuses(&[404, 502]),
            begin,
        )
        .route(
            tagged(Operation::get(
                format!("{path}/callback"),
                "finishOidc",
                "Takes the browser back from the provider: the answer sets a session's cookie.",
            ))
            .query(&[&CODE, &STATE, &ERROR, &DESCRIPTION, &ISS, &SESSION_STATE])
            .answers(200, Answered::Text("text/html"))
            .refuses(&[401, 403, 404, 502]),
            finish,
        )
}

fn provider(state: &ApiState) -> Result<&Oidc, Problem> {
    state.oidc.as_ref().ok_or_else(|| {
        Problem::not_found("identity provider: start the scheduler with --oidc-issuer")
    })
}

/// `GET /session/oidc`
async fn begin(State(state): State<ApiState>) -> Answer {
    let begun = provider(&state)?.begin().await.map_err(refused)?;
    let location = HeaderValue::from_str(&begun.location).map_err(|_| {
        refused(OidcError::Provider("it names an endpoint that is no address".to_owned()))
    })?;
    let headers = [
        (header::LOCATION, location),
        (header::SET_COOKIE, state_cookie(&begun.state, STATE_AGE_S, state.secure_cookies)),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// `GET /session/oidc/callback`
async fn finish(
    State(state): State<ApiState>,
    Origin(from): Origin,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let provider = provider(&state)?;
    if let Some(error) = params.text(ERROR.name) {
        let said = error.chars().filter(char::is_ascii_graphic).take(100).collect();
        return Err(refused(OidcError::Refused(said)));
    }
    let required = |param: &Param| {
        let missing = || Problem::parameter(param.name, "is required");
        params.text(param.name).ok_or_else(missing)
    };
    let (code, shown) = (required(&CODE)?, required(&STATE)?);
    let kept = kept_state(&headers);
    let person = provider.finish(kept.as_deref(), shown, code).await.map_err(refused)?;
    let identity = Identity {
        name: person.name.clone(),
        role: person.role,
        apps: person.apps.clone(),
        proof: Proof::Session,
    };
    let by = Actor { identity, door: "rest", from };
    let session = state.auth.vouch(person, SESSION_LIFETIME, by).await?;
    let mut response = page();
    let cookies = response.headers_mut();
    cookies.append(header::SET_COOKIE, cookie(&session, state.secure_cookies));
    cookies.append(header::SET_COOKIE, state_cookie("", 0, state.secure_cookies));
    Ok(response)
}

/// A page that goes on to the console. A redirect would still count as coming from the provider, and
/// the session's cookie would not be sent along.
fn page() -> Response {
    let text = "<!doctype html><title>Shiftwork</title>\
                <meta http-equiv=\"refresh\" content=\"0; url=/\"><p><a href=\"/\">On</a>";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// Lax: the way back from the provider is another site's doing, and must bring it.
fn state_cookie(value: &str, age_s: u64, secure: bool) -> HeaderValue {
    let flag = if secure { "; Secure" } else { "" };
    let path = format!("{BASE}/session/oidc");
    let text = format!(
        "{STATE_COOKIE}={value}; Max-Age={age_s}; Path={path}; HttpOnly; SameSite=Lax{flag}"
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn kept_state(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|it| it.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == STATE_COOKIE);
    ours.next().map(|(_, value)| value.to_owned())
}

fn refused(error: OidcError) -> Problem {
    tracing::info!(%error, "no login through the identity provider");
    match error {
        OidcError::Provider(_) => Problem::bad_gateway(error.to_string()),
        OidcError::NoRole(_) => Problem::forbidden(error.to_string()),
        OidcError::Unknown | OidcError::Refused(_) | OidcError::Invalid(_) => {
            Problem::unauthenticated(error.to_string())
        }
    }
}
