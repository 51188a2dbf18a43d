//! What this machine has to offer: processors, memory, disk, ports. Nothing is reserved or taken.

use std::net::SocketAddr;
use std::path::Path;

use super::Layout;
use crate::world::{AgentId, AgentSpec, Amount, Kind, parse_attributes, parse_resources};
use crate::{LocalAgentConfig, StartError};

/// Ports that are offered unless told otherwise, as a real agent does.
const PORTS_DEFAULT: (u64, u64) = (31_000, 32_000);
/// Memory, in megabytes, that a real agent keeps for the system; half of a small machine.
const MEM_KEPT_MB: u64 = 1024;
/// Disk, in megabytes, that a real agent keeps for the system; half of a small one.
const DISK_KEPT_MB: u64 = 5 * 1024;

/// The agent as it will register: resources given, and the machine's own for each not given.
pub(super) fn spec(
    id: &AgentId,
    config: &LocalAgentConfig,
    address: SocketAddr,
    layout: &Layout,
) -> Result<AgentSpec, StartError> {
    let mut resources = parse_resources(config.resources.as_deref().unwrap_or_default())
        .map_err(|source| StartError::Agent { option: "resources", source })?;
    let attributes = parse_attributes(config.attributes.as_deref().unwrap_or_default())
        .map_err(|source| StartError::Agent { option: "attributes", source })?;
    for (name, amount) in machine(layout.work_dir()) {
        if !resources.iter().any(|(kind, _)| kind.name == name) {
            let kind = Kind { name: name.to_owned(), reservations: Vec::new(), role: None };
            resources.insert(kind, amount);
        }
    }
    Ok(AgentSpec {
        id: id.clone(),
        hostname: config.hostname.clone(),
        ip: address.ip().to_string(),
        port: address.port(),
        resources,
        attributes,
    })
}

fn machine(work_dir: &Path) -> [(&'static str, Amount); 4] {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let mem_mb = less_system(memory_mb(), MEM_KEPT_MB);
    let disk_mb = less_system(disk_mb(work_dir), DISK_KEPT_MB);
    [
        ("cpus", Amount::Milli(cpus * 1000)),
        ("mem", Amount::Milli(mem_mb * 1000)),
        ("disk", Amount::Milli(disk_mb * 1000)),
        ("ports", Amount::Ranges(vec![PORTS_DEFAULT])),
    ]
}

/// What is left when the system keeps `kept`, or half when that would be more than half.
fn less_system(all: u64, kept: u64) -> u64 {
    if all > 2 * kept { all - kept } else { all / 2 }
}

fn memory_mb() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit)) >> 20
}

fn disk_mb(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_the_machines_own() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        let config = LocalAgentConfig {
            resources: Some("cpus:1.5;cpus(batch):1".to_owned()),
            attributes: Some("rack:a".to_owned()),
            ..LocalAgentConfig::default()
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 5051));
        let spec = spec(&"S0".into(), &config, address, &layout).unwrap();
        assert_eq!(spec.resources.milli("cpus"), 2500);
        assert!(spec.resources.milli("mem") > 0 && spec.resources.milli("disk") > 0);
        assert!(spec.resources.to_string().contains("ports:[31000-32000]"));
        let bad = LocalAgentConfig { resources: Some("cpus=4".to_owned()), ..config };
        let error = super::spec(&"S0".into(), &bad, address, &layout).unwrap_err();
        assert!(matches!(error, StartError::Agent { option: "resources", .. }), "{error}");
    }
}
