//! The history database: opened when it is first needed, written, asked, cleaned up. Absent: the
//! statements, each kind of database's ways (`connection.rs`), and when to write (the writer).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::connection::{Pools, TRANSACTION_MAX};
use super::statement::{Column, Row, Statement};
use super::target::{Dialect, HistoryTarget};
use super::{
    EventKey, EventRow, PAGE_ROWS_MAX, RunCursor, RunFilter, RunPage, RunRow, TraceRecord, elastic,
    select, sql, trim,
};

/// How long history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished runs go when they are older than this, and events too.
    pub age_max: Duration,
    /// The oldest finished runs go when there are more runs than this.
    pub runs_max: u64,
    /// Entries of the audit log go when they are older than this.
    pub audit_log_age_max: Duration,
}

/// What one step of cleaning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Runs, with all their events.
    pub runs: u64,
    /// Events of runs that stay.
    pub events: u64,
}

/// What the writer needs of a database.
pub trait TraceStore: Send + Sync {
    /// Writes records in one transaction. Writing the same again changes nothing, and an older
    /// version of a run never replaces a newer one.
    fn write<'a>(&'a self, records: &'a [TraceRecord]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a little of what is too old or too much; nothing removed means that nothing is.
    fn trim(&self, retention: Retention, now_ms: i64)
    -> BoxFuture<'_, Result<Trimmed, StoreError>>;
}

/// The history database. It is opened at the first use, and again at each later one until that
/// succeeds: a scheduler starts, and runs, without its history.
#[derive(Debug)]
pub struct Store {
    target: HistoryTarget,
    pools: OnceCell<Pools>,
    refused: AtomicU64,
}

/// Why the history could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be made.
    #[error(
        "the history database {target} cannot be opened: check that it is there, that it takes our \
         user, and the permissions of a file and its directory"
    )]
    Open {
        /// Which database.
        target: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date.
    #[error(
        "the history database {target} does not fit this version of shiftwork: run a version at \
         least as new as the one that last wrote it, or name another database to start a new history"
    )]
    Migrate {
        /// Which database.
        target: String,
        /// What the migrator said.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("cannot {what} the history database {target}")]
    Statement {
        /// `read`, `write` or `trim`.
        what: &'static str,
        /// Which database.
        target: String,
        /// What it said.
        source: sqlx::Error,
    },
}

// === impl Retention ===

impl Default for Retention {
    /// 30 days, a million runs: about a gigabyte of rows. A year of the audit log.
    fn default() -> Self {
        Self {
            age_max: Duration::from_hours(30 * 24),
            runs_max: 1_000_000,
            audit_log_age_max: Duration::from_hours(365 * 24),
        }
    }
}

// === impl Store ===

impl Store {
    /// The file's name in the data directory where no other database is named.
    pub const FILE_NAME: &str = "history.db";

    /// A store there. Does nothing yet.
    pub fn new(target: impl Into<HistoryTarget>) -> Self {
        Self { target: target.into(), pools: OnceCell::new(), refused: AtomicU64::new(0) }
    }

    /// Which database it is, without any password.
    pub fn target(&self) -> &HistoryTarget {
        &self.target
    }

