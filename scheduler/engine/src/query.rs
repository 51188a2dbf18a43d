//! Reads: answers between turns, paged by name. Nothing here changes anything.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::document::Execution;
use crate::engine::{AppEntry, Engine, JobEntry};
use crate::ids::{AppName, CalendarName, ExecutorId, JobName, RunId};
use crate::record::Phase;
use crate::view::{
    AgentView, AppView, CalendarView, FailoverView, JobView, ReadyView, RunState, RunView,
    RunningView, ShardView, StatusView,
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
        let active_runs = self.active.values().map(BTreeSet::len).sum();
        StatusView {
            connected: self.connected,
            framework_id: self.framework.clone(),
            watermark: self.watermark,
            apps: self.apps.len(),
            jobs: self.jobs.len(),
            pending_runs: self.runs.len() - active_runs,
            active_runs,
            fired: self.fired,
            missed: self.missed,
            tasks: self.tasks.len(),
            offers: self.fleet.offer_count(),
            problems: self
                .problems
                .iter()
                .map(|(key, problem)| format!("{key:?}: {problem}"))
                .collect(),
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
        AppView {
            name: name.to_string(),
            enabled: entry.disabled.is_none(),
            disabled: entry.disabled.clone(),
            jobs: self.jobs_by_app.get(name).map_or(0, BTreeSet::len),
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
        let passed = |name: &&JobName| after.is_none_or(|after| name.as_str() > after);
        let views = |names: &mut dyn Iterator<Item = &JobName>| {
            names.filter(passed).take(limit).filter_map(|name| self.job(name)).collect()
        };
        match app.map(|app| self.jobs_by_app.get(app)) {
            None => views(&mut self.jobs.range((start, Bound::Unbounded)).map(|(name, _)| name)),
            Some(Some(jobs)) => views(&mut jobs.range((start, Bound::Unbounded))),
            Some(None) => Vec::new(),
        }
    }

    /// One calendar.
    pub fn calendar(&self, name: &CalendarName) -> Option<CalendarView> {
        let entry = self.calendars.get(name)?;
        Some(CalendarView {
            name: name.to_string(),
            jobs: self.users_of(name).count(),
            problem: entry.as_ref().err().map(|broken| broken.problem.clone()),
            document: match entry {
                Ok(calendar) => Arc::clone(&calendar.source),
                Err(broken) => Arc::clone(&broken.source),
            },
        })
    }

    /// Calendars by name, those after `after`.
    pub fn calendars(&self, after: Option<&str>, limit: usize) -> Vec<CalendarView> {
        let passed = |name: &&CalendarName| after.is_none_or(|after| name.as_str() > after);
        let names = self.calendars.keys().filter(passed).take(limit);
        names.filter_map(|name| self.calendar(name)).collect()
    }

    fn job_view(&self, name: &JobName, entry: &JobEntry) -> JobView {
        let job = entry.document.as_ref().ok();
        let enabled = job.is_none_or(|job| self.disabled_reason(name, &job.app).is_none());
        // A document may be fine and name a calendar that is not: then the job cannot fire either.
        let (timetable, problem) = match self.timetable(name) {
            Some(Ok(timetable)) => (timetable, None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let next_firing = timetable
            .filter(|_| enabled && job.is_some_and(|job| job.execution == Execution::Transient))
            .and_then(|timetable| timetable.next_after(self.now.max(entry.effective_from)));
        JobView {
            name: name.to_string(),
            app: job.map(|job| job.app.clone()),
            enabled: entry.disabled.is_none(),
            disabled: entry.disabled.as_deref().cloned(),
            pending: entry.pending.len(),
            running: self.active.get(name).and_then(|runs| runs.first().cloned()),
            running_count: self.active_count(name),
            next_firing,
            problem: match &entry.document {
                Ok(_) => problem,
                Err(broken) => Some(broken.problem.clone()),
            },
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

    /// Live runs, newest first: at most `limit` of those older than `after`, which is a run's
    /// moment of making and its id.
    pub fn live_runs(
        &self,
        filter: &RunFilter,
        after: Option<&(Timestamp, RunId)>,
        limit: usize,
    ) -> Vec<RunView> {
        let upper = after.map_or(Bound::Unbounded, Bound::Excluded);
        let Some(job) = &filter.job else {
            let page = self.by_age.range((Bound::Unbounded, upper)).rev();
            return self.page_of_runs(page, filter, limit);
        };
        // The runs of one job are few, or bounded by its maxPending.
        let pending = self.jobs.get(job).into_iter().flat_map(|entry| &entry.pending);
        let active = self.active.get(job).into_iter().flatten();
        let keys: BTreeSet<(Timestamp, RunId)> = pending
            .map(|(_, id)| id)
            .chain(active)
            .filter_map(|id| self.runs.get(id))
            .map(|run| (run.created_at, run.id.clone()))
            .collect();
        self.page_of_runs(keys.range((Bound::Unbounded, upper)).rev(), filter, limit)
    }

    fn page_of_runs<'a>(
        &self,
        keys: impl Iterator<Item = &'a (Timestamp, RunId)>,
        filter: &RunFilter,
        limit: usize,
    ) -> Vec<RunView> {
        keys.filter_map(|(_, id)| self.runs.get(id))
            .filter(|run| filter.app.as_ref().is_none_or(|app| run.job.app == *app))
            .filter(|run| filter.state.is_none_or(|state| run.state() == state))
            .take(limit)
            .filter_map(|run| self.run(&run.id))
            .collect()
    }

    /// The pending run of a job that comes next.
    pub fn next_pending(&self, job: &JobName) -> Option<RunView> {
        let ready = self.ready_of.get(job).and_then(|ready| ready.first());
        let pending = self.jobs.get(job)?.pending.first();
        self.run(ready.map(|(_, _, id)| id).or_else(|| pending.map(|(_, id)| id))?)
    }

    /// Jobs with pending runs, by name.
    pub fn ready(&self, after: Option<&str>, limit: usize) -> Vec<ReadyView> {
        let from = after.and_then(|after| JobName::parse(after).ok());
        let start = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.queued
            .range((start, Bound::Unbounded))
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .take(limit)
            .filter_map(|name| {
                let next = self.next_pending(name)?;
                Some(ReadyView {
                    job: name.clone(),
                    times: self.jobs.get(name)?.pending.len(),
                    next: next.id,
                    reason: next.reason,
                })
            })
            .collect()
    }

    /// Shards that wait to be launched again, by `run/item`.
    pub fn failover(&self, after: Option<&str>, limit: usize) -> Vec<FailoverView> {
        let runs = self.active.values().flatten().filter_map(|id| self.runs.get(id));
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
}

// === impl FailoverView ===

impl FailoverView {
    /// Where this row stands in the list; pass it as `after` to go on behind it.
    pub fn cursor(&self) -> String {
        format!("{}/{:010}", self.run, self.item)
    }
}
