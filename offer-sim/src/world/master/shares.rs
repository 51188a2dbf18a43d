//! How much of the cluster roles and frameworks hold: sums for the allocator's order, in which the
//! one that holds least comes first. Nothing is allocated here.

use std::collections::BTreeMap;

use super::super::id::FrameworkId;
use super::super::resources::Resources;
use super::Master;

/// The resources whose largest part counts.
const NAMES: [&str; 3] = ["cpus", "mem", "disk"];

/// Amounts of `NAMES`, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum([u64; NAMES.len()]);

/// What is held, and of how much.
#[derive(Debug, Default)]
pub(super) struct Shares {
    total: Sum,
    by_role: BTreeMap<String, Sum>,
    by_framework: BTreeMap<(FrameworkId, String), Sum>,
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, resources: &Resources) {
        for (mine, name) in self.0.iter_mut().zip(NAMES) {
            *mine = mine.saturating_add(resources.milli(name));
        }
    }

    /// The largest part of any resource, in millionths of all there is.
    fn dominant_share(self, total: Self) -> u64 {
        let share = |(mine, all): (u64, u64)| u128::from(mine) * 1_000_000 / u128::from(all.max(1));
        self.0.into_iter().zip(total.0).map(share).max().unwrap_or(0) as u64
    }
}

// === impl Shares ===

impl Shares {
    /// Counts resources as held by a framework in a role.
    pub(super) fn add(&mut self, framework: &FrameworkId, role: &str, resources: &Resources) {
        match self.by_role.get_mut(role) {
            Some(sum) => sum.add(resources),
            None => self.by_role.entry(role.to_owned()).or_default().add(resources),
        }
        let key = (framework.clone(), role.to_owned());
        self.by_framework.entry(key).or_default().add(resources);
    }

    /// What comes before what: the role that has least, in it the framework that has least.
    pub(super) fn order(&self, (framework, role): &(FrameworkId, String)) -> (u64, u64) {
        let share = |sum: Option<&Sum>| sum.copied().unwrap_or_default().dominant_share(self.total);
        let in_role = share(self.by_role.get(role));
        (in_role, share(self.by_framework.get(&(framework.clone(), role.clone()))))
    }
}

// === impl Master ===

impl Master {
    /// What every framework is offered or uses.
    pub(super) fn shares(&self) -> Shares {
        let mut shares = Shares::default();
        for agent in self.agents.values() {
            shares.total.add(&agent.spec.resources);
        }
        for offer in self.offers.values() {
            shares.add(&offer.framework, &offer.role, &offer.resources);
        }
        let reachable = self.tasks.iter().filter(|(_, task)| task.unreachable_since_ms.is_none());
        let tasks = reachable.map(|((framework, _), task)| (framework, &task.resources));
        let executors = self.agents.values().flat_map(|agent| &agent.executors);
        let executors =
            executors.map(|((framework, _), executor)| (framework, &executor.resources));
        for (framework, resources) in tasks.chain(executors) {
            // A task or an executor is of one role.
            let role = resources.iter().find_map(|(kind, _)| kind.role.as_deref());
            shares.add(framework, role.unwrap_or("*"), resources);
        }
        shares
    }
}
