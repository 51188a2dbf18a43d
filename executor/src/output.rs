//! What a script writes: into a file up to a limit, and its last bytes into memory. Absent: any
//! opinion on what is written; it may be binary, and endless.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::net::unix::pipe;

/// The most that is kept of each of stdout and stderr, in bytes. Sandboxes share the agent's disk,
/// and one looping script must not fill it.
const FILE_LEN_MAX: u64 = 10 * 1024 * 1024;
/// A daemon's file that is longer than this when a firing begins is put aside for a new one, so that
/// every firing has half the limit to itself at least.
const FILE_LEN_ROTATE: u64 = FILE_LEN_MAX / 2;
/// The last bytes of stderr that are kept in memory; the most an outcome carries.
const TAIL_LEN_MAX: usize = 4096;
/// How much is read at a time.
const READ_LEN: usize = 16 * 1024;
/// How much is read before others get a turn: one full pipe of the usual size.
const TURN_LEN_MAX: usize = 64 * 1024;
/// How much may still be read when the writer is gone: the largest pipe an ordinary user can make.
/// A bound, as a process that stays behind may write without end.
const REST_LEN_MAX: usize = 1024 * 1024;
/// Stands in the file where the rest was dropped.
const MARKER: &[u8] =
    b"\n[shiftwork: the output reached its limit of 10 MiB, the rest is dropped]\n";

/// One output of a script.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: pipe::Receiver,
    sink: Mutex<Sink>,
}

#[derive(Debug)]
struct Sink {
    path: PathBuf,
    len: u64,
    closed: bool,
    tail: Option<VecDeque<u8>>,
}

/// Whether a pipe may hold more.
enum Left {
    Perhaps,
    /// Every writer has closed its end.
    Nothing,
}

// === impl Output ===

impl Output {
    /// Takes what comes through `pipe` into `path`; keeps the tail if `with_tail`.
    pub(crate) fn new(pipe: OwnedFd, path: PathBuf, with_tail: bool) -> io::Result<Self> {
        let len = begin_file(&path)?;
        let sink = Sink { path, len, closed: false, tail: with_tail.then(VecDeque::new) };
        Ok(Self { pipe: pipe::Receiver::from_owned_fd(pipe)?, sink: Mutex::new(sink) })
    }

    /// Takes what comes until every writer has closed its end.
    pub(crate) async fn pump(&self) {
        let read = |buffer: &mut [u8]| self.pipe.try_read(buffer);
        while self.pipe.readable().await.is_ok() {
            match self.take(read, TURN_LEN_MAX) {
                Ok(Left::Perhaps) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(Left::Nothing) | Err(_) => return,
            }
        }
    }

    /// Takes what is in the pipe now, without waiting.
    pub(crate) fn take_rest(&self) {
        // Past tokio's notion of readiness, which may not have heard of the script's last words yet.
        let read = |buffer: &mut [u8]| loop {
            match rustix::io::read(self.pipe.as_fd(), &mut *buffer) {
                Err(Errno::INTR) => {}
                result => return result.map_err(io::Error::from),
            }
        };
        // An error ends it as an empty pipe does: there is nothing more to be had.
        let _ended = self.take(read, REST_LEN_MAX);
    }

    /// The last bytes written.
    pub(crate) fn tail(&self) -> Bytes {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.tail.iter().flatten().copied().collect()
    }

    /// Takes up to `len_max` bytes.
    fn take(
        &self,
        read: impl Fn(&mut [u8]) -> io::Result<usize>,
        len_max: usize,
    ) -> io::Result<Left> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = None;
        let mut buffer = [0_u8; READ_LEN];
        let mut taken = 0;
        while taken < len_max {
            let len = read(&mut buffer)?;
            if len == 0 {
                return Ok(Left::Nothing);
            }
            taken += len;
            sink.take(buffer.get(..len).unwrap_or(&[]), &mut file);
        }
        Ok(Left::Perhaps)
    }
}

// === impl Sink ===

impl Sink {
    fn take(&mut self, bytes: &[u8], file: &mut Option<File>) {
        if let Some(tail) = &mut self.tail {
            tail.extend(bytes);
            tail.drain(..tail.len().saturating_sub(TAIL_LEN_MAX));
        }
        if self.closed {
            return;
        }
        let room = usize::try_from(FILE_LEN_MAX.saturating_sub(self.len)).unwrap_or(usize::MAX);
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.len += kept.len() as u64;
        self.closed = kept.len() < bytes.len();
        let marker = if self.closed { MARKER } else { &[] };
        let written =
            append(&self.path, file, kept).and_then(|()| append(&self.path, file, marker));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "output is dropped from here on");
            self.closed = true;
        }
    }
}

/// The file is open only while there is something to write: hundreds of tasks must not use up the
/// file descriptors.
fn append(path: &Path, file: &mut Option<File>, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut open = match file.take() {
        Some(open) => open,
        None => OpenOptions::new().create(true).append(true).open(path)?,
    };
    open.write_all(bytes)?;
    *file = Some(open);
    Ok(())
}

/// Makes the file, or goes on with the one an earlier firing left, and tells how long it is.
fn begin_file(path: &Path) -> io::Result<u64> {
    let len = OpenOptions::new().create(true).append(true).open(path)?.metadata()?.len();
    if len <= FILE_LEN_ROTATE {
        return Ok(len);
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    std::fs::rename(path, aside)?;
    File::create(path)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(dir: &Path, with_tail: bool) -> (Output, File) {
        let (reader, writer) = io::pipe().unwrap();
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        (Output::new(reader, dir.join("out"), with_tail).unwrap(), File::from(writer))
    }

    #[tokio::test]
    async fn the_file_has_everything_and_the_tail_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (output, mut writer) = output(dir.path(), true);
        let all: Vec<u8> = (0..6_000_u32).map(|n| n as u8).collect();
        writer.write_all(&all).unwrap();
        drop(writer);
        output.pump().await;
        assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), all);
        assert_eq!(output.tail(), all.get(6_000 - 4_096..).unwrap());
    }

    #[tokio::test]
    async fn the_rest_is_taken_without_waiting_for_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let (output, mut writer) = output(dir.path(), true);
        writer.write_all(b"last words").unwrap();
        output.take_rest();
        assert_eq!(output.tail(), "last words");
    }

    #[tokio::test]
    async fn beyond_the_limit_the_tail_goes_on_and_the_file_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (output, mut writer) = output(dir.path(), true);
        output.sink.lock().unwrap().len = FILE_LEN_MAX - 3;
        writer.write_all(b"abcdef").unwrap();
        output.take_rest();
        writer.write_all(b"ghi").unwrap();
        output.take_rest();
        let expected = [b"abc", MARKER].concat();
        assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), expected);
        assert_eq!(output.tail(), "abcdefghi");
    }

    #[test]
    fn a_long_file_makes_room_for_the_next_firing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        assert_eq!(begin_file(&path).unwrap(), 0);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(begin_file(&path).unwrap(), 5);
        File::create(&path).unwrap().set_len(FILE_LEN_ROTATE + 1).unwrap();
        assert_eq!(begin_file(&path).unwrap(), 0);
        assert_eq!(std::fs::metadata(dir.path().join("out.1")).unwrap().len(), FILE_LEN_ROTATE + 1);
    }
}
