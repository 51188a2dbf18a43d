//! SUBSCRIBE: a new framework, one that comes back, or one that takes over from itself. No other
//! call is handled here.

use std::collections::BTreeSet;

use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{Address, FrameworkInfo, MasterInfo, master_info, scheduler};

use super::super::id::{FrameworkId, StreamId};
use super::super::mail::ToAgent;
use super::super::timers::Timer;
use super::super::{Effect, Turn, WorldConfig};
use super::Master;
use super::framework::{Connection, Framework, has_capability, heartbeat, roles};

/// The version that the recorded master had, whose ways are followed.
pub const MESOS_VERSION: &str = "1.12.0";

// === impl Master ===

impl Master {
    /// Answers SUBSCRIBED, a heartbeat and offers; or ERROR, and the stream ends.
    ///
    /// An id never seen is taken as that of a framework that was subscribed to the master before
    /// this one: the master keeps nothing over its life.
    pub(in super::super) fn on_subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        stream: StreamId,
        mut info: FrameworkInfo,
        suppressed_roles: Vec<String>,
    ) {
        if let Err(message) = self.check_info(&info) {
            turn.send_scheduler(&stream, error(message));
            turn.effects.push(Effect::CloseScheduler { stream });
            return;
        }
        let asked = info.id.as_ref().filter(|id| !id.value.is_empty()).map(FrameworkId::from);
        let id = asked.unwrap_or_else(|| turn.ids.framework());
        info.id = Some((&id).into());

        let is_new = self.frameworks.get(&id).is_none_or(|framework| framework.is_recovered);
        self.end_former_stream(turn, &id);
        let heartbeat_at_ms = turn.now_ms + turn.config.heartbeat_interval_ms;
        let connection = Connection::Connected { stream: stream.clone(), heartbeat_at_ms };
        let mut framework = Framework::new(info, connection);
        framework.suppressed = suppressed_roles.into_iter().collect();
        self.frameworks.insert(id.clone(), framework);

        turn.timers.set(heartbeat_at_ms, Timer::Heartbeat(id.clone()));
        turn.send_scheduler(&stream, subscribed(turn.config, turn.ids.master(), &id));
        turn.send_scheduler(&stream, heartbeat());
        let agents: Vec<_> = self.agents.keys().cloned().collect();
        for agent in &agents {
            if is_new {
                turn.send_agent(agent, ToAgent::FrameworkConnected { framework: id.clone() });
            }
            self.allocator.consider(agent);
        }
        self.allocator.now();
        self.maintenance.look();
    }

    /// When a framework subscribes while it is connected, the new stream wins.
    fn end_former_stream(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        self.allocator.clear_filters(id, None);
        let Some(former) = self.frameworks.get(id) else { return };
        if let Some(stream) = former.stream() {
            turn.send_scheduler(stream, error("Framework failed over".to_owned()));
            turn.effects.push(Effect::CloseScheduler { stream: stream.clone() });
        }
        self.forget_offers_of(turn, id);
        self.forget_inverse_offers_of(id);
    }

    /// What is wrong with how a framework introduces itself.
    fn check_info(&self, info: &FrameworkInfo) -> Result<(), String> {
        let multi_role = has_capability(info, capability::Type::MultiRole);
        if !multi_role && !info.roles.is_empty() {
            return Err("'FrameworkInfo.roles' must not be set when the framework is not \
                        MULTI_ROLE capable"
                .to_owned());
        }
        if multi_role && info.role.is_some() {
            return Err("'FrameworkInfo.role' must not be set when the framework is \
                        MULTI_ROLE capable"
                .to_owned());
        }
        if multi_role {
            let mut seen = BTreeSet::new();
            if let Some(twice) = info.roles.iter().find(|role| !seen.insert(role.as_str())) {
                return Err(format!("'FrameworkInfo.roles' contains duplicate items: {twice}"));
            }
        }
        if let Some(role) = roles(info).iter().find(|role| !is_valid_role(role)) {
            return Err(format!("Role '{role}' is invalid"));
        }
        let removed =
            info.id.as_ref().is_some_and(|id| self.removed.contains(&FrameworkId::from(id)));
        if removed { Err("Framework has been removed".to_owned()) } else { Ok(()) }
    }
}

/// A role may not look like a path step or a flag, nor hold white space.
fn is_valid_role(role: &str) -> bool {
    !role.is_empty()
        && role != "."
        && role != ".."
        && !role.starts_with('-')
        && !role.starts_with('/')
        && !role.ends_with('/')
        && !role.contains(|letter: char| letter.is_whitespace() || letter == '\\')
}

fn error(message: String) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(scheduler::event::Type::Error.into()),
        error: Some(scheduler::event::Error { message }),
        ..scheduler::Event::default()
    }
}

fn subscribed(config: &WorldConfig, master: &str, framework: &FrameworkId) -> scheduler::Event {
    let subscribed = scheduler::event::Subscribed {
        framework_id: framework.into(),
        heartbeat_interval_seconds: Some(config.heartbeat_interval_ms as f64 / 1000.0),
        master_info: Some(master_info(config, master)),
    };
    scheduler::Event {
        r#type: Some(scheduler::event::Type::Subscribed.into()),
        subscribed: Some(subscribed),
        ..scheduler::Event::default()
    }
}

pub(in super::super) fn master_info(config: &WorldConfig, id: &str) -> MasterInfo {
    use master_info::{Capability, capability::Type};
    let able = [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2];
    MasterInfo {
        id: id.to_owned(),
        // The address's bytes as they lie in memory, first byte lowest.
        ip: u32::from_le_bytes(config.ip.octets()),
        port: u32::from(config.port),
        pid: Some(format!("master@{}:{}", config.ip, config.port)),
        hostname: Some(config.hostname.clone()),
        version: Some(MESOS_VERSION.to_owned()),
        address: Some(Address {
            hostname: Some(config.hostname.clone()),
            ip: Some(config.ip.to_string()),
            port: i32::from(config.port),
        }),
        domain: None,
        capabilities: able.map(|able| Capability { r#type: Some(able.into()) }).to_vec(),
    }
}
