//! What the master knows, for `/state`. Changes nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shiftwork_proto::mesos::v1::ExecutorInfo;

use super::super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::super::resources::Resources;
use super::super::state::{describe, describe_agent, role_of};
use super::framework::Framework;
use super::{Master, RunningExecutor, Task};

/// What is used and offered of each agent.
type Shares<'a> = BTreeMap<&'a AgentId, (Resources, Resources)>;

// === impl Master ===

impl Master {
    /// Agents and frameworks.
    pub(in super::super) fn state(&self) -> Map<String, Value> {
        let shares = self.agent_shares();
        let (active, inactive): (Vec<_>, Vec<_>) =
            self.agents.values().partition(|agent| agent.is_active);
        let slaves: Vec<Value> = self
            .agents
            .values()
            .map(|agent| {
                let mut slave = describe_agent(&agent.spec);
                let nothing = (Resources::default(), Resources::default());
                let (used, offered) = shares.get(&agent.spec.id).unwrap_or(&nothing);
                slave.insert("used_resources".to_owned(), describe(used));
                slave.insert("offered_resources".to_owned(), describe(offered));
                slave.insert("active".to_owned(), json!(agent.is_active));
                Value::Object(slave)
            })
            .collect();
        let frameworks: Vec<Value> =
            self.frameworks.iter().map(|(id, framework)| self.framework(id, framework)).collect();
        [
            ("activated_slaves", json!(active.len())),
            ("deactivated_slaves", json!(inactive.len())),
            ("unreachable_slaves", json!(self.unreachable.len())),
            ("slaves", json!(slaves)),
            ("recovered_slaves", json!([])),
            ("frameworks", json!(frameworks)),
            ("completed_frameworks", json!([])),
            ("orphan_tasks", json!([])),
            ("unregistered_frameworks", json!([])),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn agent_shares(&self) -> Shares<'_> {
        let mut shares = Shares::new();
        for (id, agent) in &self.agents {
            let used = &mut shares.entry(id).or_default().0;
            agent.executors.values().for_each(|executor| used.add(&executor.resources));
        }
        for task in self.tasks.values() {
            shares.entry(&task.agent).or_default().0.add(&task.resources);
        }
        for offer in self.offers.values() {
            shares.entry(&offer.agent).or_default().1.add(&offer.resources);
        }
        shares
    }

    fn framework(&self, id: &FrameworkId, framework: &Framework) -> Value {
        let info = &framework.info;
        let tasks = self.tasks_of(id).map(|((_, task_id), task)| describe_task(id, task_id, task));
        let (away, tasks): (Vec<Value>, Vec<Value>) =
            tasks.partition(|task| task["state"] == "TASK_UNREACHABLE");
        let executors = self.agents.iter().flat_map(|(agent, registered)| {
            let of_framework =
                registered.executors.iter().filter(move |((framework, _), _)| framework == id);
            of_framework.map(move |((_, executor), running)| {
                describe_executor(id, agent, executor, running)
            })
        });
        let offers = self.offers.iter().filter(|(_, offer)| offer.framework == *id);
        let offers = offers.map(|(offer_id, offer)| {
            json!({
                "id": offer_id.0,
                "framework_id": id.0,
                "slave_id": offer.agent.0,
                "allocation_info": {"role": offer.role},
                "resources": describe(&offer.resources),
            })
        });
        json!({
            "id": id.0,
            "name": info.name,
            "user": info.user,
            "hostname": info.hostname(),
            "webui_url": info.webui_url(),
            "failover_timeout": info.failover_timeout(),
            "checkpoint": info.checkpoint(),
            "roles": framework.roles,
            "capabilities": info.capabilities.iter().map(|one| one.r#type().as_str_name()).collect::<Vec<_>>(),
            "active": framework.stream().is_some(),
            "connected": framework.stream().is_some(),
            "recovered": framework.is_recovered,
            "tasks": tasks,
            "unreachable_tasks": away,
            "completed_tasks": [],
            "offers": offers.collect::<Vec<_>>(),
            "executors": executors.collect::<Vec<_>>(),
        })
    }
}

fn describe_task(framework: &FrameworkId, id: &TaskId, task: &Task) -> Value {
    let state = if task.unreachable_since_ms.is_some() {
        "TASK_UNREACHABLE"
    } else {
        task.state.as_str_name()
    };
    json!({
        "id": id.0,
        "framework_id": framework.0,
        "executor_id": task.executor.as_ref().map_or("", |executor| executor.0.as_str()),
        "slave_id": task.agent.0,
        "state": state,
        "resources": describe(&task.resources),
        "role": role_of(&task.resources),
    })
}

fn describe_executor(
    framework: &FrameworkId,
    agent: &AgentId,
    id: &ExecutorId,
    running: &RunningExecutor,
) -> Value {
    let ExecutorInfo { name, command, .. } = &running.info;
    let command = command.as_ref().map(|command| {
        json!({"shell": command.shell(), "value": command.value(), "argv": command.arguments})
    });
    json!({
        "executor_id": id.0,
        "name": name.as_deref().unwrap_or_default(),
        "framework_id": framework.0,
        "slave_id": agent.0,
        "type": "CUSTOM",
        "command": command,
        "resources": describe(&running.resources),
        "role": role_of(&running.resources),
    })
}
