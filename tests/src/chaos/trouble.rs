//! What goes wrong: processes are killed, or stand still for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use super::cluster::Cluster;
use crate::random::Random;

/// How long a process stands still, milliseconds, at least and at most: shorter and longer than a
/// session lives.
const FREEZE_MS: (i64, i64) = (200, 7_000);

/// A kind of trouble and how likely it is beside the others.
const KINDS: [(Kind, u64); 9] = [
    (Kind::KillScheduler, 5),
    (Kind::FreezeScheduler, 5),
    (Kind::KillZooKeeper, 1),
    (Kind::FreezeZooKeeper, 2),
    (Kind::KillMaster, 1),
    (Kind::FreezeMaster, 2),
    (Kind::KillExecutor, 3),
    (Kind::FreezeExecutor, 2),
    (Kind::Calm, 2),
];

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    KillScheduler,
    FreezeScheduler,
    KillZooKeeper,
    FreezeZooKeeper,
    /// The agent and its executors go with it.
    KillMaster,
    FreezeMaster,
    KillExecutor,
    FreezeExecutor,
    /// Nothing, so that now and then all goes well.
    Calm,
}

/// A process that stands still.
#[derive(Debug)]
struct Frozen {
    pid: u32,
    until: Instant,
}

/// What has gone wrong, and what still does.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    counts: BTreeMap<Kind, u64>,
    frozen: Vec<Frozen>,
    /// When work was interrupted: milliseconds since the epoch. A shard that was done and could not
    /// say so any more is rightly done again.
    pub(super) interruptions: Vec<i64>,
}

// === impl Troubles ===

impl Troubles {
    /// One more goes wrong; whose time has come goes on.
    pub(super) fn one(&mut self, cluster: &mut Cluster, random: &mut Random) -> Result<()> {
        self.thaw(|frozen| frozen.until <= Instant::now());
        let total: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = random.below(total);
        let drawn = KINDS.iter().find(|(_, weight)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        let Some((kind, _)) = drawn else { return Ok(()) };
        let scheduler = random.below(cluster.schedulers.len() as u64) as usize;
        let scheduler_id = cluster.schedulers.get(scheduler).map(|found| found.process.id());
        let executors = cluster.executors();
        let executor = (!executors.is_empty()).then(|| *random.pick(&executors));
        let freeze_ms = random.between(FREEZE_MS.0, FREEZE_MS.1).unsigned_abs();
        let until = Instant::now() + Duration::from_millis(freeze_ms);
        match kind {
            Kind::KillScheduler => cluster.restart_scheduler(scheduler)?,
            Kind::FreezeScheduler => self.freeze(scheduler_id, until),
            Kind::KillZooKeeper => cluster.restart_zookeeper()?,
            Kind::FreezeZooKeeper => self.freeze(Some(cluster.zookeeper.process().id()), until),
            Kind::KillMaster => {
                self.interrupted();
                cluster.restart_master()?;
            }
            Kind::FreezeMaster => self.freeze(Some(cluster.master.id()), until),
            Kind::KillExecutor => {
                self.interrupted();
                signal(executor, Signal::KILL);
            }
            Kind::FreezeExecutor => {
                self.interrupted();
                self.freeze(executor, until);
            }
            Kind::Calm => {}
        }
        *self.counts.entry(*kind).or_default() += 1;
        Ok(())
    }

    /// Nothing goes wrong any more, and whatever died lives again.
    pub(super) fn put_right(&mut self, cluster: &mut Cluster) -> Result<()> {
        self.thaw(|_| true);
        if !cluster.master.is_alive() {
            cluster.restart_master()?;
        }
        for number in 0..cluster.schedulers.len() {
            let dead = cluster.schedulers.get_mut(number).is_some_and(|s| !s.process.is_alive());
            if dead {
                cluster.restart_scheduler(number)?;
            }
        }
        Ok(())
    }

    /// How often each kind came, by name.
    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        self.counts.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect()
    }

    fn interrupted(&mut self) {
        self.interruptions.push(shiftwork_scheduler::turn::now().as_millis());
    }

    fn freeze(&mut self, pid: Option<u32>, until: Instant) {
        let Some(pid) = pid else { return };
        signal(Some(pid), Signal::STOP);
        self.frozen.push(Frozen { pid, until });
    }

    fn thaw(&mut self, whom: impl Fn(&Frozen) -> bool) {
        for frozen in self.frozen.extract_if(.., |frozen| whom(frozen)) {
            signal(Some(frozen.pid), Signal::CONT);
        }
    }
}

fn signal(pid: Option<u32>, signal: Signal) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // An error means that it has ended already.
        let _ended = kill_process(pid, signal);
    }
}
