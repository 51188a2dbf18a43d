//! Every statement on the history database, in one place. Absent: connections, errors, retries.
//!
//! Kept to what SQLite and PostgreSQL share; values are bound through the builder, which knows the
//! database's placeholders. MySQL would differ in the two `ON CONFLICT` clauses only.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{EventKey, EventRow, RunCursor, RunFilter, RunRow, TraceRecord};

type Result<T> = sqlx::Result<T>;

/// Rows of one insert. Thirteen values each stay far below the 32,766 that SQLite binds at most.
const INSERT_ROWS_MAX: usize = 500;

/// Runs removed by one statement, for the same bound.
pub(super) const TRIM_RUNS_MAX: i64 = 500;

/// Events removed by one statement, give or take those of the same millisecond: some milliseconds of
/// work, so that the writer is never held up for long.
pub(super) const TRIM_EVENTS_MAX: i64 = 2000;

const RUN_COLUMNS: &str = "id, job, app, logical_time_ms, state, reason, attempt, created_at_ms, \
                           started_at_ms, finished_at_ms, version, json";

pub(super) const EVENT_COLUMNS: &str =
    "epoch, sequence, run_id, job, at_ms, kind, item, task_id, state, message";

/// Writes records: runs over their older versions, events that are not there yet.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    records: &[TraceRecord],
) -> Result<()> {
    // One statement may touch a row once only, so of each run the newest version is kept.
    let mut runs: BTreeMap<&str, &RunRow> = BTreeMap::new();
    let mut events: BTreeMap<EventKey, &EventRow> = BTreeMap::new();
    for record in records {
        match record {
            TraceRecord::Run(run) => {
                let newest = runs.entry(&run.id).or_insert(run);
                if run.version > newest.version {
                    *newest = run;
                }
            }
            TraceRecord::Event(event) => {
                events.entry(event.key()).or_insert(event);
            }
        }
    }
    let runs: Vec<_> = runs.into_values().collect();
    for rows in runs.chunks(INSERT_ROWS_MAX) {
        upsert_runs(connection, rows).await?;
    }
    let events: Vec<_> = events.into_values().collect();
    for rows in events.chunks(INSERT_ROWS_MAX) {
        insert_events(connection, rows).await?;
    }
    Ok(())
}

async fn upsert_runs(connection: &mut SqliteConnection, runs: &[&RunRow]) -> Result<()> {
    let mut sql =
        QueryBuilder::<Sqlite>::new(format!("INSERT INTO run ({RUN_COLUMNS}, document) "));
    sql.push_values(runs, |mut row, run| {
        row.push_bind(&run.id)
            .push_bind(&run.job)
            .push_bind(&run.app)
            .push_bind(run.logical_time_ms)
            .push_bind(&run.state)
            .push_bind(&run.reason)
            .push_bind(i64::from(run.attempt))
            .push_bind(run.created_at_ms)
            .push_bind(run.started_at_ms)
            .push_bind(run.finished_at_ms)
            .push_bind(number(run.version))
            .push_bind(&run.json)
            .push_bind(&run.document);
    });
    sql.push(
        " ON CONFLICT (id) DO UPDATE SET job = excluded.job, app = excluded.app, \
         logical_time_ms = excluded.logical_time_ms, state = excluded.state, \
         reason = excluded.reason, attempt = excluded.attempt, \
         created_at_ms = excluded.created_at_ms, started_at_ms = excluded.started_at_ms, \
         finished_at_ms = excluded.finished_at_ms, version = excluded.version, \
         json = excluded.json, \
         document = COALESCE(excluded.document, run.document) WHERE excluded.version > run.version",
    );
    sql.build().execute(connection).await?;
    Ok(())
}

async fn insert_events(connection: &mut SqliteConnection, events: &[&EventRow]) -> Result<()> {
    let mut sql = QueryBuilder::<Sqlite>::new(format!("INSERT INTO run_event ({EVENT_COLUMNS}) "));
    sql.push_values(events, |mut row, event| {
        row.push_bind(number(event.epoch))
            .push_bind(number(event.sequence))
            .push_bind(&event.run_id)
            .push_bind(&event.job)
            .push_bind(event.at_ms)
            .push_bind(&event.kind)
            .push_bind(event.item.map(i64::from))
            .push_bind(&event.task_id)
            .push_bind(&event.state)
            .push_bind(&event.message);
    });
    sql.push(" ON CONFLICT (epoch, sequence) DO NOTHING");
    sql.build().execute(connection).await?;
    Ok(())
}

/// Runs, newest first, behind a cursor.
pub(super) async fn runs(
    connection: &mut SqliteConnection,
    filter: &RunFilter,
    behind: Option<&RunCursor>,
    limit: i64,
) -> Result<Vec<RunRow>> {
    let mut sql = select_runs(filter, behind, limit);
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(run_row).collect()
}

/// The statement of [`runs`].
pub(super) fn select_runs(
    filter: &RunFilter,
    behind: Option<&RunCursor>,
    limit: i64,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!("SELECT {RUN_COLUMNS} FROM run WHERE 1 = 1"));
    for (column, value) in [("job", &filter.job), ("app", &filter.app), ("state", &filter.state)] {
        if let Some(value) = value {
            sql.push(format!(" AND {column} = ")).push_bind(value);
        }
    }
    if let Some(after) = filter.created_after_ms {
        sql.push(" AND created_at_ms >= ").push_bind(after);
    }
    if let Some(before) = filter.created_before_ms {
        sql.push(" AND created_at_ms < ").push_bind(before);
    }
    if let Some(RunCursor { created_at_ms, id }) = behind {
        // The first condition says nothing new; an index can be entered at it, though.
        sql.push(" AND created_at_ms <= ").push_bind(*created_at_ms);
        sql.push(" AND (created_at_ms < ").push_bind(*created_at_ms);
        sql.push(" OR id < ").push_bind(id).push(")");
    }
    sql.push(" ORDER BY created_at_ms DESC, id DESC LIMIT ").push_bind(limit);
    sql
}

