//! What apps, jobs and calendars have in common: documents with a name, listed, registered, read,
//! replaced, removed, and those that can be switched off. Absent: what a document means.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use shiftwork_engine::command::Command;
use shiftwork_engine::{Assumed, Engine, Order};

use super::{Answer, BASE, done, made};
use crate::api::ApiState;
use crate::api::access::{Caller, Sight};
use crate::api::dry_run::{self, ASSUME, DRY_RUN};
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{InPath, JsonBody, Named, OptionalJsonBody, document_name};
use crate::api::fields;
use crate::api::idempotency::Keyed;
use crate::api::operation::{Answered, IDEMPOTENCY_KEY, IF_MATCH, Operation};
use crate::api::page::{List, Page, PageAt};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::visible;
use crate::auth::{Actor, AppScope, Identity};

/// A kind of document.
pub(in crate::api) trait Document: Send + Sync + 'static {
    /// Its name.
    type Name: InPath + std::fmt::Display + Clone + Send + Sync + 'static;
    /// How it is shown.
    type View: Serialize + Send + 'static;
    /// Which of them are listed.
    type Filter: Send + Sync + 'static;

    /// What one is called.
    const NOUN: &'static str;
    /// The same in names of operations and schemas.
    const TYPE: &'static str;
    /// Where they are, below the base.
    const LIST: List;
    /// The same list from its end.
    const DESCENDING: List;
    /// The schema of its view.
    const SCHEMA: &'static str;
    /// The schema of the document itself.
    const DOCUMENT_SCHEMA: &'static str;
    /// The field of the document that names it.
    const NAME_FIELD: &'static str;
    /// Whether each of them is of an app, or none is.
    const OF_APP: bool;
    /// The parameters that filter the list.
    const FILTERS: &'static [&'static Param];

    /// Reads the filter.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    fn filter(params: &Params) -> Result<Self::Filter, Problem>;
    /// Registers one.
    fn create(document: Vec<u8>) -> Command;
    /// Replaces one.
    fn update(name: Self::Name, document: Vec<u8>) -> Command;
    /// Removes one.
    fn delete(name: Self::Name) -> Command;
    /// One of them.
    fn one(engine: &Engine, name: &Self::Name) -> Option<Self::View>;
    /// Some of them, in order of their names.
    fn some(
        engine: &Engine,
        filter: &Self::Filter,
        after: Option<&Self::Name>,
        order: Order,
        limit: usize,
    ) -> Vec<Self::View>;
    /// The name in a view.
    fn name_of(view: &Self::View) -> &str;
    /// The app in a view, if it is of one.
    fn app_of(view: &Self::View) -> Option<String>;
    /// Takes one to be registered, if jobs may name it.
    fn assume(name: &Self::Name, assumed: &mut Assumed);
    /// The document in a view.
    fn text_of(view: &Self::View) -> &str;
}

/// A kind of document that can be switched off.
pub(in crate::api) trait Switched: Document {
    /// Switches one on or off.
    fn set_enabled(name: Self::Name, enabled: bool, reason: Option<String>) -> Command;
}

/// The order of a list.
static SORT: Param = Param {
    name: "sort",
    about: "By name, ascending or descending.",
    kind: Kind::OneOf(&["name", "-name"]),
};

/// The routes every kind has.
pub(super) fn routes<D: Document>(table: Table) -> Table {
    let list = format!("{BASE}/{}", D::LIST.0);
    let one = format!("{list}/{{{}}}", D::Name::PARAMETER);
    let (noun, kind) = (D::NOUN, D::TYPE);
    let tagged = |operation: Operation| operation.tag(D::LIST.0);
    let filtered = |operation: Operation| if D::OF_APP { operation.filtered() } else { operation };
    let read = |operation: Operation| if D::OF_APP { operation } else { operation.shared() };
    table
        .route(
            read(filtered(tagged(Operation::get(
                &list,
                format!("list{kind}s"),
                format!("Lists the {noun}s."),
            ))))
            .query(D::FILTERS)
            .query(&[&SORT])
            .page(D::SCHEMA),
            list_handler::<D>,
        )
        .route(
            filtered(tagged(Operation::post(
                &list,
                format!("create{kind}"),
                format!("Registers a {noun}."),
            )))
            .header(&IDEMPOTENCY_KEY)
            .query(&[&DRY_RUN, &ASSUME])
            .body(D::DOCUMENT_SCHEMA)
            .answers(201, Answered::One(D::SCHEMA))
            .answers(200, Answered::One(D::SCHEMA))
            .answers(204, Answered::Empty)
            .refuses(&[409]),
            create::<D>,
        )
        .route(
            read(tagged(Operation::get(&one, format!("get{kind}"), format!("Reads a {noun}."))))
                .one(D::SCHEMA)
                .refuses(&[404]),
            get::<D>,
        )
        .route(
            tagged(Operation::put(&one, format!("update{kind}"), format!("Replaces a {noun}.")))
                .header(&IF_MATCH)
                .query(&[&DRY_RUN, &ASSUME])
                .body(D::DOCUMENT_SCHEMA)
                .one(D::SCHEMA)
                .answers(204, Answered::Empty)
                .refuses(&[404, 412]),
            update::<D>,
        )
        .route(
            tagged(Operation::delete(&one, format!("delete{kind}"), format!("Removes a {noun}.")))
                .header(&IF_MATCH)
                .answers(204, Answered::Empty)
                .refuses(&[404, 409, 412]),
            delete::<D>,
        )
}

