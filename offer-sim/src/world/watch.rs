//! What can be seen of a world from outside: what simulated executors did, and what went wrong on the
//! way. Changes nothing of it.

use super::World;
use super::event::UpdateFault;
use super::id::{AgentId, ContainerId};
use super::simulated::Deed;
use super::transit::Lost;

// === impl World ===

impl World {
    /// From here on it is noted what simulated executors do, for [`World::take_deeds`].
    pub fn watch_work(&mut self) {
        self.simulation.watch();
    }

    /// What simulated executors did since the last call, in order.
    pub fn take_deeds(&mut self) -> Vec<Deed> {
        self.simulation.take_deeds()
    }

    /// The simulated executors that there are, with their agents.
    pub fn simulated_executors(&self) -> impl Iterator<Item = (&AgentId, &ContainerId)> {
        self.simulation.executors()
    }

    /// How many status updates were disturbed in this way.
    pub fn updates_disturbed(&self, fault: UpdateFault) -> u64 {
        self.parts.disturbance.struck().get(&fault).copied().unwrap_or(0)
    }

    /// How many messages of this kind were lost.
    pub fn messages_lost(&self, what: Lost) -> u64 {
        self.parts.transit.lost(what)
    }
}
