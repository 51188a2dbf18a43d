//! A model of the registry: records under an epoch's fence, commits on their way, and commits whose
//! answer is no answer. It keeps the contract of the real ones and knows nothing of engines.

use std::collections::BTreeMap;
use std::rc::Rc;

use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_engine::record::{Key, Write};

use super::env::CommitId;
use super::scheduler::Turn;

/// What became of a commit, as far as its sender learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it is durable.
    Done,
    /// Nothing of it was written: another leads, or an earlier commit of this tenure failed.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// How a commit is to be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Not at all.
    No,
    /// After this many of its transactions the answer gets lost.
    After(usize),
}

/// A commit on its way.
#[derive(Debug)]
struct OnItsWay {
    epoch: u64,
    turn: Rc<Turn>,
    cut: Cut,
}

/// The registry.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    records: BTreeMap<Key, Vec<u8>>,
    /// The epoch of the leader.
    epoch: u64,
    /// The tenure of this epoch has had a commit that failed.
    broken: bool,
    /// True while nobody can reach it.
    pub(crate) away: bool,
    /// A defect: commits of former leaders are written.
    pub(crate) without_fence: bool,
    on_its_way: BTreeMap<CommitId, OnItsWay>,
    commits_made: CommitId,
}

// === impl Registry ===

impl Registry {
    /// Raises the epoch and gives everything that is stored.
    pub(crate) fn take_over(&mut self) -> (u64, Vec<(Key, Vec<u8>)>) {
        self.epoch += 1;
        self.broken = false;
        (self.epoch, self.stored())
    }

