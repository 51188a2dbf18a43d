//! Removing what is too old or too much, a little at a time, so that the writer is never held up for
//! long. Absent: when.

use super::connection::Tx;
use super::sql::Result;
use super::statement::{Column, Statement};
use super::target::Dialect;

/// Runs removed by one statement, so that their ids can be bound.
pub(super) const TRIM_RUNS_MAX: i64 = 500;

/// Rows of any other table removed by one statement, give or take those of the same millisecond.
pub(super) const TRIM_EVENTS_MAX: i64 = 2000;

/// Removes some of the oldest finished runs and their events: those created before `before_ms`, and
/// those that are too many. Returns how many runs went.
pub(super) async fn trim_runs(tx: &mut Tx, before_ms: i64, runs_max: i64) -> Result<u64> {
    let dialect = tx.dialect();
    let mut sql = Statement::new(dialect, "SELECT id FROM run WHERE created_at_ms < ");
    sql.bind(before_ms).push(" AND finished_at_ms IS NOT NULL");
    sql.push(" ORDER BY created_at_ms, id LIMIT ").bind(TRIM_RUNS_MAX);
    let mut ids = texts(tx, sql).await?;
    if ids.is_empty() {
        let count = Statement::new(dialect, "SELECT COUNT(*) FROM run");
        let rows = tx.rows(count, &[Column::Int]).await?;
        let count = rows.into_iter().next().map_or(Ok(0), |mut row| row.int())?;
        let excess = (count - runs_max).clamp(0, TRIM_RUNS_MAX);
        let mut sql =
            Statement::new(dialect, "SELECT id FROM run WHERE finished_at_ms IS NOT NULL");
        sql.push(" ORDER BY created_at_ms, id LIMIT ").bind(excess);
        ids = texts(tx, sql).await?;
    }
    if ids.is_empty() {
        return Ok(0);
    }
    for statement in ["DELETE FROM run_event WHERE run_id IN (", "DELETE FROM run WHERE id IN ("] {
        let mut sql = Statement::new(dialect, statement);
        sql.list(&ids).push(")");
        tx.execute(sql).await?;
    }
    Ok(ids.len() as u64)
}

async fn texts(tx: &mut Tx, sql: Statement<'_>) -> Result<Vec<String>> {
    let rows = tx.rows(sql, &[Column::Text]).await?;
    rows.into_iter().map(|mut row| row.text()).collect()
}

/// Removes some of the oldest rows of a table before `before_ms`. Returns how many went.
pub(super) async fn trim_rows(
    tx: &mut Tx,
    table: &str,
    column: &str,
    before_ms: i64,
) -> Result<u64> {
    let dialect = tx.dialect();
    let mut sql = Statement::new(dialect, "SELECT ");
    sql.push(column).push(" FROM ").push(table).push(" WHERE ").push(column).push(" < ");
    sql.bind(before_ms).push(" ORDER BY ").push(column);
    sql.push(" LIMIT 1 OFFSET ").bind(TRIM_EVENTS_MAX);
    let rows = tx.rows(sql, &[Column::Int]).await?;
    let boundary = rows.into_iter().next().map(|mut row| row.int()).transpose()?;
    let mut sql = Statement::new(dialect, "DELETE FROM ");
    sql.push(table).push(" WHERE ").push(column).push(" < ");
    sql.bind(boundary.map_or(before_ms, |at_ms| at_ms.saturating_add(1)));
    tx.execute(sql).await
}

/// Removes documents and flags that others have taken the place of before `before_ms`: what counted
/// then is kept, so that the audit knows what stood at the beginning of what it can see.
pub(super) async fn trim_changes(tx: &mut Tx, before_ms: i64) -> Result<u64> {
    let dialect = tx.dialect();
    let newer = "SELECT kind AS k, name AS n, MAX(epoch) AS e FROM config_change WHERE at_ms < ";
    let mut sql = match dialect {
        Dialect::MySql => Statement::new(dialect, "DELETE c FROM config_change c JOIN ("),
        Dialect::Sqlite | Dialect::Postgres => {
            Statement::new(dialect, "DELETE FROM config_change WHERE EXISTS (SELECT 1 FROM (")
        }
    };
    sql.push(newer).bind(before_ms).push(" GROUP BY kind, name) newer ");
    match dialect {
        Dialect::MySql => {
            sql.push("ON newer.k = c.kind AND newer.n = c.name AND c.epoch < newer.e")
        }
        Dialect::Sqlite | Dialect::Postgres => sql.push(
            "WHERE newer.k = config_change.kind AND newer.n = config_change.name \
             AND config_change.epoch < newer.e)",
        ),
    };
    tx.execute(sql).await
}
