//! How much of the cluster this framework uses, and how much more is within its reach.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::resources::Demand;

/// Amounts by resource, as Mesos names them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Utilisation {
    /// What live tasks and their executors hold.
    pub used: BTreeMap<&'static str, f64>,
    /// What the offers held contain.
    pub offered: BTreeMap<&'static str, f64>,
}

impl Engine {
    /// What is used and what is offered now. Costs as much as there are live tasks.
    pub fn utilisation(&self) -> Utilisation {
        let tasks = self.tasks.values().filter_map(|(run, _)| self.runs.get(run));
        let held = tasks.fold(Demand::default(), |sum, run| sum.plus(&run.job.rules.demand));
        let mut used = BTreeMap::from([
            ("cpus", held.cpus.as_f64()),
            ("mem", held.mem.as_f64()),
            ("disk", held.disk.as_f64()),
            ("gpus", held.gpus.as_f64()),
            ("ports", f64::from(held.ports)),
        ]);
        let current = self.fleet.executors.values().flat_map(BTreeMap::values);
        let draining = self.fleet.draining.values().flat_map(BTreeMap::values);
        let executors = current.chain(draining);
        for resources in executors.filter_map(|executor| executor.resources.as_ref()) {
            add(&mut used, &resources.totals());
        }
        let mut offered = BTreeMap::new();
        for lease in self.fleet.leases.values() {
            add(&mut offered, &lease.free.totals());
        }
        Utilisation { used, offered }
    }
}

fn add(sum: &mut BTreeMap<&'static str, f64>, amounts: &BTreeMap<&'static str, f64>) {
    for (kind, amount) in amounts {
        *sum.entry(kind).or_default() += amount;
    }
}
