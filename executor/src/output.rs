//! What a script writes: into a file, and its last bytes into memory. Absent: the bound of the file,
//! which is the file's own.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::logfile::{LogFile, Tail};

/// How much is read at a time.
const READ_LEN: usize = 16 * 1024;
/// How much is read before others get a turn: one full pipe of the usual size.
const TURN_LEN_MAX: usize = 64 * 1024;
/// How much may still be read when the writer is gone: the largest pipe an ordinary user can make.
/// A bound, as a process that stays behind may write without end.
const REST_LEN_MAX: usize = 1024 * 1024;

/// One output of a script.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: pipe::Receiver,
    sink: Mutex<Sink>,
}

#[derive(Debug)]
struct Sink {
    log: LogFile,
    tail: Tail,
}

/// Whether a pipe may hold more.
enum Left {
    Perhaps,
    /// Every writer has closed its end.
    Nothing,
}

// === impl Output ===

impl Output {
    /// Takes what comes through `pipe` into `path`.
    pub(crate) fn new(pipe: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let sink = Sink { log: LogFile::new(path)?, tail: Tail::default() };
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
        sink.tail.bytes()
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
            let bytes = buffer.get(..len).unwrap_or(&[]);
            sink.tail.push(bytes);
            sink.log.write(bytes, &mut file);
        }
        Ok(Left::Perhaps)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;

    use super::*;

    fn output(dir: &Path) -> (Output, File) {
        let (reader, writer) = io::pipe().unwrap();
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        (Output::new(reader, dir.join("out")).unwrap(), File::from(writer))
    }

    #[tokio::test]
    async fn the_file_has_everything_and_the_tail_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (output, mut writer) = output(dir.path());
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
        let (output, mut writer) = output(dir.path());
        writer.write_all(b"last words").unwrap();
        output.take_rest();
        assert_eq!(output.tail(), "last words");
    }
}
