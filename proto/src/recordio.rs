//! RecordIO framing: the length of a record in decimal ASCII, a newline, the record. No I/O, and no
//! opinion on what a record holds.

use bytes::{Bytes, BytesMut};

/// Largest record that a reader accepts unless told otherwise, in bytes. A master with thousands of
/// agents can offer all of them in one event, about a kilobyte each.
pub const MAX_RECORD_LEN_DEFAULT: usize = 64 * 1024 * 1024;

/// Digits a length may have: those of the largest 64-bit number. More can only be padding or noise.
const LEN_DIGITS_MAX: usize = 20;

/// Cuts a stream of bytes, arriving in pieces of any size, into records.
///
/// Work is linear in the bytes pushed: what has been looked at is not looked at again.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    state: State,
    max_record_len: usize,
}

/// Where in the stream the next unread byte lies.
#[derive(Clone, Debug)]
enum State {
    /// In the length line, `digits` of it read.
    Length { value: u64, digits: usize },
    /// In a record of this many bytes.
    Record { len: usize },
    /// Lost: no later byte can be trusted to begin a record.
    Failed(RecordIoError),
}

/// Why a stream is not RecordIO.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordIoError {
    /// A newline stands where a length should.
    #[error(
        "RecordIO: a record's length is empty; the peer must send decimal digits before the newline"
    )]
    EmptyLength,
    /// Something else than a digit stands in the length.
    #[error("RecordIO: byte {0:#04x} in a record's length; only decimal digits may stand there")]
    NotADigit(u8),
    /// The length has more digits than any 64-bit number.
    #[error("RecordIO: a record's length has more than {LEN_DIGITS_MAX} digits")]
    TooManyDigits,
    /// The record is longer than this reader accepts.
    #[error(
        "RecordIO: a record of {len} bytes is over the limit of {max}; raise the limit if it is real"
    )]
    TooLong {
        /// Length as far as it was read, in bytes.
        len: u64,
        /// The limit, in bytes.
        max: usize,
    },
    /// The stream ended inside a length or a record.
    #[error(
        "RecordIO: the stream ended inside a record, after {have} bytes of it; read again from a new stream"
    )]
    Truncated {
        /// Bytes of the unfinished record (or of its length line) that did arrive.
        have: usize,
    },
}

// === impl State ===

impl State {
    const START: Self = Self::Length { value: 0, digits: 0 };
}

// === impl Decoder ===

impl Decoder {
    /// A decoder at the start of a stream that refuses records of more than `max_record_len` bytes.
    pub fn new(max_record_len: usize) -> Self {
        Self { buffer: BytesMut::new(), state: State::START, max_record_len }
    }

    /// Takes the next bytes of the stream. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failed(_)) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole record, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The first malformed length, and the same error for ever after.
    // An iterator could not say "not yet" and go on, and the error must be sticky.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Bytes>, RecordIoError> {
        let step = self.advance();
        if let Err(error) = &step {
            self.state = State::Failed(error.clone());
            self.buffer = BytesMut::new();
        }
        step
    }

    /// Says whether the stream may end here.
    ///
    /// # Errors
    /// [`RecordIoError::Truncated`] inside a record; the earlier error when there was one.
    pub fn finish(&self) -> Result<(), RecordIoError> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Record { .. } => Err(RecordIoError::Truncated { have: self.buffer.len() }),
            State::Length { digits, .. } if digits + self.buffer.len() > 0 => {
                Err(RecordIoError::Truncated { have: digits + self.buffer.len() })
            }
            State::Length { .. } => Ok(()),
        }
    }

    fn advance(&mut self) -> Result<Option<Bytes>, RecordIoError> {
        loop {
            match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Record { len } if self.buffer.len() < *len => return Ok(None),
                State::Record { len } => {
                    let record = self.buffer.split_to(*len).freeze();
                    self.state = State::START;
                    return Ok(Some(record));
                }
                State::Length { value, digits } => match self.read_length(*value, *digits)? {
                    Some(len) => self.state = State::Record { len },
                    None => return Ok(None),
                },
            }
        }
    }

    /// Reads on in a length line; the length when its newline was reached.
    fn read_length(
        &mut self,
        mut value: u64,
        mut digits: usize,
    ) -> Result<Option<usize>, RecordIoError> {
        for (at, &byte) in self.buffer.iter().enumerate() {
            if byte == b'\n' {
                if digits == 0 {
                    return Err(RecordIoError::EmptyLength);
                }
                let _line = self.buffer.split_to(at + 1);
                let too_long = RecordIoError::TooLong { len: value, max: self.max_record_len };
                return usize::try_from(value).map(Some).map_err(|_| too_long);
            }
            if !byte.is_ascii_digit() {
                return Err(RecordIoError::NotADigit(byte));
            }
            digits += 1;
            if digits > LEN_DIGITS_MAX {
                return Err(RecordIoError::TooManyDigits);
            }
            let longer =
                value.checked_mul(10).and_then(|ten| ten.checked_add(u64::from(byte - b'0')));
            let too_long = || RecordIoError::TooLong {
                len: longer.unwrap_or(u64::MAX),
                max: self.max_record_len,
            };
            value = longer.filter(|&len| len <= self.max_record_len as u64).ok_or_else(too_long)?;
        }
        self.buffer.clear();
        self.state = State::Length { value, digits };
        Ok(None)
    }
}

