//! An offer is used once, and not after it was taken back. That no agent is over-committed, and an
//! executor is charged once, is what the master itself checks.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::OfferId;

use crate::sim::env::Process;
use crate::sim::scheduler::Step;

/// The offers each process has, as it was told.
#[derive(Debug, Default)]
pub(super) struct Offers {
    held: BTreeMap<Process, BTreeSet<OfferId>>,
    /// What each process has sent an ACCEPT for, under its subscription.
    accepted: BTreeMap<Process, BTreeSet<OfferId>>,
}

impl Offers {
    pub(super) fn on_event(&mut self, process: Process, event: &Event) {
        let held = self.held.entry(process).or_default();
        match event {
            Event::Offers(offers) => held.extend(offers.iter().map(|offer| offer.id.clone())),
            Event::Rescinded(offer) => {
                held.remove(offer);
            }
            Event::Disconnected | Event::Subscribed { .. } | Event::FrameworkRemoved => {
                held.clear();
                self.accepted.remove(&process);
            }
            _ => {}
        }
    }

    /// A call leaves the driver.
    pub(super) fn on_sent(&mut self, process: Process, action: &Action) -> Result<(), String> {
        let Action::Accept { offers, .. } = action else { return Ok(()) };
        let accepted = self.accepted.entry(process).or_default();
        match offers.iter().find(|offer| !accepted.insert((*offer).clone())) {
            Some(offer) => Err(format!("a second ACCEPT uses offer {offer}")),
            None => Ok(()),
        }
    }

    pub(super) fn on_step(&mut self, process: Process, step: &Step) -> Result<(), String> {
        let held = self.held.entry(process).or_default();
        for action in &step.actions {
            let (Action::Accept { offers, .. } | Action::Decline { offers, .. }) = action else {
                continue;
            };
            for offer in offers {
                if !held.remove(offer) {
                    return Err(format!("offer {offer} is used, and is not held"));
                }
            }
        }
        Ok(())
    }
}
