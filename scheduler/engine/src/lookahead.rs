//! Work that is known to come: firings, runs that jitter holds back, shards in back-off. What it will
//! need is found by placing it on the leases held, and undoing that. Absent: what becomes of offers.

use std::collections::BTreeSet;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::document::JobExecutor;
use crate::engine::Engine;
use crate::ids::{AgentId, AppName, JobName};
use crate::placement::{Candidate, Placer};
use crate::registered::Rules;
use crate::resources::Demand;
use crate::timers::Deadline;

/// Runs looked at ahead of time: of more, what they need is not worked out, and everything is kept.
const COMING_MAX: usize = 256;

/// Shards that will be launched together.
#[derive(Debug, Clone)]
pub(crate) struct Coming {
    app: AppName,
    rules: Arc<Rules>,
    count: usize,
}

/// What is about to be launched.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    coming: Vec<Coming>,
    /// There is more than was looked at.
    more: bool,
}

impl Ahead {
    pub(crate) fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }
}

impl Engine {
    /// When offers are wanted for work that is not within the lookahead yet.
    pub(crate) fn next_lookahead(&self) -> Option<Timestamp> {
        let lookahead = self.settings.offer_lookahead_ms;
        let next = self.timers.next_work_after(self.now.saturating_add(lookahead))?;
        Some(next.saturating_sub(lookahead))
    }

    /// The work that comes within the lookahead.
    pub(crate) fn ahead(&self) -> Ahead {
        let until = self.now.saturating_add(self.settings.offer_lookahead_ms);
        let mut ahead = Ahead::default();
        for (_, deadline) in self.timers.work().take_while(|(at, _)| *at <= until) {
            match deadline {
                Deadline::Schedule(id) => {
                    let jobs = self.schedules.get(*id).into_iter().flat_map(|entry| &entry.jobs);
                    for job in jobs {
                        if !ahead.add(self.coming_of(job)) {
                            return ahead;
                        }
                    }
                }
                Deadline::Held(run) => {
                    let coming = self.runs.get(run).map(|run| Coming {
                        app: run.job.app.clone(),
                        rules: Arc::clone(&run.job.rules),
                        count: run.items().len(),
                    });
                    ahead.add(coming);
                }
                Deadline::Waiting(run, _) => {
                    let coming = self.runs.get(run).map(|run| Coming {
                        app: run.job.app.clone(),
                        rules: Arc::clone(&run.job.rules),
                        count: 1,
                    });
                    ahead.add(coming);
                }
                _ => {}
            }
            if ahead.more {
                break;
            }
        }
        ahead
    }

    /// The run that the next firing of a job makes, if it may start at once.
    fn coming_of(&self, name: &JobName) -> Option<Coming> {
        let job = self.registered_job(name)?;
        let rules = &job.rules;
        // With jitter it is held back first, and looked at when that comes to its end.
        let starts = rules.jitter_ms == 0
            && self.active_count(name) < rules.active_max() as usize
            && self.disabled_reason(name, &job.app).is_none();
        let count = rules.sharding_total_count as usize;
        starts.then(|| Coming { app: job.app.clone(), rules: Arc::clone(rules), count })
    }

    /// Agents whose leases the work ahead will need: where it would be placed now, and where it does
    /// not fit yet, every agent that could take a part of it.
    pub(crate) fn agents_for_ahead(&mut self, ahead: &Ahead) -> BTreeSet<AgentId> {
        if ahead.more {
            return self.fleet.leases.keys().cloned().collect();
        }
        let mut placer = self.fleet.lend();
        for agent in self.holds.agents() {
            placer.hide(agent);
        }
        let mut agents = BTreeSet::new();
        let mut placed = Vec::new();
        for coming in &ahead.coming {
            let Ok(app) = self.app_document(&coming.app) else { continue };
            let (nobody, nothing) = (AppName::none(), Demand::default());
            let (app, executor) = match coming.rules.executor {
                JobExecutor::App => (&coming.app, &app.demand),
                JobExecutor::Command => (&nobody, &nothing),
            };
            let ends_by = coming.rules.ends_by(self.now);
            placed.extend(coming.place((app, executor), ends_by, &mut placer, &mut agents));
        }
        while let Some(placed) = placed.pop() {
            placer.undo(placed);
        }
        self.fleet.take_back(placer);
        agents
    }
}

impl Ahead {
    /// False if there is no room for more.
    fn add(&mut self, coming: Option<Coming>) -> bool {
        self.more = self.coming.len() >= COMING_MAX;
        if !self.more {
            self.coming.extend(coming);
        }
        !self.more
    }
}

impl Coming {
    /// Notes the agents it needs and takes their room from those that come after it.
    fn place(
        &self,
        (app, executor): (&AppName, &Demand),
        ends_by: Option<Timestamp>,
        placer: &mut Placer,
        agents: &mut BTreeSet<AgentId>,
    ) -> Option<crate::placement::Placed> {
        let candidate = Candidate {
            app,
            executor,
            shard: &self.rules.demand,
            count: self.count,
            placement: self.rules.placement,
            avoid: None,
            constraints: &self.rules.constraints,
            siblings: &[],
            ends_by,
        };
        if let Ok(placed) = placer.place(&candidate) {
            agents.extend(placer.shares(&placed).map(|(agent, _)| agent.clone()));
            return Some(placed);
        }
        agents.extend(placer.rooms(&candidate).into_iter().map(|(agent, _)| agent));
        None
    }
}
