//! Amounts of resources, kept per reservation and per role they are allocated to. No wire types and
//! no floating point: scalars are thousandths.

use std::fmt;

/// Which resource, reserved for whom, allocated to whom. Amounts of one kind add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `cpus`, `mem`, `disk`, `ports`, or any other name.
    pub name: String,
    /// Reservations, the innermost last; empty for what anybody may use.
    pub reservations: Vec<Reservation>,
    /// The role it is allocated to while offered or used.
    pub role: Option<String>,
}

/// One reservation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// The role it is for.
    pub role: String,
    /// Made at run time rather than by the agent's flags.
    pub dynamic: bool,
    /// Who made it.
    pub principal: Option<String>,
}

/// How much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Thousandths of a unit.
    Milli(u64),
    /// Numbers such as ports: sorted, disjoint, both ends included.
    Ranges(Vec<(u64, u64)>),
}

/// Resources of several kinds. Holds no empty amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// By kind, in order. A list because there are few kinds, and a great many of these.
    list: Vec<(Kind, Amount)>,
}

// === impl Amount ===

impl Amount {
    fn is_empty(&self) -> bool {
        match self {
            Self::Milli(milli) => *milli == 0,
            Self::Ranges(ranges) => ranges.is_empty(),
        }
    }

    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Milli(mine), Self::Milli(theirs)) => mine >= theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => theirs.iter().all(|&(begin, end)| {
                mine.iter().any(|&(first, last)| first <= begin && end <= last)
            }),
            _ => false,
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Milli(mine), Self::Milli(theirs)) => *mine = mine.saturating_add(*theirs),
            (Self::Ranges(mine), Self::Ranges(theirs)) => {
                mine.extend_from_slice(theirs);
                *mine = merged(std::mem::take(mine));
            }
            // A name has one type; the parser sees to that for agents, `contains` for tasks.
            _ => {}
        }
    }

    fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Milli(mine), Self::Milli(theirs)) => *mine = mine.saturating_sub(*theirs),
            (Self::Ranges(mine), Self::Ranges(theirs)) => {
                for &(begin, end) in theirs {
                    *mine = mine.iter().flat_map(|&range| without(range, begin, end)).collect();
                }
            }
            _ => {}
        }
    }
}

/// What is left of a range without `begin..=end`: nothing, one piece, or two.
fn without((first, last): (u64, u64), begin: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let before = begin.checked_sub(1).map(|stop| (first, last.min(stop)));
    let after = end.checked_add(1).map(|start| (first.max(start), last));
    before.into_iter().chain(after).filter(|(begin, end)| begin <= end)
}

/// Ranges sorted, with those that touch or overlap made one.
pub(crate) fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut result: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        match result.last_mut() {
            Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => result.push((begin, end)),
        }
    }
    result
}

// === impl Resources ===

impl Resources {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each kind with its amount, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Kind, &Amount)> {
        self.list.iter().map(|(kind, amount)| (kind, amount))
    }

    fn find(&self, kind: &Kind) -> Result<usize, usize> {
        self.list.binary_search_by(|(mine, _)| mine.cmp(kind))
    }

    fn amount(&self, kind: &Kind) -> Option<&Amount> {
        self.find(kind).ok().and_then(|at| self.list.get(at)).map(|(_, amount)| amount)
    }

    /// Adds one amount.
    pub fn insert(&mut self, kind: Kind, amount: Amount) {
        if amount.is_empty() {
            return;
        }
        match self.find(&kind) {
            Ok(at) => {
                if let Some((_, mine)) = self.list.get_mut(at) {
                    mine.add(&amount);
                }
            }
            Err(at) => self.list.insert(at, (kind, amount)),
        }
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        for (kind, amount) in &other.list {
            self.insert(kind.clone(), amount.clone());
        }
    }

    /// Takes away all of `other`, as far as it is there.
    pub fn subtract(&mut self, other: &Self) {
        for (kind, amount) in &other.list {
            if let Ok(at) = self.find(kind)
                && let Some((_, mine)) = self.list.get_mut(at)
            {
                mine.subtract(amount);
                if mine.is_empty() {
                    self.list.remove(at);
                }
            }
        }
    }

    /// Whether all of `other` is there, kind by kind.
    pub fn contains(&self, other: &Self) -> bool {
        let has = |(kind, amount): (&Kind, &Amount)| {
            self.amount(kind).is_some_and(|mine| mine.contains(amount))
        };
        other.iter().all(has)
    }

    /// The same, allocated to `role`; to nobody when it is `None`.
    #[must_use]
    pub fn allocated_to(&self, role: Option<&str>) -> Self {
        let mut result = Self { list: Vec::with_capacity(self.list.len()) };
        for (kind, amount) in &self.list {
            result.insert(Kind { role: role.map(str::to_owned), ..kind.clone() }, amount.clone());
        }
        result
    }

    /// The part that a framework in `role` may be offered: reserved for it, and, when
    /// `unreserved`, what is for anybody.
    #[must_use]
    pub fn usable_by(&self, role: &str, unreserved: bool) -> Self {
        let usable = |kind: &Kind| match kind.reservations.last() {
            Some(reservation) => reservation.role == role,
            None => unreserved,
        };
        Self { list: self.list.iter().filter(|(kind, _)| usable(kind)).cloned().collect() }
    }

    /// All of one name, in thousandths, over every kind.
    pub fn milli(&self, name: &str) -> u64 {
        let of_name = |(kind, amount): (&Kind, &Amount)| match amount {
            Amount::Milli(milli) if kind.name == name => *milli,
            _ => 0,
        };
        self.iter().map(of_name).sum()
    }
}

