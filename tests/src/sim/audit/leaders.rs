//! Only one leader acts: what a deposed one commits is not written, and what it wants of the master
//! leaves only if the fence let it through while it still led.

use std::collections::BTreeMap;

use crate::sim::env::Process;
use crate::sim::registry::{Outcome, Registry};
use crate::sim::scheduler::Turn;

/// How far each process has passed the fence.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    passed: BTreeMap<Process, u64>,
}

impl Leaders {
    pub(super) fn on_transaction(turn: &Turn, registry: &Registry) -> Result<(), String> {
        if turn.epoch == registry.epoch() {
            Ok(())
        } else {
            Err(format!("epoch {} writes while epoch {} leads", turn.epoch, registry.epoch()))
        }
    }

    pub(super) fn on_applied(&mut self, turn: &Turn, outcome: Outcome) {
        if let (Some(process), Outcome::Done) = (turn.process, outcome) {
            self.passed.insert(process, turn.number);
        }
    }

    pub(super) fn on_released(&self, turn: &Turn, registry: &Registry) -> Result<(), String> {
        let passed = turn.process.and_then(|process| self.passed.get(&process));
        let through = passed.is_some_and(|passed| *passed >= turn.number);
        if through || turn.epoch == registry.epoch() || !turn.acts() {
            return Ok(());
        }
        let (epoch, leads) = (turn.epoch, registry.epoch());
        Err(format!("epoch {epoch} acts in turn {} while epoch {leads} leads", turn.number))
    }
}