/// One run, its document included.
pub(super) async fn run(connection: &mut SqliteConnection, id: &str) -> Result<Option<RunRow>> {
    let mut sql =
        QueryBuilder::<Sqlite>::new(format!("SELECT {RUN_COLUMNS}, document FROM run WHERE id = "));
    sql.push_bind(id);
    let Some(row) = sql.build().fetch_optional(connection).await? else {
        return Ok(None);
    };
    Ok(Some(RunRow { document: row.try_get("document")?, ..run_row(&row)? }))
}

/// A run's events in the order they were recorded, behind a key.
pub(super) async fn run_events(
    connection: &mut SqliteConnection,
    run_id: &str,
    behind: Option<EventKey>,
    limit: i64,
) -> Result<Vec<EventRow>> {
    let mut sql = QueryBuilder::<Sqlite>::new(format!(
        "SELECT {EVENT_COLUMNS} FROM run_event WHERE run_id = "
    ));
    sql.push_bind(run_id);
    if let Some(EventKey { epoch, sequence }) = behind {
        sql.push(" AND epoch >= ").push_bind(number(epoch));
        sql.push(" AND (epoch > ").push_bind(number(epoch));
        sql.push(" OR sequence > ").push_bind(number(sequence)).push(")");
    }
    sql.push(" ORDER BY epoch, sequence LIMIT ").push_bind(limit);
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(event_row).collect()
}

/// Removes some of the oldest finished runs and their events: those created before `before_ms`, and
/// those that are too many. Returns how many runs went.
pub(super) async fn trim_runs(
    connection: &mut SqliteConnection,
    before_ms: i64,
    runs_max: i64,
) -> Result<u64> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT id FROM run WHERE created_at_ms < ");
    sql.push_bind(before_ms).push(" AND finished_at_ms IS NOT NULL");
    sql.push(" ORDER BY created_at_ms, id LIMIT ").push_bind(TRIM_RUNS_MAX);
    let mut ids: Vec<String> = sql.build_query_scalar().fetch_all(&mut *connection).await?;
    if ids.is_empty() {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM run");
        let count: i64 = sql.build_query_scalar().fetch_one(&mut *connection).await?;
        let excess = (count - runs_max).clamp(0, TRIM_RUNS_MAX);
        let mut sql =
            QueryBuilder::<Sqlite>::new("SELECT id FROM run WHERE finished_at_ms IS NOT NULL");
        sql.push(" ORDER BY created_at_ms, id LIMIT ").push_bind(excess);
        ids = sql.build_query_scalar().fetch_all(&mut *connection).await?;
    }
    if ids.is_empty() {
        return Ok(0);
    }
    for statement in ["DELETE FROM run_event WHERE run_id IN (", "DELETE FROM run WHERE id IN ("] {
        let mut sql = QueryBuilder::<Sqlite>::new(statement);
        let mut list = sql.separated(", ");
        for id in &ids {
            list.push_bind(id);
        }
        sql.push(")").build().execute(&mut *connection).await?;
    }
    Ok(ids.len() as u64)
}

/// Removes some of the oldest events before `before_ms`, whatever their runs. Returns how many went.
pub(super) async fn trim_events(connection: &mut SqliteConnection, before_ms: i64) -> Result<u64> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT at_ms FROM run_event WHERE at_ms < ");
    sql.push_bind(before_ms).push(" ORDER BY at_ms LIMIT 1 OFFSET ").push_bind(TRIM_EVENTS_MAX);
    let boundary: Option<i64> = sql.build_query_scalar().fetch_optional(&mut *connection).await?;
    let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM run_event WHERE at_ms < ");
    sql.push_bind(boundary.map_or(before_ms, |at_ms| at_ms.saturating_add(1)));
    Ok(sql.build().execute(connection).await?.rows_affected())
}

/// SQL has no unsigned integers. Versions and epochs count up from zero and never come near.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn run_row(row: &SqliteRow) -> Result<RunRow> {
    Ok(RunRow {
        id: row.try_get("id")?,
        job: row.try_get("job")?,
        app: row.try_get("app")?,
        logical_time_ms: row.try_get("logical_time_ms")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        attempt: unsigned(row.try_get("attempt")?)?,
        created_at_ms: row.try_get("created_at_ms")?,
        started_at_ms: row.try_get("started_at_ms")?,
        finished_at_ms: row.try_get("finished_at_ms")?,
        version: unsigned(row.try_get("version")?)?,
        json: row.try_get("json")?,
        document: None,
    })
}

pub(super) fn event_row(row: &SqliteRow) -> Result<EventRow> {
    Ok(EventRow {
        run_id: row.try_get("run_id")?,
        job: row.try_get("job")?,
        at_ms: row.try_get("at_ms")?,
        kind: row.try_get("kind")?,
        item: row.try_get::<Option<i64>, _>("item")?.map(unsigned).transpose()?,
        task_id: row.try_get("task_id")?,
        state: row.try_get("state")?,
        message: row.try_get("message")?,
        epoch: unsigned(row.try_get("epoch")?)?,
        sequence: unsigned(row.try_get("sequence")?)?,
    })
}

/// What stands in a column that only holds counts.
fn unsigned<T: TryFrom<i64>>(value: i64) -> Result<T>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()))
}
