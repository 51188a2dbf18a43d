//! The launch cycle: candidates in order, placement, the records of what is launched, and what
//! becomes of offers nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::{App, Placement};
use crate::effect::{Action, Effects, ExecutorLaunch, Launch, Trace};
use crate::engine::{Engine, put_text};
use crate::event::Offer;
use crate::fleet::{Executor, Presence};
use crate::ids::{AgentId, AppName, ExecutorId, LaunchKind, OfferId, RunId, TaskId};
use crate::placement::{Candidate, Slot, Unplaced, place};
use crate::record::{Key, Phase, Shard};
use crate::resources::{Demand, Kind, Milli, Piece, Resources};
use crate::run::{Run, Wait};
use crate::timers::Deadline;

/// Offers declined while nothing waits are not wanted for this long; demand revives them.
const IDLE_REFUSE_MS: u64 = 60 * 60 * 1000;
/// Offers given back although something waits: others get their chance, then we look again.
const UNFIT_REFUSE_MS: u64 = 1000;
/// While something waits that does not fit, offers are held this many times longer, so that
/// pieces can come together.
const UNFIT_HOLD_FACTOR: u64 = 6;

/// What is launched in this cycle, by agent.
type Launches = BTreeMap<AgentId, Vec<Launch>>;

/// Shapes that did not fit in this cycle: resources only shrink while it lasts, so that the same
/// or more of the same need not be tried again.
#[derive(Default)]
struct Misfits {
    smallest: BTreeMap<(AppName, Demand, Placement), (usize, Unplaced)>,
}

impl Misfits {
    fn known(&self, shape: &(AppName, Demand, Placement), count: usize) -> Option<Unplaced> {
        let (failed, unplaced) = self.smallest.get(shape)?;
        (*failed <= count).then_some(*unplaced)
    }

    fn note(&mut self, shape: (AppName, Demand, Placement), count: usize, unplaced: Unplaced) {
        self.smallest
            .entry(shape)
            .and_modify(|old| {
                if count < old.0 {
                    *old = (count, unplaced);
                }
            })
            .or_insert((count, unplaced));
    }
}

impl Engine {
    pub(crate) fn on_offers(&mut self, offers: Vec<Offer>, fx: &mut Effects) {
        for offer in offers {
            let (agent, executors) = (offer.agent.clone(), offer.executors.clone());
            self.fleet.hold(offer, self.now);
            for executor in executors {
                self.see_executor(&agent, &executor, fx);
            }
        }
        self.place_needed = true;
    }

    /// An offer names an executor of ours. One that nobody remembers, since it had no task when the
    /// leader changed, or that should have ended, is told to end: what it was started with may differ
    /// from what would be launched in it.
    fn see_executor(&mut self, agent: &AgentId, executor: &ExecutorId, fx: &mut Effects) {
        let Some(app) = executor.app() else { return };
        if self.fleet.executor(agent, &app).is_some() {
            return self.retire_outdated(agent, &app, fx);
        }
        if let Ok(app) = self.app_document(&app) {
            let stranger = Executor {
                app,
                resources: None,
                tasks: BTreeSet::new(),
                presence: Presence::Seen,
                retired: true,
            };
            self.fleet.add_executor(agent, stranger);
        }
        let (executor, agent) = (executor.clone(), agent.clone());
        fx.action(Action::ShutdownExecutor { executor, agent });
    }

    /// Places what may start, failover and retry shards first.
    pub(crate) fn launch_cycle(&mut self, fx: &mut Effects) {
        let mut launches = Launches::new();
        let mut misfits = Misfits::default();
        for ((_, _, run), item) in self.due.clone() {
            self.launch_shard(&run, item, &mut launches, &mut misfits, fx);
        }
        for (_, _, run) in self.ready.clone() {
            self.launch_run(&run, &mut launches, &mut misfits, fx);
        }
        for (agent, launches) in launches {
            let offers = self.fleet.spend(&agent);
            fx.action(Action::Accept { agent, offers, launches });
        }
        if self.has_demand() {
            let again = self.now.saturating_add(self.settings.launch_interval_ms);
            self.timers.set(Deadline::LaunchCycle, again);
        }
    }

    fn has_demand(&self) -> bool {
        !self.ready.is_empty() || !self.due.is_empty()
    }

