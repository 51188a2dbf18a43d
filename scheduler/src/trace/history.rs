//! The handle that the owner and the API hold: append what happened, ask what happened. Absent: any
//! way to change history.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::writer::Progress;
use super::{
    EventKey, EventRow, HistoryTarget, RunCursor, RunFilter, RunPage, RunRow, Spool, SpoolLag,
    SpoolLimits, Store, StoreError, TraceRecord, Writer, WriterOptions,
};

/// The spool's directory in the data directory.
const SPOOL_DIRECTORY: &str = "spool";

/// How often to look whether the writer has caught up: as often as it moves records at most.
const FLUSH_POLL: Duration = Duration::from_millis(50);

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
    /// Records the database would never take, since the process began.
    pub refused_records: u64,
    /// Records the database took since the process began.
    pub written_records: u64,
    /// Attempts that failed since the process began.
    pub errors: u64,
}

// === impl Lag ===

impl Lag {
    /// What an operator should see to, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(failure) = &self.failure {
            let waiting = self.spool.records;
            problems.push(format!("history: {failure}; {waiting} records wait in the spool"));
        }
        if self.spool.dropped_records > 0 {
            problems.push(format!(
                "history: {} records were lost, because the spool was full, damaged or could not be \
                 written (see the log, and whether the disk is full)",
                self.spool.dropped_records
            ));
        }
        if self.refused_records > 0 {
            let refused = self.refused_records;
            problems.push(format!("history: the database refused {refused} records (see the log)"));
        }
        problems
    }
}

// === impl History ===

impl History {
    /// Opens the spool in `data_dir` and names the database, a file there unless `target` says
    /// another, without opening that. The caller
    /// spawns the writer's [`Writer::run`].
    ///
    /// # Errors
    ///
    /// When the spool's directory cannot be made or read. A database that cannot be opened is no
    /// reason not to start.
    pub fn open(
        data_dir: &Path,
        target: Option<HistoryTarget>,
        limits: SpoolLimits,
        options: WriterOptions,
    ) -> io::Result<(Self, Writer)> {
        let (spool, reader) = Spool::open(&data_dir.join(SPOOL_DIRECTORY), limits)?;
        let target = target.unwrap_or_else(|| data_dir.join(Store::FILE_NAME).into());
        let store = Arc::new(Store::new(target));
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

    /// Waits until the database has taken everything that was appended before this call; false if it
    /// has not within the time given.
    pub async fn flushed(&self, wait_max: Duration) -> bool {
        let end = self.spool.end();
        let taken = async {
            while !self.spool.is_taken(end) {
                tokio::time::sleep(FLUSH_POLL).await;
            }
        };
        tokio::time::timeout(wait_max, taken).await.is_ok()
    }

    /// The database.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// How far the database is behind.
    pub fn lag(&self) -> Lag {
        Lag {
            spool: self.spool.lag(),
            refused_records: self.store.refused_records(),
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
        Box::pin(self.store.runs(filter, behind, limit)).await
    }

    /// The newest runs of a job.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn last_runs(&self, job: &str, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let filter = RunFilter { job: Some(job.to_owned()), ..RunFilter::default() };
        Ok(Box::pin(self.store.runs(&filter, None, limit)).await?.runs)
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>, StoreError> {
        Box::pin(self.store.run(id)).await
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
        Box::pin(self.store.run_events(run_id, behind, limit)).await
    }

    /// Closes the database's connections, after the writer has ended.
    pub async fn close(&self) {
        Box::pin(self.store.close()).await;
    }
}
