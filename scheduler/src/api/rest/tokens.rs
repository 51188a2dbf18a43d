//! `/tokens`: what programs show, and what they may do. A token itself is answered once, when it is
//! made.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Serialize;

use super::{Answer, BASE, done, found, made};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::access_fields;
use crate::api::extract::JsonBody;
use crate::api::operation::{Answered, Operation};
use crate::api::page::{List, Page, PageAt};
use crate::api::params::Params;
use crate::api::table::Table;
use crate::auth::{Role, TokenView};

const TOKENS: List = List("tokens");

/// The routes of tokens.
pub(super) fn routes(table: Table) -> Table {
    let (list, one) = (format!("{BASE}/tokens"), format!("{BASE}/tokens/{{token}}"));
    let tagged = |operation: Operation| operation.tag("access").role(Role::Admin);
    table
        .route(
            tagged(Operation::get(&list, "listTokens", "Lists the tokens, without themselves."))
                .page("Token"),
            list_tokens,
        )
        .route(
            tagged(Operation::post(&list, "createToken", "Makes a token, and tells it this once."))
                .body("NewToken")
                .answers(201, Answered::One("CreatedToken"))
                .refuses(&[409]),
            create,
        )
        .route(
            tagged(Operation::get(&one, "getToken", "Reads about a token."))
                .one("Token")
                .refuses(&[404]),
            get,
        )
        .route(
            tagged(Operation::delete(&one, "revokeToken", "Revokes a token, at once."))
                .answers(204, Answered::Empty)
                .refuses(&[404]),
            revoke,
        )
}

/// A token that was made.
#[derive(Serialize)]
struct CreatedToken {
    #[serde(flatten)]
    about: TokenView,
    /// The token itself.
    token: String,
}

/// `GET /tokens`
async fn list_tokens(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(TOKENS, &params)?;
    let rows = state.auth.tokens(at.after.as_deref(), at.fetch());
    Ok(Json(Page::cut(rows, &at, |token| token.name.clone())).into_response())
}

/// `POST /tokens`
async fn create(State(state): State<ApiState>, Caller(by): Caller, body: JsonBody) -> Answer {
    let new = access_fields::new_token(body.value)?;
    let (about, token) = state.auth.create_token(new, by).await?;
    let location = format!("{BASE}/tokens/{}", about.name);
    Ok(made(true, location, CreatedToken { about, token }))
}

/// `GET /tokens/{token}`
async fn get(State(state): State<ApiState>, Path(name): Path<String>) -> Answer {
    found(&format!("token {name}"), state.auth.token(&name))
}

/// `DELETE /tokens/{token}`
async fn revoke(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Caller(by): Caller,
) -> Answer {
    state.auth.revoke_token(&name, by).await?;
    Ok(done())
}