    pub(crate) fn stored(&self) -> Vec<(Key, Vec<u8>)> {
        self.records.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn records(&self) -> &BTreeMap<Key, Vec<u8>> {
        &self.records
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes a commit; it is written when it is applied, in the order of its coming.
    pub(crate) fn commit(&mut self, epoch: u64, turn: Rc<Turn>, cut: Cut) -> CommitId {
        self.commits_made += 1;
        self.on_its_way.insert(self.commits_made, OnItsWay { epoch, turn, cut });
        self.commits_made
    }

    /// Decides on a commit whose time has come: its turn, how many of its transactions are to be
    /// written, and what its sender is told.
    pub(crate) fn decide(&mut self, id: CommitId) -> Option<(Rc<Turn>, usize, Outcome)> {
        let OnItsWay { epoch, turn, cut } = self.on_its_way.remove(&id)?;
        let fenced = epoch != self.epoch && !self.without_fence;
        if fenced || (self.broken && epoch == self.epoch) || self.away {
            self.broken |= epoch == self.epoch;
            return Some((turn, 0, Outcome::Refused));
        }
        let transactions = turn.transactions.len();
        let (count, outcome) = match cut {
            Cut::No => (transactions, Outcome::Done),
            Cut::After(count) => (count.min(transactions), Outcome::Unknown),
        };
        self.broken |= outcome != Outcome::Done;
        Some((turn, count, outcome))
    }

    /// Writes one transaction.
    pub(crate) fn write(&mut self, writes: &[Write]) {
        for Write { key, value } in writes {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
    }

    /// Whoever sent them died before they left.
    pub(crate) fn forget_on_its_way(&mut self) {
        self.on_its_way.clear();
    }

    /// A node goes only with or after its children: what a tree of nodes would refuse. Gives the
    /// first child that would be left.
    pub(crate) fn orphan(&self, writes: &[Write]) -> Option<Key> {
        let value_of = |key: &Key| writes.iter().find(|write| write.key == *key).map(|w| &w.value);
        let stays = |key: &&Key| !matches!(value_of(key), Some(None));
        for write in writes.iter().filter(|write| write.value.is_none()) {
            let (from, until) = match &write.key {
                Key::ReadyCount(job) => (least_ready(job)?, Key::Failover(job.clone(), 0)),
                Key::Running(job) => {
                    (Key::RunningShard(job.clone(), 0), Key::RunningShard(job.clone(), u32::MAX))
                }
                Key::ParallelRunning(run) => {
                    (Key::ParallelShard(run.clone(), 0), Key::ParallelShard(run.clone(), u32::MAX))
                }
                _ => continue,
            };
            let of_parent = |key: &&Key| match (&write.key, key) {
                (Key::ReadyCount(job), Key::Ready(of, _))
                | (Key::Running(job), Key::RunningShard(of, _)) => of == job,
                (Key::ParallelRunning(run), Key::ParallelShard(of, _)) => of == run,
                _ => false,
            };
            let kept = self.records.range(from..until).map(|(key, _)| key);
            let kept = kept.take_while(of_parent).find(stays);
            let put = writes.iter().filter(|write| write.value.is_some()).map(|write| &write.key);
            let orphan = kept.or_else(|| put.into_iter().find(of_parent));
            if orphan.is_some() {
                return orphan.cloned();
            }
        }
        None
    }
}

/// The least key a pending run of a job can have.
fn least_ready(job: &JobName) -> Option<Key> {
    let id = RunId::triggered(job, "-").ok()?;
    Some(Key::Ready(job.clone(), id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scheduler::{Cause, Step};

    fn turn(values: &[&str]) -> Rc<Turn> {
        let step = |value: &&str| {
            let write = Write { key: Key::FrameworkId, value: Some(value.as_bytes().to_vec()) };
            Step { writes: vec![write], ..Step::new(Cause::Place, 0) }
        };
        Rc::new(Turn::new(None, (0, 1), values.iter().map(step).collect(), usize::MAX))
    }

    fn apply(registry: &mut Registry, id: CommitId) -> Outcome {
        let (turn, count, outcome) = registry.decide(id).expect("it is on its way");
        for transaction in turn.transactions.iter().take(count) {
            registry.write(turn.writes_of(transaction));
        }
        outcome
    }

    #[test]
    fn a_deposed_leader_writes_nothing() {
        let mut registry = Registry::default();
        let (old, _) = registry.take_over();
        let late = registry.commit(old, turn(&["a"]), Cut::No);
        let (new, _) = registry.take_over();
        assert_eq!(apply(&mut registry, late), Outcome::Refused);
        let own = registry.commit(new, turn(&["b"]), Cut::No);
        assert_eq!(apply(&mut registry, own), Outcome::Done);
        assert_eq!(registry.stored(), [(Key::FrameworkId, b"b".to_vec())]);
    }

    #[test]
    fn after_a_failed_commit_the_tenure_writes_nothing_more() {
        let mut registry = Registry::default();
        let (epoch, _) = registry.take_over();
        let cut = registry.commit(epoch, turn(&["a", "b"]), Cut::After(1));
        let later = registry.commit(epoch, turn(&["c"]), Cut::No);
        assert_eq!(apply(&mut registry, cut), Outcome::Unknown);
        assert_eq!(apply(&mut registry, later), Outcome::Refused);
        assert_eq!(registry.stored(), [(Key::FrameworkId, b"a".to_vec())]);
    }

    #[test]
    fn a_step_that_is_too_large_is_written_in_parts() {
        let write = |name: &str| Write {
            key: Key::Ready(
                JobName::parse(name).expect("a name"),
                RunId::parse(&format!("{name}@k")).expect("an id"),
            ),
            value: Some(vec![0; 100]),
        };
        let step = Step { writes: ["a", "b", "c"].map(write).into(), ..Step::new(Cause::Place, 0) };
        let turn = Turn::new(None, (0, 1), vec![step], 600);
        let parts: Vec<(usize, bool)> = turn
            .transactions
            .iter()
            .map(|part| (turn.writes_of(part).len(), part.is_last))
            .collect();
        assert_eq!(parts, [(2, false), (1, true)]);
    }
}