/// The routes of those that can be switched off.
pub(super) fn switches<D: Switched>(table: Table) -> Table {
    let one = format!("{BASE}/{}/{{{}}}", D::LIST.0, D::Name::PARAMETER);
    let (noun, kind) = (D::NOUN, D::TYPE);
    let switch = |verb: &str, summary: String| {
        Operation::post(format!("{one}/{verb}"), format!("{verb}{kind}"), summary)
            .tag(D::LIST.0)
            .header(&IF_MATCH)
            .optional_body("Reason")
            .one(D::SCHEMA)
            .refuses(&[404, 412])
    };
    table
        .route(switch("enable", format!("Lets a {noun} run again.")), enable::<D>)
        .route(switch("disable", format!("Stops a {noun}: its tasks are killed.")), disable::<D>)
}

/// `GET /{list}`
async fn list_handler<D: Document>(
    State(state): State<ApiState>,
    Sight(scope): Sight,
    params: Params,
) -> Answer {
    let filter = D::filter(&params)?;
    let order = match params.text(SORT.name) {
        None | Some("name") => Order::Ascending,
        Some("-name") => Order::Descending,
        Some(_) => return Err(Problem::parameter(SORT.name, "must be name or -name")),
    };
    // The cursor of one order is no place in the other.
    let list = match order {
        Order::Ascending => D::LIST,
        Order::Descending => D::DESCENDING,
    };
    let at = PageAt::read(list, &params)?;
    Ok(Json(listed::<D>(&state, &scope, filter, order, &at).await?).into_response())
}

/// A page of a kind.
///
/// # Errors
/// What is wrong with the cursor, or 503.
pub(in crate::api) async fn listed<D: Document>(
    state: &ApiState,
    scope: &AppScope,
    filter: D::Filter,
    order: Order,
    at: &PageAt,
) -> Result<Page<D::View>, Problem> {
    let after = at.read_after(D::Name::read)?;
    let ask = move |engine: &Engine, after: Option<&D::Name>, limit| {
        D::some(engine, &filter, after, order, limit)
    };
    // A name that cannot be read is none of an app's; the list goes on behind the one before.
    let scope = if D::OF_APP { scope } else { &AppScope::ALL };
    let key = |view: &D::View| D::Name::read(D::name_of(view)).ok();
    let rows = visible::rows(
        state,
        scope,
        at,
        after.map(Some),
        (
            move |engine: &Engine, after: Option<&Option<D::Name>>, limit| {
                ask(engine, after.and_then(Option::as_ref), limit)
            },
            key,
            |_: &Engine, view: &D::View| D::app_of(view),
        ),
    );
    let rows = rows.await?;
    Ok(Page::cut(rows, at, |row| D::name_of(row).to_owned()))
}

/// `POST /{list}`
async fn create<D: Document>(
    State(state): State<ApiState>,
    headers: HeaderMap,
    params: Params,
    Caller(by): Caller,
    body: JsonBody,
) -> Answer {
    if let Some(assumed) = dry_run::read(&params)? {
        state.try_out(&by.identity, D::create(body.bytes.to_vec()), assumed).await?;
        return Ok(done());
    }
    let name = document_name::<D::Name>(&body.value, D::NAME_FIELD);
    let keyed = Keyed::read(&headers, &by.identity.name, D::LIST.0, &body.value)?;
    if let Some(keyed) = &keyed
        && state.keys.made(keyed)?.is_some()
    {
        return repeated::<D>(&state, &by.identity, name?).await;
    }
    let created = state.command(by, D::create(body.bytes.to_vec())).await;
    // The document was already registered by this very request, as far as anybody can tell.
    let repeatable = keyed.is_some();
    let refused = match created {
        Ok(_) => None,
        Err(problem) if repeatable && problem.is_conflict() => Some(problem),
        Err(problem) => return Err(problem),
    };
    let name = name?;
    let asked = name.clone();
    let view = state.query(move |engine| D::one(engine, &asked)).await?;
    let (view, new) = match (view, refused) {
        (Some(view), None) => (view, true),
        (Some(view), Some(_)) if same(&body.value, D::text_of(&view)) => (view, false),
        (_, Some(problem)) => return Err(problem),
        // Removed by somebody else in the same moment.
        (None, None) => return Err(not_found::<D>(&name)),
    };
    if let Some(keyed) = keyed {
        state.keys.remember(keyed, format!("{} {name}", D::NOUN));
    }
    Ok(tagged::<D>(&view, made(new, location::<D>(&name), &view)))
}

