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
use crate::sim::scheduler::Step;

/// What is known of machines.
#[derive(Debug, Default)]
pub(super) struct Placing {
    sites: BTreeMap<AgentId, Site>,
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
    pub(super) fn on_event(&mut self, event: &Event) {
        let Event::Offers(offers) = event else { return };
        for offer in offers {
            self.sites.entry(offer.agent.clone()).or_insert_with(|| Site {
                hostname: offer.hostname.clone(),
                attributes: offer.attributes.clone(),
            });
        }
    }

    pub(super) fn on_step(
        &self,
        mind: &Mind,
        step: &Step,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        let mut constrained: BTreeMap<&RunId, Vec<(&AgentId, &Launch)>> = BTreeMap::new();
        for action in &step.actions {
            let Action::Accept { agent, launches, .. } = action else { continue };
            for launch in launches {
                in_time(mind, launch)?;
                if !launch.job.constraints.is_empty() {
                    constrained.entry(&launch.run).or_default().push((agent, launch));
                }
            }
        }
        for (run, launches) in constrained {
            let agents: Vec<&AgentId> = launches.iter().map(|(agent, _)| *agent).collect();
            let siblings = siblings(mind, step, run, &launches, tasks);
            let Some((_, launch)) = launches.first() else { continue };
            for constraint in launch.job.constraints.iter() {
                self.judge(constraint, &agents, &siblings)
                    .map_err(|what| format!("run {run} on {agents:?} and {siblings:?}: {what}"))?;
            }
        }
        Ok(())
    }

    /// Whether shards on `agents`, beside those on `siblings`, meet a constraint.
    fn judge(
        &self,
        constraint: &Constraint,
        agents: &[&AgentId],
        siblings: &[&AgentId],
    ) -> Result<(), String> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for agent in agents {
            let value = self.value(constraint, agent);
            if !admits(&constraint.rule, value) {
                return Err(format!("{constraint} does not admit {value:?}"));
            }
            if let Some(value) = value {
                *counts.entry(value).or_default() += 1;
            }
        }
        for value in siblings.iter().filter_map(|agent| self.value(constraint, agent)) {
            *counts.entry(value).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or_default();
        let least = counts.values().min().copied().unwrap_or_default();
        let met = match constraint.rule {
            Rule::Unique => most <= 1,
            Rule::MaxPer(max) => most <= max,
            Rule::Cluster(_) => counts.len() <= 1,
            // Shards that failed over one by one may leave it uneven.
            Rule::GroupBy(groups) => {
                let enough = counts.len() >= agents.len().min(groups as usize);
                !siblings.is_empty() || (most - least <= 1 && enough)
            }
            Rule::Like(_) | Rule::Unlike(_) | Rule::Is(_) => true,
        };
        if met { Ok(()) } else { Err(format!("{constraint} is not met by {counts:?}")) }
    }

    fn value(&self, constraint: &Constraint, agent: &AgentId) -> Option<&str> {
        self.sites.get(agent)?.value(&constraint.attribute)
    }
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

/// A run of the schedule starts when its time has come, and its jitter has passed.
fn in_time(mind: &Mind, launch: &Launch) -> Result<(), String> {
    let scheduled =
        launch.job.execution == Execution::Transient && firing_of(&launch.run).is_some();
    let earliest = launch.logical_time.saturating_add(launch.job.jitter_delay_ms()).as_millis();
    if scheduled && mind.now < earliest {
        return Err(format!("run {} starts {} ms too early", launch.run, earliest - mind.now));
    }
    Ok(())
}
