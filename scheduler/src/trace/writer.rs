//! The task that moves records from the spool to the database, and cleans up there. Absent: the
//! spool's files and the database's statements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Retention, SpoolReader, StoreError, TraceStore};

/// How the writer paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Records moved in one transaction while no more than that wait.
    pub batch_records_min: usize,
    /// Records moved in one transaction at most, when many wait: what a transaction costs by itself,
    /// and each page of an index it comes to, is then shared by more of them.
    pub batch_records_max: usize,
    /// How long to let records gather before moving them, so that each does not cost a flush to disk.
    pub linger: Duration,
    /// The pause after the first failure; it doubles with each further one.
    pub backoff_first: Duration,
    /// The longest pause after a failure.
    pub backoff_max: Duration,
    /// How often to look for what is too old or too much.
    pub trim_every: Duration,
    /// How long to go on moving records when asked to stop; the rest waits for the next start.
    pub drain_max: Duration,
    /// How long history is kept.
    pub retention: Retention,
}

/// The task's state. Runs until told to stop.
pub struct Writer {
    spool: SpoolReader,
    store: Arc<dyn TraceStore>,
    options: WriterOptions,
    progress: Progress,
    failures: u32,
    /// Records of the next transaction.
    batch_records: usize,
    trim_due: Instant,
}

/// What one step of the writer did.
#[derive(Debug)]
pub enum Step {
    /// Moved so many records.
    Moved(usize),
    /// There was nothing to move.
    Idle,
    /// The records stay in the spool; try again after a pause.
    Failed(WriteError),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The spool's files.
    #[error("the trace spool cannot be read or advanced: check its directory")]
    Spool(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blocking task that reads the spool was cancelled by the runtime's end, or panicked.
    #[error("reading the trace spool was cut short")]
    Cut(#[from] tokio::task::JoinError),
}

/// How the writer gets on, for the API and the metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Why the last attempt failed, none when it did not.
    failure: Mutex<Option<String>>,
    written_records: AtomicU64,
    errors: AtomicU64,
}

// === impl WriterOptions ===

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            // A transaction of some ten milliseconds.
            batch_records_min: 1000,
            batch_records_max: 8000,
            linger: Duration::from_millis(50),
            backoff_first: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            trim_every: Duration::from_hours(1),
            drain_max: Duration::from_secs(5),
            retention: Retention::default(),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A writer from this spool to this store.
    pub fn new(spool: SpoolReader, store: Arc<dyn TraceStore>, options: WriterOptions) -> Self {
        let progress = Progress::default();
        let batch_records = options.batch_records_min.min(options.batch_records_max);
        let trim_due = Instant::now();
        Self { spool, store, options, progress, failures: 0, batch_records, trim_due }
    }

    /// Moves records until told to stop, beginning with what an earlier process left; then moves
    /// what is left, for a while.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.step().await {
                Step::Failed(_) => {
                    let pause = tokio::time::sleep(self.backoff());
                    let _ = stop.run_until_cancelled(pause).await;
                }
                step => {
                    // Cleaning takes turns with moving, a little at a time, so neither starves.
                    let trimmed = self.trim_if_due().await;
                    if matches!(step, Step::Idle) && !trimmed {
                        self.wait_for_records(&stop).await;
                    }
                }
            }
        }
        let drain_max = self.options.drain_max;
        let drain = async { while let Step::Moved(_) = self.step().await {} };
        if tokio::time::timeout(drain_max, drain).await.is_err() {
            tracing::warn!("stopped before all of the spool was moved; the next start goes on");
        }
    }

    /// Moves one batch.
    pub async fn step(&mut self) -> Step {
        match self.move_batch().await {
            Ok(0) => Step::Idle,
            Ok(records) => {
                if self.failures > 0 {
                    tracing::info!(failures = self.failures, "the history takes records again");
                }
                self.failures = 0;
                self.progress.on_moved(records as u64);
                self.adapt(records);
                Step::Moved(records)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.adapt(0);
                let reason = chain(&error);
                tracing::warn!(
                    reason,
                    failures = self.failures,
                    "cannot move records to the history; they stay in the spool"
                );
                self.progress.on_failed(reason);
                Step::Failed(error)
            }
        }
    }

    async fn move_batch(&mut self) -> Result<usize, WriteError> {
        let (spool, records_max) = (self.spool.again(), self.batch_records);
        let batch = tokio::task::spawn_blocking(move || spool.read(records_max)).await??;
        let records = batch.records.len();
        if records > 0 {
            self.store.write(&batch.records).await?;
            let spool = self.spool.again();
            tokio::task::spawn_blocking(move || spool.take(&batch)).await??;
        }
        Ok(records)
    }

    /// A full batch means that more wait: the next may be larger.
    fn adapt(&mut self, moved: usize) {
        let next = if moved < self.batch_records { self.batch_records / 2 } else { moved * 2 };
        self.batch_records =
            next.max(self.options.batch_records_min).min(self.options.batch_records_max);
    }

    /// The pause after the failures so far.
    fn backoff(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(20);
        self.options.backoff_first.saturating_mul(1 << doublings).min(self.options.backoff_max)
    }

    async fn wait_for_records(&self, stop: &CancellationToken) {
        let arrival = async {
            self.spool.arrived().await;
            tokio::time::sleep(self.options.linger).await;
        };
        tokio::select! {
            () = arrival => {}
            () = tokio::time::sleep_until(self.trim_due) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Removes a little if it is time to; false if there was nothing to do.
    async fn trim_if_due(&mut self) -> bool {
        if Instant::now() < self.trim_due {
            return false;
        }
        let now_ms = jiff::Timestamp::now().as_millisecond();
        match self.store.trim(self.options.retention, now_ms).await {
            Ok(trimmed) if trimmed.runs + trimmed.events > 0 => return true,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(reason = chain(&error), "cannot remove old history; later again");
            }
        }
        self.trim_due = Instant::now() + self.options.trim_every;
        false
    }

    /// Where its progress can be read.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

// === impl Progress ===

impl Progress {
    /// The last failure, none after a success.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the database took.
    pub(super) fn written_records(&self) -> u64 {
        self.0.written_records.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    pub(super) fn errors(&self) -> u64 {
        self.0.errors.load(Ordering::Relaxed)
    }

    fn on_moved(&self, records: u64) {
        self.0.written_records.fetch_add(records, Ordering::Relaxed);
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn on_failed(&self, reason: String) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

/// An error with all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
