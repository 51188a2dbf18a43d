//! The handle that the owner and the API hold: append what happened, ask what happened. Absent: any
//! way to change history.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::writer::Progress;
use super::{
    EventKey, EventRow, RunCursor, RunFilter, RunPage, RunRow, Spool, SpoolLag, SpoolLimits, Store,
    StoreError, TraceRecord, Writer, WriterOptions,
};

/// The spool's directory in the data directory.
const SPOOL_DIRECTORY: &str = "spool";

/// The history of one scheduler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    spool: Spool,
    store: Arc<Store>,
    progress: Progress,
}

/// How far the database is behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lag {
    /// What waits in the spool, and what was lost there.
    pub spool: SpoolLag,
    /// Why the last attempt to write to the database failed; none when it succeeded.
    pub failure: Option<String>,
    /// Records the database took since the process began.
    pub written_records: u64,
    /// Attempts that failed since the process began.
    pub errors: u64,
}

// === impl History ===

impl History {
    /// Opens the spool in `data_dir` and names the database there, without opening that. The caller
    /// spawns the writer's [`Writer::run`].
    ///
    /// # Errors
    ///
    /// When the spool's directory cannot be made or read. A database that cannot be opened is no
    /// reason not to start.
    pub fn open(
        data_dir: &Path,
        limits: SpoolLimits,
        options: WriterOptions,
    ) -> io::Result<(Self, Writer)> {
        let (spool, reader) = Spool::open(&data_dir.join(SPOOL_DIRECTORY), limits)?;
        let store = Arc::new(Store::new(data_dir.join(Store::FILE_NAME)));
        let writer = Writer::new(reader, Arc::clone(&store) as Arc<_>, options);
        Ok((Self { spool, store, progress: writer.progress() }, writer))
    }

    /// Appends records to the spool: synchronous, one `write(2)`.
    ///
    /// # Errors
    ///
    /// As [`Spool::append`]: report it and go on.
    pub fn append(&self, records: &[TraceRecord]) -> io::Result<()> {
        self.spool.append(records)
    }

    /// How far the database is behind.
    pub fn lag(&self) -> Lag {
        Lag {
            spool: self.spool.lag(),
            failure: self.progress.failure(),
            written_records: self.progress.written_records(),
            errors: self.progress.errors(),
        }
    }

    /// A page of runs; see [`Store::runs`].
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
        self.store.runs(filter, behind, limit).await
    }

    /// The newest runs of a job.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn last_runs(&self, job: &str, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let filter = RunFilter { job: Some(job.to_owned()), ..RunFilter::default() };
        Ok(self.store.runs(&filter, None, limit).await?.runs)
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>, StoreError> {
        self.store.run(id).await
    }

    /// A run's events; see [`Store::run_events`].
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
        self.store.run_events(run_id, behind, limit).await
    }

    /// The database.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Closes the database's connections, after the writer has ended.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
