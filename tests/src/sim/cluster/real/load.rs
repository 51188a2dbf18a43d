//! What really runs on each agent, by what its executors did, against what the agent has. Absent: what
//! the master believes.

use std::collections::BTreeMap;

use offer_sim::world::{AgentId, AgentSpec, ContainerId, Deed, FrameworkId, Resources, TaskId};
use shiftwork_proto::mesos::v1::{ExecutorInfo, Resource};

/// The kinds that are counted, in thousandths.
const KINDS: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

/// All agents.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<AgentId, Load>);

#[derive(Debug, Default)]
struct Load {
    capacity: [i64; KINDS.len()],
    /// By executor run and by task.
    used: BTreeMap<String, (FrameworkId, [i64; KINDS.len()])>,
}

// === impl Loads ===

impl Loads {
    pub(super) fn on_boot(&mut self, agent: &AgentSpec) {
        let capacity = KINDS.map(|kind| total(&agent.resources, kind));
        self.0.insert(agent.id.clone(), Load { capacity, used: BTreeMap::new() });
    }

    /// What a framework that was removed had is free at once, though its executors take their time.
    pub(super) fn on_removed(&mut self, framework: &FrameworkId) {
        for load in self.0.values_mut() {
            load.used.retain(|_, (of, _)| of != framework);
        }
    }

    /// What an executor did.
    ///
    /// # Errors
    /// When an agent runs more than it has.
    pub(super) fn on_deed(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            // The executor that an agent makes up for a command is its task.
            Deed::Started { executor, .. } if is_of_command(executor) => Ok(()),
            Deed::Started { agent, framework, container, executor } => {
                self.add(agent, framework, run_of(container), &executor.resources)
            }
            Deed::Took { agent, framework, task } => {
                let name = task.task_id.value.clone();
                self.add(agent, framework, name, &task.resources)
            }
            Deed::Exited { agent, container } => {
                self.remove(agent, &run_of(container));
                Ok(())
            }
            Deed::Over { agent, task: TaskId(task) } => {
                self.remove(agent, task);
                Ok(())
            }
            Deed::Began { .. } => Ok(()),
        }
    }

    fn add(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        name: String,
        resources: &[Resource],
    ) -> Result<(), String> {
        let Some(load) = self.0.get_mut(agent) else { return Ok(()) };
        let amounts = KINDS.map(|kind| {
            let of_kind = resources.iter().filter(|resource| resource.name == kind);
            let scalars = of_kind.filter_map(|resource| resource.scalar.as_ref());
            scalars.map(|scalar| (scalar.value * 1_000.0).round() as i64).sum()
        });
        load.used.insert(name, (framework.clone(), amounts));
        for (place, (kind, has)) in KINDS.iter().zip(load.capacity).enumerate() {
            let used: i64 = load.used.values().filter_map(|(_, it)| it.get(place)).sum();
            if used > has {
                return Err(format!("{agent} runs {used} thousandths of {kind} and has {has}"));
            }
        }
        Ok(())
    }

    fn remove(&mut self, agent: &AgentId, name: &str) {
        if let Some(load) = self.0.get_mut(agent) {
            load.used.remove(name);
        }
    }
}

fn is_of_command(executor: &ExecutorInfo) -> bool {
    executor.name.as_deref().is_some_and(|name| name.starts_with("Command Executor"))
}

fn run_of(container: &ContainerId) -> String {
    format!("run {container}")
}

fn total(resources: &Resources, kind: &str) -> i64 {
    let amounts = resources.iter().filter(|(it, _)| it.name == kind).map(|(_, amount)| amount);
    let milli = amounts.map(|amount| match amount {
        offer_sim::world::Amount::Milli(milli) => *milli as i64,
        offer_sim::world::Amount::Ranges(_) => 0,
    });
    milli.sum()
}
