//! Reads: answers between turns, paged by name. Nothing here changes anything.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::engine::{AppEntry, Engine, JobEntry};
use crate::ids::{AppName, ExecutorId, JobName, RunId};
use crate::record::Phase;
use crate::timers::Deadline;
use crate::view::{
    AgentView, AppView, FailoverView, JobView, ReadyView, RunState, RunView, RunningView,
    ShardView, StatusView,
};

/// Which live runs are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only of this job.
    pub job: Option<JobName>,
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only in this state.
    pub state: Option<RunState>,
}

impl Engine {
    /// The scheduler as a whole.
    pub fn status(&self) -> StatusView {
        StatusView {
            connected: self.connected,
            framework_id: self.framework.clone(),
            watermark: self.watermark,
            apps: self.apps.len(),
            jobs: self.jobs.len(),
            pending_runs: self.runs.len() - self.active.len(),
            active_runs: self.active.len(),
            tasks: self.tasks.len(),
            offers: self.fleet.offer_count(),
            problems: self.problems.clone(),
        }
    }

    /// One app.
    pub fn app(&self, name: &AppName) -> Option<AppView> {
        self.apps.get(name).map(|entry| self.app_view(name, entry))
    }

    /// Apps by name, those after `after`.
    pub fn apps(&self, after: Option<&str>, limit: usize) -> Vec<AppView> {
        let passed = |name: &AppName| after.is_none_or(|after| name.as_str() > after);
        self.apps
            .iter()
            .filter(|(name, _)| passed(name))
            .take(limit)
            .map(|(name, entry)| self.app_view(name, entry))
            .collect()
    }

    fn app_view(&self, name: &AppName, entry: &AppEntry) -> AppView {
        let jobs =
            self.jobs.values().filter(|job| matches!(&job.document, Ok(job) if job.app == *name));
        AppView {
            name: name.to_string(),
            enabled: entry.disabled.is_none(),
            disabled: entry.disabled.clone(),
            jobs: jobs.count(),
            problem: entry.document.as_ref().err().map(|broken| broken.problem.clone()),
            document: match &entry.document {
                Ok(app) => Arc::clone(&app.source),
                Err(broken) => Arc::clone(&broken.source),
            },
        }
    }

    /// One job.
    pub fn job(&self, name: &JobName) -> Option<JobView> {
        self.jobs.get(name).map(|entry| self.job_view(name, entry))
    }

    /// Jobs by name, those after `after`, of one app if asked.
    pub fn jobs(&self, app: Option<&AppName>, after: Option<&str>, limit: usize) -> Vec<JobView> {
        let from = after.and_then(|after| JobName::parse(after).ok());
        let start = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.jobs
            .range((start, Bound::Unbounded))
            .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
            .filter(|(_, entry)| {
                app.is_none_or(|app| matches!(&entry.document, Ok(job) if job.app == *app))
            })
            .take(limit)
            .map(|(name, entry)| self.job_view(name, entry))
            .collect()
    }

    fn job_view(&self, name: &JobName, entry: &JobEntry) -> JobView {
        let job = entry.document.as_ref().ok();
        let enabled = job.is_none_or(|job| self.disabled_reason(name, &job.app).is_none());
        let next_firing = job
            .filter(|job| enabled && job.execution == crate::document::Execution::Transient)
            .and_then(|job| job.schedule.as_ref())
            .and_then(|schedule| schedule.next_after(self.now.max(entry.effective_from)));
        JobView {
            name: name.to_string(),
            app: job.map(|job| job.app.clone()),
            enabled: entry.disabled.is_none(),
            disabled: entry.disabled.clone(),
            pending: entry.pending.len(),
            running: self.active.get(name).cloned(),
            next_firing,
            problem: entry.document.as_ref().err().map(|broken| broken.problem.clone()),
            document: match &entry.document {
                Ok(job) => Arc::clone(&job.source),
                Err(broken) => Arc::clone(&broken.source),
            },
        }
    }

    /// Why a job may not run: its own flag, its app's, or a document that cannot be read.
    pub fn job_blocked(&self, name: &JobName) -> Option<String> {
        match &self.jobs.get(name)?.document {
            Ok(job) => self.disabled_reason(name, &job.app),
            Err(broken) => Some(broken.problem.clone()),
        }
    }

    /// One live run.
    pub fn run(&self, id: &RunId) -> Option<RunView> {
        let run = self.runs.get(id)?;
        let mut view = run.view();
        if run.is_pending() {
            view.reason = Some(self.wait_of(run).to_string());
        }
        Some(view)
    }

