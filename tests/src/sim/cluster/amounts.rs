//! Amounts of resources as the master counts them. Absent: ports and reservations; one role holds all.

use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, Resources};

/// Thousandths by kind, in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts([i64; 4]);

impl Amounts {
    pub(crate) fn new(cpus: i64, mem: i64) -> Self {
        Self([cpus, mem, 0, 0])
    }

    pub(crate) fn of(resources: &Resources) -> Self {
        Self(Kind::ALL.map(|kind| resources.total(kind).0))
    }

    /// True if `other` fits into it, kind by kind.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(has, needs)| *has >= needs)
    }

    /// True if there is too little of something to run anything at all.
    pub(crate) fn is_crumb(&self) -> bool {
        /// The smallest offer a master makes: 0.01 cpus and 32 MB.
        const CRUMB: Amounts = Amounts([10, 32_000, 0, 0]);
        !self.covers(&CRUMB)
    }

    /// The resources of an offer of this size.
    pub(crate) fn to_resources(self, origin: &Arc<Origin>) -> Resources {
        let pieces = Kind::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, amount)| *amount > 0)
            .map(|(kind, amount)| Piece { kind, amount: Milli(amount), origin: Arc::clone(origin) })
            .collect();
        Resources { pieces, ports: Vec::new() }
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl SubAssign for Amounts {
    fn sub_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine -= theirs;
        }
    }
}