    /// Launches all shards of a pending run, or notes why not.
    fn launch_run(
        &mut self,
        id: &RunId,
        launches: &mut Launches,
        misfits: &mut Misfits,
        fx: &mut Effects,
    ) {
        let Some(job) = self.runs.get(id).map(|run| Arc::clone(&run.job)) else {
            return;
        };
        let count = job.sharding_total_count as usize;
        let (app, slots) = match self.find_slots(&job, count, None, misfits) {
            Ok(found) => found,
            Err(wait) => return self.note_wait(id, wait),
        };
        let now = self.now;
        self.active.insert(job.name.clone(), id.clone());
        self.dequeue(id, fx);
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        run.launched_at = Some(now);
        run.shards = (0..job.sharding_total_count).map(Shard::new).collect();
        for (item, slot) in (0..).zip(slots) {
            self.launch(id, item, &app, slot, launches, fx);
        }
    }

    /// Launches one waiting shard of an active run, or notes why not.
    fn launch_shard(
        &mut self,
        id: &RunId,
        item: u32,
        launches: &mut Launches,
        misfits: &mut Misfits,
        fx: &mut Effects,
    ) {
        let Some(run) = self.runs.get(id) else { return };
        let job = Arc::clone(&run.job);
        let avoid = match run.shard(item).map(|shard| &shard.phase) {
            Some(Phase::Waiting { avoid, .. }) => avoid.clone(),
            _ => return,
        };
        match self.find_slots(&job, 1, avoid.as_ref(), misfits) {
            Ok((app, slots)) => {
                self.unqueue_shard(id, item, fx);
                for slot in slots {
                    self.launch(id, item, &app, slot, launches, fx);
                }
            }
            Err(wait) => self.note_wait(id, wait),
        }
    }

    fn note_wait(&mut self, id: &RunId, wait: Wait) {
        if let Some(run) = self.runs.get_mut(id) {
            run.wait = wait;
        }
    }

    fn find_slots(
        &mut self,
        job: &crate::document::Job,
        count: usize,
        avoid: Option<&AgentId>,
        misfits: &mut Misfits,
    ) -> Result<(Arc<App>, Vec<Slot>), Wait> {
        let app = self.app_document(&job.app).map_err(Wait::NoApp)?;
        let shape = (job.app.clone(), job.demand, job.placement);
        if let Some(unplaced) = misfits.known(&shape, count) {
            return Err(Wait::Unplaced(unplaced));
        }
        let candidate = Candidate {
            app: &job.app,
            executor: &app.demand,
            shard: &job.demand,
            count,
            placement: job.placement,
            avoid,
        };
        match place(&candidate, &mut self.fleet) {
            Ok(slots) => Ok((app, slots)),
            Err(unplaced) => {
                misfits.note(shape, count, unplaced);
                Err(Wait::Unplaced(unplaced))
            }
        }
    }

