//! The bounded spool between the owner and the database: append-only segment files. Absent: moving
//! its records to the database (the writer).
//!
//! An append is one `write(2)` and no `fsync`: it costs microseconds and survives the end of the
//! process, however it ends. A power loss or a crash of the operating system may lose the last
//! moments of history; the state is in the registry, which does wait for the disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::TraceRecord;
use super::backlog::{Backlog, Position, write_cursor};
use super::segment::{self, Frames};
use crate::private_file;

/// How much the spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// A segment is closed when it has reached this size in bytes.
    pub segment_bytes_max: u64,
    /// The oldest segments are dropped when all together would exceed this size in bytes.
    pub total_bytes_max: u64,
}

/// The owner's end of the spool; clones append to the same files.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// The writer's end of the spool, of which there is one.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
}

/// Records read and not yet taken.
#[derive(Debug, Default)]
pub struct SpoolBatch {
    /// The records, oldest first.
    pub records: Vec<TraceRecord>,
    /// Frames among them that this version does not know.
    unknown: u64,
    next: Position,
}

/// What waits in the spool, and what it lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolLag {
    /// Records the database has not taken.
    pub records: u64,
    /// What they measure in bytes.
    pub bytes: u64,
    /// Records lost since the process started: the spool was full, a record too large or damaged.
    pub dropped_records: u64,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    limits: SpoolLimits,
    backlog: Mutex<Backlog>,
    arrived: Notify,
}

// === impl SpoolLimits ===

impl Default for SpoolLimits {
    /// 256 MiB in segments of 8 MiB: about a million records, hours of a busy scheduler without its
    /// database, and small enough to be forgotten on any disk.
    fn default() -> Self {
        Self { segment_bytes_max: 8 << 20, total_bytes_max: 256 << 20 }
    }
}

// === impl Spool ===

impl Spool {
    /// Opens the spool in `directory`, making it if needed; what an earlier process left is kept.
    ///
    /// # Errors
    ///
    /// What the file system says. Damaged content is no error: it is counted, reported and passed.
    pub fn open(directory: &Path, limits: SpoolLimits) -> io::Result<(Self, SpoolReader)> {
        private_file::make_directory(directory)?;
        let backlog = Backlog::load(directory)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            limits,
            backlog: Mutex::new(backlog),
            arrived: Notify::new(),
        });
        Ok((Self { shared: Arc::clone(&shared) }, SpoolReader { shared }))
    }

    /// Appends records. Makes room by dropping the oldest segments if it must.
    ///
    /// # Errors
    ///
    /// What the file system says, e.g. that the disk is full. The records are not recorded then (some
    /// of them may be, which does no harm) and are counted as dropped; the caller reports it and goes
    /// on, since history is not state.
    pub fn append(&self, records: &[TraceRecord]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let result = self.shared.lock().append(&self.shared.directory, self.shared.limits, records);
        self.shared.arrived.notify_one();
        result
    }

    /// Where the next record will stand.
    pub(super) fn end(&self) -> Position {
        self.shared.lock().end()
    }

    /// True if everything before a place has been taken, or dropped.
    pub(super) fn is_taken(&self, end: Position) -> bool {
        self.shared.lock().is_taken(end)
    }

    /// What waits, and what was lost.
    pub fn lag(&self) -> SpoolLag {
        self.shared.lock().lag()
    }
}

// === impl SpoolReader ===

impl SpoolReader {
    /// Reads what comes next, at most `records_max` records; an empty batch means that there is
    /// nothing. Reading again without taking gives the same again. Blocking.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn read(&self, records_max: usize) -> io::Result<SpoolBatch> {
        loop {
            let Some((from, end)) = self.shared.lock().next_range() else {
                return Ok(SpoolBatch::default());
            };
            let read = match File::open(segment::file(&self.shared.directory, from.segment)) {
                Ok(mut file) => segment::read(&mut file, from.offset, end, records_max.max(1))?,
                // Dropped in the meantime to make room, or removed by hand.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Frames::default(),
                Err(error) => return Err(error),
            };
            if read.count == 0 {
                self.shared.lock().pass_damage(from);
                continue;
            }
            let batch = SpoolBatch {
                unknown: read.count - read.records.len() as u64,
                next: from.advanced(read.count, read.next),
                records: read.records,
            };
            if !batch.records.is_empty() {
                return Ok(batch);
            }
            self.take(&batch)?;
        }
    }

    /// Remembers that the database has taken a batch, and frees its space. Blocking.
    ///
    /// # Errors
    ///
    /// What the file system says. The batch will be read again by the next process then.
    pub fn take(&self, batch: &SpoolBatch) -> io::Result<()> {
        if batch.unknown > 0 {
            tracing::error!(
                records = batch.unknown,
                "the spool held records of a newer version, which are lost to this one"
            );
        }
        let (cursor, consumed) = self.shared.lock().advance(batch.next, batch.unknown);
        write_cursor(&self.shared.directory, cursor)?;
        for id in consumed {
            match fs::remove_file(segment::file(&self.shared.directory, id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The same reader once more, to be moved into a blocking task.
    pub(super) fn again(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }

    /// Waits until something was appended since the last call.
    pub async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }
}

// === impl Shared ===

impl Shared {
    /// Held for a write at most; a poisoned lock is passed, since every change below leaves a state
    /// that is at worst behind the files.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
