//! `/secrets`: values for jobs that only their names show. No answer holds a value.

use axum::Json;
use axum::extract::{Path, State};
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

const SECRETS: List = List("secrets");

/// The routes of secrets.
pub(super) fn routes(table: Table) -> Table {
    let (list, one) = (format!("{BASE}/secrets"), format!("{BASE}/secrets/{{secret}}"));
    let tagged = |operation: Operation| operation.tag("access").role(Role::Admin);
    table
        .route(
            tagged(Operation::get(&list, "listSecrets", "Lists the secrets, without values."))
                .page("Secret"),
            list_secrets,
        )
        .route(
            tagged(Operation::get(&one, "getSecret", "Reads about a secret."))
                .one("Secret")
                .refuses(&[404]),
            get,
        )
        .route(
            tagged(Operation::put(&one, "setSecret", "Makes a secret, or gives it another value."))
                .body("SecretValue")
                .answers(201, Answered::One("Secret"))
                .answers(200, Answered::One("Secret"))
                .refuses(&[409]),
            put,
        )
        .route(
            tagged(Operation::delete(&one, "deleteSecret", "Removes a secret."))
                .answers(204, Answered::Empty)
                .refuses(&[404]),
            delete,
        )
}

/// `GET /secrets`
async fn list_secrets(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(SECRETS, &params)?;
    let rows = state.secrets.list(at.after.as_deref(), at.fetch());
    Ok(Json(Page::cut(rows, &at, |secret| secret.name.clone())).into_response())
}

/// `GET /secrets/{secret}`
async fn get(State(state): State<ApiState>, Path(name): Path<String>) -> Answer {
    found(&format!("secret {name}"), state.secrets.get(&name))
}

/// `PUT /secrets/{secret}`
async fn put(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    let (value, apps) = access_fields::secret(body.value)?;
    let (view, new) = state.secrets.put(&name, &value, apps, by).await?;
    Ok(made(new, format!("{BASE}/secrets/{name}"), view))
}

/// `DELETE /secrets/{secret}`
async fn delete(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Caller(by): Caller,
) -> Answer {
    state.secrets.delete(&name, by).await?;
    Ok(done())
}
