//! The file of unacknowledged updates: what an agent that comes back after this executor's death
//! can still learn from it. Absent: which updates belong in it.
//!
//! RecordIO frames of `mesos.v1.executor.Call.Update`, appended. A frame torn by a crash is dropped
//! on reading. Nothing is synced to disk: the file must survive this process, not the machine, whose
//! end the agent sees anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use prost::Message as _;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_proto::recordio;

/// The file's name in the sandbox.
const FILE_NAME: &str = "unacknowledged-updates";
/// The largest update read back. One is some kilobytes: a message, 4 KiB of stderr.
const RECORD_LEN_MAX: usize = 1024 * 1024;

/// The open checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: File,
    /// How much of the file is whole frames, bytes.
    len: u64,
}

/// A step on the checkpoint that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} the checkpoint {path} failed; the sandbox must be writable and have space left")]
pub(crate) struct CheckpointError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Opens the checkpoint in `sandbox`; also the updates an earlier executor left there.
    pub(crate) fn open(sandbox: &Path) -> Result<(Self, Vec<Update>), CheckpointError> {
        let path = sandbox.join(FILE_NAME);
        let left = match fs::read(&path) {
            Ok(bytes) => read_frames(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(CheckpointError { step: "reading", path, source });
            }
        };
        // Written anew: appending behind a torn frame would lose all that follows it.
        let (file, len) = replace(&path, &left).map_err(|source| CheckpointError {
            step: "opening",
            path: path.clone(),
            source,
        })?;
        Ok((Self { path, file, len }, left))
    }

    /// Adds one update.
    pub(crate) fn append(&mut self, update: &Update) -> Result<(), CheckpointError> {
        let frame = recordio::encode(&update.encode_to_vec());
        if let Err(source) = self.file.write_all(&frame) {
            // A full disk may have taken a part. What is appended once there is space again would be
            // lost behind it; if it cannot be cut off either, the next rewriting mends it.
            let _torn = self.file.set_len(self.len);
            return Err(self.failed("appending to", source));
        }
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Holds exactly these updates from now on.
    pub(crate) fn rewrite(&mut self, updates: &[Update]) -> Result<(), CheckpointError> {
        if updates.is_empty() {
            // The common case: everything is acknowledged, and there is nothing to lose half-way.
            self.file.set_len(0).map_err(|source| self.failed("emptying", source))?;
            self.len = 0;
            return Ok(());
        }
        let replaced = replace(&self.path, updates);
        (self.file, self.len) = replaced.map_err(|source| self.failed("rewriting", source))?;
        Ok(())
    }

    fn failed(&self, step: &'static str, source: io::Error) -> CheckpointError {
        CheckpointError { step, path: self.path.clone(), source }
    }
}

/// Writes the whole file beside the old one and puts it in its place, so that a reader sees either;
/// the open file and its length.
fn replace(path: &Path, updates: &[Update]) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let bytes: Vec<u8> =
        updates.iter().flat_map(|update| recordio::encode(&update.encode_to_vec())).collect();
    let len = bytes.len() as u64;
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)?;
    Ok((OpenOptions::new().append(true).open(path)?, len))
}

/// The updates in `bytes`, up to the first frame that cannot be read.
fn read_frames(bytes: &[u8]) -> Vec<Update> {
    let mut decoder = recordio::Decoder::new(RECORD_LEN_MAX);
    decoder.push(bytes);
    let next = || decoder.next().ok().flatten().and_then(|frame| Update::decode(frame).ok());
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(id: &str) -> Update {
        let mut update = Update::default();
        update.status.task_id.value = id.to_owned();
        update
    }

    fn ids(updates: &[Update]) -> Vec<&str> {
        updates.iter().map(|update| update.status.task_id.value.as_str()).collect()
    }

    #[test]
    fn what_was_appended_is_found_again() {
        let sandbox = tempfile::tempdir().unwrap();
        let (mut checkpoint, left) = Checkpoint::open(sandbox.path()).unwrap();
        assert_eq!(left, []);
        checkpoint.append(&update("a")).unwrap();
        checkpoint.append(&update("b")).unwrap();
        drop(checkpoint);
        let (mut checkpoint, left) = Checkpoint::open(sandbox.path()).unwrap();
        assert_eq!(ids(&left), ["a", "b"]);
        checkpoint.append(&update("c")).unwrap();
        let (_, left) = Checkpoint::open(sandbox.path()).unwrap();
        assert_eq!(ids(&left), ["a", "b", "c"]);
    }

    #[test]
    fn rewriting_leaves_what_is_given_and_appending_goes_on() {
        let sandbox = tempfile::tempdir().unwrap();
        let (mut checkpoint, _) = Checkpoint::open(sandbox.path()).unwrap();
        for id in ["a", "b", "c"] {
            checkpoint.append(&update(id)).unwrap();
        }
        checkpoint.rewrite(&[update("c")]).unwrap();
        checkpoint.append(&update("d")).unwrap();
        let path = sandbox.path().join(FILE_NAME);
        assert_eq!(ids(&read_frames(&fs::read(&path).unwrap())), ["c", "d"]);
        checkpoint.rewrite(&[]).unwrap();
        checkpoint.append(&update("e")).unwrap();
        assert_eq!(ids(&read_frames(&fs::read(&path).unwrap())), ["e"]);
    }

    #[test]
    fn a_torn_or_foreign_frame_ends_the_reading_without_harm() {
        let whole = [recordio::encode(&update("a").encode_to_vec()), recordio::encode(b"\xff\xff")];
        let torn = recordio::encode(&update("b").encode_to_vec());
        let half = torn.get(..torn.len() / 2).unwrap();
        let first = whole.first().unwrap();
        assert_eq!(ids(&read_frames(&[first, half].concat())), ["a"]);
        assert_eq!(ids(&read_frames(&whole.concat())), ["a"]);
        assert_eq!(read_frames(b"not recordio"), []);
    }

    #[test]
    fn a_sandbox_that_cannot_be_written_is_named() {
        let sandbox = tempfile::tempdir().unwrap();
        let error = Checkpoint::open(&sandbox.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent/unacknowledged-updates"), "{error}");
    }
}
