//! The launch cycle: candidates in order, placement, and the records of what is launched. Absent: what
//! becomes of offers nobody needs (`offers.rs`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::document::{App, Job, JobExecutor, Placement};
use crate::effect::{Action, Effects, ExecutorLaunch, Launch, Trace};
use crate::engine::{Engine, put_text};
use crate::event::Offer;
use crate::executor_book::{Executor, Presence};
use crate::ids::{AgentId, AppName, ExecutorId, LaunchKind, RunId, TaskId};
use crate::placement::{Candidate, Placer, Site, Slot, Unplaced};
use crate::record::{Phase, Shard};
use crate::registered::RunJob;
use crate::resources::{Demand, Kind, Milli, Piece, Resources};
use crate::run::Run;
use crate::timers::Deadline;
use crate::wait::Wait;

/// A launch cycle under way: the leases, and what is launched on each agent.
struct Cycle {
    placer: Placer,
    launches: BTreeMap<AgentId, Vec<Launch>>,
    /// The best ranked run that was refused, until a later one is placed.
    refused: Option<RunId>,
    /// Shards launched, and runs and shards that could not be.
    launched: usize,
    unplaced: usize,
}

impl Cycle {
    /// Enough has been launched. What could not be placed is looked at again in the next cycle: that must
    /// not come to more than what is launched.
    fn is_over(&self, launches_max: usize) -> bool {
        self.launched >= launches_max.max(self.unplaced)
    }
}

impl Engine {
    pub(crate) fn on_offers(&mut self, offers: Vec<Offer>, fx: &mut Effects) {
        for offer in offers {
            let (agent, executors) = (offer.agent.clone(), offer.executors.clone());
            self.note_unavailability(&agent, offer.unavailability);
            self.fleet.hold(offer, self.now);
            for executor in executors {
                self.see_executor(&agent, &executor, fx);
            }
        }
        self.place_needed = true;
    }

    /// Places what may start, failover and retry shards first.
    pub(crate) fn launch_cycle(&mut self, fx: &mut Effects) {
        self.launches.cycles += 1;
        self.cycle_at = self.now;
        self.cycle_unfinished = false;
        self.end_overdue_hold();
        self.mark_leaving();
        let placer = self.fleet.lend();
        let (launches, refused) = (BTreeMap::new(), None);
        let mut cycle = Cycle { placer, launches, refused, launched: 0, unplaced: 0 };
        self.launch_waiting(&mut cycle, fx);
        self.fleet.take_back(cycle.placer);
        for (agent, launches) in cycle.launches {
            let offers = self.fleet.spend(&agent);
            fx.action(Action::Accept { agent, offers, launches });
        }
        if self.cycle_unfinished {
            self.timers.set(Deadline::LaunchCycle, self.now);
        } else if self.has_demand() {
            let again = self.now.saturating_add(self.settings.launch_interval_ms);
            self.timers.set(Deadline::LaunchCycle, again);
        }
    }

    fn launch_waiting(&mut self, cycle: &mut Cycle, fx: &mut Effects) {
        let launches_max = self.settings.launches_per_cycle_max;
        let mut next = self.due.first().cloned();
        while let Some(shard) = next {
            if cycle.is_over(launches_max) {
                self.cycle_unfinished = true;
                return;
            }
            let ((_, _, run), item) = &shard;
            self.launch_shard(run, *item, cycle, fx);
            next = self.due.range((Bound::Excluded(&shard), Bound::Unbounded)).next().cloned();
        }
        let mut next = self.ready.first().cloned();
        while let Some(run) = next {
            if cycle.is_over(launches_max) {
                self.cycle_unfinished = true;
                return;
            }
            self.launch_run(&run.2, cycle, fx);
            next = self.ready.range((Bound::Excluded(&run), Bound::Unbounded)).next().cloned();
        }
    }

    pub(crate) fn has_demand(&self) -> bool {
        !self.ready.is_empty() || !self.due.is_empty()
    }

    /// Launches all shards of a pending run, or notes why not.
    fn launch_run(&mut self, id: &RunId, cycle: &mut Cycle, fx: &mut Effects) {
        let Some((job, items)) = self.runs.get(id).map(|run| (run.job.clone(), run.items())) else {
            return;
        };
        let (app, slots) = match self.find_slots(id, &job, items.len(), None, cycle) {
            Ok(found) => found,
            Err(wait) => {
                cycle.unplaced += 1;
                return self.note_wait(id, wait);
            }
        };
        if let Some(refused) = cycle.refused.take() {
            self.holds.note_overtaken(refused);
        }
        let now = self.now;
        self.activate(id);
        self.dequeue(id, fx);
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        run.launched_at = Some(now);
        run.shards = items.iter().copied().map(Shard::new).collect();
        for (item, slot) in items.into_iter().zip(slots) {
            self.launch(id, item, &app, slot, cycle, fx);
        }
    }

