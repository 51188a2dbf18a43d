//! The audit log in SQL: who changed what, newest first. Absent: removing what is old (`trim.rs`).

use super::connection::Tx;
use super::sql::{Result, number, unless_there};
use super::statement::{Column, Row, Statement};
use super::{AuditLogRow, EventKey, History, PAGE_ROWS_MAX, Store, StoreError};

use Column::{Int, Text};

/// The columns, in the order in which they are written and read.
const COLUMNS: &str = "epoch, sequence, at_ms, actor, role, door, origin, action, kind, name, app, \
    before_state, after_state";

/// Their kinds.
const KINDS: [Column; 13] =
    [Int, Int, Int, Text, Text, Text, Text, Text, Text, Text, Text, Text, Text];

/// Which entries to list; what is none does not narrow the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditLogFilter {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only to this kind of thing.
    pub kind: Option<String>,
    /// Only to what has this name.
    pub name: Option<String>,
    /// Only of this app.
    pub app: Option<String>,
    /// Only at this time or later, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only before this time, milliseconds since 1970.
    pub until_ms: Option<i64>,
}

/// Writes entries, each once.
pub(super) async fn insert(tx: &mut Tx, rows: &[&AuditLogRow]) -> Result<()> {
    let mut sql = Statement::new(tx.dialect(), "INSERT INTO audit_log (");
    sql.push(COLUMNS).push(") VALUES ");
    sql.tuples(rows.iter(), |sql, row| {
        sql.bind(number(row.epoch)).push(", ").bind(number(row.sequence)).push(", ");
        sql.bind(row.at_ms).push(", ").bind(&row.actor).push(", ").bind(&row.role).push(", ");
        sql.bind(&row.door).push(", ").bind(&row.origin).push(", ").bind(&row.action);
        sql.push(", ").bind(&row.kind).push(", ").bind(&row.name).push(", ").bind(&row.app);
        sql.push(", ").bind(&row.before).push(", ").bind(&row.after);
    });
    unless_there(&mut sql, "epoch");
    tx.execute(sql).await.map(drop)
}

impl Store {
    /// Entries that pass the filter, newest first, behind one; at most `limit`, and never more than
    /// [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached.
    pub async fn audit_log(
        &self,
        filter: &AuditLogFilter,
        behind: Option<EventKey>,
        limit: usize,
    ) -> std::result::Result<Vec<AuditLogRow>, StoreError> {
        let mut sql = Statement::new(self.dialect(), "SELECT ");
        sql.push(COLUMNS).push(" FROM audit_log WHERE 1 = 1");
        for (column, value) in [
            ("actor", &filter.actor),
            ("action", &filter.action),
            ("kind", &filter.kind),
            ("name", &filter.name),
            ("app", &filter.app),
        ] {
            if let Some(value) = value {
                sql.push(" AND ").push(column).push(" = ").bind(value);
            }
        }
        if let Some(since) = filter.since_ms {
            sql.push(" AND at_ms >= ").bind(since);
        }
        if let Some(until) = filter.until_ms {
            sql.push(" AND at_ms < ").bind(until);
        }
        if let Some(EventKey { epoch, sequence }) = behind {
            sql.push(" AND epoch <= ").bind(number(epoch));
            sql.push(" AND (epoch < ").bind(number(epoch));
            sql.push(" OR sequence < ").bind(number(sequence)).push(")");
        }
        sql.push(" ORDER BY epoch DESC, sequence DESC LIMIT ");
        sql.bind(limit.clamp(1, PAGE_ROWS_MAX) as i64);
        let rows = self.rows(sql, &KINDS).await?;
        let rows: Result<Vec<AuditLogRow>> = rows.into_iter().map(row).collect();
        rows.map_err(|source| self.failed("read", source))
    }
}

impl History {
    /// Entries of the audit log; see [`Store::audit_log`].
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached.
    pub async fn audit_log(
        &self,
        filter: &AuditLogFilter,
        behind: Option<EventKey>,
        limit: usize,
    ) -> std::result::Result<Vec<AuditLogRow>, StoreError> {
        Box::pin(self.store().audit_log(filter, behind, limit)).await
    }
}

fn row(mut row: Row) -> Result<AuditLogRow> {
    Ok(AuditLogRow {
        epoch: row.count()?,
        sequence: row.count()?,
        at_ms: row.int()?,
        actor: row.opt_text()?,
        role: row.opt_text()?,
        door: row.text()?,
        origin: row.opt_text()?,
        action: row.text()?,
        kind: row.text()?,
        name: row.text()?,
        app: row.opt_text()?,
        before: row.opt_text()?,
        after: row.opt_text()?,
    })
}
