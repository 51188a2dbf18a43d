//! The statements that write records: runs over their older versions, everything else once. Absent:
//! questions (`select.rs`), cleaning up (`trim.rs`), Elastic-Job's tables (`elastic.rs`).
//!
//! Written once for all databases; what differs is how "unless it is there" is said.

use std::collections::BTreeMap;

use super::connection::Tx;
use super::elastic;
use super::statement::Statement;
use super::target::Dialect;
use super::{
    AuditLogRow, ChangeRow, EventKey, EventRow, MissedRow, RunRow, TenureRow, TraceRecord,
    audit_log,
};

pub(super) type Result<T> = sqlx::Result<T>;

/// Rows of one insert. Thirteen values each stay far below the 32,766 that SQLite binds at most.
pub(super) const INSERT_ROWS_MAX: usize = 500;

/// The columns of a run, in the order in which [`super::select`] reads them.
pub(super) const RUN_COLUMNS: &str = "id, job, app, logical_time_ms, state, reason, attempt, \
    created_at_ms, started_at_ms, finished_at_ms, version, json";

/// The columns of an event, likewise.
pub(super) const EVENT_COLUMNS: &str = "epoch, sequence, run_id, job, at_ms, kind, item, task_id, \
    state, message, submitter, app, hostname, is_daemon";

/// The columns of a run that a newer version replaces; the version itself comes last, because MySQL
/// assigns one after the other and compares with what it has assigned.
const RUN_REPLACED: [&str; 11] = [
    "job",
    "app",
    "logical_time_ms",
    "state",
    "reason",
    "attempt",
    "created_at_ms",
    "started_at_ms",
    "finished_at_ms",
    "json",
    "version",
];

/// Records sorted by kind, each once: one statement may touch a row once only.
#[derive(Debug, Default)]
struct Sorted<'a> {
    runs: BTreeMap<&'a str, &'a RunRow>,
    events: BTreeMap<EventKey, &'a EventRow>,
    missed: BTreeMap<EventKey, &'a MissedRow>,
    changes: BTreeMap<EventKey, &'a ChangeRow>,
    tenures: BTreeMap<u64, &'a TenureRow>,
    audit_log: BTreeMap<EventKey, &'a AuditLogRow>,
}

impl<'a> Sorted<'a> {
    fn new(records: &'a [TraceRecord]) -> Self {
        let mut sorted = Self::default();
        for record in records {
            match record {
                // Of each run the newest version is kept.
                TraceRecord::Run(run) => {
                    let newest = sorted.runs.entry(&run.id).or_insert(run);
                    if run.version > newest.version {
                        *newest = run;
                    }
                }
                TraceRecord::Event(event) => {
                    sorted.events.entry(event.key()).or_insert(event);
                }
                TraceRecord::Missed(row) => {
                    let key = EventKey { epoch: row.epoch, sequence: row.sequence };
                    sorted.missed.entry(key).or_insert(row);
                }
                TraceRecord::Change(row) => {
                    let key = EventKey { epoch: row.epoch, sequence: row.sequence };
                    sorted.changes.entry(key).or_insert(row);
                }
                TraceRecord::Tenure(row) => {
                    sorted.tenures.entry(row.epoch).or_insert(row);
                }
                TraceRecord::AuditLog(row) => {
                    let key = EventKey { epoch: row.epoch, sequence: row.sequence };
                    sorted.audit_log.entry(key).or_insert(row);
                }
            }
        }
        sorted
    }
}

/// Writes records.
pub(super) async fn write(tx: &mut Tx, records: &[TraceRecord]) -> Result<()> {
    let sorted = Sorted::new(records);
    for rows in chunks(sorted.runs.into_values()) {
        upsert_runs(tx, &rows).await?;
    }
    for rows in chunks(sorted.events.into_values()) {
        insert_events(tx, &rows).await?;
        elastic::write(tx, &rows).await?;
    }
    for rows in chunks(sorted.missed.into_values()) {
        insert_missed(tx, &rows).await?;
    }
    for rows in chunks(sorted.changes.into_values()) {
        insert_changes(tx, &rows).await?;
    }
    for rows in chunks(sorted.tenures.into_values()) {
        insert_tenures(tx, &rows).await?;
    }
    for rows in chunks(sorted.audit_log.into_values()) {
        audit_log::insert(tx, &rows).await?;
    }
    Ok(())
}

fn chunks<'a, T>(rows: impl Iterator<Item = &'a T>) -> Vec<Vec<&'a T>> {
    let rows: Vec<&T> = rows.collect();
    rows.chunks(INSERT_ROWS_MAX).map(<[&T]>::to_vec).collect()
}

