//! Constraints while shards are placed: which agents the next shard may go to, given where the
//! run's other shards are. Resources are not looked at here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Site;
use crate::document::{Constraint, Rule};
use crate::fleet::Lease;

/// The agent has no such attribute.
const MISSING: u32 = u32::MAX;

/// Where constraints leave no more agents than this, these are looked at one by one: the index
/// would show many others first.
const FEW: usize = 256;

/// Attributes of all agents, read when a constraint first asks for them.
#[derive(Debug, Default)]
pub(super) struct Columns {
    columns: BTreeMap<Arc<str>, Arc<Column>>,
    /// For each constraint seen, which values it admits, and whether it admits none.
    verdicts: BTreeMap<Constraint, Arc<Verdicts>>,
}

/// One attribute of all agents. Values are numbered in their order as text.
#[derive(Debug)]
pub(super) struct Column {
    value_of: Vec<u32>,
    values: Vec<String>,
    nodes_of: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Verdicts {
    by_value: Vec<bool>,
    missing: bool,
    /// The agents admitted, if they are few.
    few: Option<Vec<u32>>,
}

/// The constraints of one candidate with what they have to remember.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    column: Arc<Column>,
    verdicts: Arc<Verdicts>,
    memory: Memory,
}

/// What a constraint remembers of the shards placed so far.
#[derive(Debug)]
enum Memory {
    /// Nothing: each agent meets it or does not.
    None,
    /// How many shards there are by value, and how many there may be.
    AtMost { most: usize, counts: BTreeMap<u32, usize> },
    /// How many there are by value, and how many values are wanted.
    Groups { wanted: usize, counts: BTreeMap<u32, usize> },
    /// The value all shards share, once there is one.
    One(Option<u32>),
}

// === impl Columns ===

impl Columns {
    /// The rules of a candidate whose other shards already run at `siblings`.
    pub(super) fn rules<'a>(
        &mut self,
        constraints: &[Constraint],
        siblings: &[&Site],
        leases: impl Iterator<Item = &'a Lease> + Clone,
    ) -> Rules {
        let mut rows = Vec::with_capacity(constraints.len());
        for constraint in constraints {
            let column = self.column(constraint, leases.clone());
            let verdicts = self.verdicts(constraint, &column);
            let mut row = Row { column, verdicts, memory: Memory::of(&constraint.rule) };
            row.remember_siblings(constraint, siblings);
            rows.push(row);
        }
        Rules { rows }
    }

    fn column<'a>(
        &mut self,
        constraint: &Constraint,
        leases: impl Iterator<Item = &'a Lease>,
    ) -> Arc<Column> {
        if let Some(column) = self.columns.get(&constraint.attribute) {
            return Arc::clone(column);
        }
        let values: Vec<Option<&str>> =
            leases.map(|lease| constraint.value_of(&lease.hostname, &lease.attributes)).collect();
        let column = Arc::new(Column::of(&values));
        self.columns.insert(Arc::clone(&constraint.attribute), Arc::clone(&column));
        column
    }

    fn verdicts(&mut self, constraint: &Constraint, column: &Column) -> Arc<Verdicts> {
        if let Some(verdicts) = self.verdicts.get(constraint) {
            return Arc::clone(verdicts);
        }
        let by_value: Vec<bool> =
            column.values.iter().map(|value| constraint.admits(Some(value))).collect();
        let missing = constraint.admits(None);
        let few = if missing { None } else { column.few(&by_value) };
        let verdicts = Arc::new(Verdicts { by_value, missing, few });
        self.verdicts.insert(constraint.clone(), Arc::clone(&verdicts));
        verdicts
    }
}

// === impl Column ===

impl Column {
    fn of(by_node: &[Option<&str>]) -> Self {
        let mut ids: BTreeMap<&str, u32> =
            by_node.iter().flatten().map(|value| (*value, 0)).collect();
        for (id, own) in (0..).zip(ids.values_mut()) {
            *own = id;
        }
        let value_of: Vec<u32> = by_node
            .iter()
            .map(|value| value.and_then(|value| ids.get(value).copied()).unwrap_or(MISSING))
            .collect();
        let mut nodes_of = vec![Vec::new(); ids.len()];
        for (node, value) in (0..).zip(&value_of) {
            if let Some(nodes) = nodes_of.get_mut(*value as usize) {
                nodes.push(node);
            }
        }
        let values = ids.into_keys().map(str::to_owned).collect();
        Self { value_of, values, nodes_of }
    }

    fn value(&self, node: u32) -> u32 {
        self.value_of.get(node as usize).copied().unwrap_or(MISSING)
    }

    /// The agents with an admitted value, in ascending order, if they are few.
    fn few(&self, admitted: &[bool]) -> Option<Vec<u32>> {
        let nodes = self.nodes_of.iter().zip(admitted).filter(|(_, admitted)| **admitted);
        let count: usize = nodes.clone().map(|(nodes, _)| nodes.len()).sum();
        (count <= FEW).then(|| {
            let mut few: Vec<u32> = nodes.flat_map(|(nodes, _)| nodes).copied().collect();
            few.sort_unstable();
            few
        })
    }

    /// The agents with this value.
    pub(super) fn nodes(&self, value: u32) -> &[u32] {
        self.nodes_of.get(value as usize).map_or(&[], Vec::as_slice)
    }
}

// === impl Memory ===

