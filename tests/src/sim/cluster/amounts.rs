//! Amounts of resources as the master counts them: what nobody reserved and what is reserved for our
//! role, apart, and ports one by one. Absent: further roles; all is allocated to one.

use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, PortPiece, Resources};

use super::ROLE;

/// The first port a machine has; it has at most [`PORTS_MAX`] from there on.
const PORTS_BEGIN: u32 = 31_000;
/// A bit each.
const PORTS_MAX: u32 = u64::BITS;
/// What resources are of: nobody reserved them, or they are reserved for our role.
#[derive(Debug, Clone)]
pub(super) struct Origins([Arc<Origin>; 2]);

/// Thousandths by kind, in the order of [`Kind::ALL`], and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pool {
    scalars: [i64; 4],
    ports: u64,
}

/// Resources by their origin: unreserved, then reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts([Pool; 2]);

// === impl Origins ===

impl Origins {
    pub(super) fn new() -> Self {
        let origin = |reserved| {
            let wire: &[u8] = if reserved { b"reserved" } else { b"" };
            Arc::new(Origin { role: ROLE.into(), reserved, wire: wire.into() })
        };
        Self([origin(false), origin(true)])
    }

    /// True if all of it names an origin as it was offered.
    pub(super) fn are_of(&self, resources: &Resources) -> bool {
        let pieces = resources.pieces.iter().map(|piece| &piece.origin);
        let mut origins = pieces.chain(resources.ports.iter().map(|range| &range.origin));
        origins.all(|origin| self.0.contains(origin))
    }
}

// === impl Amounts ===

impl Amounts {
    /// Cpus and memory that nobody reserved, in thousandths.
    pub(crate) fn new(cpus: i64, mem: i64) -> Self {
        let unreserved = Pool { scalars: [cpus, mem, 0, 0], ports: 0 };
        Self([unreserved, Pool::default()])
    }

    /// The same with more of other kinds, nobody's.
    #[must_use]
    pub(crate) fn with(mut self, disk: i64, gpus: i64, ports: u32) -> Self {
        let [unreserved, _] = &mut self.0;
        let [_, _, own_disk, own_gpus] = &mut unreserved.scalars;
        (*own_disk, *own_gpus) = (disk, gpus);
        unreserved.ports = 1_u64.checked_shl(ports).map_or(u64::MAX, |bit| bit - 1);
        self
    }

    /// The same where this part of it is reserved, ports as bits.
    #[must_use]
    pub(crate) fn reserving(mut self, cpus: i64, mem: i64, ports: u64) -> Self {
        let [unreserved, reserved] = &mut self.0;
        *reserved = Pool { scalars: [cpus, mem, 0, 0], ports: ports & unreserved.ports };
        unreserved.subtract(&reserved.clone());
        self
    }

    pub(crate) fn of(resources: &Resources) -> Self {
        let mut amounts = Self::default();
        for piece in &resources.pieces {
            let pool = &mut amounts.0[usize::from(piece.origin.reserved)];
            pool.scalars[piece.kind as usize] += piece.amount.0;
        }
        for range in &resources.ports {
            let pool = &mut amounts.0[usize::from(range.origin.reserved)];
            for port in range.begin..=range.end {
                let place = port.checked_sub(PORTS_BEGIN).filter(|place| *place < PORTS_MAX);
                pool.ports |= place.map_or(0, |place| 1 << place);
            }
        }
        amounts
    }

