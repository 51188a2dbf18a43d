//! Reads of what runs and of where: tasks, executors, offers, agents, the failover queue. Each page
//! starts where the one before ended, so that no list costs more than its page and what its filter
//! passes over.

use std::collections::BTreeSet;
use std::ops::Bound;

use shiftwork_schedule::Timestamp;

use crate::engine::Engine;
use crate::executor_book::{Executor, Presence};
use crate::fleet::{HeldOffer, Lease};
use crate::ids::{AgentId, AppName, ExecutorId, JobName, OfferId, RunId, TaskId};
use crate::record::{Phase, Shard};
use crate::resources::Resources;
use crate::run::Run;
use crate::view::{
    AgentView, ExecutorState, ExecutorView, FailoverView, OfferView, RunningView, ShardState,
    ShardView, TaskView,
};

/// Which live tasks are asked for.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only of this job.
    pub job: Option<JobName>,
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only on this agent.
    pub agent: Option<AgentId>,
    /// Only in this state.
    pub state: Option<ShardState>,
}

impl TaskFilter {
    fn takes(&self, task: &TaskView) -> bool {
        self.job.as_ref().is_none_or(|job| task.job == *job)
            && self.app.as_ref().is_none_or(|app| task.app == *app)
            && self.agent.as_ref().is_none_or(|agent| task.agent.as_ref() == Some(agent))
            && self.state.is_none_or(|state| task.state == state)
    }
}

impl Engine {
    /// Shards that wait to be launched again, by run and shard, those behind `after`.
    pub fn failover(&self, after: Option<&(RunId, u32)>, limit: usize) -> Vec<FailoverView> {
        let from = after.map_or(Bound::Unbounded, |(run, _)| Bound::Included(run));
        let passed = |run: &Run, shard: &Shard| {
            after.is_none_or(|(id, item)| run.id != *id || shard.item > *item)
        };
        self.runs
            .range((from, Bound::Unbounded))
            .flat_map(|(_, run)| run.shards.iter().map(move |shard| (run, shard)))
            .filter(|(run, shard)| passed(run, shard))
            .filter_map(|(run, shard)| match shard.phase {
                Phase::Waiting { due, .. } => Some(self.failover_view(run, shard, due)),
                _ => None,
            })
            .take(limit)
            .collect()
    }

    fn failover_view(&self, run: &Run, shard: &Shard, due: Timestamp) -> FailoverView {
        let reason = if due > self.now {
            format!("back-off until {due}")
        } else {
            self.wait_of(run).to_string()
        };
        FailoverView {
            run: run.id.clone(),
            item: shard.item,
            original_task_id: shard.task_id.clone(),
            due,
            reason: Some(reason),
        }
    }

    /// The running queue: live tasks by id, those behind `after`.
    pub fn running(&self, after: Option<&TaskId>, limit: usize) -> Vec<RunningView> {
        self.live_tasks(after)
            .filter_map(|(task, run, shard)| {
                Some(RunningView {
                    task_id: task.clone(),
                    run: run.id.clone(),
                    item: shard.item,
                    state: ShardView::state_of(&shard.phase),
                    agent: shard.phase.agent()?.clone(),
                    since: shard.phase.since()?,
                    idle: idle(run, shard.item),
                })
            })
            .take(limit)
            .collect()
    }