/// What a registration answers that was carried out before.
async fn repeated<D: Document>(state: &ApiState, identity: &Identity, name: D::Name) -> Answer {
    let view = one::<D>(state, name.clone()).await.map_err(|problem| {
        if !problem.is_not_found() {
            return problem;
        }
        let noun = D::NOUN;
        Problem::conflict(format!(
            "{noun} {name} was registered with this key and has been removed since: use another key"
        ))
    })?;
    if D::OF_APP {
        // Their role may have been narrowed since.
        identity.require_app(&D::app_of(&view).unwrap_or_default())?;
    }
    Ok(tagged::<D>(&view, made(false, location::<D>(&name), &view)))
}

fn location<D: Document>(name: &D::Name) -> String {
    format!("{BASE}/{}/{name}", D::LIST.0)
}

fn same(document: &Value, stored: &str) -> bool {
    serde_json::from_str::<Value>(stored).is_ok_and(|stored| stored == *document)
}

/// `GET /{list}/{name}`
async fn get<D: Document>(State(state): State<ApiState>, Named(name): Named<D::Name>) -> Answer {
    read::<D>(&state, name).await
}

/// `PUT /{list}/{name}`
async fn update<D: Document>(
    State(state): State<ApiState>,
    Named(name): Named<D::Name>,
    params: Params,
    Caller(by): Caller,
    condition: IfMatch,
    body: JsonBody,
) -> Answer {
    let change = condition.guard(D::update(name.clone(), body.bytes.to_vec()));
    if let Some(assumed) = dry_run::read(&params)? {
        state.try_out(&by.identity, change, assumed).await?;
        return Ok(done());
    }
    state.command(by, change).await?;
    read::<D>(&state, name).await
}

/// `DELETE /{list}/{name}`
async fn delete<D: Document>(
    State(state): State<ApiState>,
    Named(name): Named<D::Name>,
    Caller(by): Caller,
    condition: IfMatch,
) -> Answer {
    state.command(by, condition.guard(D::delete(name))).await?;
    Ok(done())
}

/// `POST /{list}/{name}/enable`
async fn enable<D: Switched>(
    State(state): State<ApiState>,
    Named(name): Named<D::Name>,
    Caller(by): Caller,
    condition: IfMatch,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    switch::<D>(&state, by, name, true, condition, body).await
}

/// `POST /{list}/{name}/disable`
async fn disable<D: Switched>(
    State(state): State<ApiState>,
    Named(name): Named<D::Name>,
    Caller(by): Caller,
    condition: IfMatch,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Answer {
    switch::<D>(&state, by, name, false, condition, body).await
}

async fn switch<D: Switched>(
    state: &ApiState,
    by: Actor,
    name: D::Name,
    enabled: bool,
    condition: IfMatch,
    body: Option<JsonBody>,
) -> Answer {
    let reason = body.map_or(Ok(None), |body| fields::reason(body.value))?;
    let change = D::set_enabled(name.clone(), enabled, reason);
    state.command(by, condition.guard(change)).await?;
    read::<D>(state, name).await
}

async fn read<D: Document>(state: &ApiState, name: D::Name) -> Answer {
    let view = one::<D>(state, name).await?;
    Ok(tagged::<D>(&view, Json(&view).into_response()))
}

/// One of a kind.
///
/// # Errors
/// 404 by name, or 503.
pub(in crate::api) async fn one<D: Document>(
    state: &ApiState,
    name: D::Name,
) -> Result<D::View, Problem> {
    let asked = name.clone();
    let view = state.query(move |engine| D::one(engine, &asked)).await?;
    view.ok_or_else(|| not_found::<D>(&name))
}

fn not_found<D: Document>(name: &D::Name) -> Problem {
    Problem::not_found(&format!("{} {name}", D::NOUN))
}

/// Adds the tag of the document.
fn tagged<D: Document>(view: &D::View, mut response: Response) -> Response {
    if let Some(tag) = etag(D::text_of(view)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
