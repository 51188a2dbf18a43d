//! `/users`: people with passwords, and what they may do. Absent: logging in (`session.rs`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::{Answer, BASE, done, found, made};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::access_fields;
use crate::api::extract::JsonBody;
use crate::api::operation::{Answered, Operation};
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::table::Table;
use crate::auth::Role;

const USERS: List = List("users");

/// The routes of users.
pub(super) fn routes(table: Table) -> Table {
    let (list, one) = (format!("{BASE}/users"), format!("{BASE}/users/{{user}}"));
    let tagged = |operation: Operation| operation.tag("access").role(Role::Admin);
    table
        .route(
            tagged(Operation::get(&list, "listUsers", "Lists the users.")).page("User"),
            list_users,
        )
        .route(
            tagged(Operation::post(&list, "createUser", "Makes a user."))
                .body("NewUser")
                .answers(201, Answered::One("User"))
                .refuses(&[409]),
            create,
        )
        .route(
            tagged(Operation::get(&one, "getUser", "Reads a user.")).one("User").refuses(&[404]),
            get,
        )
        .route(
            tagged(Operation::put(&one, "updateUser", "Changes a user: what is left out stays."))
                .body("UserChange")
                .one("User")
                .refuses(&[404]),
            update,
        )
        .route(
            tagged(Operation::delete(&one, "deleteUser", "Removes a user and their sessions."))
                .answers(204, Answered::Empty)
                .refuses(&[404]),
            delete,
        )
}

/// `GET /users`
async fn list_users(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(USERS, &params)?;
    let rows = state.auth.users(at.after.as_deref(), at.fetch());
    Ok(Json(Page::cut(rows, &at, |user| user.name.clone())).into_response())
}

/// `POST /users`
async fn create(State(state): State<ApiState>, Caller(by): Caller, body: JsonBody) -> Answer {
    let user = state.auth.create_user(access_fields::new_user(body.value)?, by).await?;
    Ok(made(true, format!("{BASE}/users/{}", user.name), user))
}

/// `GET /users/{user}`
async fn get(State(state): State<ApiState>, Path(name): Path<String>) -> Answer {
    found(&format!("user {name}"), state.auth.user(&name))
}

/// `PUT /users/{user}`
async fn update(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    let change = access_fields::user_change(body.value)?;
    let user = state.auth.update_user(&name, change, by).await?;
    Ok((StatusCode::OK, Json(user)).into_response())
}

/// `DELETE /users/{user}`
async fn delete(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Caller(by): Caller,
) -> Answer {
    state.auth.delete_user(&name, by).await?;
    Ok(done())
}
