//! Amounts in fixed point and the pieces an offer is made of. No floating point survives parsing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A scalar amount in thousandths: 0.5 cpus is 500, 64 MB is 64,000.
///
/// Mesos itself keeps three decimal digits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Milli(pub i64);

impl Milli {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Rounds to the nearest thousandth; `None` for what is no amount (negative, infinite, huge).
    pub fn from_f64(value: f64) -> Option<Self> {
        /// Above this an amount is a mistake: 10^12 units leave room for sums without overflow.
        const AMOUNT_MAX: f64 = 1e12;
        (value.is_finite() && (0.0..=AMOUNT_MAX).contains(&value))
            .then(|| Self((value * 1000.0).round() as i64))
    }

    /// The amount in whole units.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// What a scalar piece is an amount of. Memory and disk are in MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Cores.
    Cpus,
    /// Megabytes of memory.
    Mem,
    /// Megabytes of disk.
    Disk,
    /// GPUs.
    Gpus,
}

impl Kind {
    /// All kinds, in the order in which they are checked and reported.
    pub const ALL: [Self; 4] = [Self::Cpus, Self::Mem, Self::Disk, Self::Gpus];

    /// The name Mesos uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Disk => "disk",
            Self::Gpus => "gpus",
        }
    }
}

/// What one task or executor asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Demand {
    /// Cores.
    pub cpus: Milli,
    /// Megabytes of memory.
    pub mem: Milli,
    /// Megabytes of disk.
    pub disk: Milli,
    /// GPUs.
    pub gpus: Milli,
    /// Number of ports.
    pub ports: u32,
}

impl Demand {
    /// All that is in some resources.
    pub fn of_resources(resources: &Resources) -> Self {
        let [cpus, mem, disk, gpus] = resources.sums();
        Self { cpus, mem, disk, gpus, ports: resources.port_count() }
    }

    /// Kind by kind, the sum of two.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, i64::saturating_add)
    }

    /// Kind by kind, the larger of two.
    #[must_use]
    pub fn larger(&self, other: &Self) -> Self {
        self.zip(other, i64::max)
    }

    /// Kind by kind, what is left when another is taken away; never less than nothing.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, |own, other| own.saturating_sub(other).max(0))
    }

    fn zip(&self, other: &Self, join: impl Fn(i64, i64) -> i64) -> Self {
        let of = |own: Milli, other: Milli| Milli(join(own.0, other.0));
        Self {
            cpus: of(self.cpus, other.cpus),
            mem: of(self.mem, other.mem),
            disk: of(self.disk, other.disk),
            gpus: of(self.gpus, other.gpus),
            ports: u32::try_from(join(self.ports.into(), other.ports.into())).unwrap_or(u32::MAX),
        }
    }

    /// The amount of one kind.
    pub fn of(&self, kind: Kind) -> Milli {
        match kind {
            Kind::Cpus => self.cpus,
            Kind::Mem => self.mem,
            Kind::Disk => self.disk,
            Kind::Gpus => self.gpus,
        }
    }
}

/// Where a piece of resources comes from: role and reservations must be repeated in what is
/// launched on it, so pieces with different origins are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The role the piece is allocated to.
    pub role: Arc<str>,
    /// True if the piece is reserved: spent before unreserved ones.
    pub reserved: bool,
    /// The driver's own encoding of all that must be repeated; opaque here.
    pub wire: Arc<[u8]>,
}

/// A scalar piece of an offer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Piece {
    /// What.
    pub kind: Kind,
    /// How much.
    pub amount: Milli,
    /// From where.
    pub origin: Arc<Origin>,
}

/// A port of an offer with its origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortPiece {
    /// First port, inclusive.
    pub begin: u32,
    /// Last port, inclusive.
    pub end: u32,
    /// From where.
    pub origin: Arc<Origin>,
}

/// The resources of an offer, or what was taken out of leases for one task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Scalar pieces.
    pub pieces: Vec<Piece>,
    /// Port ranges.
    pub ports: Vec<PortPiece>,
}

impl Resources {
    /// The sum of one kind over all origins.
    pub fn total(&self, kind: Kind) -> Milli {
        Milli(self.pieces.iter().filter(|p| p.kind == kind).map(|p| p.amount.0).sum())
    }

