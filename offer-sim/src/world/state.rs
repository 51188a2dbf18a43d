//! What master and agents answer when operators ask for `/state`: the members that tools read, in the words
//! and shapes of the recorded ones. Changes nothing. Absent: what has ended; nothing here keeps it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shiftwork_proto::mesos::v1::{Attribute, ExecutorInfo, value};

use super::World;
use super::event::AgentSpec;
use super::id::{AgentId, ContainerId};
use super::master::MESOS_VERSION;
use super::resources::{Amount, Resources};

/// The resources that are always named, also where there are none.
const ALWAYS: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

// === impl World ===

impl World {
    /// The master's `/state`; `None` where there is no master.
    pub fn master_state(&self) -> Option<Value> {
        let config = &self.config;
        config.has_master.then(|| {
            let pid = format!("master@{}:{}", config.ip, config.port);
            let mut state = self.parts.master.state();
            for (name, value) in [
                ("version", json!(MESOS_VERSION)),
                ("id", json!(self.master_id())),
                ("pid", json!(pid)),
                ("leader", json!(pid)),
                ("hostname", json!(config.hostname)),
            ] {
                state.insert(name.to_owned(), value);
            }
            Value::Object(state)
        })
    }

    /// The `/state` of an agent of this process. `directory` tells where the sandbox of a run is.
    pub fn agent_state(
        &self,
        agent: &AgentId,
        directory: &dyn Fn(&ExecutorInfo, &ContainerId) -> String,
    ) -> Option<Value> {
        let agent = self.parts.agents.get(agent)?;
        let mut state = describe_agent(agent.spec());
        // Only the master has to say where an agent listens; the agent was found there.
        state.remove("port");
        state.insert("frameworks".to_owned(), agent.frameworks_state(directory));
        state.insert("completed_frameworks".to_owned(), json!([]));
        Some(Value::Object(state))
    }
}

/// What an agent is, as both sides tell it.
pub(super) fn describe_agent(spec: &AgentSpec) -> Map<String, Value> {
    let all = &spec.resources;
    let attributes = spec.attributes.iter().map(|one| (one.name.clone(), describe_attribute(one)));
    let description = json!({
        "id": spec.id.0,
        "hostname": spec.hostname,
        "port": spec.port,
        "pid": format!("slave(1)@{}:{}", spec.ip, spec.port),
        "version": MESOS_VERSION,
        "attributes": attributes.collect::<Map<_, _>>(),
        "resources": describe(all),
        "reserved_resources": describe_reserved(all),
        "unreserved_resources": describe(&all.usable_by("*", true)),
    });
    match description {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Amounts by name, whoever they are reserved for.
pub(super) fn describe(resources: &Resources) -> Value {
    let mut totals: BTreeMap<&str, f64> = ALWAYS.map(|name| (name, 0.0)).into();
    let mut ranges: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, amount) in resources.iter() {
        match amount {
            Amount::Milli(milli) => {
                *totals.entry(&kind.name).or_default() += *milli as f64 / 1000.0;
            }
            Amount::Ranges(list) => {
                let text = list.iter().map(|(begin, end)| format!("{begin}-{end}"));
                ranges.entry(&kind.name).or_default().extend(text);
            }
        }
    }
    let ranges =
        ranges.into_iter().map(|(name, list)| (name, json!(format!("[{}]", list.join(", ")))));
    let totals = totals.into_iter().map(|(name, total)| (name, json!(total)));
    let all: Map<_, _> =
        totals.chain(ranges).map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(all)
}

/// The role resources are allocated to; that of everybody where nothing says so.
pub(super) fn role_of(resources: &Resources) -> &str {
    resources.iter().find_map(|(kind, _)| kind.role.as_deref()).unwrap_or("*")
}

fn describe_reserved(all: &Resources) -> Value {
    let mut by_role: BTreeMap<&str, Resources> = BTreeMap::new();
    for (kind, amount) in all.iter() {
        if let Some(reservation) = kind.reservations.last() {
            let of_role = by_role.entry(&reservation.role).or_default();
            of_role.insert(kind.clone(), amount.clone());
        }
    }
    let by_role = by_role.into_iter().map(|(role, part)| (role.to_owned(), describe(&part)));
    Value::Object(by_role.collect())
}

fn describe_attribute(attribute: &Attribute) -> Value {
    match attribute.r#type() {
        value::Type::Scalar => json!(attribute.scalar.map(|scalar| scalar.value)),
        value::Type::Text => json!(attribute.text.as_ref().map(|text| &text.value)),
        value::Type::Ranges => {
            let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
            let list: Vec<_> =
                ranges.map(|range| format!("{}-{}", range.begin, range.end)).collect();
            json!(format!("[{}]", list.join(", ")))
        }
        value::Type::Set => {
            let items: Vec<_> =
                attribute.set.iter().flat_map(|set| &set.item).map(String::as_str).collect();
            json!(format!("{{{}}}", items.join(", ")))
        }
    }
}
