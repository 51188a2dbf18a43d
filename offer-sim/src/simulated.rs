//! Simulated agents from a description: how many there are, what each has, and attributes that go
//! through a range from agent to agent. Their executors are the world's.

use std::net::SocketAddr;

use crate::config::{SimulatedAgentsConfig, StartError};
use crate::world::{AgentId, AgentSpec, ResourceError, parse_attributes, parse_resources};

/// The agents, each under the id that `assign` gives it.
///
/// # Errors
/// When the resources or attributes are not understood.
pub(crate) fn specs(
    config: &SimulatedAgentsConfig,
    address: SocketAddr,
    mut assign: impl FnMut() -> AgentId,
) -> Result<Vec<AgentSpec>, StartError> {
    let resources = parse_resources(&config.resources)
        .map_err(|source| StartError::Agent { option: "resources", source })?;
    let spec = |number: u32| {
        let attributes = expanded(&config.attributes, number)
            .and_then(|text| parse_attributes(&text))
            .map_err(|source| StartError::Agent { option: "attributes", source })?;
        Ok(AgentSpec {
            id: assign(),
            hostname: format!("{}-{number}", config.hostname),
            ip: address.ip().to_string(),
            port: address.port(),
            resources: resources.clone(),
            attributes,
        })
    };
    (0..config.count).map(spec).collect()
}

/// Text in which each `{first..end}` is a number: the first one for agent 0, the next for agent 1,
/// and after the one before the end the first again.
pub(crate) fn expanded(text: &str, number: u32) -> Result<String, ResourceError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        let error = || ResourceError::Item(text.to_owned());
        let (range, after) = from.split_once('}').ok_or_else(error)?;
        let (first, end) = range.split_once("..").ok_or_else(error)?;
        let first: u32 = first.parse().map_err(|_| error())?;
        let end: u32 = end.parse().map_err(|_| error())?;
        let count = end.checked_sub(first).filter(|count| *count > 0).ok_or_else(error)?;
        result.push_str(before);
        result.push_str(&(first + number % count).to_string());
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_through_their_ranges() {
        let text = "rack:r{0..3};zone:z{1..3};kind:x";
        let of = |number| expanded(text, number).unwrap();
        assert_eq!(of(0), "rack:r0;zone:z1;kind:x");
        assert_eq!(of(4), "rack:r1;zone:z1;kind:x");
        for bad in ["r{0..0}", "r{3..1}", "r{0..}", "r{0", "r{a..b}"] {
            assert!(expanded(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn agents_have_names_and_hosts_of_their_own() {
        let config = SimulatedAgentsConfig { count: 3, ..SimulatedAgentsConfig::default() };
        let mut given = 0;
        let assign = || {
            given += 1;
            AgentId(format!("S{given}"))
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 5050));
        let specs = specs(&config, address, assign).unwrap();
        let hosts: Vec<&str> = specs.iter().map(|spec| spec.hostname.as_str()).collect();
        assert_eq!(hosts, ["agent-0", "agent-1", "agent-2"]);
        assert_eq!(specs[2].id, "S3".into());
    }
}