    /// Live runs, newest first.
    pub fn live_runs(&self, filter: &RunFilter) -> Vec<RunView> {
        let of_job: Vec<&RunId> = match &filter.job {
            Some(job) => self
                .jobs
                .get(job)
                .into_iter()
                .flat_map(|entry| entry.pending.iter().map(|(_, id)| id))
                .chain(self.active.get(job))
                .collect(),
            None => self.runs.keys().collect(),
        };
        let mut views: Vec<RunView> = of_job
            .into_iter()
            .filter(|id| {
                let app = self.runs.get(*id).map(|run| &run.job.app);
                filter.app.is_none() || filter.app.as_ref() == app
            })
            .filter_map(|id| self.run(id))
            .filter(|view| filter.state.is_none_or(|state| view.state == state))
            .collect();
        views.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        views
    }

    /// Jobs with pending runs, by name.
    pub fn ready(&self, after: Option<&str>, limit: usize) -> Vec<ReadyView> {
        self.jobs
            .iter()
            .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
            .filter_map(|(name, entry)| {
                let (_, next) = entry.pending.first()?;
                let run = self.runs.get(next)?;
                Some(ReadyView {
                    job: name.clone(),
                    times: entry.pending.len(),
                    next: next.clone(),
                    reason: Some(self.wait_of(run).to_string()),
                })
            })
            .take(limit)
            .collect()
    }

    /// Shards that wait to be launched again, by `run/item`.
    pub fn failover(&self, after: Option<&str>, limit: usize) -> Vec<FailoverView> {
        let runs = self.active.values().filter_map(|id| self.runs.get(id));
        let mut rows: Vec<(String, FailoverView)> = runs
            .flat_map(|run| run.shards.iter().map(move |shard| (run, shard)))
            .filter_map(|(run, shard)| {
                let Phase::Waiting { due, .. } = shard.phase else {
                    return None;
                };
                let reason = if due > self.now {
                    format!("back-off until {due}")
                } else {
                    self.wait_of(run).to_string()
                };
                let view = FailoverView {
                    run: run.id.clone(),
                    item: shard.item,
                    original_task_id: shard.task_id.clone(),
                    due,
                    reason: Some(reason),
                };
                Some((view.cursor(), view))
            })
            .filter(|(cursor, _)| after.is_none_or(|after| cursor.as_str() > after))
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.into_iter().take(limit).map(|(_, view)| view).collect()
    }

    /// Live tasks by id.
    pub fn running(&self, after: Option<&str>, limit: usize) -> Vec<RunningView> {
        self.tasks
            .iter()
            .filter(|(task, _)| after.is_none_or(|after| task.as_str() > after))
            .filter_map(|(task, (id, item))| {
                let run = self.runs.get(id)?;
                let shard = run.shard(*item)?;
                Some(RunningView {
                    task_id: task.clone(),
                    run: id.clone(),
                    item: *item,
                    state: ShardView::state_of(&shard.phase),
                    agent: shard.phase.agent()?.clone(),
                    since: shard.phase.since()?,
                    idle: run.is_daemon().then(|| run.idle.contains(item)),
                })
            })
            .take(limit)
            .collect()
    }

    /// Agents of which offers are held or which run our executors, by id.
    pub fn agents(&self, after: Option<&str>, limit: usize) -> Vec<AgentView> {
        let ids: BTreeSet<_> =
            self.fleet.leases.keys().chain(self.fleet.executors.keys()).collect();
        ids.into_iter()
            .filter(|id| after.is_none_or(|after| id.as_str() > after))
            .take(limit)
            .map(|id| {
                let lease = self.fleet.leases.get(id);
                let executors = self.fleet.executors.get(id);
                AgentView {
                    id: id.clone(),
                    hostname: lease.map(|lease| lease.hostname.clone()).unwrap_or_default(),
                    attributes: lease
                        .map(|lease| lease.attributes.iter().cloned().collect())
                        .unwrap_or_default(),
                    offered: lease.map(|lease| lease.free.totals()).unwrap_or_default(),
                    executors: executors
                        .into_iter()
                        .flat_map(|executors| executors.keys())
                        .map(|app| ExecutorId::of(app, id).to_string())
                        .collect(),
                    tasks: executors
                        .into_iter()
                        .flat_map(|executors| executors.values())
                        .map(|executor| executor.tasks.len())
                        .sum(),
                }
            })
            .collect()
    }

    /// When placement is tried next even if nothing happens.
    pub fn next_launch_cycle(&self) -> Option<Timestamp> {
        self.timers.at(&Deadline::LaunchCycle)
    }
}

// === impl FailoverView ===

impl FailoverView {
    /// Where this row stands in the list; pass it as `after` to go on behind it.
    pub fn cursor(&self) -> String {
        format!("{}/{:010}", self.run, self.item)
    }
}
