//! The spool's files: names, frames, and reading them whatever state they are in. Absent: which files
//! there are, and how far the database has come.
//!
//! A segment is the magic, then frames: length and checksum of the payload, four bytes each,
//! little-endian, then the payload, one record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::TraceRecord;

/// What every segment begins with; the digit is the format's version.
pub(super) const MAGIC: &[u8; 8] = b"SWSPOOL1";

/// Where the first frame stands.
pub(super) const FIRST_FRAME: u64 = MAGIC.len() as u64;

/// Length and checksum in front of each payload.
const FRAME_HEAD_BYTES: usize = 8;

/// The largest record. A run's JSON is bounded by the registry's values, far below; a length above
/// this in a file is damage, and is not allocated for.
pub(super) const RECORD_BYTES_MAX: usize = 4 << 20;

/// How much of a segment is read at once: some hundred frames.
const READ_BYTES: usize = 128 << 10;

/// The file of a segment.
pub(super) fn file(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:020}.seg"))
}

/// The segment's id, none for other files.
pub(super) fn id_of(file: &Path) -> Option<u64> {
    let is_segment = file.extension().is_some_and(|extension| extension == "seg");
    is_segment.then(|| file.file_stem()?.to_str()?.parse().ok()).flatten()
}

/// Makes the file of a new segment, ready to be appended to.
pub(super) fn create(directory: &Path, id: u64) -> io::Result<File> {
    let path = file(directory, id);
    let mut new = OpenOptions::new().append(true).create_new(true).open(&path)?;
    if let Err(error) = new.write_all(MAGIC) {
        // A full disk must not fill with the remains of each attempt. If even this fails, the file
        // is passed over at the next start.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(new)
}

/// Appends a record's frame to the buffer; false if the record is too large.
pub(super) fn push_frame(record: &TraceRecord, buffer: &mut Vec<u8>) -> bool {
    let bytes = record.stored_bytes();
    if bytes > RECORD_BYTES_MAX {
        return false;
    }
    buffer.reserve(FRAME_HEAD_BYTES + bytes);
    let head_at = buffer.len();
    buffer.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    record.write(buffer);
    let (_, frame) = buffer.split_at_mut(head_at);
    let (head, payload) = frame.split_at_mut(FRAME_HEAD_BYTES);
    let (length, checksum) = head.split_at_mut(4);
    length.copy_from_slice(&(payload.len() as u32).to_le_bytes());
    checksum.copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    true
}

/// Splits the first whole and undamaged frame off; none at the end or at damage.
fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    let (length, checksum) = head_of(*head)?;
    let (payload, rest) = rest.split_at_checked(length)?;
    (checksum == crc32fast::hash(payload)).then_some((payload, rest))
}

/// Length and checksum of a payload; none where no frame can begin so.
fn head_of(head: [u8; FRAME_HEAD_BYTES]) -> Option<(usize, u32)> {
    let [a, b, c, d, checksum @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    (length <= RECORD_BYTES_MAX).then_some((length, u32::from_le_bytes(checksum)))
}

/// Frames read from one place on.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The records this version knows.
    pub(super) records: Vec<TraceRecord>,
    /// How many frames there were, known or not.
    pub(super) count: u64,
    /// Where the frame after them begins.
    pub(super) next: u64,
}

/// Reads frames from `offset` on, up to `end`, at most `records_max`. Getting none before `end`
/// means that what stands there is damaged.
pub(super) fn read(
    file: &mut File,
    offset: u64,
    end: u64,
    records_max: usize,
) -> io::Result<Frames> {
    file.seek(SeekFrom::Start(offset))?;
    let mut left = end.saturating_sub(offset);
    let mut file = BufReader::with_capacity(READ_BYTES, file);
    let mut payload = Vec::new();
    let mut frames = Frames { next: offset, ..Frames::default() };
    while frames.count < records_max as u64 && read_frame(&mut file, left, &mut payload)? {
        frames.records.extend(TraceRecord::read(&payload));
        frames.count += 1;
        let bytes = (FRAME_HEAD_BYTES + payload.len()) as u64;
        frames.next += bytes;
        left -= bytes;
    }
    Ok(frames)
}

/// Reads the payload of the next frame; false at the end, `left` bytes ahead, and at damage.
fn read_frame(
    file: &mut BufReader<&mut File>,
    left: u64,
    payload: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut file = file.take(left);
    let mut head = [0; FRAME_HEAD_BYTES];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let Some((length, checksum)) = head_of(head) else { return Ok(false) };
    payload.clear();
    let read = file.take(length as u64).read_to_end(payload)?;
    Ok(read == length && checksum == crc32fast::hash(payload))
}

/// What a segment holds, as found at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// Up to where it is whole.
    pub(super) bytes: u64,
    /// The frames up to there.
    pub(super) frames: u64,
    /// The frames before the offset asked for; none if no frame begins there.
    pub(super) frames_before: Option<u64>,
    /// What follows the whole part: a write cut short by the process's end, or damage.
    pub(super) damaged_bytes: u64,
}

/// Walks over a segment and counts; the spool's limits keep a segment small enough to be read whole.
pub(super) fn scan(path: &Path, offset: u64) -> io::Result<Scan> {
    let bytes = fs::read(path)?;
    let mut scan =
        Scan { bytes: 0, frames: 0, frames_before: None, damaged_bytes: bytes.len() as u64 };
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Ok(scan);
    };
    loop {
        scan.bytes = (bytes.len() - rest.len()) as u64;
        scan.damaged_bytes = rest.len() as u64;
        if scan.bytes == offset {
            scan.frames_before = Some(scan.frames);
        }
        let Some((_, after)) = next_frame(rest) else {
            return Ok(scan);
        };
        scan.frames += 1;
        rest = after;
    }
}
