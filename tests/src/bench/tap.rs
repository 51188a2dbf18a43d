//! A wire tap between a scheduler and its master: what is sent passes unchanged, and each ACCEPT is
//! noted with the moment it had arrived whole. So what is measured is what a master sees, and neither
//! program is asked. Absent: answers, which pass unread.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A head of a request is far shorter; more means that this is no HTTP.
const HEAD_LEN_MAX: usize = 64 * 1024;
/// Read at once.
const READ_LEN: usize = 256 * 1024;

/// The tap, until it is dropped.
pub(super) struct Tap {
    address: String,
    calls: mpsc::UnboundedReceiver<Seen>,
    listening: JoinHandle<()>,
}

/// A call as it passed by; read only when somebody asks, so that reading does not delay others.
struct Seen {
    at: SystemTime,
    call: Bytes,
}

/// A task of an ACCEPT.
pub(super) struct Accepted {
    /// When the last byte of its call had arrived.
    pub(super) at: SystemTime,
    /// The task's job.
    pub(super) job: String,
}

/// Requests of one connection, of which some bytes have arrived.
#[derive(Debug, Default)]
struct Requests {
    arrived: BytesMut,
    /// Bytes of the body whose head has been read.
    body_len: Option<usize>,
}

// === impl Tap ===

impl Tap {
    /// Listens on a free port for a scheduler whose master is at `master`.
    pub(super) async fn start(master: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (seen, calls) = mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            while let Ok((scheduler, _)) = listener.accept().await {
                tokio::spawn(join(scheduler, master.clone(), seen.clone()));
            }
        });
        Ok(Self { address, calls, listening })
    }

    /// What the scheduler takes for its master.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The tasks of all ACCEPTs since the last time, in their order.
    pub(super) fn take(&mut self) -> Result<Vec<Accepted>> {
        let mut accepted = Vec::new();
        while let Ok(Seen { at, call }) = self.calls.try_recv() {
            let call = Call::decode(call).context("a call of the scheduler")?;
            if call.r#type() != call::Type::Accept {
                continue;
            }
            let operations = call.accept.into_iter().flat_map(|accept| accept.operations);
            let launches = operations.filter_map(|operation| operation.launch);
            for task in launches.flat_map(|launch| launch.task_infos) {
                let job = task.task_id.value.split("@-@").next().unwrap_or_default().to_owned();
                accepted.push(Accepted { at, job });
            }
        }
        Ok(accepted)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Lets one connection pass until either side ends it.
async fn join(scheduler: TcpStream, master: String, seen: mpsc::UnboundedSender<Seen>) {
    let Ok(master) = TcpStream::connect(master).await else { return };
    // Small messages must not wait for each other; where they may, they do.
    let _slower = (scheduler.set_nodelay(true), master.set_nodelay(true));
    let (from_scheduler, mut to_scheduler) = scheduler.into_split();
    let (mut from_master, to_master) = master.into_split();
    let answers = tokio::io::copy(&mut from_master, &mut to_scheduler);
    tokio::select! {
        _ = answers => {}
        _ = pass(from_scheduler, to_master, &seen) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    seen: &mpsc::UnboundedSender<Seen>,
) -> Result<()> {
    let mut requests = Requests::default();
    let mut read = BytesMut::with_capacity(READ_LEN);
    loop {
        read.reserve(READ_LEN);
        if from.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        let at = SystemTime::now();
        to.write_all(&read).await?;
        requests.arrived.extend_from_slice(&read);
        read.clear();
        while let Some(call) = requests.next()? {
            // Nobody measures any more.
            let _unseen = seen.send(Seen { at, call });
        }
    }
}

// === impl Requests ===

impl Requests {
    /// The body of the next request that has arrived whole.
    fn next(&mut self) -> Result<Option<Bytes>> {
        let body_len = if let Some(len) = self.body_len {
            len
        } else {
            let Some(head_len) = find(&self.arrived, b"\r\n\r\n") else {
                ensure!(self.arrived.len() < HEAD_LEN_MAX, "no head of a request");
                return Ok(None);
            };
            let head = self.arrived.split_to(head_len);
            self.arrived.advance(4);
            *self.body_len.insert(content_length(&head)?)
        };
        if self.arrived.len() < body_len {
            return Ok(None);
        }
        self.body_len = None;
        Ok(Some(self.arrived.split_to(body_len).freeze()))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = String::from_utf8_lossy(head);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().context("a request without Content-Length")?;
    length.trim().parse().context("Content-Length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_found_however_requests_are_cut_into_pieces() {
        let text = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nHost: a\r\n\
                     Content-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n:";
        for piece in [1, 2, 3, 7, text.len()] {
            let (mut requests, mut bodies) = (Requests::default(), Vec::new());
            for piece in text.chunks(piece) {
                requests.arrived.extend_from_slice(piece);
                while let Some(body) = requests.next().unwrap() {
                    bodies.push(body);
                }
            }
            assert_eq!(bodies, [&b"abc"[..], b"", b":"], "in pieces of {piece}");
        }
    }

    #[test]
    fn a_request_that_does_not_say_its_length_is_an_error() {
        let mut requests = Requests::default();
        requests.arrived.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert!(requests.next().is_err());
    }
}
