//! `/audit-log`: who changed what, from where, what it was before and what it is after. Absent: the
//! audit of firings (`audit.rs`).

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use shiftwork_schedule::Timestamp;

use super::{APP, Answer, BASE};
use crate::api::ApiState;
use crate::api::extract::InPath;
use crate::api::operation::Operation;
use crate::api::page::{List, Page, PageAt};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::run_lookup::no_history;
use crate::api::table::Table;
use crate::auth::Role;
use crate::trace::{AuditLogFilter, AuditLogRow, EventKey};
use shiftwork_engine::ids::AppName;

pub(in crate::api) const ENTRIES: List = List("audit-log");

static ACTOR: Param = Param { name: "actor", about: "Only what they did.", kind: Kind::Text };
static ACTION: Param = Param {
    name: "action",
    about: "Only this: create, update, delete, enable, disable, trigger, ….",
    kind: Kind::Text,
};
static KIND: Param = Param {
    name: "kind",
    about: "Only to this: app, job, calendar, run, task, user, token, session, secret, scheduler.",
    kind: Kind::Text,
};
static NAME: Param = Param { name: "name", about: "Only to what has this name.", kind: Kind::Text };
static SINCE: Param =
    Param { name: "since", about: "Only at this moment or later.", kind: Kind::Instant };
static UNTIL: Param = Param { name: "until", about: "Only before this.", kind: Kind::Instant };

/// The route of the audit log.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(
            format!("{BASE}/audit-log"),
            "listAuditLog",
            "Who changed what, newest first.",
        )
        .tag("access")
        .role(Role::Admin)
        .query(&[&ACTOR, &ACTION, &KIND, &NAME, &APP, &SINCE, &UNTIL])
        .page("AuditLogEntry"),
        list,
    )
}

/// One change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryView {
    id: String,
    at: Timestamp,
    actor: Option<String>,
    role: Option<String>,
    door: String,
    origin: Option<String>,
    action: String,
    kind: String,
    name: String,
    app: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

impl EntryView {
    fn of(row: AuditLogRow) -> Self {
        // What a document says that cannot be read is shown as the text it is.
        let state = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            id: key(&row).to_string(),
            at: Timestamp::from_millis(row.at_ms),
            actor: row.actor,
            role: row.role,
            door: row.door,
            origin: row.origin,
            action: row.action,
            kind: row.kind,
            name: row.name,
            app: row.app,
            before: row.before.map(state),
            after: row.after.map(state),
        }
    }
}

/// Its place in the order of all changes.
pub(in crate::api) fn key(row: &AuditLogRow) -> EventKey {
    EventKey { epoch: row.epoch, sequence: row.sequence }
}

/// `GET /audit-log`
async fn list(State(state): State<ApiState>, params: Params) -> Answer {
    let at = PageAt::read(ENTRIES, &params)?;
    let text = |param: &Param| params.text(param.name).map(ToOwned::to_owned);
    let moment = |param: &Param| params.read(param.name, str::parse::<Timestamp>);
    let filter = AuditLogFilter {
        actor: text(&ACTOR),
        action: text(&ACTION),
        kind: text(&KIND),
        name: text(&NAME),
        app: params.read(APP.name, AppName::read)?.map(|app| app.to_string()),
        since_ms: moment(&SINCE)?.map(Timestamp::as_millis),
        until_ms: moment(&UNTIL)?.map(Timestamp::as_millis),
    };
    let Page { items, next } = entries(&state, &filter, &at).await?;
    let items: Vec<EntryView> = items.into_iter().map(EntryView::of).collect();
    Ok(Json(Page { items, next }).into_response())
}

/// Changes that pass a filter, newest first.
///
/// # Errors
/// What is wrong with the cursor, 503 without a history.
pub(in crate::api) async fn entries(
    state: &ApiState,
    filter: &AuditLogFilter,
    at: &PageAt,
) -> Result<Page<AuditLogRow>, Problem> {
    let behind = at.read_after(str::parse::<EventKey>)?;
    let items = state.history.audit_log(filter, behind, at.limit).await.map_err(no_history)?;
    // The history gives no row beyond the limit: a full page may be followed by an empty one.
    let last = items.last().filter(|_| items.len() >= at.limit).map(key);
    let next = last.map(|key| ENTRIES.encode(&key.to_string()));
    Ok(Page { items, next })
}