    /// True if `other` fits into it: kind by kind, port by port, origin by origin.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(has, needs)| {
            let scalars = has.scalars.iter().zip(needs.scalars);
            scalars.into_iter().all(|(has, needs)| *has >= needs) && needs.ports & !has.ports == 0
        })
    }

    /// True if some of it is for tasks that ask for GPUs.
    pub(crate) fn has_gpus(&self) -> bool {
        self.0.iter().any(|pool| pool.scalars[Kind::Gpus as usize] > 0)
    }

    /// How many ports there are.
    pub(super) fn port_count(&self) -> u32 {
        self.0.iter().map(|pool| pool.ports.count_ones()).sum()
    }

    /// Kinds of which `used` took what nobody reserved while reserved was left in `self`.
    pub(super) fn spared(&self, used: &Self) -> Vec<&'static str> {
        let ([_, left], [taken, _]) = (&self.0, &used.0);
        let scalars = Kind::ALL
            .into_iter()
            .filter(|kind| left.scalars[*kind as usize] > 0 && taken.scalars[*kind as usize] > 0)
            .map(Kind::name);
        let ports = (left.ports != 0 && taken.ports != 0).then_some("ports");
        scalars.chain(ports).collect()
    }

    /// True if there is too little of something to run anything at all.
    pub(crate) fn is_crumb(&self) -> bool {
        /// The smallest offer a master makes: 0.01 cpus and 32 MB.
        const CRUMB: [i64; 2] = [10, 32_000];
        let total = |kind: usize| self.0.iter().map(|pool| pool.scalars[kind]).sum::<i64>();
        (0..).zip(CRUMB).any(|(kind, least)| total(kind) < least)
    }

    /// As the flag of an agent says it.
    pub(super) fn to_flag(self) -> String {
        let mut items = Vec::new();
        for (pool, reserved) in self.0.iter().zip([String::new(), format!("({ROLE})")]) {
            for (kind, amount) in Kind::ALL.into_iter().zip(pool.scalars) {
                if amount > 0 {
                    let (whole, rest) = (amount / 1_000, amount % 1_000);
                    items.push(format!("{}{reserved}:{whole}.{rest:03}", kind.name()));
                }
            }
            let ranges: Vec<_> = ranges(pool.ports).map(|(b, e)| format!("{b}-{e}")).collect();
            if !ranges.is_empty() {
                items.push(format!("ports{reserved}:[{}]", ranges.join(",")));
            }
        }
        items.join(";")
    }

    /// The resources of an offer of this size.
    pub(super) fn to_resources(self, origins: &Origins) -> Resources {
        let mut resources = Resources::default();
        for (pool, origin) in self.0.iter().zip(&origins.0) {
            for (kind, amount) in Kind::ALL.into_iter().zip(pool.scalars) {
                if amount > 0 {
                    let (amount, origin) = (Milli(amount), Arc::clone(origin));
                    resources.pieces.push(Piece { kind, amount, origin });
                }
            }
            resources.ports.extend(ranges(pool.ports).map(|(begin, end)| PortPiece {
                begin,
                end,
                origin: Arc::clone(origin),
            }));
        }
        resources
    }
}

/// Bits as ranges of ports, both ends included.
fn ranges(mut bits: u64) -> impl Iterator<Item = (u32, u32)> {
    let mut passed = 0;
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let gap = bits.trailing_zeros();
        bits >>= gap;
        let len = bits.trailing_ones();
        bits = bits.checked_shr(len).unwrap_or(0);
        let begin = PORTS_BEGIN + passed + gap;
        passed += gap + len;
        Some((begin, begin + len - 1))
    })
}

// === impl Pool ===

impl Pool {
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.scalars.iter_mut().zip(other.scalars) {
            *mine += theirs;
        }
        self.ports |= other.ports;
    }

    fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.scalars.iter_mut().zip(other.scalars) {
            *mine -= theirs;
        }
        self.ports &= !other.ports;
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.add(theirs);
        }
    }
}

impl SubAssign for Amounts {
    fn sub_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.subtract(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_counted_again_as_it_was() {
        let all = Amounts::new(4_000, 8_000_000).with(1_000, 2_000, 64);
        for ports in [0, 1, 0b1011_0110, 1 << 63, u64::MAX] {
            let machine = all.reserving(500, 64_000, ports);
            let resources = machine.to_resources(&Origins::new());
            assert_eq!(Amounts::of(&resources), machine);
            assert_eq!(resources.port_count(), 64);
            assert!(Origins::new().are_of(&resources));
        }
    }

    #[test]
    fn a_port_is_not_two_and_reserved_is_not_unreserved() {
        let machine = Amounts::new(1_000, 64_000).with(0, 0, 2).reserving(400, 0, 0b10);
        assert!(machine.covers(&machine));
        let mut left = machine;
        left -= Amounts::default().with(0, 0, 1);
        assert!(!left.covers(&machine) && left.port_count() == 1);
        assert!(!machine.covers(&Amounts::new(700, 0)), "the rest is reserved");
        assert_eq!(machine.spared(&Amounts::new(100, 0)), ["cpus"]);
        assert!(machine.spared(&Amounts::default().reserving(100, 0, 0)).is_empty());
    }
}