/// A record with its length line in front, ready to be written.
pub fn encode(record: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(record.len() + LEN_DIGITS_MAX + 1);
    framed.extend_from_slice(record.len().to_string().as_bytes());
    framed.extend_from_slice(b"\n");
    framed.extend_from_slice(record);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(decoder: &mut Decoder) -> Result<Vec<Bytes>, RecordIoError> {
        let mut records = Vec::new();
        while let Some(record) = decoder.next()? {
            records.push(record);
        }
        Ok(records)
    }

    fn error_of(bytes: &[u8], max: usize) -> RecordIoError {
        let mut decoder = Decoder::new(max);
        decoder.push(bytes);
        let error = decode_all(&mut decoder).unwrap_err();
        decoder.push(b"2\nok");
        assert_eq!(decoder.next(), Err(error.clone()), "an error stays");
        assert_eq!(decoder.finish(), Err(error.clone()), "at the end too");
        error
    }

    #[test]
    fn records_of_every_size_are_framed_as_mesos_does() {
        assert_eq!(encode(b"hello"), Bytes::from_static(b"5\nhello"));
        assert_eq!(encode(b""), Bytes::from_static(b"0\n"));
        let mut decoder = Decoder::new(5);
        decoder.push(b"5\nhello0\n003\nabc");
        let records = decode_all(&mut decoder).unwrap();
        assert_eq!(records, [&b"hello"[..], b"", b"abc"]);
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn malformed_lengths_are_refused_for_good() {
        assert_eq!(error_of(b"\nabc", 9), RecordIoError::EmptyLength);
        assert_eq!(error_of(b"-1\n", 9), RecordIoError::NotADigit(b'-'));
        assert_eq!(error_of(b"1\r\nx", 9), RecordIoError::NotADigit(b'\r'));
        assert_eq!(error_of(b"10\n", 9), RecordIoError::TooLong { len: 10, max: 9 });
        assert_eq!(error_of(&[b'0'; 21], 9), RecordIoError::TooManyDigits);
        let error = error_of(&[b'9'; 20], usize::MAX);
        assert!(matches!(error, RecordIoError::TooLong { .. }), "{error}");
    }

    #[test]
    fn records_before_the_error_are_delivered() {
        let mut decoder = Decoder::new(9);
        decoder.push(b"1\nax");
        assert_eq!(decoder.next(), Ok(Some(Bytes::from_static(b"a"))));
        assert_eq!(decoder.next(), Err(RecordIoError::NotADigit(b'x')));
    }

    #[test]
    fn an_end_inside_a_record_is_an_error() {
        for (bytes, have) in [(&b"1"[..], 1), (b"3\nab", 2), (b"3\n", 0)] {
            let mut decoder = Decoder::new(9);
            decoder.push(bytes);
            assert_eq!(decoder.next(), Ok(None));
            assert_eq!(decoder.finish(), Err(RecordIoError::Truncated { have }));
        }
    }

    proptest! {
        #[test]
        fn any_split_of_any_records_decodes_to_the_same(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(1usize..40, 1..40),
        ) {
            let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
            let mut decoder = Decoder::new(300);
            let mut decoded = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                decoder.push(piece);
                decoded.extend(decode_all(&mut decoder).unwrap());
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(decoded, records);
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..10),
        ) {
            let mut decoder = Decoder::new(20);
            let mut yielded = 0;
            for piece in &pieces {
                decoder.push(piece);
                while let Ok(Some(record)) = decoder.next() {
                    yielded += record.len() + 2;
                }
            }
            let pushed: usize = pieces.iter().map(Vec::len).sum();
            prop_assert!(yielded <= pushed, "{} bytes out of {}", yielded, pushed);
        }
    }
}
