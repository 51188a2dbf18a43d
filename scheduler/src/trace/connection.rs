//! Connections to each kind of database, and carrying out a statement on them. Absent: the statements.

use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, MySql, MySqlPool, PgPool, Postgres, Row as _, SqlSafeStr as _};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::statement::{Cell, Column, Row, Statement, Value};
use super::target::{Dialect, HistoryTarget};
use crate::private_file;

type Result<T> = sqlx::Result<T>;

/// A migration that says the same to SQLite and PostgreSQL.
macro_rules! released {
    ($version:literal, $description:literal, $file:literal) => {
        Released {
            version: $version,
            description: $description,
            sqlite: include_str!(concat!("migrations/", $file)),
            postgres: include_str!(concat!("migrations/", $file)),
            mysql: include_str!(concat!("migrations/mysql/", $file)),
        }
    };
}

/// Every migration ever released, oldest first. Their texts never change afterwards.
const MIGRATIONS: [Released; 7] = [
    released!(1, "run and event", "0001_run_and_event.sql"),
    released!(2, "run document", "0002_run_document.sql"),
    released!(3, "audit and Elastic-Job", "0003_audit_and_elastic_job.sql"),
    released!(4, "tenure tzdb", "0004_tenure_tzdb.sql"),
    released!(5, "event submitter", "0005_event_submitter.sql"),
    released!(6, "audit log", "0006_audit_log.sql"),
    Released {
        sqlite: include_str!("migrations/sqlite/0007_event_app.sql"),
        ..released!(7, "event app", "0007_event_app.sql")
    },
];

/// A migration: its version, what it is, and its text for each kind of database.
struct Released {
    version: i64,
    description: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
    mysql: &'static str,
}

/// `SQLite`'s cache of the writing connection: negative, so in KiB. It grows only as it is used.
const WRITER_CACHE: &str = "-16384";

/// Pages of 4 KiB that its log may hold before they are moved to their places.
const WRITER_CHECKPOINT_PAGES: &str = "4000";

/// How many queries may run beside each other; more wait. They share two cores with all the rest.
const READERS_MAX: u32 = 4;

/// How long to wait for a lock that another program (a backup, a shell) holds on the file, or for a
/// connection, before the attempt counts as failed.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long one transaction of the writer may take: a server that has gone without a word would be
/// waited for much longer by the network.
pub(super) const TRANSACTION_MAX: Duration = Duration::from_mins(1);

/// Open connections, one kind.
#[derive(Debug)]
pub(super) enum Pools {
    /// One writer: SQLite has one at a time, and waiting in line beats colliding.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A transaction, one kind. Nothing of it stays unless it is committed.
pub(super) enum Tx {
    Sqlite(SqliteTx),
    Postgres(Transaction<'static, Postgres>),
    MySql(Transaction<'static, MySql>),
}

/// A transaction on SQLite. A full disk ends one behind the driver's back, and what the driver then
/// believes of the connection is no longer true: a connection goes with a transaction that was not
/// committed.
pub(super) struct SqliteTx {
    connection: PoolConnection<Sqlite>,
    committed: bool,
}

/// A statement as one kind of database takes it, its values bound.
macro_rules! bound {
    ($database:ty, $statement:expr) => {{
        let Statement { sql, values, .. } = $statement;
        let mut query = sqlx::query::<$database>(AssertSqlSafe(sql));
        for value in values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
            };
        }
        query
    }};
}

/// The rows of an answer, their cells read by kind.
macro_rules! cells {
    ($rows:expr, $columns:expr) => {
        $rows
            .iter()
            .map(|row| {
                let cells = $columns.iter().enumerate().map(|(index, column)| match column {
                    Column::Int => Ok(Cell::Int(row.try_get(index)?)),
                    Column::Text => Ok(Cell::Text(row.try_get(index)?)),
                });
                Ok(Row::new(cells.collect::<Result<Vec<Cell>>>()?))
            })
            .collect()
    };
}

// === impl Pools ===

impl Pools {
    /// Connects. The tables are not looked at.
    pub(super) async fn open(target: &HistoryTarget) -> Result<Self> {
        match target {
            HistoryTarget::Sqlite(file) => {
                private_file::make(file)?;
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // The spool forgets what the database has taken, so taken must mean on disk.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(WAIT_MAX);
                let pool = || SqlitePoolOptions::new().acquire_timeout(WAIT_MAX);
                // A busy scheduler's rows go to many places of a large file: what is written again
                // and again is kept in memory, and goes from the log to its place less often.
                let writing = options
                    .clone()
                    .pragma("cache_size", WRITER_CACHE)
                    // What a statement would undo of itself is kept in memory, too.
                    .pragma("temp_store", "MEMORY")
                    .pragma("wal_autocheckpoint", WRITER_CHECKPOINT_PAGES);
                let writer = pool().max_connections(1).connect_with(writing).await?;
                let readers = pool().max_connections(READERS_MAX);
                Ok(Self::Sqlite {
                    writer,
                    readers: readers.connect_lazy_with(options.read_only(true)),
                })
            }
            HistoryTarget::Postgres(options) => Self::open_postgres(options).await,
            HistoryTarget::MySql(options) => Self::open_mysql(options).await,
        }
    }

