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

/// What an agent speaks, as its offers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP in TLS.
    Https,
}

/// The network address of an agent, fit for a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAddress {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The addresses of all agents that were seen. Clones are one book: the driver writes, the API reads.
#[derive(Debug, Clone, Default)]
pub struct AgentBook(Arc<Mutex<BTreeMap<AgentId, AgentAddress>>>);

// === impl Scheme ===

impl Scheme {
    /// Reads the scheme of an agent's URL; `None` for one nobody here speaks.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

// === impl AgentAddress ===

impl AgentAddress {
    /// The host, without brackets around an IPv6 address.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// An address from what an offer's URL says; `None` for what could not be part of a URL.
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Option<Self> {
        if host.parse::<Ipv6Addr>().is_ok() {
            return Some(Self { scheme, host: format!("[{host}]"), port });
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!host.is_empty() && host.chars().all(is_plain) && port > 0).then(|| Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }

    /// The beginning of all its URLs.
    pub(super) fn origin(&self) -> String {
        format!("{}://{self}", self.scheme.as_str())
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
        let text = |host: &str| {
            AgentAddress::new(Scheme::Http, host, 5051).map(|address| address.to_string())
        };
        assert_eq!(text("10.0.0.1").unwrap(), "10.0.0.1:5051");
        assert_eq!(text("agent-1.example").unwrap(), "agent-1.example:5051");
        assert_eq!(text("::1").unwrap(), "[::1]:5051");
        for bad in ["", "a/b", "a@b", "a b", "a:1", "ä"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(AgentAddress::new(Scheme::Http, "host", 0), None);
        let tls = AgentAddress::new(Scheme::Https, "host", 5051).unwrap();
        assert_eq!(tls.origin(), "https://host:5051");
        assert_eq!(Scheme::parse("ftp"), None);
    }

    #[test]
    fn the_last_word_counts() {
        let book = AgentBook::default();
        let (agent, other) = (AgentId::new("S1"), book.clone());
        let at = |port| AgentAddress::new(Scheme::Http, "h", port).unwrap();
        for port in [1, 2] {
            book.learn([(agent.clone(), at(port))]);
        }
        assert_eq!(other.find(&agent), Some(at(2)));
        assert_eq!(other.find(&AgentId::new("S2")), None);
    }
}