    /// True if any of it is reserved.
    pub(crate) fn has_reserved(&self) -> bool {
        self.pieces.iter().any(|piece| piece.origin.reserved)
    }

    /// Sums over all origins, in the order of [`Kind::ALL`].
    fn sums(&self) -> [Milli; Kind::ALL.len()] {
        self.survey().0
    }

    /// Sums, and whether any of it is reserved.
    fn survey(&self) -> ([Milli; Kind::ALL.len()], bool) {
        let mut sums = [Milli::ZERO; Kind::ALL.len()];
        let mut any_reserved = false;
        for piece in &self.pieces {
            sums[piece.kind as usize].0 += piece.amount.0;
            any_reserved |= piece.origin.reserved;
        }
        (sums, any_reserved)
    }

    /// Number of ports.
    pub fn port_count(&self) -> u32 {
        self.ports.iter().map(|p| p.end.saturating_sub(p.begin) + 1).sum()
    }

    /// The first kind of which there is too little, if any.
    pub fn lacks(&self, demand: &Demand) -> Option<Lack> {
        for (kind, has) in Kind::ALL.into_iter().zip(self.sums()) {
            let needs = demand.of(kind);
            if needs > has {
                return Some(Lack { what: kind.name(), needs, has });
            }
        }
        let (needs, has) = (demand.ports, self.port_count());
        (needs > has).then(|| Lack {
            what: "ports",
            needs: Milli(i64::from(needs) * 1000),
            has: Milli(i64::from(has) * 1000),
        })
    }

    /// Takes `demand` out, reserved pieces first; `None` (and nothing taken) if it does not fit.
    pub fn take(&mut self, demand: &Demand) -> Option<Self> {
        let amounts = Kind::ALL.map(|kind| demand.of(kind));
        let (sums, any_reserved) = self.survey();
        let fits = amounts.iter().zip(&sums).all(|(needs, has)| needs <= has);
        if !fits || (demand.ports > 0 && demand.ports > self.port_count()) {
            return None;
        }
        let pieces = self.take_scalars(amounts, any_reserved);
        let mut taken = Self { pieces, ports: Vec::new() };
        if demand.ports > 0 {
            self.take_ports(demand.ports, &mut taken.ports);
        }
        Some(taken)
    }

    /// Takes these very pieces out; `None` (and nothing taken) if one is not there. Knows nothing of
    /// ports: executors have none.
    pub(crate) fn take_exactly(&mut self, wanted: &Self) -> Option<Self> {
        if !wanted.ports.is_empty() {
            return None;
        }
        let mut left = self.pieces.clone();
        for piece in &wanted.pieces {
            let same = |it: &&mut Piece| it.kind == piece.kind && it.origin == piece.origin;
            let from = left.iter_mut().filter(same).find(|it| it.amount >= piece.amount)?;
            from.amount.0 -= piece.amount.0;
        }
        left.retain(|piece| piece.amount > Milli::ZERO);
        self.pieces = left;
        Some(wanted.clone())
    }

    /// Puts back what [`Resources::take`] gave: the way a gang is undone.
    pub fn put_back(&mut self, taken: Self) {
        for piece in taken.pieces {
            self.add(piece);
        }
        self.ports.extend(taken.ports);
    }

    /// Adds a piece, merged with one of the same kind and origin.
    pub fn add(&mut self, piece: Piece) {
        let same =
            self.pieces.iter_mut().find(|p| p.kind == piece.kind && p.origin == piece.origin);
        match same {
            Some(found) => found.amount.0 += piece.amount.0,
            None => self.pieces.push(piece),
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.put_back(other);
    }

    /// Sums by kind, for people.
    pub fn totals(&self) -> BTreeMap<&'static str, f64> {
        Kind::ALL
            .into_iter()
            .map(|kind| (kind.name(), self.total(kind).as_f64()))
            .chain([("ports", f64::from(self.port_count()))])
            .collect()
    }