    async fn open_postgres(options: &PgConnectOptions) -> Result<Self> {
        let options = options.clone().application_name("shiftwork");
        let pool = PgPoolOptions::new().acquire_timeout(WAIT_MAX).max_connections(READERS_MAX + 1);
        Ok(Self::Postgres(pool.connect_with(options).await?))
    }

    async fn open_mysql(options: &MySqlConnectOptions) -> Result<Self> {
        // Elastic-Job's times are written as UTC, whatever the server's zone; the driver sets both
        // zone and character set for each connection.
        let options = options.clone().charset("utf8mb4").timezone(Some("+00:00".to_owned()));
        let pool =
            MySqlPoolOptions::new().acquire_timeout(WAIT_MAX).max_connections(READERS_MAX + 1);
        Ok(Self::MySql(pool.connect_with(options).await?))
    }

    /// Brings the tables up to date; several schedulers may do so at once.
    pub(super) async fn migrate(&self) -> std::result::Result<(), sqlx::migrate::MigrateError> {
        let migrations = MIGRATIONS.into_iter().map(|released| {
            let text = match self {
                Self::Sqlite { .. } => released.sqlite,
                Self::Postgres(_) => released.postgres,
                Self::MySql(_) => released.mysql,
            };
            let (version, description) = (released.version, released.description.into());
            Migration::new(version, description, MigrationType::Simple, text.into_sql_str(), false)
        });
        let migrator = Migrator::with_migrations(migrations.collect());
        match self {
            Self::Sqlite { writer, .. } => migrator.run(writer).await,
            Self::Postgres(pool) => migrator.run(pool).await,
            Self::MySql(pool) => migrator.run(pool).await,
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(SqliteTx::begin(writer).await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            Self::MySql(pool) => Tx::MySql(pool.begin().await?),
        })
    }

    /// The rows of a question.
    pub(super) async fn rows(
        &self,
        statement: Statement<'_>,
        columns: &[Column],
    ) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite { readers, .. } => {
                cells!(bound!(Sqlite, statement).fetch_all(readers).await?, columns)
            }
            Self::Postgres(pool) => {
                cells!(bound!(Postgres, statement).fetch_all(pool).await?, columns)
            }
            Self::MySql(pool) => cells!(bound!(MySql, statement).fetch_all(pool).await?, columns),
        }
    }

    /// Closes the connections; a file's write-ahead log is folded into it.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
            Self::MySql(pool) => pool.close().await,
        }
    }
}

// === impl Tx ===

impl Tx {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// Carries a change out; gives how many rows it touched.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => {
                bound!(Sqlite, statement).execute(tx.connection()).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                bound!(Postgres, statement).execute(&mut **tx).await?.rows_affected()
            }
            Self::MySql(tx) => bound!(MySql, statement).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// The rows of a question within the transaction.
    pub(super) async fn rows(
        &mut self,
        statement: Statement<'_>,
        columns: &[Column],
    ) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(tx) => {
                cells!(bound!(Sqlite, statement).fetch_all(tx.connection()).await?, columns)
            }
            Self::Postgres(tx) => {
                cells!(bound!(Postgres, statement).fetch_all(&mut **tx).await?, columns)
            }
            Self::MySql(tx) => {
                cells!(bound!(MySql, statement).fetch_all(&mut **tx).await?, columns)
            }
        }
    }

    /// Makes it lasting.
    pub(super) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
            Self::MySql(tx) => tx.commit().await,
        }
    }
}

// === impl SqliteTx ===

impl SqliteTx {
    async fn begin(writer: &SqlitePool) -> Result<Self> {
        let mut tx = Self { connection: writer.acquire().await?, committed: false };
        sqlx::query("BEGIN IMMEDIATE").execute(tx.connection()).await?;
        Ok(tx)
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    async fn commit(mut self) -> Result<()> {
        sqlx::query("COMMIT").execute(self.connection()).await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}
