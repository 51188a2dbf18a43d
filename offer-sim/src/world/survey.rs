//! Which agents there are, for people: by name, and how they fare. Changes nothing.

use std::collections::BTreeMap;

use super::World;
use super::event::AgentSpec;
use super::id::AgentId;

/// An agent as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSummary {
    /// Its id.
    pub id: AgentId,
    /// Its host; empty when only its id is left.
    pub hostname: String,
    /// `ACTIVE`, `DISCONNECTED`, `RECOVERED`, `UNREACHABLE`, `GONE` or `UNREGISTERED`.
    pub state: &'static str,
}

// === impl World ===

impl World {
    /// The agents that a selector names: by id, by the end of an id (`S3`), by host name, by an
    /// attribute (`rack:r3`), or all of them (`*`).
    pub fn agents_named(&self, selector: &str) -> Vec<AgentSummary> {
        let known = self.known_agents();
        let named = known.into_iter().filter(|(id, spec)| is_named(selector, id, *spec));
        let summary = |(id, spec): (&AgentId, Option<&AgentSpec>)| AgentSummary {
            id: id.clone(),
            hostname: spec.map_or_else(String::new, |spec| spec.hostname.clone()),
            state: self.parts.master.agent_state(id),
        };
        named.map(summary).collect()
    }

    fn known_agents(&self) -> BTreeMap<&AgentId, Option<&AgentSpec>> {
        let mut known: BTreeMap<&AgentId, Option<&AgentSpec>> = BTreeMap::new();
        known.extend(self.parts.remote.iter().map(|id| (id, None)));
        known.extend(self.parts.master.specs().map(|spec| (&spec.id, Some(spec))));
        known.extend(self.parts.killed.iter().map(|(id, spec)| (id, Some(spec))));
        known.extend(self.parts.agents.iter().map(|(id, agent)| (id, Some(agent.spec()))));
        known
    }
}

fn is_named(selector: &str, id: &AgentId, spec: Option<&AgentSpec>) -> bool {
    let ends_so = id.0.strip_suffix(selector).is_some_and(|rest| rest.ends_with('-'));
    if selector == "*" || id.0 == selector || ends_so {
        return true;
    }
    let Some(spec) = spec else { return false };
    let has_attribute = |(name, value): (&str, &str)| {
        spec.attributes.iter().any(|attribute| {
            let text = attribute.text.as_ref().is_some_and(|text| text.value == value);
            let scalar = attribute.scalar.as_ref();
            let scalar = scalar.is_some_and(|scalar| value.parse() == Ok(scalar.value));
            attribute.name == name && (text || scalar)
        })
    };
    spec.hostname == selector || selector.split_once(':').is_some_and(has_attribute)
}
