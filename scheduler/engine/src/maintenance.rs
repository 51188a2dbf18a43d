//! Agents that an operator takes away for a while: what is still placed on them, what is moved away, and
//! what is answered to the master's inverse offers. Absent: placement itself.
//!
//! Within the maintenance horizon before a window begins, and during it, an agent gets only tasks that are
//! known to have ended by then. DAEMON shards there are moved when the horizon is reached; TRANSIENT tasks
//! are left to end.

use shiftwork_schedule::Timestamp;

use crate::document::Execution;
use crate::effect::{Action, Effects};
use crate::engine::Engine;
use crate::event::{InverseOffer, Unavailability};
use crate::ids::{AgentId, OfferId, RunId};
use crate::record::KillIntent;
use crate::registered::Rules;
use crate::run::Run;
use crate::timers::Deadline;

/// For so long the master does not ask again after an answer, milliseconds: what runs there may have
/// ended by then, or something else may have been started.
const REFUSE_MS: u64 = 60_000;

// === impl Unavailability ===

impl Unavailability {
    /// True once the window is over; one without a known length never is.
    fn is_over(&self, now: Timestamp) -> bool {
        self.duration_ms.is_some_and(|length| self.start.saturating_add(length) <= now)
    }
}

impl Engine {
    /// The master would like us to leave agents: accepted where all that is there will have gone or can be
    /// moved, declined where something runs of which that is not known.
    pub(crate) fn on_inverse_offers(&mut self, offers: Vec<InverseOffer>, fx: &mut Effects) {
        let (mut accepted, mut declined): (Vec<OfferId>, Vec<OfferId>) = Default::default();
        for InverseOffer { id, agent, unavailability } in offers {
            let leaves = self.leaves_by(&agent, unavailability.start);
            if leaves {
                accepted.push(id);
            } else {
                declined.push(id);
            }
            self.note_unavailability(&agent, Some(unavailability));
        }
        let refuse_ms = REFUSE_MS;
        if !accepted.is_empty() {
            fx.action(Action::AcceptInverseOffers { offers: accepted, refuse_ms });
        }
        if !declined.is_empty() {
            fx.action(Action::DeclineInverseOffers { offers: declined, refuse_ms });
        }
        // What is due at once is done in this step.
        self.advance(self.now, fx);
    }

    /// What an offer or inverse offer says last about its agent counts.
    pub(crate) fn note_unavailability(&mut self, agent: &AgentId, window: Option<Unavailability>) {
        let deadline = Deadline::Maintenance(agent.clone());
        let Some(window) = window.filter(|window| !window.is_over(self.now)) else {
            if self.fleet.unavailable.remove(agent).is_some() {
                self.timers.cancel(&deadline);
            }
            return;
        };
        if self.fleet.unavailable.insert(agent.clone(), window) != Some(window) {
            let horizon_ms =
                i64::try_from(self.settings.maintenance_horizon_ms).unwrap_or(i64::MAX);
            let at = Timestamp::from_millis(window.start.as_millis().saturating_sub(horizon_ms));
            self.timers.set(deadline, at.max(self.now));
        }
    }

    /// The horizon of an agent's window is reached: its DAEMON shards are launched again elsewhere.
    pub(crate) fn on_maintenance_due(&mut self, agent: &AgentId, fx: &mut Effects) {
        let Some(window) = self.fleet.unavailable.get(agent).copied() else {
            return;
        };
        let message = format!("moved: agent {agent} is due for maintenance at {}", window.start);
        for (run, item) in self.daemons_on(agent) {
            self.set_message(&run, item, &message);
            self.kill_shard(&run, item, KillIntent::Relaunch, fx);
        }
    }

    /// Tells placement which agents leave, and when: those within the horizon.
    pub(crate) fn mark_leaving(&mut self) {
        let now = self.now;
        let until = now.saturating_add(self.settings.maintenance_horizon_ms);
        self.fleet.unavailable.retain(|_, window| !window.is_over(now));
        for (agent, lease) in &mut self.fleet.leases {
            let window = self.fleet.unavailable.get(agent);
            lease.leaves = window.map(|window| window.start).filter(|start| *start <= until);
        }
    }

    fn daemons_on(&self, agent: &AgentId) -> Vec<(RunId, u32)> {
        let here = |(run, item): &&(RunId, u32)| {
            self.runs.get(run).is_some_and(|run| {
                run.is_daemon()
                    && run.shard(*item).and_then(|shard| shard.phase.agent()) == Some(agent)
            })
        };
        self.tasks.values().filter(here).cloned().collect()
    }

    /// True if everything of ours on an agent can have left it by then: DAEMON shards are moved, and
    /// TRANSIENT tasks end with the timeout of their run.
    fn leaves_by(&self, agent: &AgentId, start: Timestamp) -> bool {
        self.tasks.values().all(|(run, item)| {
            let Some(run) = self.runs.get(run) else { return true };
            let here = run.shard(*item).and_then(|shard| shard.phase.agent()) == Some(agent);
            !here || run.is_daemon() || run.ends_by(self.now).is_some_and(|end| end <= start)
        })
    }
}

// === impl Run ===

impl Run {
    /// When an active run has ended at the latest, if that is known.
    fn ends_by(&self, now: Timestamp) -> Option<Timestamp> {
        self.job.rules.ends_by(self.started_at.unwrap_or(now))
    }
}

// === impl Rules ===

impl Rules {
    /// When a task launched at a moment has ended at the latest, if that is known: a TRANSIENT job with a
    /// timeout is killed then, and has its grace period to end.
    pub(crate) fn ends_by(&self, launched: Timestamp) -> Option<Timestamp> {
        let timeout = self.timeout_ms.filter(|_| self.execution == Execution::Transient)?;
        Some(launched.saturating_add(timeout).saturating_add(self.kill_grace_period_ms))
    }
}