async fn upsert_runs(tx: &mut Tx, runs: &[&RunRow]) -> Result<()> {
    let dialect = tx.dialect();
    let mut sql = Statement::new(dialect, "INSERT INTO run (");
    sql.push(RUN_COLUMNS).push(", document) VALUES ");
    sql.tuples(runs.iter(), |sql, run| {
        sql.bind(&run.id).push(", ").bind(&run.job).push(", ").bind(&run.app).push(", ");
        sql.bind(run.logical_time_ms).push(", ").bind(&run.state).push(", ");
        sql.bind(&run.reason).push(", ").bind(i64::from(run.attempt)).push(", ");
        sql.bind(run.created_at_ms).push(", ").bind(run.started_at_ms).push(", ");
        sql.bind(run.finished_at_ms).push(", ").bind(number(run.version)).push(", ");
        sql.bind(&run.json).push(", ").bind(&run.document);
    });
    let replaced: Vec<String> = match dialect {
        Dialect::Sqlite | Dialect::Postgres => {
            sql.push(" ON CONFLICT (id) DO UPDATE SET ");
            let kept = "document = COALESCE(excluded.document, run.document)".to_owned();
            let newer = |column: &&str| format!("{column} = excluded.{column}");
            [kept].into_iter().chain(RUN_REPLACED.iter().map(newer)).collect()
        }
        Dialect::MySql => {
            sql.push(" ON DUPLICATE KEY UPDATE ");
            let newer = |column: &&str| {
                format!("{column} = IF(VALUES(version) > version, VALUES({column}), {column})")
            };
            let kept = "document = IF(VALUES(version) > version, \
                        COALESCE(VALUES(document), document), document)";
            [kept.to_owned()].into_iter().chain(RUN_REPLACED.iter().map(newer)).collect()
        }
    };
    sql.push(&replaced.join(", "));
    if dialect != Dialect::MySql {
        sql.push(" WHERE excluded.version > run.version");
    }
    tx.execute(sql).await.map(drop)
}

async fn insert_events(tx: &mut Tx, events: &[&EventRow]) -> Result<()> {
    let mut sql = Statement::new(tx.dialect(), "INSERT INTO run_event (");
    sql.push(EVENT_COLUMNS).push(") VALUES ");
    sql.tuples(events.iter(), |sql, event| {
        sql.bind(number(event.epoch)).push(", ").bind(number(event.sequence)).push(", ");
        sql.bind(&event.run_id).push(", ").bind(&event.job).push(", ");
        sql.bind(event.at_ms).push(", ").bind(&event.kind).push(", ");
        sql.bind(event.item.map(i64::from)).push(", ").bind(&event.task_id).push(", ");
        sql.bind(&event.state).push(", ").bind(&event.message).push(", ");
        sql.bind(&event.submitter).push(", ").bind(&event.app).push(", ").bind(&event.hostname);
        sql.push(", ").bind(event.is_daemon.map(i64::from));
    });
    unless_there(&mut sql, "epoch");
    tx.execute(sql).await.map(drop)
}

async fn insert_missed(tx: &mut Tx, rows: &[&MissedRow]) -> Result<()> {
    let mut sql = Statement::new(
        tx.dialect(),
        "INSERT INTO missed_firing (epoch, sequence, job, app, first_ms, last_ms, firings, cause, \
         reason, decided_at_ms) VALUES ",
    );
    sql.tuples(rows.iter(), |sql, row| {
        sql.bind(number(row.epoch)).push(", ").bind(number(row.sequence)).push(", ");
        sql.bind(&row.job).push(", ").bind(&row.app).push(", ").bind(row.first_ms).push(", ");
        sql.bind(row.last_ms).push(", ").bind(number(row.firings)).push(", ");
        sql.bind(&row.cause).push(", ").bind(&row.reason).push(", ").bind(row.decided_at_ms);
    });
    unless_there(&mut sql, "epoch");
    tx.execute(sql).await.map(drop)
}

async fn insert_changes(tx: &mut Tx, rows: &[&ChangeRow]) -> Result<()> {
    let mut sql = Statement::new(
        tx.dialect(),
        "INSERT INTO config_change (epoch, sequence, kind, name, at_ms, changed_by, content) \
         VALUES ",
    );
    sql.tuples(rows.iter(), |sql, row| {
        sql.bind(number(row.epoch)).push(", ").bind(number(row.sequence)).push(", ");
        sql.bind(&row.kind).push(", ").bind(&row.name).push(", ").bind(row.at_ms).push(", ");
        sql.bind(&row.changed_by).push(", ").bind(&row.content);
    });
    unless_there(&mut sql, "epoch");
    tx.execute(sql).await.map(drop)
}

async fn insert_tenures(tx: &mut Tx, rows: &[&TenureRow]) -> Result<()> {
    let mut sql = Statement::new(
        tx.dialect(),
        "INSERT INTO tenure (epoch, scheduler, began_at_ms, default_zone, tzdb) VALUES ",
    );
    sql.tuples(rows.iter(), |sql, row| {
        sql.bind(number(row.epoch)).push(", ").bind(&row.scheduler).push(", ");
        sql.bind(row.began_at_ms).push(", ").bind(&row.default_zone).push(", ");
        sql.bind(&row.tzdb);
    });
    unless_there(&mut sql, "epoch");
    tx.execute(sql).await.map(drop)
}

/// Ends an insert so that rows which are there stay as they are. `column`: any of the table.
pub(super) fn unless_there(sql: &mut Statement<'_>, column: &str) {
    match sql.dialect {
        Dialect::Sqlite | Dialect::Postgres => sql.push(" ON CONFLICT DO NOTHING"),
        // Not IGNORE, which would let wrong values pass, too.
        Dialect::MySql => {
            sql.push(" ON DUPLICATE KEY UPDATE ").push(column).push(" = ").push(column)
        }
    };
}

/// SQL has no unsigned integers. Versions and epochs count up from zero and never come near.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