    /// Records the database would never take, since the process began; each was logged.
    pub fn refused_records(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Runs that pass the filter, newest first, behind a cursor; at most `limit`, and never more
    /// than [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn runs(
        &self,
        filter: &RunFilter,
        behind: Option<&RunCursor>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        // One more than asked for tells whether there is another page.
        let asked = limit as i64 + 1;
        let pools = self.pools().await?;
        let runs = select::runs(pools, self.dialect(), filter, behind, asked).await;
        let mut runs = runs.map_err(|source| self.failed("read", source))?;
        let is_last = runs.len() <= limit;
        runs.truncate(limit);
        let next = runs.last().filter(|_| !is_last).map(RunCursor::behind);
        Ok(RunPage { runs, next })
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>, StoreError> {
        let pools = self.pools().await?;
        let run = select::run(pools, self.dialect(), id).await;
        run.map_err(|source| self.failed("read", source))
    }

    /// A run's events in the order they were recorded, behind the last one seen; at most `limit`,
    /// and never more than [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn run_events(
        &self,
        run_id: &str,
        behind: Option<EventKey>,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX) as i64;
        let pools = self.pools().await?;
        let events = select::run_events(pools, self.dialect(), run_id, behind, limit).await;
        events.map_err(|source| self.failed("read", source))
    }

    /// Closes the connections; the store cannot be used afterwards.
    pub async fn close(&self) {
        if let Some(pools) = self.pools.get() {
            pools.close().await;
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.target.dialect()
    }

    pub(super) async fn pools(&self) -> Result<&Pools, StoreError> {
        // On the heap: opening is rare and large, and would else be part of every question's future.
        let connect = async {
            let target = || self.target.to_string();
            let pools = Pools::open(&self.target).await;
            let pools = pools.map_err(|source| StoreError::Open { target: target(), source })?;
            let migrated = pools.migrate().await;
            migrated.map_err(|source| StoreError::Migrate { target: target(), source })?;
            Ok(pools)
        };
        self.pools.get_or_try_init(|| connect.boxed()).await
    }

    /// Writes records in one transaction. Where the database refuses what one of them says, and would
    /// for ever, the others are written without it: a single one must not hold up all that follow.
    async fn write_all(&self, records: &[TraceRecord]) -> Result<(), StoreError> {
        let pools = self.pools().await?;
        match Self::write_once(pools, records).await {
            Err(error) if is_refusal(&error) => {}
            result => return result.map_err(|source| self.failed("write", source)),
        }
        for record in records {
            match Self::write_once(pools, std::slice::from_ref(record)).await {
                Err(error) if is_refusal(&error) => {
                    tracing::error!(%error, ?record, "the history database refuses a record: left out");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                result => result.map_err(|source| self.failed("write", source))?,
            }
        }
        Ok(())
    }

    async fn write_once(pools: &Pools, records: &[TraceRecord]) -> Result<(), sqlx::Error> {
        let write = async {
            let mut tx = pools.begin().await?;
            sql::write(&mut tx, records).await?;
            tx.commit().await
        };
        tokio::time::timeout(TRANSACTION_MAX, write).await.unwrap_or_else(|_| Err(took_too_long()))
    }

    async fn trim_some(&self, retention: Retention, now_ms: i64) -> Result<Trimmed, StoreError> {
        let age_ms = i64::try_from(retention.age_max.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(age_ms);
        let runs_max = i64::try_from(retention.runs_max).unwrap_or(i64::MAX);
        let pools = self.pools().await?;
        let trim = async {
            let mut tx = pools.begin().await?;
            let runs = trim::trim_runs(&mut tx, before_ms, runs_max).await?;
            let events = trim::trim_rows(&mut tx, "run_event", "at_ms", before_ms).await?;
            trim::trim_rows(&mut tx, "missed_firing", "last_ms", before_ms).await?;
            trim::trim_changes(&mut tx, before_ms).await?;
            let audit_age_ms =
                i64::try_from(retention.audit_log_age_max.as_millis()).unwrap_or(i64::MAX);
            let before_ms_of_log = now_ms.saturating_sub(audit_age_ms);
            trim::trim_rows(&mut tx, "audit_log", "at_ms", before_ms_of_log).await?;
            let tables = elastic::are_tables(tx.dialect()).then_some(ELASTIC_JOB_TABLES);
            for (table, column) in tables.into_iter().flatten() {
                let mut sql = Statement::new(tx.dialect(), "DELETE FROM ");
                sql.push(table).push(" WHERE ").push(column).push(" < ");
                elastic::time(&mut sql, before_ms);
                tx.execute(sql).await?;
            }
            tx.commit().await?;
            Ok(Trimmed { runs, events })
        };
        let trimmed = tokio::time::timeout(TRANSACTION_MAX, trim).await;
        let trimmed = trimmed.unwrap_or_else(|_| Err(took_too_long()));
        trimmed.map_err(|source| self.failed("trim", source))
    }

    /// The rows of a question.
    pub(super) async fn rows(
        &self,
        sql: Statement<'_>,
        columns: &[Column],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.pools().await?.rows(sql, columns).await;
        rows.map_err(|source| self.failed("read", source))
    }

    pub(super) fn failed(&self, what: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::Statement { what, target: self.target.to_string(), source }
    }
}

/// Elastic-Job's tables, and their column that tells the age of a row.
const ELASTIC_JOB_TABLES: [(&str, &str); 2] =
    [("JOB_EXECUTION_LOG", "start_time"), ("JOB_STATUS_TRACE_LOG", "creation_time")];

impl TraceStore for Store {
    fn write<'a>(&'a self, records: &'a [TraceRecord]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.write_all(records).boxed()
    }

    fn trim(
        &self,
        retention: Retention,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<Trimmed, StoreError>> {
        self.trim_some(retention, now_ms).boxed()
    }
}

// === impl HistoryTarget ===

impl From<PathBuf> for HistoryTarget {
    fn from(file: PathBuf) -> Self {
        Self::Sqlite(file)
    }
}

impl From<&Path> for HistoryTarget {
    fn from(file: &Path) -> Self {
        Self::Sqlite(file.to_owned())
    }
}

/// True if the database would refuse the same again: what is written does not fit (`SQLSTATE` classes
/// 22 and 23, and MySQL's word for a text it cannot hold).
fn is_refusal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let code = error.code().unwrap_or_default();
    let by_state = code.len() == 5 && (code.starts_with("22") || code.starts_with("23"));
    let mysql = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
    by_state || mysql.is_some_and(|error| error.number() == MYSQL_INCORRECT_STRING)
}

/// `ER_TRUNCATED_WRONG_VALUE_FOR_FIELD`, which MySQL gives the general state.
const MYSQL_INCORRECT_STRING: u16 = 1366;

fn took_too_long() -> sqlx::Error {
    let seconds = TRANSACTION_MAX.as_secs();
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("a transaction took longer than {seconds} s"),
    ))
}
