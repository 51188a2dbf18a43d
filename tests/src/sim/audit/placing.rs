//! Shards go only where their job's constraints let them, and not before their time. Judged by what
//! agents said of themselves in their offers. Absent: amounts and ports, which the master checks.

use std::collections::BTreeMap;

use shiftwork_engine::Event;
use shiftwork_engine::document::{Constraint, Execution, Rule};
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::ids::{AgentId, RunId, TaskId};
use shiftwork_engine::record::Key;

use super::Task;
use super::mind::{Mind, firing_of};
use crate::sim::env::Process;
use crate::sim::scheduler::Step;

/// What is known of machines.
#[derive(Debug, Default)]
pub(super) struct Placing {
    /// What each process was told: of agents that make no more offers a new leader knows nothing.
    sites: BTreeMap<Process, BTreeMap<AgentId, Site>>,
}

/// What an agent says of its machine.
#[derive(Debug)]
struct Site {
    hostname: String,
    attributes: Vec<(String, String)>,
}

// === impl Site ===

impl Site {
    fn value(&self, attribute: &str) -> Option<&str> {
        if attribute == "@hostname" {
            return Some(&self.hostname);
        }
        let found = self.attributes.iter().find(|(name, _)| name == attribute);
        found.map(|(_, value)| value.as_str())
    }
}

// === impl Placing ===

impl Placing {
    /// A process begins to lead, and knows nothing yet.
    pub(super) fn on_tenure(&mut self, process: Process) {
        self.sites.retain(|known, _| known.instance != process.instance);
    }

    pub(super) fn on_event(&mut self, process: Process, event: &Event) {
        let Event::Offers(offers) = event else { return };
        let sites = self.sites.entry(process).or_default();
        for offer in offers {
            sites.entry(offer.agent.clone()).or_insert_with(|| Site {
                hostname: offer.hostname.clone(),
                attributes: offer.attributes.clone(),
            });
        }
    }

    pub(super) fn on_step(
        &self,
        process: Process,
        mind: &Mind,
        step: &Step,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        let mut constrained: BTreeMap<&RunId, Vec<(&AgentId, &Launch)>> = BTreeMap::new();
        for action in &step.actions {
            let Action::Accept { agent, launches, .. } = action else { continue };
            for launch in launches {
                in_time(mind, step, launch)?;
                if !launch.job.constraints.is_empty() {
                    constrained.entry(&launch.run).or_default().push((agent, launch));
                }
            }
        }
        let unknown = BTreeMap::new();
        let sites = self.sites.get(&process).unwrap_or(&unknown);
        for (run, launches) in constrained {
            let agents: Vec<&AgentId> = launches.iter().map(|(agent, _)| *agent).collect();
            let siblings = siblings(mind, step, run, &launches, tasks);
            let Some((_, launch)) = launches.first() else { continue };
            for constraint in launch.job.constraints.iter() {
                judge(sites, constraint, &agents, &siblings)
                    .map_err(|what| format!("run {run} on {agents:?} and {siblings:?}: {what}"))?;
            }
        }
        Ok(())
    }
}

/// Whether shards on `agents`, beside those on `siblings`, meet a constraint.
fn judge(
    sites: &BTreeMap<AgentId, Site>,
    constraint: &Constraint,
    agents: &[&AgentId],
    siblings: &[&AgentId],
) -> Result<(), String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for agent in agents {
        let value = value_of(sites, constraint, agent);
        if !admits(&constraint.rule, value) {
            return Err(format!("{constraint} does not admit {value:?}"));
        }
        if let Some(value) = value {
            *counts.entry(value).or_default() += 1;
        }
    }
    for value in siblings.iter().filter_map(|agent| value_of(sites, constraint, agent)) {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    let least = counts.values().min().copied().unwrap_or_default();
    let met = match constraint.rule {
        Rule::Unique => most <= 1,
        Rule::MaxPer(max) => most <= max,
        Rule::Cluster(_) => counts.len() <= 1,
        // Without a number nothing makes shards look for a second value; and shards that fail
        // over one by one may leave it uneven.
        Rule::GroupBy(groups) => {
            let wanted = agents.len().min(groups as usize);
            let even = most - least <= 1 || counts.len() > groups as usize;
            groups == 0 || !siblings.is_empty() || (even && counts.len() >= wanted)
        }
        Rule::Like(_) | Rule::Unlike(_) | Rule::Is(_) => true,
    };
    if met { Ok(()) } else { Err(format!("{constraint} is not met by {counts:?}")) }
}

fn value_of<'a>(
    sites: &'a BTreeMap<AgentId, Site>,
    constraint: &Constraint,
    agent: &AgentId,
) -> Option<&'a str> {
    sites.get(agent)?.value(&constraint.attribute)
}

/// Whether a value, or none, can meet a rule at all.
fn admits(rule: &Rule, value: Option<&str>) -> bool {
    let Some(value) = value else {
        return matches!(rule, Rule::Unlike(_));
    };
    match rule {
        Rule::Cluster(Some(wanted)) | Rule::Is(wanted) => **wanted == *value,
        Rule::Like(pattern) => pattern.matches(value),
        Rule::Unlike(pattern) => !pattern.matches(value),
        Rule::Cluster(None) | Rule::GroupBy(_) | Rule::Unique | Rule::MaxPer(_) => true,
    }
}

/// Where the other shards of a run are.
fn siblings<'a>(
    mind: &'a Mind,
    step: &Step,
    run: &RunId,
    launches: &[(&AgentId, &Launch)],
    tasks: &'a BTreeMap<TaskId, Task>,
) -> Vec<&'a AgentId> {
    let stays = |task: &TaskId, key: &Key| {
        step.writes
            .iter()
            .find(|write| write.key == *key)
            .is_none_or(|write| write.value.as_deref() == Some(task.as_str().as_bytes()))
    };
    mind.shards
        .iter()
        .filter_map(|(key, task)| Some((key, task, tasks.get(task)?)))
        .filter(|(_, _, known)| known.run == *run)
        .filter(|(_, _, known)| launches.iter().all(|(_, launch)| launch.item != known.item))
        .filter(|(key, task, _)| stays(task, key))
        .map(|(_, _, known)| &known.agent)
        .collect()
}

/// A run of the schedule starts when its time has come, and its jitter has passed. By the clock of
/// whoever leads: what a leader started may be launched again by one whose clock is behind.
fn in_time(mind: &Mind, step: &Step, launch: &Launch) -> Result<(), String> {
    let scheduled =
        launch.job.execution == Execution::Transient && firing_of(&launch.run).is_some();
    let key = Key::Ready(launch.job.name.clone(), launch.run.clone());
    let earliest = launch.logical_time.saturating_add(launch.job.jitter_delay_ms()).as_millis();
    if scheduled && mind.now < earliest && step.writes.iter().any(|write| write.key == key) {
        return Err(format!("run {} starts {} ms too early", launch.run, earliest - mind.now));
    }
    Ok(())
}