    /// Records the launch of one shard where it was placed.
    fn launch(
        &mut self,
        id: &RunId,
        item: u32,
        app: &Arc<App>,
        slot: Slot,
        launches: &mut Launches,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let uuid = self.random.task_uuid();
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        let job = Arc::clone(&run.job);
        let Some(shard) = run.shard_mut(item) else { return };
        let kind = if shard.task_id.is_none() { LaunchKind::Ready } else { LaunchKind::Failover };
        let task = TaskId::of(&job.name, item, kind, &slot.agent, uuid);
        shard.attempt += 1;
        shard.task_id = Some(task.clone());
        shard.exit_code = None;
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
            job_parameter: job_parameter(run),
            env: job.env.iter().chain(&run.overrides.env).map(pair).collect(),
            job: Arc::clone(&job),
        };
        let launch = self.charge_executor(launch, &slot.agent, slot.executor);
        if let Some(run) = self.runs.get_mut(id) {
            run.launched_with(item, &launch.executor.app);
        }
        self.tasks.insert(task.clone(), (id.clone(), item));
        let limit = now.saturating_add(self.settings.launch_timeout_ms);
        self.timers.set(Deadline::Launch(task.clone()), limit);
        put_text(fx, Key::RunningShard(job.name.clone(), item), task.as_str());
        self.dirty.insert(id.clone());
        fx.trace(Trace::Task {
            run: id.clone(),
            job: job.name.clone(),
            at: now,
            item,
            task,
            state: "TASK_STAGING",
            message: Some(format!("launched on {}, attempt {attempt}", slot.agent)),
        });
        launches.entry(slot.agent).or_default().push(launch);
    }

    /// Fills in the executor: the one that lives on the agent, as it was started, or a new one
    /// with what the placement took for it.
    fn charge_executor(
        &mut self,
        mut launch: Launch,
        agent: &AgentId,
        charged: Option<Resources>,
    ) -> Launch {
        let app = launch.executor.app.clone();
        // One that was launched and not seen may have to be paid for again, as it was described.
        let launched = self
            .fleet
            .executor(agent, &app.name)
            .is_some_and(|executor| executor.presence == Presence::Launched);
        if let Some(resources) = charged.filter(|_| !launched) {
            let executor = Executor {
                app: Arc::clone(&app),
                resources: Some(resources),
                tasks: BTreeSet::new(),
                presence: Presence::Launched,
                retired: false,
            };
            self.fleet.add_executor(agent, executor);
        }
        if let Some(lease) = self.fleet.leases.get_mut(agent) {
            lease.paid.insert(app.name.clone());
        }
        let template = self.fleet.leases.get(agent).map(offered).unwrap_or_default();
        let Some(executor) = self.fleet.executor_mut(agent, &app.name) else {
            return launch;
        };
        executor.tasks.insert(launch.task.clone());
        launch.executor.app = Arc::clone(&executor.app);
        launch.executor.resources =
            executor.resources.get_or_insert_with(|| like(&executor.app.demand, &template)).clone();
        launch
    }

    /// Gives back what nobody needs, asks for offers when somebody does.
    pub(crate) fn keep_offers_clean(&mut self, fx: &mut Effects) {
        if !self.connected {
            return;
        }
        let demand = self.has_demand();
        if demand && self.suppressed {
            self.suppressed = false;
            fx.action(Action::Revive);
        }
        let hold = self.settings.offer_hold_ms;
        let (hold, refuse_ms) = if demand {
            (hold.saturating_mul(UNFIT_HOLD_FACTOR), UNFIT_REFUSE_MS)
        } else {
            (hold, IDLE_REFUSE_MS)
        };
        let expired = self.expired_offers(hold);
        if !expired.is_empty() {
            for offer in &expired {
                self.fleet.release(offer);
            }
            fx.action(Action::Decline { offers: expired, refuse_ms });
            if !demand && self.fleet.offer_count() == 0 && !self.suppressed {
                self.suppressed = true;
                fx.action(Action::Suppress);
            }
        }
        let oldest = self
            .fleet
            .leases
            .values()
            .flat_map(|lease| lease.offers.iter().map(|offer| offer.since))
            .min();
        if let Some(oldest) = oldest {
            self.timers.set(Deadline::OfferHold, oldest.saturating_add(hold));
        }
    }

    /// Offers held for long. All of an agent go together: a part of a lease helps nobody.
    fn expired_offers(&self, hold_ms: u64) -> Vec<OfferId> {
        let mut expired = BTreeSet::new();
        for lease in self.fleet.leases.values() {
            let old =
                |since: shiftwork_schedule::Timestamp| since.saturating_add(hold_ms) <= self.now;
            if lease.offers.iter().any(|offer| old(offer.since)) {
                expired.extend(lease.offers.iter().map(|offer| offer.id.clone()));
            }
        }
        expired.into_iter().collect()
    }
}

fn pair((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn job_parameter(run: &Run) -> String {
    run.overrides.job_parameter.clone().unwrap_or_else(|| run.job.job_parameter.clone())
}

fn offered(lease: &crate::fleet::Lease) -> Resources {
    let mut all = Resources::default();
    for offer in &lease.offers {
        all.merge(offer.resources.clone());
    }
    all
}

/// Resources of the amounts asked for, with the origin an agent offers: how an executor that a
/// former leader started is described again.
fn like(demand: &Demand, offered: &Resources) -> Resources {
    let mut out = Resources::default();
    for kind in [Kind::Cpus, Kind::Mem] {
        let amount = demand.of(kind);
        let origin = offered.pieces.iter().find(|p| p.kind == kind && !p.origin.reserved);
        if let Some(piece) = origin.filter(|_| amount > Milli::ZERO) {
            out.pieces.push(Piece { kind, amount, origin: Arc::clone(&piece.origin) });
        }
    }
    out
}
