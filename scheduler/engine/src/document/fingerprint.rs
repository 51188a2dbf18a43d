//! A short mark of a document, to tell whether it is still the one somebody saw.
//! Absent: protection against people who look for two documents with one mark; whoever may write a
//! document gains nothing by that.

/// The mark of a document's stored text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// Where FNV-1a begins (draft-eastlake-fnv, 64 bits).
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
/// What FNV-1a multiplies by.
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Fingerprint {
    /// The fingerprint of a stored text. The same text has the same one on every machine and in
    /// every version.
    pub fn of(text: &str) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        Self(text.bytes().fold(OFFSET_BASIS, mix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(Fingerprint::of(""), Fingerprint(0xcbf2_9ce4_8422_2325));
        assert_eq!(Fingerprint::of("a"), Fingerprint(0xaf63_dc4c_8601_ec8c));
        assert_eq!(Fingerprint::of("foobar"), Fingerprint(0x8594_4171_f739_67e8));
    }
}
