//! Faults that somebody wants: what they do to links, agents, streams and calls. What a master and
//! its agents make of that is theirs.

use super::agent::Agent;
use super::chance::Fate;
use super::disturbance::Rule;
use super::event::{AgentSpec, Fault};
use super::id::AgentId;
use super::links::Closure;
use super::master::Rejection;
use super::simulated::Simulation;
use super::timers::Timer;
use super::{Effect, Parts, Turn};

/// Calls that are refused for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    probability: f64,
    until_ms: u64,
    drawn: u64,
}

// === impl Refusal ===

impl Refusal {
    /// The answer to a call that is refused.
    pub(super) fn refuses(&mut self, now_ms: u64) -> Option<Rejection> {
        if now_ms >= self.until_ms {
            return None;
        }
        self.drawn += 1;
        let refused =
            Fate::new(self.until_ms).happens("call", &self.drawn.to_string(), self.probability);
        refused.then(|| Rejection::unavailable("Service temporarily unavailable"))
    }
}

// === impl Parts ===

impl Parts {
    pub(super) fn on_fault(
        &mut self,
        turn: &mut Turn<'_>,
        simulation: &mut Simulation,
        fault: Fault,
    ) {
        match fault {
            Fault::KillAgents(ids) => {
                for id in &ids {
                    self.kill_agent(turn, simulation, id);
                }
            }
            Fault::StartAgents(ids) => {
                for id in &ids {
                    self.start_agent(turn, simulation, id);
                }
            }
            Fault::FreezeAgents(ids) => {
                for id in &ids {
                    let (to_agent, to_master) = (Vec::new(), Vec::new());
                    self.close(turn, id, Closure::Frozen { to_agent, to_master });
                }
            }
            Fault::ThawAgents(ids) => {
                for id in ids.iter().filter(|id| self.links.is_frozen(id)).collect::<Vec<_>>() {
                    self.open(turn, id);
                }
            }
            Fault::CutOffAgents(ids) => {
                for id in &ids {
                    self.close(turn, id, Closure::Cut);
                }
            }
            Fault::ReconnectAgents(ids) => {
                for id in ids.iter().filter(|id| !self.links.is_frozen(id)).collect::<Vec<_>>() {
                    // A host that vanished is not reached by mending the network.
                    if self.agents.contains_key(id) || self.remote.contains(id) {
                        self.open(turn, id);
                    }
                }
            }
            Fault::MarkAgentsGone(ids) => {
                for id in &ids {
                    self.master.on_agent_marked_gone(turn, id);
                }
            }
            Fault::FailOverMaster => self.fail_over(turn),
            Fault::DisturbUpdates { fault, agents, probability, for_ms } => {
                let until_ms = for_ms.map(|ms| turn.now_ms.saturating_add(ms));
                self.disturbance.add(Rule { fault, agents, probability, until_ms });
            }
            Fault::LoseMessages { what, probability } => self.transit.lose(what, probability),
            // It is of an executor, which is not of these parts.
            Fault::CrashExecutor(_) => {}
            Fault::RescindOffers(Some(ids)) => {
                for id in &ids {
                    self.master.rescind_offers_on(turn, id);
                }
            }
            Fault::RescindOffers(None) => self.master.rescind_all_offers(turn),
            Fault::RefuseCalls { probability, for_ms } => {
                let until_ms = turn.now_ms.saturating_add(for_ms);
                self.refusal = Some(Refusal { probability, until_ms, drawn: 0 });
            }
            Fault::SlowStreams { interval_ms, for_ms } => {
                self.outbox.slow(turn.now_ms, turn.timers, interval_ms, for_ms);
            }
            Fault::EndDisturbances => {
                self.disturbance.clear();
                self.transit.lose_nothing();
                self.refusal = None;
                self.outbox.end(turn.now_ms, turn.timers);
            }
            Fault::SetMaintenance(windows) => {
                self.master.on_maintenance_schedule(turn, windows);
            }
        }
    }

    /// Nothing comes through any more; when that stays so, the agent's health checks fail.
    fn close(&mut self, turn: &mut Turn<'_>, id: &AgentId, closure: Closure) {
        if self.links.is_open(id) && (self.agents.contains_key(id) || self.remote.contains(id)) {
            self.links.close(turn.now_ms, id, closure);
            check_health(turn, id);
        }
    }

