//! The tree in memory and the rules of a commit, shared by every registry that keeps one. Pure.
//! Absent: durability, tenures, threads.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    CommitError, Epoch, LeaderInfo, Path, Refusal, TakeOverError, Transaction, check_size,
};

/// The node that names the leader and holds the epoch that fences commits.
pub const LEADER_PATH: &str = "ha/leader";

/// A loaded tree: every node with its data, ordered by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<Path, Bytes>,
}

/// What a commit did to one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) path: Path,
    /// Its data now; `None` if it is gone.
    pub(super) data: Option<Bytes>,
    /// Whether the node was there before.
    pub(super) existed: bool,
}

/// What a commit did, and what it needs to be undone.
#[derive(Default)]
struct Log {
    writes: Vec<Write>,
    /// What stood there before each change.
    undo: Vec<(Path, Option<Bytes>)>,
}

/// The data of `ha/leader`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LeaderRecord {
    id: String,
    addresses: Vec<String>,
    pub(super) epoch: Epoch,
    since: jiff::Timestamp,
}

// === impl Tree ===

impl Tree {
    /// Every node with its data, sorted by path.
    pub fn nodes(&self) -> impl Iterator<Item = (&Path, &Bytes)> {
        self.nodes.iter()
    }

    /// One node's data.
    pub fn get(&self, path: &Path) -> Option<&Bytes> {
        self.nodes.get(path)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes below one, at any depth, sorted by path.
    pub fn below(&self, path: &Path) -> impl Iterator<Item = (&Path, &Bytes)> {
        below(&self.nodes, path)
    }

    /// The current epoch; zero before the first take-over.
    pub(super) fn epoch(&self) -> Result<Epoch, TakeOverError> {
        self.nodes
            .get(LEADER_PATH)
            .map_or(Ok(Epoch(0)), |data| LeaderRecord::parse(data).map(|record| record.epoch))
    }

    /// The nodes as a take-over returns them; the data is shared, not copied.
    pub(super) fn to_nodes(&self) -> Vec<(Path, Bytes)> {
        self.nodes.iter().map(|(path, data)| (path.clone(), data.clone())).collect()
    }

    /// Whether a process whose tenure is `tenure` may commit under `epoch`.
    pub(super) fn check_fence(
        &self,
        tenure: Option<Epoch>,
        epoch: Epoch,
    ) -> Result<(), CommitError> {
        let found =
            self.epoch().map_err(|source| CommitError::Unknown { source: source.into() })?;
        if epoch != found {
            return Err(CommitError::Fenced { held: epoch, found });
        }
        if tenure != Some(epoch) {
            return Err(CommitError::Refused(Refusal::NotLeading));
        }
        Ok(())
    }

    /// Raises the epoch and writes the leader's node.
    pub(super) fn take_over(
        &mut self,
        leader: LeaderInfo,
    ) -> Result<(Epoch, Vec<Write>), TakeOverError> {
        let epoch = Epoch(self.epoch()?.0 + 1);
        let data = LeaderRecord::new(leader, epoch).encode()?;
        let path = Path::new(LEADER_PATH)
            .map_err(|source| TakeOverError::Storage { source: source.into() })?;
        let mut log = Log::default();
        self.put(path, data.into(), &mut log);
        Ok((epoch, log.writes))
    }

    /// Applies a batch whole or not at all, and says what each transaction did, in an order in
    /// which it can be done again: parents are made before and go after their children.
    pub(super) fn apply(
        &mut self,
        batch: Vec<Transaction>,
    ) -> Result<Vec<Vec<Write>>, CommitError> {
        check_size(&batch)?;
        let mut log = Log::default();
        let mut done = Vec::with_capacity(batch.len());
        for transaction in batch {
            let net = transaction.into_net();
            if let Err(refusal) = self.check(&net) {
                self.revert(log);
                return Err(CommitError::Refused(refusal));
            }
            let mut gone = Vec::new();
            for (path, value) in net {
                match value {
                    Some(data) => self.put(path, data.into(), &mut log),
                    None => gone.push(path),
                }
            }
            for path in gone.into_iter().rev() {
                self.remove(path, &mut log);
            }
            done.push(std::mem::take(&mut log.writes));
        }
        Ok(done)
    }

    /// Takes over what another program did to a node. What stood below one that is gone went before
    /// it, node by node.
    pub(super) fn adopt(&mut self, path: &Path, data: Option<Bytes>) {
        match data {
            Some(data) => self.put(path.clone(), data, &mut Log::default()),
            None => drop(self.nodes.remove(path)),
        }
    }

    /// The rules of one transaction, before anything is changed.
    fn check(&self, net: &BTreeMap<Path, Option<Vec<u8>>>) -> Result<(), Refusal> {
        if net.contains_key(LEADER_PATH) {
            return Err(Refusal::LeaderNode);
        }
        let goes = |path: &Path| net.get(path).is_some_and(Option::is_none);
        for path in net.iter().filter(|(_, value)| value.is_none()).map(|(path, _)| path) {
            let stays = self.below(path).map(|(child, _)| child).find(|child| !goes(child));
            let written = below(net, path).find(|(_, value)| value.is_some());
            if let Some(child) = stays.or_else(|| written.map(|(child, _)| child)) {
                return Err(Refusal::HasChildren { path: path.clone(), child: child.clone() });
            }
        }
        Ok(())
    }

    /// Writes a node, and its missing parents first.
    fn put(&mut self, path: Path, data: Bytes, log: &mut Log) {
        if let Some(parent) = path.parent().filter(|parent| !self.nodes.contains_key(parent)) {
            self.put(parent, Bytes::new(), log);
        }
        let old = self.nodes.insert(path.clone(), data.clone());
        log.writes.push(Write { path: path.clone(), data: Some(data), existed: old.is_some() });
        log.undo.push((path, old));
    }

    fn remove(&mut self, path: Path, log: &mut Log) {
        if let Some(old) = self.nodes.remove(&path) {
            log.undo.push((path.clone(), Some(old)));
            log.writes.push(Write { path, data: None, existed: true });
        }
    }

    fn revert(&mut self, log: Log) {
        for (path, old) in log.undo.into_iter().rev() {
            match old {
                Some(data) => self.nodes.insert(path, data),
                None => self.nodes.remove(&path),
            };
        }
    }
}

// === impl LeaderRecord ===

impl LeaderRecord {
    pub(super) fn new(leader: LeaderInfo, epoch: Epoch) -> Self {
        let LeaderInfo { id, addresses, since } = leader;
        Self { id, addresses, epoch, since }
    }

    pub(super) fn parse(data: &[u8]) -> Result<Self, TakeOverError> {
        serde_json::from_slice(data).map_err(|source| TakeOverError::LeaderRecord { source })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, TakeOverError> {
        serde_json::to_vec(self).map_err(|source| TakeOverError::Storage { source: source.into() })
    }

    pub(super) fn into_leader(self) -> LeaderInfo {
        LeaderInfo { id: self.id, addresses: self.addresses, since: self.since }
    }
}

impl FromIterator<(Path, Bytes)> for Tree {
    fn from_iter<I: IntoIterator<Item = (Path, Bytes)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }
}

/// The entries below a path. Names may hold characters smaller than `/`, so a subtree is not what
/// follows its root in order: it is what starts with `root/`.
fn below<'a, V>(
    map: &'a BTreeMap<Path, V>,
    path: &Path,
) -> impl Iterator<Item = (&'a Path, &'a V)> {
    let prefix = format!("{path}/");
    let range = map.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
    range.take_while(move |(below, _)| below.as_str().starts_with(&prefix))
}
