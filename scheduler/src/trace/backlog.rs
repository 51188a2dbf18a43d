//! The spool's state: which segments there are, how far they have been taken, what had to be dropped.
//! Absent: locks, and reading records (the spool).

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::segment::{self, FIRST_FRAME};
use super::{SpoolLag, SpoolLimits, TraceRecord};

/// The file that remembers what the database has taken: segment and offset, decimal.
const CURSOR_FILE: &str = "cursor";

/// The segments on disk, as the spool's two ends share them under a lock.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Oldest first; the last one may still grow.
    segments: VecDeque<Segment>,
    /// The last segment's file, open for appending; none before the first append.
    active: Option<File>,
    next_id: u64,
    cursor: Position,
    dropped_records: u64,
    /// Kept between appends for its memory.
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    id: u64,
    /// Up to where it is whole.
    bytes: u64,
    frames: u64,
}

/// A place in the spool; everything before it has been taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The frames of that segment before the offset.
    frames: u64,
}

// === impl Backlog ===

impl Backlog {
    /// What stands in the directory. The next append begins a new segment, so that a tail torn by
    /// the end of the last process stays where it is and is passed in reading.
    pub(super) fn load(directory: &Path) -> io::Result<Self> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(directory)? {
            ids.extend(segment::id_of(&entry?.path()));
        }
        ids.sort_unstable();
        let (segment, offset) = read_cursor(directory).unwrap_or_default();
        let last = ids.last().copied().unwrap_or(0).max(segment);
        let mut state = Self { next_id: last + 1, ..Self::default() };
        for id in ids {
            let file = segment::file(directory, id);
            let scan = segment::scan(&file, offset)?;
            if scan.damaged_bytes > 0 {
                let (file, bytes) = (file.display(), scan.damaged_bytes);
                tracing::warn!(%file, bytes, "a spool segment ends in damage, which is passed over");
            }
            let taken = if id == segment { scan.frames_before } else { None };
            if id < segment || scan.frames == taken.unwrap_or(0) {
                fs::remove_file(&file)?;
                continue;
            }
            if let Some(frames) = taken {
                state.cursor = Position { segment, offset, frames };
            }
            state.segments.push_back(Segment { id, bytes: scan.bytes, frames: scan.frames });
        }
        state.cursor = state.cursor.max(Position { segment, ..Position::default() });
        Ok(state)
    }

    pub(super) fn append(
        &mut self,
        directory: &Path,
        limits: SpoolLimits,
        records: &[TraceRecord],
    ) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut frames = 0;
        for record in records {
            if segment::push_frame(record, &mut buffer) {
                frames += 1;
            } else {
                tracing::error!(
                    bytes = record.stored_bytes(),
                    "a record is too large for the spool"
                );
                self.dropped_records += 1;
            }
        }
        self.make_room(directory, limits, buffer.len() as u64);
        let result = self.write(directory, limits, &buffer, frames);
        if result.is_err() {
            self.dropped_records += frames;
            self.cut_torn_tail();
        }
        self.buffer = buffer;
        result
    }

    fn write(
        &mut self,
        directory: &Path,
        limits: SpoolLimits,
        bytes: &[u8],
        frames: u64,
    ) -> io::Result<()> {
        if self.segments.back().is_some_and(|last| last.bytes >= limits.segment_bytes_max) {
            self.active = None;
        }
        let file = if let Some(file) = &mut self.active {
            file
        } else {
            let id = self.next_id;
            self.next_id += 1;
            let file = segment::create(directory, id)?;
            self.segments.push_back(Segment { id, bytes: FIRST_FRAME, frames: 0 });
            self.active.insert(file)
        };
        file.write_all(bytes)?;
        if let Some(last) = self.segments.back_mut() {
            last.bytes += bytes.len() as u64;
            last.frames += frames;
        }
        Ok(())
    }

    /// After a failed write: nothing may follow half a frame.
    fn cut_torn_tail(&mut self) {
        if let (Some(file), Some(last)) = (&self.active, self.segments.back())
            && file.set_len(last.bytes).is_err()
        {
            self.active = None;
        }
    }

    /// Drops the oldest segments until so many bytes fit.
    fn make_room(&mut self, directory: &Path, limits: SpoolLimits, bytes: u64) {
        let mut total: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while total + bytes > limits.total_bytes_max
            && let Some(oldest) = self.segments.pop_front()
        {
            if self.segments.is_empty() {
                self.active = None;
            }
            total -= oldest.bytes;
            let lost = oldest.frames.saturating_sub(self.taken_of(oldest.id));
            self.dropped_records += lost;
            tracing::error!(
                lost,
                "the trace spool is full: the oldest records are dropped; see why the history \
                 database does not take them"
            );
            let file = segment::file(directory, oldest.id);
            if let Err(error) = fs::remove_file(&file) {
                tracing::error!(file = %file.display(), %error, "cannot remove a spool segment");
            }
        }
    }

    /// How many frames of a segment have been taken, for the oldest one.
    fn taken_of(&self, id: u64) -> u64 {
        if self.cursor.segment == id { self.cursor.frames } else { 0 }
    }

    /// Where to read on, and where that segment ends for now.
    pub(super) fn next_range(&self) -> Option<(Position, u64)> {
        let segment =
            self.segments.iter().find(|segment| segment.frames > self.taken_of(segment.id))?;
        let start = Position { segment: segment.id, offset: FIRST_FRAME, frames: 0 };
        let from = if self.cursor.segment == segment.id { self.cursor.max(start) } else { start };
        Some((from, segment.bytes))
    }

    /// Gives up the rest of a segment that cannot be read on from a place.
    pub(super) fn pass_damage(&mut self, from: Position) {
        // Dropped in the meantime: counted there.
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.id == from.segment)
        else {
            return;
        };
        let lost = segment.frames.saturating_sub(from.frames);
        segment.frames = from.frames;
        self.dropped_records += lost;
        // Nothing may be appended behind the damage.
        if self.segments.back().is_some_and(|last| last.id == from.segment) {
            self.active = None;
        }
        tracing::error!(segment = from.segment, lost, "a spool segment was damaged while in use");
    }

    /// Moves the cursor forward over a batch, some of whose frames were of no use; returns it and
    /// the segments that are done with.
    pub(super) fn advance(&mut self, next: Position, unknown: u64) -> (Position, Vec<u64>) {
        self.cursor = self.cursor.max(next);
        self.dropped_records += unknown;
        let mut consumed = Vec::new();
        // The last segment may grow on.
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front().copied()
            && (oldest.id < self.cursor.segment || oldest.frames <= self.taken_of(oldest.id))
        {
            self.segments.pop_front();
            consumed.push(oldest.id);
        }
        (self.cursor, consumed)
    }

    /// The place behind the last whole record.
    pub(super) fn end(&self) -> Position {
        self.segments.back().map_or(self.cursor, |last| Position {
            segment: last.id,
            offset: last.bytes,
            frames: last.frames,
        })
    }

    /// True if nothing before a place waits.
    pub(super) fn is_taken(&self, end: Position) -> bool {
        self.cursor >= end || self.next_range().is_none_or(|(from, _)| from >= end)
    }

    pub(super) fn lag(&self) -> SpoolLag {
        let mut lag = SpoolLag { dropped_records: self.dropped_records, ..SpoolLag::default() };
        for segment in &self.segments {
            let waiting = segment.frames.saturating_sub(self.taken_of(segment.id));
            lag.records += waiting;
            if waiting > 0 {
                let taken = if self.cursor.segment == segment.id { self.cursor.offset } else { 0 };
                lag.bytes += segment.bytes - taken.max(FIRST_FRAME);
            }
        }
        lag
    }
}