    /// Takes amounts, in the order of [`Kind::ALL`], that are known to be there.
    fn take_scalars(
        &mut self,
        mut amounts: [Milli; Kind::ALL.len()],
        any_reserved: bool,
    ) -> Vec<Piece> {
        let kinds = amounts.iter().filter(|amount| **amount > Milli::ZERO).count();
        let mut taken = Vec::with_capacity(kinds);
        if kinds == 0 {
            return taken;
        }
        let mut used_up = false;
        let passes: &[bool] = if any_reserved { &[true, false] } else { &[false] };
        for reserved in passes {
            for piece in &mut self.pieces {
                let amount = &mut amounts[piece.kind as usize];
                let part = piece.amount.min(*amount);
                if part > Milli::ZERO && piece.origin.reserved == *reserved {
                    piece.amount.0 -= part.0;
                    amount.0 -= part.0;
                    used_up |= piece.amount == Milli::ZERO;
                    let (kind, origin) = (piece.kind, Arc::clone(&piece.origin));
                    taken.push(Piece { kind, amount: part, origin });
                }
            }
        }
        if used_up {
            self.pieces.retain(|piece| piece.amount > Milli::ZERO);
        }
        taken
    }

    fn take_ports(&mut self, mut count: u32, taken: &mut Vec<PortPiece>) {
        self.ports.sort_by_key(|p| (!p.origin.reserved, p.begin));
        for range in &mut self.ports {
            let part = count.min(range.end - range.begin + 1);
            if part == 0 {
                break;
            }
            taken.push(PortPiece {
                begin: range.begin,
                end: range.begin + part - 1,
                origin: Arc::clone(&range.origin),
            });
            range.begin += part;
            count -= part;
        }
        self.ports.retain(|p| p.begin <= p.end);
    }
}

/// Too little of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// Of what.
    pub what: &'static str,
    /// How much is needed.
    pub needs: Milli,
    /// How much there is.
    pub has: Milli,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(reserved: bool) -> Arc<Origin> {
        let wire: &[u8] = if reserved { b"r" } else { b"" };
        Arc::new(Origin { role: "*".into(), reserved, wire: wire.into() })
    }

    fn offer() -> Resources {
        Resources {
            pieces: vec![
                Piece { kind: Kind::Cpus, amount: Milli(1000), origin: origin(false) },
                Piece { kind: Kind::Cpus, amount: Milli(500), origin: origin(true) },
                Piece { kind: Kind::Mem, amount: Milli(64_000), origin: origin(false) },
            ],
            ports: vec![PortPiece { begin: 31_000, end: 31_002, origin: origin(false) }],
        }
    }

    #[test]
    fn reserved_pieces_are_spent_first_and_all_of_it_can_be_undone() {
        let mut lease = offer();
        let demand = Demand { cpus: Milli(700), mem: Milli(64_000), ports: 2, ..Demand::default() };
        let taken = lease.take(&demand).unwrap();
        let cpus: Vec<_> = taken.pieces.iter().filter(|p| p.kind == Kind::Cpus).collect();
        assert_eq!(cpus[0].amount, Milli(500));
        assert!(cpus[0].origin.reserved);
        assert_eq!(cpus[1].amount, Milli(200));
        assert_eq!(lease.port_count(), 1);
        lease.put_back(taken);
        assert_eq!(lease.totals(), offer().totals());
    }

    #[test]
    fn the_very_pieces_are_taken_or_nothing() {
        let mut lease = offer();
        let cpus = |amount, reserved| Resources {
            pieces: vec![Piece {
                kind: Kind::Cpus,
                amount: Milli(amount),
                origin: origin(reserved),
            }],
            ports: Vec::new(),
        };
        assert_eq!(lease.take_exactly(&cpus(1000, false)), Some(cpus(1000, false)));
        assert_eq!(lease.take_exactly(&cpus(100, false)), None, "nothing of that origin is left");
        assert_eq!(lease.take_exactly(&cpus(501, true)), None);
        assert_eq!(lease.total(Kind::Cpus), Milli(500));
        assert_eq!(lease.take_exactly(&cpus(500, true)), Some(cpus(500, true)));
        assert_eq!(lease.total(Kind::Cpus), Milli::ZERO);
    }

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let mut lease = offer();
        let demand = Demand { cpus: Milli(1501), ..Demand::default() };
        assert_eq!(lease.take(&demand), None);
        assert_eq!(lease, offer());
        let lack = lease.lacks(&demand).unwrap();
        assert_eq!((lack.what, lack.has), ("cpus", Milli(1500)));
    }

    #[test]
    fn amounts_are_rounded_once() {
        assert_eq!(Milli::from_f64(0.1), Some(Milli(100)));
        assert_eq!(Milli::from_f64(-1.0), None);
        assert_eq!(Milli::from_f64(f64::NAN), None);
    }
}
