//! `/login`, `/logout`: the session of a browser. Absent: passwords and sessions (`auth/`), and the way
//! over an identity provider, which begins at the API.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::html;

use super::forms::{QueryFields, Sent};
use super::layout::{Page, Section};
use super::visitor::{Visitor, own_address};
use super::{Answer, done, parts};
use crate::api::access::{Caller, Origin};
use crate::api::{ApiState, Problem, session_cookie, session_gone};
use crate::auth::{LoginError, SESSION_LIFETIME};

/// By which door a session was begun, in the records.
const DOOR: &str = "console";

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/login", get(ask).post(login)).route("/logout", post(logout))
}

/// `GET /login?back=`
async fn ask(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Response {
    form(&state, &visitor, own_address(query.text("back")), "", None)
}

fn form(
    state: &ApiState,
    visitor: &Visitor,
    back: &str,
    name: &str,
    problem: Option<&Problem>,
) -> Response {
    let body = html! {
        (parts::heading("Log in", html! {}))
        @if let Some(problem) = problem { (parts::refusal(problem.detail())) }
        form.small method="post" action="/login" {
            input type="hidden" name="back" value=(back);
            fieldset {
                legend { "With name and password" }
                div.fields {
                    div.field {
                        label for="name" { "Name" }
                        input #name name="name" value=(name) autocomplete="username" required autofocus;
                    }
                    div.field {
                        label for="password" { "Password" }
                        input #password name="password" type="password" autocomplete="current-password" required;
                    }
                }
            }
            p.actions {
                button.primary { "Log in" }
                @if state.oidc.is_some() { a.button href="/api/v1/session/oidc" { "Log in through the identity provider" } }
            }
        }
    };
    let page = Page::new("Log in", Section::None);
    match problem {
        Some(problem) => page.status(problem.status()).show(visitor, body),
        None => page.show(visitor, body),
    }
}

/// `POST /login`
async fn login(
    State(state): State<ApiState>,
    visitor: Visitor,
    Origin(from): Origin,
    Sent(sent): Sent,
) -> Response {
    let back = own_address(sent.text("back"));
    let name = sent.text("name");
    let password = sent.raw("password");
    match state.auth.login(name, &password, SESSION_LIFETIME, DOOR, from).await {
        Ok(session) => {
            let mut response = done(back, "loggedin");
            let cookie = session_cookie(&session, state.secure_cookies);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(error) => {
            let problem = match error {
                LoginError::Denied(denied) => Problem::denied(denied),
                LoginError::Auth(error) => error.into(),
            };
            form(&state, &visitor, back, name, Some(&problem))
        }
    }
}

/// `POST /logout`
async fn logout(State(state): State<ApiState>, Caller(by): Caller, headers: HeaderMap) -> Answer {
    state.auth.logout(&headers, by).await.map_err(Problem::from)?;
    let mut response = done("/login", "loggedout").into_response();
    response.headers_mut().insert(header::SET_COOKIE, session_gone(state.secure_cookies));
    Ok(response)
}