// === impl Position ===

impl Position {
    /// The place so many frames further in the same segment, at `offset`.
    pub(super) fn advanced(self, frames: u64, offset: u64) -> Self {
        Self { offset, frames: self.frames + frames, ..self }
    }
}

/// Written beside and renamed, so that it is whole; an older one only means reading some again.
pub(super) fn write_cursor(directory: &Path, cursor: Position) -> io::Result<()> {
    let new = directory.join("cursor.new");
    fs::write(&new, format!("{} {}\n", cursor.segment, cursor.offset))?;
    fs::rename(new, directory.join(CURSOR_FILE))
}

/// Segment and offset; none if the file is absent or damaged, which means starting at the oldest.
fn read_cursor(directory: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(directory.join(CURSOR_FILE)).ok()?;
    let (segment, offset) = text.trim_end().split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::trace::{RunRow, SpoolLimits};

    fn record(version: u64) -> TraceRecord {
        TraceRecord::Run(RunRow { version, ..RunRow::default() })
    }

    /// The file can neither be written nor shortened: it is left alone.
    #[test]
    fn a_segment_that_cannot_be_mended_is_followed_by_another() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut backlog = Backlog::load(directory).unwrap();
        let limits = SpoolLimits::default();
        backlog.append(directory, limits, &[record(1)]).unwrap();
        backlog.active = Some(File::open(segment::file(directory, 1)).unwrap());
        backlog.append(directory, limits, &[record(2)]).unwrap_err();
        backlog.append(directory, limits, &[record(3)]).unwrap();
        assert_eq!((backlog.segments.len(), backlog.lag().records), (2, 2));
        assert_eq!(backlog.lag().dropped_records, 1);
    }

    #[test]
    fn half_a_frame_is_cut_off_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut backlog = Backlog::load(directory).unwrap();
        let limits = SpoolLimits::default();
        backlog.append(directory, limits, &[record(1)]).unwrap();
        let file = segment::file(directory, 1);
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"half").unwrap();
        backlog.cut_torn_tail();
        backlog.append(directory, limits, &[record(2)]).unwrap();
        let scan = segment::scan(&file, 0).unwrap();
        assert_eq!((scan.frames, scan.damaged_bytes), (2, 0));
    }
}
