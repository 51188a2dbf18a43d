//! One output file of a task: the newest bytes are kept, in `stdout` and, of what was before,
//! `stdout.1`. Absent: any opinion on what is written; it may be binary, and endless.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;

/// A file that would grow beyond this many bytes is put aside for a new one, over the one put aside
/// before. Sandboxes share the agent's disk: each output of a task takes at most twice this.
pub(crate) const FILE_LEN_MAX: u64 = 5 * 1024 * 1024;
/// The last bytes that are kept in memory; the most an outcome carries.
const TAIL_LEN_MAX: usize = 4096;

/// A file that is written from its end, and open only while there is something to write: hundreds of
/// tasks must not use up the file descriptors.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    len: u64,
    /// The last write was not possible. Each one is tried all the same: a disk that was full may have
    /// space again, and a service writes for months.
    failing: bool,
}

/// The last bytes of an output.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<u8>);

// === impl LogFile ===

impl LogFile {
    /// Makes the file, or goes on with the one an earlier firing left.
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        let len = open(&path)?.metadata()?.len();
        Ok(Self { path, len, failing: false })
    }

    /// Adds `bytes`. `file` is the open file, for calls that follow at once.
    pub(crate) fn write(&mut self, bytes: &[u8], file: &mut Option<File>) {
        if bytes.is_empty() {
            return;
        }
        let written = self.try_write(bytes, file);
        let path = self.path.display();
        match &written {
            Ok(()) if self.failing => tracing::info!(%path, "output is kept again"),
            Err(error) if !self.failing => tracing::warn!(%path, %error, "output is dropped"),
            _ => {}
        }
        self.failing = written.is_err();
    }

    fn try_write(&mut self, bytes: &[u8], file: &mut Option<File>) -> io::Result<()> {
        if self.failing {
            // A part of what failed may be in it.
            self.len = open(&self.path)?.metadata()?.len();
        }
        let len = bytes.len() as u64;
        if self.len > 0 && self.len + len > FILE_LEN_MAX {
            *file = None;
            std::fs::rename(&self.path, aside(&self.path))?;
            self.len = 0;
        }
        let mut open = match file.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        open.write_all(bytes)?;
        self.len += len;
        *file = Some(open);
        Ok(())
    }
}

// === impl Tail ===

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.get(bytes.len().saturating_sub(TAIL_LEN_MAX)..).unwrap_or(bytes);
        self.0.extend(kept);
        self.0.drain(..self.0.len().saturating_sub(TAIL_LEN_MAX));
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.0.iter().copied().collect()
    }
}

/// Opens for appending. A link is not followed: whoever owns the task's directory may have put one
/// there that leads to a file only this executor may write.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().create(true).append(true).custom_flags(flags).open(path)
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    aside.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bytes_are_kept_within_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let mut log = LogFile::new(path.clone()).unwrap();
        let (mut file, mut written) = (None, 0_u64);
        for number in 0..400_u64 {
            let chunk = vec![number as u8; 64 * 1024];
            log.write(&chunk, &mut file);
            written += chunk.len() as u64;
        }
        let (new, old) = (std::fs::read(&path).unwrap(), std::fs::read(aside(&path)).unwrap());
        assert!(written > 4 * FILE_LEN_MAX);
        assert_eq!(old.len() as u64, FILE_LEN_MAX);
        assert!(!new.is_empty() && new.len() as u64 <= FILE_LEN_MAX);
        let kept = [old, new].concat();
        let first = 400 - kept.len() / (64 * 1024);
        let expected: Vec<u8> = (first..400).flat_map(|n| vec![n as u8; 64 * 1024]).collect();
        assert!(kept == expected, "not the newest bytes in their order");
    }

    #[test]
    fn an_earlier_firings_file_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        for text in ["one ", "two"] {
            LogFile::new(path.clone()).unwrap().write(text.as_bytes(), &mut None);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one two");
    }

    #[test]
    fn output_is_kept_again_once_that_is_possible() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task/stdout");
        let parent = path.parent().unwrap();
        std::fs::create_dir(parent).unwrap();
        let mut log = LogFile::new(path.clone()).unwrap();
        std::fs::remove_dir_all(parent).unwrap();
        log.write(b"lost", &mut None);
        std::fs::create_dir(parent).unwrap();
        std::fs::write(&path, "half").unwrap();
        log.write(b" and kept", &mut None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half and kept");
        assert_eq!((log.len, log.failing), (13, false));
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, path) = (dir.path().join("secret"), dir.path().join("stdout"));
        std::fs::write(&secret, "untouched").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert!(LogFile::new(path.clone()).is_err());
        std::fs::remove_file(&path).unwrap();
        let mut log = LogFile::new(path.clone()).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        log.write(b"pwned", &mut None);
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "untouched");
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::default();
        tail.push(&[1; 5_000]);
        tail.push(b"end");
        assert_eq!(tail.bytes().len(), TAIL_LEN_MAX);
        assert!(tail.bytes().ends_with(b"\x01end"));
    }
}
