//! The history database: SQLite in one file, its connections and migrations. Absent: the statements
//! (`sql.rs`), and when to write (the writer).

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlSafeStr as _, SqliteConnection, SqlitePool};
use tokio::sync::OnceCell;

use super::{
    EventKey, EventRow, PAGE_ROWS_MAX, RunCursor, RunFilter, RunPage, RunRow, TraceRecord, sql,
};

/// Every migration ever released, oldest first. Their texts never change afterwards.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "run and event", include_str!("migrations/0001_run_and_event.sql")),
    (2, "run document", include_str!("migrations/0002_run_document.sql")),
];

/// How many queries may run beside each other; more wait. They share two cores with all the rest.
const READERS_MAX: u32 = 4;

/// How long to wait for a lock that another program (a backup, a shell) holds on the file, or for a
/// connection, before the attempt counts as failed.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished runs go when they are older than this, and events too.
    pub age_max: Duration,
    /// The oldest finished runs go when there are more runs than this.
    pub runs_max: u64,
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

/// The history in a SQLite file. It is opened at the first use, and again at each later one until
/// that succeeds: a scheduler starts, and runs, without its history.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    pools: OnceCell<Pools>,
}

#[derive(Debug)]
struct Pools {
    /// One connection: SQLite has one writer at a time, and waiting in line beats colliding.
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Why the history could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened.
    #[error("the history database {} cannot be opened: check its directory and permissions", file.display())]
    Open {
        /// The database's file.
        file: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date.
    #[error(
        "the history database {} does not fit this version of shiftwork: run a version at least as \
         new as the one that last wrote it, or move the file away to start a new history",
        file.display()
    )]
    Migrate {
        /// The database's file.
        file: PathBuf,
        /// What the migrator said.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("cannot {what} the history database {}", file.display())]
    Statement {
        /// `read`, `write` or `trim`.
        what: &'static str,
        /// The database's file.
        file: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
}

// === impl Retention ===

impl Default for Retention {
    /// 30 days, a million runs: about a gigabyte of rows.
    fn default() -> Self {
        Self { age_max: Duration::from_hours(30 * 24), runs_max: 1_000_000 }
    }
}

// === impl Store ===

impl Store {
    /// The file's name in the data directory.
    pub const FILE_NAME: &str = "history.db";

    /// A store in this file. Does nothing yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), pools: OnceCell::new() }
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
        let mut connection = self.reader().await?;
        // One more than asked for tells whether there is another page.
        let mut runs = sql::runs(&mut connection, filter, behind, limit as i64 + 1)
            .await
            .map_err(|source| self.failed("read", source))?;
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
        let mut connection = self.reader().await?;
        sql::run(&mut connection, id).await.map_err(|source| self.failed("read", source))
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
        let mut connection = self.reader().await?;
        sql::run_events(&mut connection, run_id, behind, limit)
            .await
            .map_err(|source| self.failed("read", source))
    }

    /// Closes the connections and folds the write-ahead log into the file; the store cannot be used
    /// afterwards.
    pub async fn close(&self) {
        if let Some(pools) = self.pools.get() {
            pools.readers.close().await;
            pools.writer.close().await;
        }
    }

    async fn pools(&self) -> Result<&Pools, StoreError> {
        self.pools.get_or_try_init(|| connect(&self.file)).await
    }

    pub(super) async fn reader(
        &self,
    ) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, StoreError> {
        let pools = self.pools().await?;
        pools.readers.acquire().await.map_err(|source| self.failed("read", source))
    }

    async fn write_all(&self, records: &[TraceRecord]) -> Result<(), StoreError> {
        let writer = &self.pools().await?.writer;
        let write = async {
            let mut connection = writer.acquire().await?;
            let written = write_on(&mut connection, records).await;
            if written.is_err() {
                // A full disk ends SQLite's transaction behind the driver's back: what it believes
                // of this connection is no longer true.
                connection.close_on_drop();
            }
            written
        };
        write.await.map_err(|source| self.failed("write", source))
    }

    async fn trim_some(&self, retention: Retention, now_ms: i64) -> Result<Trimmed, StoreError> {
        let age_ms = i64::try_from(retention.age_max.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(age_ms);
        let runs_max = i64::try_from(retention.runs_max).unwrap_or(i64::MAX);
        let writer = &self.pools().await?.writer;
        let trim = async {
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
            let runs = sql::trim_runs(&mut transaction, before_ms, runs_max).await?;
            let events = sql::trim_events(&mut transaction, before_ms).await?;
            transaction.commit().await?;
            Ok(Trimmed { runs, events })
        };
        trim.await.map_err(|source| self.failed("trim", source))
    }

    pub(super) fn failed(&self, what: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::Statement { what, file: self.file.clone(), source }
    }
}

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

async fn write_on(
    connection: &mut SqliteConnection,
    records: &[TraceRecord],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sql::write(&mut transaction, records).await?;
    transaction.commit().await
}

/// Opens the file and brings its tables up to date.
async fn connect(file: &Path) -> Result<Pools, StoreError> {
    let open_error = |source| StoreError::Open { file: file.to_owned(), source };
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // The spool forgets what the database has taken, so taken must mean on disk.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(WAIT_MAX);
    let pool = || SqlitePoolOptions::new().acquire_timeout(WAIT_MAX);
    let writer =
        pool().max_connections(1).connect_with(options.clone()).await.map_err(open_error)?;
    let migrations = MIGRATIONS.into_iter().map(|(version, description, text)| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
        .run(&writer)
        .await
        .map_err(|source| StoreError::Migrate { file: file.to_owned(), source })?;
    let readers = pool()
        .max_connections(READERS_MAX)
        .connect_with(options.read_only(true))
        .await
        .map_err(open_error)?;
    Ok(Pools { writer, readers })
}