    /// Launches one waiting shard of an active run, or notes why not.
    fn launch_shard(&mut self, id: &RunId, item: u32, cycle: &mut Cycle, fx: &mut Effects) {
        let Some(run) = self.runs.get(id) else { return };
        let job = run.job.clone();
        let avoid = match run.shard(item).map(|shard| &shard.phase) {
            Some(Phase::Waiting { avoid, .. }) => avoid.clone(),
            _ => return,
        };
        match self.find_slots(id, &job, 1, avoid.as_ref(), cycle) {
            Ok((app, slots)) => {
                self.unqueue_shard(id, item, fx);
                for slot in slots {
                    self.launch(id, item, &app, slot, cycle, fx);
                }
            }
            Err(wait) => {
                cycle.unplaced += 1;
                self.note_wait(id, wait);
            }
        }
    }

    fn note_wait(&mut self, id: &RunId, wait: Wait) {
        if let Wait::Unplaced(unplaced) = &wait {
            self.launches.count_unplaced(unplaced);
        }
        if let Some(run) = self.runs.get_mut(id) {
            run.wait = wait;
        }
    }

    /// Places shards of a run and takes their resources. A whole run that does not fit may get
    /// leases kept back for it.
    fn find_slots(
        &mut self,
        id: &RunId,
        job: &RunJob,
        count: usize,
        avoid: Option<&AgentId>,
        cycle: &mut Cycle,
    ) -> Result<(Arc<App>, Vec<Slot>), Wait> {
        let app = self.app_document(&job.app).map_err(Wait::NoDocument)?;
        let sites = self.sibling_sites(id, job);
        let siblings: Vec<&Site> = sites.iter().collect();
        // Mesos' own executor costs the task nothing and is shared with nobody.
        let (nobody, nothing) = (AppName::none(), Demand::default());
        let (executor_of, executor) = match job.rules.executor {
            JobExecutor::App => (&job.app, &app.demand),
            JobExecutor::Command => (&nobody, &nothing),
        };
        let candidate = Candidate {
            app: executor_of,
            executor,
            shard: &job.rules.demand,
            count,
            placement: job.rules.placement,
            avoid,
            ends_by: job.rules.ends_by(self.now),
            constraints: &job.rules.constraints,
            siblings: &siblings,
        };
        let placed = cycle.placer.place_within(&candidate, || self.fleet.capacity(&candidate));
        let slots = match placed {
            Ok(placed) => {
                // What is launched is parsed now, before anything is changed.
                if self.runs.get_mut(id).and_then(|run| run.job.whole()).is_none() {
                    cycle.placer.undo(placed);
                    let problem = format!("the document of job {} cannot be read", job.name);
                    return Err(Wait::NoDocument(problem));
                }
                let mut slots = Vec::new();
                let described = |agent: &AgentId| {
                    let executor = self.fleet.executor(agent, executor_of)?;
                    executor.resources.as_ref().filter(|_| executor.is_unseen())
                };
                cycle.placer.draw(&candidate, placed, &mut slots, described).map(|()| slots)
            }
            Err(unplaced) => {
                if self.runs.get(id).is_some_and(Run::is_pending) {
                    cycle.refused.get_or_insert_with(|| id.clone());
                    self.hold_back(id, &candidate, &unplaced, &mut cycle.placer);
                }
                return Err(Wait::Unplaced(unplaced));
            }
        };
        let slots = slots.ok_or_else(|| Wait::Unplaced(Arc::new(Unplaced::NoOffers)))?;
        Ok((app, slots))
    }

    /// Where the live shards of a run are, if that matters to where the next one goes.
    fn sibling_sites(&self, id: &RunId, job: &RunJob) -> Vec<Site> {
        if job.rules.constraints.is_empty() && job.rules.placement == Placement::BinPack {
            return Vec::new();
        }
        let shards = self.runs.get(id).map_or(&[][..], |run| &run.shards);
        let agents = shards.iter().filter_map(|shard| shard.phase.agent());
        agents.filter_map(|agent| self.fleet.site(agent)).cloned().collect()
    }