    /// The way has been closed for as long as health checks bear, if it was not open in between.
    pub(super) fn on_health_due(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        let bears_ms = health_checks_ms(turn);
        let since_ms = self.links.closed_since_ms(id);
        if since_ms.is_some_and(|since_ms| since_ms.saturating_add(bears_ms) <= turn.now_ms) {
            self.master.on_agent_unreachable(turn, id);
        }
    }

    /// A connection breaks with all that is under way on it. The master offers such an agent no more;
    /// the agent notices, and makes another connection a little later.
    pub(super) fn break_connection(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if !self.links.is_open(id) || !self.agents.contains_key(id) {
            return;
        }
        self.transit.break_off(id);
        self.links.close(turn.now_ms, id, Closure::Cut);
        self.master.on_agent_disconnected(turn, id);
        let backoff_ms = turn.config.registration_backoff_ms.max(1);
        let delay_ms = Fate::new(turn.now_ms).draw("relink", &id.0) % backoff_ms;
        turn.timers.set(turn.now_ms + delay_ms, Timer::Relink(id.clone()));
        check_health(turn, id);
    }

    /// An agent whose connection broke makes another, unless something else is in the way by now.
    pub(super) fn on_relink_due(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if self.links.is_cut(id) {
            self.open(turn, id);
        }
    }

    /// The way is open again. What waited comes through, unless the master gave the agent up
    /// meanwhile; then, and after a cut, the agent registers again.
    fn open(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        let Some(closure) = self.links.open(id) else { return };
        if let Closure::Frozen { to_agent, to_master } = closure {
            for message in to_agent {
                // It has waited at the agent, which reads it before it does anything else.
                match self.agents.get_mut(id) {
                    Some(agent) => agent.on_master_message(turn, message),
                    None => turn.send_agent(id, message),
                }
            }
            if self.master.has_agent(id) {
                for message in to_master {
                    turn.send_master(id, message);
                }
                return;
            }
        }
        if let Some(agent) = self.agents.get(id) {
            agent.register(turn);
        } else if self.remote.contains(id) {
            // Its process registers all its agents when it connects.
            turn.effects.push(Effect::DropAgents);
        }
    }

    fn kill_agent(&mut self, turn: &mut Turn<'_>, simulation: &mut Simulation, id: &AgentId) {
        let Some(agent) = self.agents.remove(id) else {
            // Of a host that another process plays, only the connection can be taken away.
            self.close(turn, id, Closure::Gone);
            return;
        };
        if simulation.has_agent(id) {
            simulation.remove_agent(id);
            self.killed.insert(id.clone(), agent.spec().clone());
        } else {
            agent.kill_all(turn);
        }
        if self.links.is_open(id) {
            check_health(turn, id);
        }
        self.transit.break_off(id);
        self.links.close(turn.now_ms, id, Closure::Gone);
    }

    fn start_agent(&mut self, turn: &mut Turn<'_>, simulation: &mut Simulation, id: &AgentId) {
        let Some(spec) = self.killed.remove(id) else { return };
        let spec = AgentSpec { id: turn.ids.agent(), ..spec };
        simulation.add_agent(spec.id.clone());
        self.agents.insert(spec.id.clone(), Agent::new(turn, spec, Vec::new()));
    }

    /// Agents look for the new master at times of their own.
    fn fail_over(&mut self, turn: &mut Turn<'_>) {
        self.master.fail_over(turn);
        self.transit.clear();
        self.links.clear_waiting();
        for id in self.agents.keys() {
            let backoff_ms = turn.config.registration_backoff_ms.max(1);
            let delay_ms = Fate::new(turn.now_ms).draw("register", &id.0) % backoff_ms;
            turn.timers.set(turn.now_ms + delay_ms, Timer::Reregister(id.clone()));
        }
    }

    /// An agent of another process lost its connection.
    pub(super) fn on_agent_gone(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if self.remote.contains(id) {
            self.close(turn, id, Closure::Gone);
            self.master.on_agent_disconnected(turn, id);
        }
    }
}

/// How long health checks bear that an agent does not answer.
fn health_checks_ms(turn: &Turn<'_>) -> u64 {
    turn.config.agent_ping_timeout_ms.saturating_mul(turn.config.max_agent_ping_timeouts)
}

fn check_health(turn: &mut Turn<'_>, id: &AgentId) {
    let fails_at_ms = turn.now_ms.saturating_add(health_checks_ms(turn));
    turn.timers.set(fails_at_ms, Timer::AgentHealth(id.clone()));
}
