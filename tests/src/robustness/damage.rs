//! Ways in which valid bytes become invalid ones: what a fuzzer would try first.

/// Longest input that is made, bytes: what is wrong shows in small ones, and they are quick to read.
const LEN_MAX: usize = 8 * 1024;
/// Most copies of a piece: deep nesting and long lists.
const COPIES_MAX: u8 = 200;

/// One change of some bytes. Places are shares of the length, so that an edit fits any input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A bit is turned over.
    Flip {
        /// Where.
        at: u16,
        /// Which, from 0 to 7.
        bit: u8,
    },
    /// A byte is another one.
    Put {
        /// Where.
        at: u16,
        /// The new one.
        byte: u8,
    },
    /// Some bytes come between.
    Insert {
        /// Where.
        at: u16,
        /// What.
        bytes: Vec<u8>,
    },
    /// All from here on is gone.
    Truncate {
        /// From where.
        at: u16,
    },
    /// A piece is gone.
    Remove {
        /// From here.
        from: u16,
        /// To here.
        to: u16,
    },
    /// A piece of another valid input takes the place of all that follows.
    Splice {
        /// Where.
        at: u16,
        /// Which input, counted round.
        other: u8,
        /// From where in it.
        from: u16,
    },
    /// A piece is there many times.
    Repeat {
        /// From here.
        from: u16,
        /// To here.
        to: u16,
        /// How often.
        times: u8,
    },
}

/// A place in something of that length.
fn place(share: u16, len: usize) -> usize {
    len * usize::from(share) / (usize::from(u16::MAX) + 1)
}

fn span(from: u16, to: u16, len: usize) -> std::ops::Range<usize> {
    place(from.min(to), len)..place(from.max(to), len)
}

// === impl Edit ===

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let len = bytes.len();
        match self {
            Self::Flip { at, bit } => {
                if let Some(byte) = bytes.get_mut(place(*at, len)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Put { at, byte } => {
                if let Some(found) = bytes.get_mut(place(*at, len)) {
                    *found = *byte;
                }
            }
            Self::Insert { at, bytes: new } => {
                let at = place(*at, len);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Truncate { at } => bytes.truncate(place(*at, len)),
            Self::Remove { from, to } => {
                bytes.drain(span(*from, *to, len));
            }
            Self::Splice { at, other, from } => {
                let Some(other) = seeds.get(usize::from(*other) % seeds.len().max(1)) else {
                    return;
                };
                bytes.truncate(place(*at, len));
                bytes.extend(other.iter().skip(place(*from, other.len())));
            }
            Self::Repeat { from, to, times } => {
                let span = span(*from, *to, len);
                let piece = bytes.get(span.clone()).unwrap_or_default();
                let copies = piece.repeat(usize::from((*times).min(COPIES_MAX)));
                bytes.splice(span.end..span.end, copies);
            }
        }
        bytes.truncate(LEN_MAX);
    }
}

/// One of the valid inputs, counted round, after some edits.
pub fn damaged(seeds: &[Vec<u8>], which: usize, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seeds.get(which % seeds.len().max(1)).cloned().unwrap_or_default();
    for edit in edits {
        edit.apply(&mut bytes, seeds);
    }
    bytes
}
