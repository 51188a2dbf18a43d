//! The ways between the master and its agents, as far as they are not open: cut, or with an end
//! that is frozen or gone. What follows when a way stays closed is the master's to decide.

use std::collections::BTreeMap;

use super::id::AgentId;
use super::mail::{ToAgent, ToMaster};

/// Why nothing comes through.
#[derive(Debug)]
pub(super) enum Closure {
    /// The network drops what is sent.
    Cut,
    /// The agent's host is gone, or its connection broke; what is sent is lost.
    Gone,
    /// The agent is frozen: what is sent either way waits until it is thawed.
    Frozen { to_agent: Vec<ToAgent>, to_master: Vec<ToMaster> },
}

#[derive(Debug)]
struct Closed {
    since_ms: u64,
    closure: Closure,
}

/// The ways that are closed; any other is open.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<AgentId, Closed>);

// === impl Links ===

impl Links {
    /// Closes a way, or changes why it is closed; since when stays.
    pub(super) fn close(&mut self, now_ms: u64, agent: &AgentId, closure: Closure) {
        let since_ms = self.closed_since_ms(agent).unwrap_or(now_ms);
        self.0.insert(agent.clone(), Closed { since_ms, closure });
    }

    /// Opens a way; why it was closed, if it was.
    pub(super) fn open(&mut self, agent: &AgentId) -> Option<Closure> {
        self.0.remove(agent).map(|closed| closed.closure)
    }

    /// All connections end: nothing that waits is from or for the next master.
    pub(super) fn clear_waiting(&mut self) {
        for closed in self.0.values_mut() {
            if let Closure::Frozen { to_agent, to_master } = &mut closed.closure {
                to_agent.clear();
                to_master.clear();
            }
        }
    }

    pub(super) fn is_open(&self, agent: &AgentId) -> bool {
        !self.0.contains_key(agent)
    }

    pub(super) fn is_frozen(&self, agent: &AgentId) -> bool {
        self.0.get(agent).is_some_and(|it| matches!(it.closure, Closure::Frozen { .. }))
    }

    pub(super) fn is_gone(&self, agent: &AgentId) -> bool {
        self.0.get(agent).is_some_and(|it| matches!(it.closure, Closure::Gone))
    }

    pub(super) fn is_cut(&self, agent: &AgentId) -> bool {
        self.0.get(agent).is_some_and(|it| matches!(it.closure, Closure::Cut))
    }

    pub(super) fn closed_since_ms(&self, agent: &AgentId) -> Option<u64> {
        self.0.get(agent).map(|closed| closed.since_ms)
    }

    /// The message, when it comes through at once.
    pub(super) fn pass_to_agent(&mut self, agent: &AgentId, message: ToAgent) -> Option<ToAgent> {
        match self.0.get_mut(agent).map(|closed| &mut closed.closure) {
            None => return Some(message),
            Some(Closure::Frozen { to_agent, .. }) => to_agent.push(message),
            Some(Closure::Cut | Closure::Gone) => {}
        }
        None
    }

    /// The message, when it comes through at once.
    pub(super) fn pass_to_master(
        &mut self,
        agent: &AgentId,
        message: ToMaster,
    ) -> Option<ToMaster> {
        match self.0.get_mut(agent).map(|closed| &mut closed.closure) {
            None => return Some(message),
            Some(Closure::Frozen { to_master, .. }) => to_master.push(message),
            Some(Closure::Cut | Closure::Gone) => {}
        }
        None
    }
}