impl Memory {
    fn of(rule: &Rule) -> Self {
        match rule {
            Rule::Unique => Self::AtMost { most: 1, counts: BTreeMap::new() },
            Rule::MaxPer(most) => Self::AtMost { most: *most as usize, counts: BTreeMap::new() },
            Rule::GroupBy(wanted) => {
                Self::Groups { wanted: *wanted as usize, counts: BTreeMap::new() }
            }
            Rule::Cluster(None) => Self::One(None),
            Rule::Cluster(Some(_)) | Rule::Like(_) | Rule::Unlike(_) | Rule::Is(_) => Self::None,
        }
    }

    /// How many more shards may go to this value before others must be looked at again.
    fn room(&self, value: u32) -> usize {
        match self {
            Self::None | Self::One(None) => usize::MAX,
            Self::One(Some(one)) => {
                if *one == value {
                    usize::MAX
                } else {
                    0
                }
            }
            Self::AtMost { most, counts } => {
                most.saturating_sub(counts.get(&value).copied().unwrap_or(0))
            }
            // A value not used yet, or one of the least used if enough are: Marathon's rule.
            Self::Groups { wanted, counts } => match counts.get(&value) {
                None => 1,
                Some(count) => {
                    let least = counts.values().min() == Some(count);
                    usize::from(least && counts.len() >= *wanted)
                }
            },
        }
    }

    fn note(&mut self, value: u32, shards: usize) {
        match self {
            Self::None => {}
            Self::AtMost { counts, .. } | Self::Groups { counts, .. } => {
                *counts.entry(value).or_default() += shards;
            }
            Self::One(one) => {
                one.get_or_insert(value);
            }
        }
    }
}

// === impl Row ===

impl Row {
    /// Shards that run where nothing is offered now count as well: their values get numbers
    /// behind those of the column.
    fn remember_siblings(&mut self, constraint: &Constraint, siblings: &[&Site]) {
        let mut strange: Vec<&str> = Vec::new();
        for site in siblings {
            let Some(value) = constraint.value_of(&site.hostname, &site.attributes) else {
                continue;
            };
            let known = self.column.values.binary_search_by(|own| own.as_str().cmp(value));
            let id = known.unwrap_or_else(|_| {
                let at = strange.iter().position(|own| *own == value);
                self.column.values.len()
                    + at.unwrap_or_else(|| {
                        strange.push(value);
                        strange.len() - 1
                    })
            });
            self.memory.note(id as u32, 1);
        }
    }

    fn room(&self, node: u32) -> usize {
        let value = self.column.value(node);
        if value == MISSING {
            return if self.verdicts.missing { usize::MAX } else { 0 };
        }
        let admitted = self.verdicts.by_value.get(value as usize).copied().unwrap_or(false);
        if admitted { self.memory.room(value) } else { 0 }
    }
}

// === impl Rules ===

impl Rules {
    /// How many more shards may go to an agent before the others must be looked at again.
    pub(super) fn room(&self, node: u32) -> usize {
        self.rows.iter().map(|row| row.room(node)).min().unwrap_or(usize::MAX)
    }

    /// The first constraint that keeps a shard from an agent: its place in the document.
    pub(super) fn refusing(&self, node: u32) -> Option<usize> {
        self.rows.iter().position(|row| row.room(node) == 0)
    }

    /// Shards were placed on an agent.
    pub(super) fn note(&mut self, node: u32, shards: usize) {
        for row in &mut self.rows {
            let value = row.column.value(node);
            if value != MISSING {
                row.memory.note(value, shards);
            }
        }
    }

    /// The only agents to look at, if constraints leave few.
    pub(super) fn few(&self) -> Option<&[u32]> {
        self.rows.iter().find_map(|row| match row.memory {
            Memory::One(Some(value)) => {
                Some(row.column.nodes(value)).filter(|nodes| nodes.len() <= FEW)
            }
            _ => row.verdicts.few.as_deref(),
        })
    }

    /// The first constraint by which the first shard decides where all others go: the attribute.
    pub(super) fn undecided(&self) -> Option<Arc<Column>> {
        let row = self.rows.iter().find(|row| matches!(row.memory, Memory::One(None)))?;
        Some(Arc::clone(&row.column))
    }
}

/// Where an undecided cluster may still go: values with room for all shards, as far as known.
#[derive(Debug)]
pub(super) struct Cluster {
    column: Arc<Column>,
    /// Room by value, once asked for; 0 for values that were tried in vain.
    rooms: BTreeMap<u32, usize>,
}

impl Cluster {
    pub(super) fn new(column: Arc<Column>) -> Self {
        Self { column, rooms: BTreeMap::new() }
    }

    /// True if the value of this agent has room for `count` shards; `room_on` tells how many one
    /// agent takes.
    pub(super) fn admits(
        &mut self,
        node: u32,
        count: usize,
        room_on: impl Fn(u32) -> usize,
    ) -> bool {
        let value = self.column.value(node);
        if value == MISSING {
            return false;
        }
        let column = &self.column;
        let room = self.rooms.entry(value).or_insert_with(|| {
            let mut room = 0usize;
            for node in column.nodes(value) {
                room = room.saturating_add(room_on(*node));
                if room >= count {
                    break;
                }
            }
            room
        });
        *room >= count
    }

    /// The value of this agent was tried in vain: so many fitted.
    pub(super) fn reject(&mut self, node: u32, fitted: usize) {
        self.rooms.insert(self.column.value(node), fitted);
    }

    /// The most shards any value has room for, of those looked at.
    pub(super) fn largest(&self) -> usize {
        self.rooms.values().copied().max().unwrap_or(0)
    }
}
