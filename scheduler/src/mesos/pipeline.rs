//! ACKNOWLEDGEs in one piece: written together on a connection of their own, their answers read in
//! order, as HTTP/1.1 allows and Mesos' own libraries do. A round trip each would cost most of what
//! launching a task costs. Absent: any reading of an answer but that the call was taken; whatever else
//! happens, what is not answered so is for the caller to send in the ordinary way. It may arrive
//! twice then, which does no harm to an ACKNOWLEDGE.
//!
//! Only without TLS, where there is nothing between the calls and the socket.

use std::io::Write as _;

use bytes::{Buf as _, Bytes, BytesMut};
use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::session::Session;

/// The head of an answer is a few lines; a longer one is none that is understood here.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of an answer that are looked at.
const HEADERS_MAX: usize = 64;
/// Answers read at once.
const READ_BYTES: usize = 64 * 1024;

/// The connection for ACKNOWLEDGEs, opened when it is first needed.
#[derive(Debug)]
pub(super) struct Pipeline {
    authorization: Option<HeaderValue>,
    connection: Option<Connection>,
    requests: Vec<u8>,
}

/// A connection of one subscription.
#[derive(Debug)]
struct Connection {
    epoch: u64,
    answers: OwnedReadHalf,
    requests: OwnedWriteHalf,
    read: BytesMut,
}

/// What was read so far.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The call was taken, which takes so many bytes to say.
    Taken { len: usize },
    /// More must come.
    Incomplete,
    /// Anything else.
    Other,
}

// === impl Pipeline ===

impl Pipeline {
    /// Nothing is connected yet. `authorization` is sent with every call.
    pub(super) fn new(authorization: Option<HeaderValue>) -> Self {
        Self { authorization, connection: None, requests: Vec::new() }
    }

    /// Sends calls; tells how many of them, from the first on, the master took. May be dropped while
    /// it waits, as when it takes too long.
    pub(super) async fn send(&mut self, session: &Session, calls: &[Bytes]) -> usize {
        // What is given up half-way is not gone on with: the connection is put back when all is well.
        let connection = self.connection.take().filter(|open| open.epoch == session.epoch);
        let connection = match connection {
            Some(connection) => Some(connection),
            None => Connection::open(session).await,
        };
        let Some(mut connection) = connection else { return 0 };
        self.requests.clear();
        for call in calls {
            self.write(session, call);
        }
        let mut taken = 0;
        let Connection { answers, requests, read, .. } = &mut connection;
        let writing = async { requests.write_all(&self.requests).await.ok() };
        let reading = async {
            while taken < calls.len() {
                next_taken(answers, read).await?;
                taken += 1;
            }
            Some(())
        };
        // Either that fails ends the other: an answer that is not expected, a socket that takes no more.
        if tokio::try_join!(async { writing.await.ok_or(()) }, async { reading.await.ok_or(()) })
            .is_ok()
        {
            self.connection = Some(connection);
        }
        taken
    }

    fn write(&mut self, session: &Session, call: &[u8]) {
        let requests = &mut self.requests;
        let (path, authority) = (session.url.path(), session.url.authority());
        // Writing to a vector cannot fail.
        let _written = write!(
            requests,
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/x-protobuf\r\n\
             Accept: application/x-protobuf\r\nContent-Length: {}\r\nMesos-Stream-Id: ",
            call.len()
        );
        requests.extend_from_slice(session.stream_id.as_bytes());
        if let Some(authorization) = &self.authorization {
            requests.extend_from_slice(b"\r\nAuthorization: ");
            requests.extend_from_slice(authorization.as_bytes());
        }
        requests.extend_from_slice(b"\r\n\r\n");
        requests.extend_from_slice(call);
    }
}

// === impl Connection ===

impl Connection {
    /// None where there is TLS, or nobody listens.
    async fn open(session: &Session) -> Option<Self> {
        if session.url.scheme() != "http" {
            return None;
        }
        let host = session.url.host_str()?.trim_matches(['[', ']']);
        let port = session.url.port_or_known_default()?;
        let stream = TcpStream::connect((host, port)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (answers, requests) = stream.into_split();
        Some(Self { epoch: session.epoch, answers, requests, read: BytesMut::new() })
    }
}

/// Reads the next answer; none if it says anything but that the call was taken.
async fn next_taken(answers: &mut OwnedReadHalf, read: &mut BytesMut) -> Option<()> {
    loop {
        match answer(read) {
            Answer::Taken { len } => {
                read.advance(len);
                return Some(());
            }
            Answer::Incomplete => {}
            Answer::Other => return None,
        }
        read.reserve(READ_BYTES);
        if read.len() > HEAD_BYTES_MAX || answers.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

/// What was read begins with an answer: that is expected to be 202 without a body, on a connection that
/// stays open.
fn answer(read: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let len = match answer.parse(read) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Answer::Incomplete,
        Err(_) => return Answer::Other,
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    };
    let is_expected = answer.code == Some(202)
        && field("content-length") == Some(b"0")
        && field("transfer-encoding").is_none()
        && field("connection").is_none_or(|value| !value.eq_ignore_ascii_case(b"close"));
    if is_expected { Answer::Taken { len } } else { Answer::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_answer_is_expected() {
        let read = |text: &str| answer(text.as_bytes());
        let taken = "HTTP/1.1 202 Accepted\r\nDate: now\r\nContent-Length: 0\r\n\r\n";
        let whole = Answer::Taken { len: taken.len() };
        assert_eq!(read(taken), whole);
        assert_eq!(read(&taken.repeat(2)), whole, "the next one is left");
        assert_eq!(read(&taken[..taken.len() - 1]), Answer::Incomplete);
        assert_eq!(read(""), Answer::Incomplete);
        for other in [
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 202 Accepted\r\n\r\n",
            "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "not HTTP at all\r\n\r\n",
        ] {
            assert_eq!(read(other), Answer::Other, "{other}");
        }
    }
}
