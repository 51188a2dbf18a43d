//! Where agents are, as their offers said last. Absent: any other knowledge of them; the engine has
//! that.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use shiftwork_engine::ids::AgentId;

/// Agents that are remembered: more than the largest cluster has. Beyond it the ones that come first
/// by their id, which are those of the oldest masters, are forgotten.
const AGENTS_MAX: usize = 100_000;

/// The network address of an agent, fit for a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAddress {
    host: String,
    port: u16,
}

/// The addresses of all agents that were seen. Clones are one book: the driver writes, the API reads.
#[derive(Debug, Clone, Default)]
pub struct AgentBook(Arc<Mutex<BTreeMap<AgentId, AgentAddress>>>);

// === impl AgentAddress ===

impl AgentAddress {
    /// An address from what an offer's URL says; `None` for what could not be part of a URL.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        if host.parse::<Ipv6Addr>().is_ok() {
            return Some(Self { host: format!("[{host}]"), port });
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!host.is_empty() && host.chars().all(is_plain) && port > 0)
            .then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

// === impl AgentBook ===

impl AgentBook {
    /// Notes where agents are now.
    pub fn learn(&self, agents: impl IntoIterator<Item = (AgentId, AgentAddress)>) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.extend(agents);
        while book.len() > AGENTS_MAX {
            book.pop_first();
        }
    }

    /// Where an agent is.
    pub fn find(&self, agent: &AgentId) -> Option<AgentAddress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(agent).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_fit_for_a_url() {
        let text = |host: &str| AgentAddress::new(host, 5051).map(|address| address.to_string());
        assert_eq!(text("10.0.0.1").unwrap(), "10.0.0.1:5051");
        assert_eq!(text("agent-1.example").unwrap(), "agent-1.example:5051");
        assert_eq!(text("::1").unwrap(), "[::1]:5051");
        for bad in ["", "a/b", "a@b", "a b", "a:1", "ä"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(AgentAddress::new("host", 0), None);
    }

    #[test]
    fn the_last_word_counts() {
        let book = AgentBook::default();
        let (agent, other) = (AgentId::new("S1"), book.clone());
        for port in [1, 2] {
            book.learn([(agent.clone(), AgentAddress::new("h", port).unwrap())]);
        }
        assert_eq!(other.find(&agent), AgentAddress::new("h", 2));
        assert_eq!(other.find(&AgentId::new("S2")), None);
    }
}
