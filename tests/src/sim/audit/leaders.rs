//! Only one leader acts: what a deposed one commits is not written. That nothing of a commit that
//! failed leaves is checked with what is durable.

use crate::sim::registry::Registry;
use crate::sim::scheduler::Turn;

pub(super) fn on_transaction(turn: &Turn, registry: &Registry) -> Result<(), String> {
    if turn.epoch == registry.epoch() {
        Ok(())
    } else {
        Err(format!("epoch {} writes while epoch {} leads", turn.epoch, registry.epoch()))
    }
}