// === impl Display ===

/// As a master writes resources in its messages: `cpus(allocated: *):0.5; mem(allocated: *):64`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, (kind, amount)) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{kind}:{amount}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(role) = &self.role {
            write!(f, "(allocated: {role})")?;
        }
        if !self.reservations.is_empty() {
            let one = |reservation: &Reservation| {
                let kind = if reservation.dynamic { "DYNAMIC" } else { "STATIC" };
                format!("({kind},{})", reservation.role)
            };
            let list: Vec<String> = self.reservations.iter().map(one).collect();
            write!(f, "(reservations: [{}])", list.join(","))?;
        }
        Ok(())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Milli(milli) if milli % 1000 == 0 => write!(f, "{}", milli / 1000),
            Self::Milli(milli) => {
                let text = format!("{}.{:03}", milli / 1000, milli % 1000);
                f.write_str(text.trim_end_matches('0'))
            }
            Self::Ranges(ranges) => {
                let list: Vec<String> =
                    ranges.iter().map(|(begin, end)| format!("{begin}-{end}")).collect();
                write!(f, "[{}]", list.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, role: Option<&str>) -> Kind {
        Kind { name: name.to_owned(), reservations: Vec::new(), role: role.map(str::to_owned) }
    }

    fn ports(ranges: &[(u64, u64)]) -> Resources {
        let mut resources = Resources::default();
        resources.insert(kind("ports", None), Amount::Ranges(ranges.to_vec()));
        resources
    }

    #[test]
    fn ranges_split_and_merge() {
        let mut have = ports(&[(10, 20)]);
        have.subtract(&ports(&[(12, 13)]));
        assert_eq!(have, ports(&[(10, 11), (14, 20)]));
        assert!(!have.contains(&ports(&[(11, 14)])));
        assert!(have.contains(&ports(&[(10, 10), (15, 20)])));
        have.add(&ports(&[(12, 13)]));
        assert_eq!(have, ports(&[(10, 20)]));
        have.subtract(&ports(&[(0, u64::MAX)]));
        assert!(have.is_empty());
    }

    #[test]
    fn allocation_and_reservation_are_part_of_the_kind() {
        let mut offered = Resources::default();
        offered.insert(kind("cpus", Some("*")), Amount::Milli(500));
        let mut asked = Resources::default();
        asked.insert(kind("cpus", None), Amount::Milli(500));
        assert!(!offered.contains(&asked), "a task must repeat the allocation");
        assert!(offered.contains(&asked.allocated_to(Some("*"))));
        let reservation = Reservation { role: "b".to_owned(), dynamic: false, principal: None };
        let reserved = Kind { reservations: vec![reservation], ..kind("cpus", None) };
        offered.insert(reserved, Amount::Milli(250));
        assert_eq!(offered.usable_by("b", false).milli("cpus"), 250);
        assert_eq!(offered.usable_by("*", true).milli("cpus"), 500);
        assert_eq!(offered.usable_by("b", true).milli("cpus"), 750);
    }

    #[test]
    fn text_is_as_a_master_writes_it() {
        let mut resources = Resources::default();
        resources.insert(kind("mem", Some("*")), Amount::Milli(64_000));
        resources.insert(kind("cpus", Some("*")), Amount::Milli(700));
        assert_eq!(resources.to_string(), "cpus(allocated: *):0.7; mem(allocated: *):64");
        assert_eq!(ports(&[(1, 2), (4, 4)]).to_string(), "ports:[1-2, 4-4]");
    }
}