    /// Live tasks by id, those behind `after`.
    pub fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&TaskId>,
        limit: usize,
    ) -> Vec<TaskView> {
        self.live_tasks(after)
            .map(|(task, run, shard)| task_view(task, run, shard))
            .filter(|task| filter.takes(task))
            .take(limit)
            .collect()
    }

    /// One live task.
    pub fn task(&self, id: &TaskId) -> Option<TaskView> {
        let (run, item) = self.tasks.get(id)?;
        let run = self.runs.get(run)?;
        Some(task_view(id, run, run.shard(*item)?))
    }

    fn live_tasks<'a>(
        &'a self,
        after: Option<&'a TaskId>,
    ) -> impl Iterator<Item = (&'a TaskId, &'a Run, &'a Shard)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tasks.range((from, Bound::Unbounded)).filter_map(|(task, (run, item))| {
            let run = self.runs.get(run)?;
            Some((task, run, run.shard(*item)?))
        })
    }

    /// Number of jobs with a run that is being launched or running.
    pub fn running_jobs(&self) -> usize {
        self.active.len()
    }

    /// Offers held, by agent and id, those behind `after`.
    pub fn offers(
        &self,
        agent: Option<&AgentId>,
        after: Option<&(AgentId, OfferId)>,
        limit: usize,
    ) -> Vec<OfferView> {
        let from = after.map_or(Bound::Unbounded, |(agent, _)| Bound::Included(agent));
        let passed = |id: &AgentId, offer: &HeldOffer| {
            after.is_none_or(|(agent, last)| id != agent || offer.id > *last)
        };
        self.fleet
            .leases
            .range((from, Bound::Unbounded))
            .filter(|(id, _)| agent.is_none_or(|agent| *id == agent))
            .flat_map(|(id, lease)| by_id(lease).into_iter().map(move |offer| (id, lease, offer)))
            .filter(|(id, _, offer)| passed(id, offer))
            .take(limit)
            .map(|(id, lease, offer)| OfferView {
                id: offer.id.clone(),
                agent: id.clone(),
                hostname: lease.hostname.clone(),
                resources: offer.resources.totals(),
                since: offer.since,
            })
            .collect()
    }

    /// Executors of this framework, by agent and id, those behind `after`.
    pub fn executors(
        &self,
        app: Option<&AppName>,
        agent: Option<&AgentId>,
        after: Option<&(AgentId, ExecutorId)>,
        limit: usize,
    ) -> Vec<ExecutorView> {
        let from = after.map_or(Bound::Unbounded, |(agent, _)| Bound::Included(agent));
        self.executing((from, Bound::Unbounded))
            .into_iter()
            .filter(|id| agent.is_none_or(|agent| *id == agent))
            .flat_map(|id| self.executors_by_id(id))
            .filter(|view| app.is_none_or(|app| view.app == *app))
            .filter(|view| {
                after.is_none_or(|(agent, last)| view.agent != *agent || view.id > *last)
            })
            .take(limit)
            .collect()
    }

    /// Agents that run our executors.
    fn executing(&self, range: (Bound<&AgentId>, Bound<&AgentId>)) -> BTreeSet<&AgentId> {
        let current = self.fleet.executors.range::<AgentId, _>(range).map(|(id, _)| id);
        let draining = self.fleet.draining.range::<AgentId, _>(range).map(|(id, _)| id);
        current.chain(draining).collect()
    }

    fn executors_by_id(&self, agent: &AgentId) -> Vec<ExecutorView> {
        let current = self.fleet.executors.get(agent).into_iter().flatten();
        let current = current.map(|(_, executor)| executor_view(agent, executor, false));
        let draining = self.fleet.draining.get(agent).into_iter().flatten();
        let draining = draining.map(|(_, executor)| executor_view(agent, executor, true));
        let mut views: Vec<_> = current.chain(draining).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// Agents of which offers are held or which run our executors, by id, those behind `after`.
    pub fn agents(&self, after: Option<&AgentId>, limit: usize) -> Vec<AgentView> {
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        // No more than a page of either can be on the page.
        let offering = self.fleet.leases.range(from).map(|(id, _)| id).take(limit);
        let executing = self.executing(from).into_iter().take(limit);
        let ids: BTreeSet<&AgentId> = offering.chain(executing).collect();
        ids.into_iter().take(limit).filter_map(|id| self.agent(id)).collect()
    }

    /// One agent, if offers of it are held or it runs our executors.
    pub fn agent(&self, id: &AgentId) -> Option<AgentView> {
        let lease = self.fleet.leases.get(id);
        let executors = self.executors_by_id(id);
        if lease.is_none() && executors.is_empty() {
            return None;
        }
        let site = self.fleet.site(id);
        Some(AgentView {
            id: id.clone(),
            hostname: site.map(|site| site.hostname.clone()).unwrap_or_default(),
            attributes: site
                .map(|site| site.attributes.iter().cloned().collect())
                .unwrap_or_default(),
            offered: lease.map(|lease| lease.free.totals()).unwrap_or_default(),
            unavailable_from: self.fleet.unavailable.get(id).map(|window| window.start),
            tasks: self.fleet.executors_on(id).map(|executor| executor.tasks.len()).sum(),
            executors: executors.iter().map(|executor| executor.id.to_string()).collect(),
        })
    }
}

fn by_id(lease: &Lease) -> Vec<&HeldOffer> {
    let mut offers: Vec<&HeldOffer> = lease.offers.iter().collect();
    offers.sort_by(|a, b| a.id.cmp(&b.id));
    offers
}

fn idle(run: &Run, item: u32) -> Option<bool> {
    run.is_daemon().then(|| run.idle.contains(&item))
}

fn executor_view(agent: &AgentId, executor: &Executor, draining: bool) -> ExecutorView {
    ExecutorView {
        id: executor.id(agent),
        app: executor.app.name.clone(),
        agent: agent.clone(),
        state: match executor.presence {
            Presence::Launched | Presence::Doubted => ExecutorState::Launching,
            Presence::Seen if draining => ExecutorState::Retiring,
            Presence::Seen => ExecutorState::Running,
            Presence::Absent => ExecutorState::Lost,
        },
        tasks: executor.tasks.len() + executor.former.len(),
        resources: executor.resources.as_ref().map(Resources::totals),
    }
}

fn task_view(id: &TaskId, run: &Run, shard: &Shard) -> TaskView {
    TaskView {
        id: id.clone(),
        run: run.id.clone(),
        job: run.job.name.clone(),
        app: run.job.app.clone(),
        item: shard.item,
        state: ShardView::state_of(&shard.phase),
        agent: shard.phase.agent().cloned(),
        attempt: shard.attempt,
        since: shard.phase.since(),
        idle: idle(run, shard.item),
        exit_code: shard.exit_code,
        message: shard.message.clone(),
    }
}