    /// Records the launch of one shard where it was placed.
    fn launch(
        &mut self,
        id: &RunId,
        item: u32,
        app: &Arc<App>,
        slot: Slot,
        cycle: &mut Cycle,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let uuid = self.random.task_uuid();
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let Some(job) = run.job.whole() else { return };
        let is_daemon = run.is_daemon();
        let Some(shard) = run.shard_mut(item) else { return };
        let kind = if shard.task_id.is_none() { LaunchKind::Ready } else { LaunchKind::Failover };
        let task = TaskId::of(&job.name, item, kind, &slot.agent, uuid);
        shard.attempt += 1;
        shard.task_id = Some(task.clone());
        shard.note_outcome(None, 0);
        shard.message = None;
        shard.phase = Phase::Launching { agent: slot.agent.clone(), since: now };
        let attempt = shard.attempt;
        let launch = Launch {
            task: task.clone(),
            executor: ExecutorLaunch {
                id: ExecutorId::of(&job.app, &slot.agent),
                app: Arc::clone(app),
                resources: Resources::default(),
            },
            resources: slot.resources,
            run: id.clone(),
            logical_time: run.logical_time,
            item,
            attempt,
            job_parameter: job_parameter(run, &job),
            sharding_parameter: run.sharding_parameter(&job, item).to_owned(),
            env: job.env.iter().chain(&run.overrides.env).map(pair).collect(),
            job: Arc::clone(&job),
        };
        let launch = match job.executor {
            JobExecutor::App => {
                self.charge_executor(launch, &slot.agent, slot.executor, &cycle.placer)
            }
            JobExecutor::Command => launch,
        };
        if let Some(run) = self.runs.get_mut(id) {
            run.launched_with(item, &launch.executor);
        }
        self.tasks.insert(task.clone(), (id.clone(), item));
        let limit = now.saturating_add(self.settings.launch_timeout_ms);
        self.timers.set(Deadline::Launch(task.clone()), limit);
        if let Some(run) = self.runs.get(id) {
            put_text(fx, run.shard_key(item), task.as_str());
        }
        self.dirty.insert(id.clone());
        fx.trace(Trace::Task {
            run: id.clone(),
            job: job.name.clone(),
            app: job.app.clone(),
            is_daemon,
            at: now,
            item,
            task,
            state: "TASK_STAGING",
            message: Some(format!("launched on {}, attempt {attempt}", slot.agent)),
            submitter: self.runs.get(id).and_then(|run| run.submitter.clone()),
        });
        cycle.launched += 1;
        cycle.launches.entry(slot.agent).or_default().push(launch);
    }

    /// Fills in the executor: the one that lives on the agent, as it was started, or a new one
    /// with what the placement took for it.
    fn charge_executor(
        &mut self,
        mut launch: Launch,
        agent: &AgentId,
        charged: Option<Resources>,
        placer: &Placer,
    ) -> Launch {
        let app = launch.executor.app.clone();
        // One that was launched and not seen may have to be paid for again, as it was described.
        let before = self.fleet.executor(agent, &app.name).map(|own| {
            let same = own.resources.is_none() || own.resources == charged;
            (own.generation, own.is_unseen() && same, own.is_unseen() && !same)
        });
        let (known, stays, differs) = before.unwrap_or_default();
        if let Some(resources) = charged.filter(|_| !stays) {
            let is_next = before.is_none() || differs;
            let next = is_next.then(|| self.fleet.next_generation(agent, &app.name));
            if differs {
                self.fleet.drain(agent, &app.name);
            }
            let generation = next.unwrap_or(known);
            let mut executor = Executor::new(Arc::clone(&app), generation, Presence::Launched);
            executor.resources = Some(resources);
            self.fleet.add_executor(agent, executor);
        }
        let Some(executor) = self.fleet.executor_mut(agent, &app.name) else {
            return launch;
        };
        executor.tasks.insert(launch.task.clone());
        launch.executor.id = executor.id(agent);
        launch.executor.app = Arc::clone(&executor.app);
        let demand = &executor.app.demand;
        launch.executor.resources = executor
            .resources
            .get_or_insert_with(|| {
                like(demand, &placer.lease(agent).map(offered).unwrap_or_default())
            })
            .clone();
        launch
    }
}

fn pair((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn job_parameter(run: &Run, job: &Job) -> String {
    run.overrides.job_parameter.clone().unwrap_or_else(|| job.job_parameter.clone())
}

fn offered(lease: &crate::fleet::Lease) -> Resources {
    let mut all = Resources::default();
    for offer in &lease.offers {
        all.merge(offer.resources.clone());
    }
    all
}

/// Resources of the amounts asked for, with the origin an agent offers: how an executor that a
/// former leader started is described again, unless its record says more.
fn like(demand: &Demand, offered: &Resources) -> Resources {
    let mut out = Resources::default();
    for kind in [Kind::Cpus, Kind::Mem] {
        let amount = demand.of(kind);
        // All that nobody reserved is of one origin, whatever it is an amount of.
        let unreserved = || offered.pieces.iter().filter(|p| !p.origin.reserved);
        let origin = unreserved().find(|p| p.kind == kind).or_else(|| unreserved().next());
        if let Some(piece) = origin.filter(|_| amount > Milli::ZERO) {
            out.pieces.push(Piece { kind, amount, origin: Arc::clone(&piece.origin) });
        }
    }
    out
}
