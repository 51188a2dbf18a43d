//! The driver of a process: calls in the order of the actions, tagged with the subscription they were
//! made under, and what becomes of an ACCEPT that fails, as with the real driver.

use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;

use super::brief;
use super::defects::Defect;
use super::env::{Happening, Process, StreamId};
use super::faults::Fault;
use super::world::World;

/// Declined with the offers of an ACCEPT that failed, as the real driver does.
const GIVE_BACK_REFUSE_MS: u64 = 1_000;

impl World {
    /// The driver sends a call, in the order of the actions.
    pub(super) fn send(&mut self, process: Process, action: Action) {
        self.env.tell("scheduler", || format!("{process} sends {}", brief::action(&action)));
        let Some(tenure) = self.tenure(process) else { return };
        if matches!(action, Action::SubscribeAnew) {
            self.env.calendar.after(20, Happening::Subscribe(process));
            return;
        }
        let Some(stream) = tenure.stream else { return self.launch_failed(process, &action) };
        if self.spoiler.drops(&action) {
            return;
        }
        let accept = matches!(action, Action::Accept { .. });
        if accept && self.lose_accept(process, stream, &action) {
            return;
        }
        if accept && self.spoiler.is(Defect::AcceptTwice) {
            self.call(process, stream, action.clone());
        }
        self.call(process, stream, action);
    }

    fn call(&mut self, process: Process, stream: StreamId, action: Action) {
        self.audit.on_sent(process, &action, &self.registry);
        let after = self.env.random.between(1, 5);
        let at = self.env.now() + after;
        let Some(tenure) = self.tenure(process) else { return };
        tenure.calls_at = tenure.calls_at.max(at);
        let at = tenure.calls_at;
        let action = Box::new(action);
        self.env.calendar.at(at, Happening::ToMaster { from: process, stream, action });
    }

    /// Faults of ACCEPT. True if the call itself is not to be sent.
    fn lose_accept(&mut self, process: Process, stream: StreamId, action: &Action) -> bool {
        let Action::Accept { offers, .. } = action else { return false };
        if self.env.strikes(Fault::AcceptLost) {
            self.cluster.missed(action);
            return true;
        }
        let refused = self.env.strikes(Fault::AcceptRefused);
        if !refused && !self.env.strikes(Fault::AcceptUnknown) {
            return false;
        }
        if !refused && self.env.random.chance(0.5) {
            self.call(process, stream, action.clone());
        }
        // As the real driver: the offers are given back before the owner hears of it.
        let (offers, refuse_ms) = (offers.clone(), GIVE_BACK_REFUSE_MS);
        self.call(process, stream, Action::Decline { offers, refuse_ms });
        self.launch_failed(process, action);
        true
    }

    /// In whatever way an ACCEPT fails, its owner is told the same and must allow for its arrival.
    fn launch_failed(&mut self, process: Process, action: &Action) {
        let Action::Accept { launches, .. } = action else { return };
        self.cluster.missed(action);
        let tasks = launches.iter().map(|launch| launch.task.clone()).collect();
        let event = Box::new(Event::LaunchFailed { tasks });
        let after = self.env.random.between(10, 50);
        let told = Happening::ToScheduler { to: process, stream: None, event };
        self.env.calendar.after(after, told);
    }

    pub(super) fn at_master(&mut self, from: Process, stream: StreamId, action: Action) {
        if let Some(refused) = self.cluster.call(stream, action, &mut self.env) {
            self.launch_failed(from, &refused);
        }
    }
}
