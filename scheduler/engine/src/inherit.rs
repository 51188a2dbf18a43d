//! Carries on what Elastic-Job-Cloud left in the registry: counters of pending runs without the runs,
//! tasks of daemons and lost shards without the run they belong to. Absent: its documents and flags,
//! which are read as any others; and its transient tasks, which it kept in memory only.
//!
//! This happens once. Whoever led here before has left a watermark, and with it a record of every
//! run: counters and tasks then only repeat what the runs say.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::Overrides;
use crate::effect::Effects;
use crate::engine::Engine;
use crate::firing::NewRun;
use crate::ids::{AgentId, JobName, RunId, TaskId};
use crate::record::{Key, Origin, Phase, Shard};
use crate::registered::RunJob;
use crate::run::Run;
use crate::wait::Wait;

/// Pending runs taken over for one job: as many as `misfire` lets pile up unless told otherwise.
const READY_MAX: usize = 1_000;

/// Where the agent's id stands among the parts of a task's id.
const AGENT_PART: usize = 3;

/// What was found of one job.
#[derive(Debug, Default)]
struct Found {
    ready: usize,
    /// Shards with the task that is said to run.
    running: BTreeMap<u32, TaskId>,
    /// Shards with the task that was lost.
    lost: BTreeMap<u32, TaskId>,
}

/// Counters and tasks as they are stored, for when there are no runs to go by.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    jobs: BTreeMap<JobName, Found>,
}

// === impl Inheritance ===

impl Inheritance {
    /// Notes a record if it is of this kind. What cannot be read is left out and removed with what
    /// is stale.
    pub(crate) fn note(&mut self, key: &Key, value: &[u8]) {
        let Ok(text) = std::str::from_utf8(value).map(str::trim) else { return };
        match key {
            Key::ReadyCount(job) => {
                if let Ok(count) = text.parse() {
                    self.of(job).ready = count;
                }
            }
            Key::RunningShard(job, item) if names(text, job, *item) => {
                self.of(job).running.insert(*item, TaskId::new(text));
            }
            Key::Failover(job, item) if names(text, job, *item) => {
                self.of(job).lost.insert(*item, TaskId::new(text));
            }
            _ => {}
        }
    }

    fn of(&mut self, job: &JobName) -> &mut Found {
        self.jobs.entry(job.clone()).or_default()
    }
}

/// Whether a text is the id of a task of this shard.
fn names(text: &str, job: &JobName, item: u32) -> bool {
    let named = TaskId::new(text).job_and_item();
    named.is_some_and(|(name, number)| name == *job && number == item)
}

impl Engine {
    /// Makes runs of what was found. To be called when all records are in their place and before
    /// schedules begin.
    pub(crate) fn inherit(&mut self, inheritance: Inheritance, fx: &mut Effects) {
        if inheritance.jobs.is_empty() {
            return;
        }
        for (name, found) in inheritance.jobs {
            let Some(job) = self.run_job(&name) else { continue };
            if !self.active.contains_key(&name) {
                self.inherit_tasks(&job, &found);
            }
            if !job.rules.is_daemon() {
                self.inherit_ready(&job, found.ready, fx);
            }
        }
        self.watermark = self.watermark.max(self.now);
        // Written after the runs: only then is it done.
        self.raise_watermark(fx);
    }

    /// The counter says how many runs wait; some of them may have been made by a take-over that did
    /// not come to its end.
    fn inherit_ready(&mut self, job: &RunJob, count: usize, fx: &mut Effects) {
        let made = self.jobs.get(&job.name).map_or(0, |entry| entry.pending.len());
        let kept = count.min(READY_MAX);
        for number in made + 1..=kept {
            let Ok(id) = RunId::triggered(&job.name, &format!("inherited-{number}")) else {
                return;
            };
            let (origin, overrides) = (Origin::Trigger, Overrides::default());
            let (logical_time, submitter) = (self.now, None);
            let new = NewRun { id, logical_time, attempt: 1, origin, submitter, overrides };
            self.enqueue(job, new, fx);
        }
        if kept < count {
            let problem = format!("{count} runs are pending, {kept} of them are made");
            self.problem(&Key::ReadyCount(job.name.clone()), &problem);
        }
    }

    /// One run of the shards that run or were lost; a daemon has all its shards, those without a
    /// task to be launched.
    fn inherit_tasks(&mut self, job: &RunJob, found: &Found) {
        let all: BTreeSet<u32> = (0..job.rules.sharding_total_count).collect();
        let known = |item: &u32| found.running.contains_key(item) || found.lost.contains_key(item);
        let items: BTreeSet<u32> = all.iter().copied().filter(known).collect();
        let Ok(id) = RunId::triggered(&job.name, "inherited") else { return };
        if items.is_empty() {
            return;
        }
        let is_daemon = job.rules.is_daemon();
        let items = if is_daemon { all } else { items };
        let now = self.now;
        let shards = items.iter().map(|item| {
            let (task, phase) = match found.running.get(item) {
                Some(task) => match agent_of(task) {
                    Some(agent) => (Some(task), Phase::Running { agent, since: now }),
                    None => (None, Phase::Waiting { due: now, avoid: None }),
                },
                None => (found.lost.get(item), Phase::Waiting { due: now, avoid: None }),
            };
            // Its executor is not known to be one of ours: nothing more is launched in it.
            let (attempt, other_app) = (u32::from(task.is_some()), task.is_some());
            Shard { attempt, other_app, task_id: task.cloned(), phase, ..Shard::new(*item) }
        });
        let run = Run {
            id: id.clone(),
            job: job.clone(),
            app: self.app_document(&job.app).ok(),
            logical_time: now,
            attempt: 1,
            origin: if is_daemon { Origin::Daemon } else { Origin::Trigger },
            created_at: now,
            launched_at: Some(now),
            started_at: Some(now),
            submitter: None,
            overrides: Overrides {
                items: if is_daemon { BTreeSet::new() } else { items.clone() },
                ..Overrides::default()
            },
            parallel: false,
            shards: shards.collect(),
            wait: Wait::NotConsidered,
            told: None,
            idle: Vec::new(),
        };
        self.restore_active(run, false);
        self.dirty.insert(id);
    }
}

fn agent_of(task: &TaskId) -> Option<AgentId> {
    task.as_str().split("@-@").nth(AGENT_PART).map(AgentId::new)
}
