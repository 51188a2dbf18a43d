//! Amounts in one word: a share of the largest agent for each kind, so that one subtraction tells
//! most agents that lack something from those that may not. Absent: exact amounts.

use super::amounts::KINDS;

/// Bits of a share.
const SHARE_BITS: u32 = 11;

/// The largest share: all that the largest agent has. More bits would leave no room for the guards.
pub(super) const SHARE_MAX: i64 = (1 << SHARE_BITS) - 1;

/// A share and its guard.
const FIELD_BITS: u32 = SHARE_BITS + 1;

/// The bit above each share: a subtraction borrows from it and from no neighbour.
const GUARDS: u64 = {
    let mut guards = 0;
    let mut kind = 0;
    while kind < KINDS as u32 {
        guards |= 1 << (kind * FIELD_BITS + SHARE_BITS);
        kind += 1;
    }
    guards
};

/// Shares of all kinds side by side, rounded down. Of two amounts the smaller has no larger share, so
/// what an outline does not cover its amounts do not cover either; the opposite is for the amounts
/// to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outline(u64);

impl Outline {
    /// Shares from 0 to [`SHARE_MAX`], kind by kind.
    pub(super) fn of(shares: [u16; KINDS]) -> Self {
        Self(shares.iter().rev().fold(0, |word, share| (word << FIELD_BITS) | u64::from(*share)))
    }

    /// False only if some share of `need` is larger.
    pub(super) fn covers(self, need: Self) -> bool {
        self.not_below(need) == GUARDS
    }

    /// Becomes at least `other` in every kind.
    pub(super) fn raise(&mut self, other: Self) {
        let guards = self.not_below(other);
        // A guard less its lowest bit is a field of ones: where the own share stays.
        let own = guards - (guards >> SHARE_BITS);
        self.0 = (self.0 & own) | (other.0 & !own);
    }

    /// The guards of the kinds of which this has at least as much.
    fn not_below(self, other: Self) -> u64 {
        ((self.0 | GUARDS) - other.0) & GUARDS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares() -> impl Strategy<Value = [u16; KINDS]> {
        let share = prop_oneof![Just(0), Just(SHARE_MAX as u16), 0..=SHARE_MAX as u16];
        prop::array::uniform5(share)
    }

    proptest! {
        #[test]
        fn a_word_compares_as_its_shares_do(one in shares(), other in shares()) {
            let pairs = || one.iter().zip(other);
            let covers = pairs().all(|(one, other)| *one >= other);
            prop_assert_eq!(Outline::of(one).covers(Outline::of(other)), covers);
            let mut raised = Outline::of(one);
            raised.raise(Outline::of(other));
            let most: Vec<u16> = pairs().map(|(one, other)| other.max(*one)).collect();
            prop_assert_eq!(raised, Outline::of(most.try_into().unwrap()));
        }
    }
}
