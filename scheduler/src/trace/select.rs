//! The questions people ask of the history. Absent: what the audit asks (`select_audit.rs`).

use super::connection::Pools;
use super::sql::{EVENT_COLUMNS, RUN_COLUMNS, Result, number};
use super::statement::{Column, Row, Statement};
use super::target::Dialect;
use super::{EventKey, EventRow, RunCursor, RunFilter, RunRow};

use Column::{Int, Text};

/// The kinds of [`RUN_COLUMNS`].
const RUN_KINDS: [Column; 12] = [Text, Text, Text, Int, Text, Text, Int, Int, Int, Int, Int, Text];

/// The kinds of [`EVENT_COLUMNS`].
pub(super) const EVENT_KINDS: [Column; 14] =
    [Int, Int, Text, Text, Int, Text, Int, Text, Text, Text, Text, Text, Text, Int];

/// Runs, newest first, behind a cursor.
pub(super) async fn runs(
    pools: &Pools,
    dialect: Dialect,
    filter: &RunFilter,
    behind: Option<&RunCursor>,
    limit: i64,
) -> Result<Vec<RunRow>> {
    let rows = pools.rows(select_runs(dialect, filter, behind, limit), &RUN_KINDS).await?;
    rows.into_iter().map(|mut row| run_row(&mut row)).collect()
}

/// The statement of [`runs`].
pub(super) fn select_runs<'q>(
    dialect: Dialect,
    filter: &'q RunFilter,
    behind: Option<&'q RunCursor>,
    limit: i64,
) -> Statement<'q> {
    let mut sql = Statement::new(dialect, "SELECT ");
    sql.push(RUN_COLUMNS).push(" FROM run WHERE 1 = 1");
    for (column, value) in [("job", &filter.job), ("app", &filter.app), ("state", &filter.state)] {
        if let Some(value) = value {
            sql.push(" AND ").push(column).push(" = ").bind(value);
        }
    }
    if let [first, others @ ..] = &filter.app_prefixes[..] {
        sql.push(" AND (");
        begins_with(&mut sql, "app", first);
        for prefix in others {
            sql.push(" OR ");
            begins_with(&mut sql, "app", prefix);
        }
        sql.push(")");
    }
    if let Some(after) = filter.created_after_ms {
        sql.push(" AND created_at_ms >= ").bind(after);
    }
    if let Some(before) = filter.created_before_ms {
        sql.push(" AND created_at_ms < ").bind(before);
    }
    if let Some(RunCursor { created_at_ms, id }) = behind {
        // The first condition says nothing new; an index can be entered at it, though.
        sql.push(" AND created_at_ms <= ").bind(*created_at_ms);
        sql.push(" AND (created_at_ms < ").bind(*created_at_ms);
        sql.push(" OR id < ").bind(id).push(")");
    }
    sql.push(" ORDER BY created_at_ms DESC, id DESC LIMIT ").bind(limit);
    sql
}

/// That a column begins with a text, no character of which means anything, as in LIKE it would. Names
/// of apps are ASCII: bytes are characters.
fn begins_with<'q>(sql: &mut Statement<'q>, column: &str, prefix: &'q str) {
    // The length stands in the text: what is bound is a bigint, and PostgreSQL's function takes none.
    let length = prefix.len().to_string();
    sql.push("SUBSTR(").push(column).push(", 1, ").push(&length).push(") = ").bind(prefix);
}

/// One run, its document included.
pub(super) async fn run(pools: &Pools, dialect: Dialect, id: &str) -> Result<Option<RunRow>> {
    let mut sql = Statement::new(dialect, "SELECT ");
    sql.push(RUN_COLUMNS).push(", document FROM run WHERE id = ").bind(id);
    let kinds: Vec<Column> = RUN_KINDS.into_iter().chain([Text]).collect();
    let rows = pools.rows(sql, &kinds).await?;
    let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
    let run = run_row(&mut row)?;
    Ok(Some(RunRow { document: row.opt_text()?, ..run }))
}

/// A run's events in the order they were recorded, behind a key.
pub(super) async fn run_events(
    pools: &Pools,
    dialect: Dialect,
    run_id: &str,
    behind: Option<EventKey>,
    limit: i64,
) -> Result<Vec<EventRow>> {
    let mut sql = Statement::new(dialect, "SELECT ");
    sql.push(EVENT_COLUMNS).push(" FROM run_event WHERE run_id = ").bind(run_id);
    if let Some(EventKey { epoch, sequence }) = behind {
        sql.push(" AND epoch >= ").bind(number(epoch));
        sql.push(" AND (epoch > ").bind(number(epoch));
        sql.push(" OR sequence > ").bind(number(sequence)).push(")");
    }
    sql.push(" ORDER BY epoch, sequence LIMIT ").bind(limit);
    let rows = pools.rows(sql, &EVENT_KINDS).await?;
    rows.into_iter().map(event_row).collect()
}

fn run_row(row: &mut Row) -> Result<RunRow> {
    Ok(RunRow {
        id: row.text()?,
        job: row.text()?,
        app: row.text()?,
        logical_time_ms: row.int()?,
        state: row.text()?,
        reason: row.opt_text()?,
        attempt: row.count()?,
        created_at_ms: row.int()?,
        started_at_ms: row.opt_int()?,
        finished_at_ms: row.opt_int()?,
        version: row.count()?,
        json: row.text()?,
        document: None,
    })
}

pub(super) fn event_row(mut row: Row) -> Result<EventRow> {
    let (epoch, sequence) = (row.count()?, row.count()?);
    Ok(EventRow {
        epoch,
        sequence,
        run_id: row.text()?,
        job: row.text()?,
        at_ms: row.int()?,
        kind: row.text()?,
        item: row.opt_int()?.and_then(|item| u32::try_from(item).ok()),
        task_id: row.opt_text()?,
        state: row.opt_text()?,
        message: row.opt_text()?,
        submitter: row.opt_text()?,
        app: row.opt_text()?,
        hostname: row.opt_text()?,
        is_daemon: row.opt_int()?.map(|is_daemon| is_daemon != 0),
    })
}
