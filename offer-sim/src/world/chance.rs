//! Chance that is no chance: numbers that follow from a seed and a name, or from a seed and how
//! many were drawn before. No clock and no system source.

use super::distribution::unit;

/// Numbers for things that have names: the same for the same name, in whatever order they are
/// asked for, so that one more task does not change what becomes of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    seed: u64,
}

// === impl Fate ===

impl Fate {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A number for `name` and what it is for.
    pub(super) fn draw(self, purpose: &str, name: &str) -> u64 {
        // FNV-1a, then the mixer: names that differ in their last letter have nothing in common.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ mix(self.seed);
        for byte in purpose.bytes().chain([0]).chain(name.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        mix(hash)
    }

    /// A number for the how-manieth of something.
    pub(super) fn number(self, purpose: &str, number: u64) -> u64 {
        mix(self.draw(purpose, "").wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Whether something of this probability happens to the how-manieth of something.
    pub(super) fn happens_to(self, purpose: &str, number: u64, probability: f64) -> bool {
        unit(self.number(purpose, number)) < probability
    }

    /// Whether something of this probability happens to `name`.
    pub(super) fn happens(self, purpose: &str, name: &str, probability: f64) -> bool {
        unit(self.draw(purpose, name)) < probability
    }
}

/// Three mixing steps of `SplitMix64`.
pub(super) fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
