//! Reads: answers between turns, paged by name. Nothing here changes anything.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::engine::{AppEntry, Engine, JobEntry};
use crate::ids::{AppName, CalendarName, JobName, RunId};
use crate::view::{
    AppView, CalendarView, DocumentText, JobView, ReadyView, RunState, RunView, StatusView,
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
    /// Only of apps whose names begin with one of these; of any, if there is none.
    pub app_prefixes: Vec<String>,
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By name.
    Ascending,
    /// From the end.
    Descending,
}

impl Order {
    /// The part of a list that comes behind a name.
    pub(crate) fn behind<K>(self, after: Option<&K>) -> (Bound<&K>, Bound<&K>) {
        match (self, after) {
            (_, None) => (Bound::Unbounded, Bound::Unbounded),
            (Self::Ascending, Some(after)) => (Bound::Excluded(after), Bound::Unbounded),
            (Self::Descending, Some(after)) => (Bound::Unbounded, Bound::Excluded(after)),
        }
    }
}

/// A clock that is behind by more is told of; a little is in every cluster.
const CLOCK_BEHIND_MAX_MS: i64 = 60_000;

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
            firings: self.firings,
            tzdb: shiftwork_schedule::tzdb().to_string(),
            tasks: self.tasks.len(),
            offers: self.fleet.offer_count(),
            problems: self
                .problems
                .iter()
                .map(|(key, problem)| format!("{key:?}: {problem}"))
                .chain(self.tzdb_problem())
                .chain(self.clock_problem())
                .collect(),
        }
    }

    /// What is due before the watermark has been dealt with, and is not again: nothing fires until the
    /// clock has passed it, which people are to know if it takes long.
    pub fn clock_problem(&self) -> Option<String> {
        let behind_ms = self.watermark.since(self.wall);
        (behind_ms > CLOCK_BEHIND_MAX_MS).then(|| {
            format!(
                "the clock shows {}, and firings have been dealt with up to {}: no schedule fires \
                 before that. Set the clock, if it is wrong; if it was wrong then, see \
                 \"Nothing fires\" in docs/troubleshooting.md",
                self.wall, self.watermark
            )
        })
    }

    /// The leader before fired by other time zone data: where the rules of a zone differ, the firings
    /// of its jobs move from the watermark on.
    fn tzdb_problem(&self) -> Option<String> {
        let before = self.tzdb_before.as_ref()?;
        Some(format!(
            "time zone data: the leader before fired by release {before}, this one fires by {}; \
             give all schedulers the same with --tzdb",
            shiftwork_schedule::tzdb()
        ))
    }

    /// What it was started with.
    pub fn settings(&self) -> &crate::Settings {
        &self.settings
    }

    /// Number of jobs with pending runs.
    pub fn queued_jobs(&self) -> usize {
        self.queued.len()
    }

    /// One app.
    pub fn app(&self, name: &AppName) -> Option<AppView> {
        self.apps.get(name).map(|entry| self.app_view(name, entry))
    }

    /// Apps in order of their names, those behind `after`.
    pub fn apps(&self, after: Option<&AppName>, order: Order, limit: usize) -> Vec<AppView> {
        let range = order.behind(after);
        let views = |entries: &mut dyn Iterator<Item = (&AppName, &AppEntry)>| {
            entries.take(limit).map(|(name, entry)| self.app_view(name, entry)).collect()
        };
        match order {
            Order::Ascending => views(&mut self.apps.range(range)),
            Order::Descending => views(&mut self.apps.range(range).rev()),
        }
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

    /// Jobs in order of their names, those behind `after`, of one app if asked.
    pub fn jobs(
        &self,
        app: Option<&AppName>,
        after: Option<&JobName>,
        order: Order,
        limit: usize,
    ) -> Vec<JobView> {
        let range = order.behind(after);
        let views = |names: &mut dyn DoubleEndedIterator<Item = &JobName>| match order {
            Order::Ascending => names.take(limit).filter_map(|name| self.job(name)).collect(),
            Order::Descending => {
                names.rev().take(limit).filter_map(|name| self.job(name)).collect()
            }
        };
        match app.map(|app| self.jobs_by_app.get(app)) {
            None => views(&mut self.jobs.range(range).map(|(name, _)| name)),
            Some(Some(jobs)) => views(&mut jobs.range(range)),
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

    /// Calendars in order of their names, those behind `after`.
    pub fn calendars(
        &self,
        after: Option<&CalendarName>,
        order: Order,
        limit: usize,
    ) -> Vec<CalendarView> {
        let range = order.behind(after);
        let views = |names: &mut dyn Iterator<Item = &CalendarName>| {
            names.take(limit).filter_map(|name| self.calendar(name)).collect()
        };
        let mut names = self.calendars.range(range).map(|(name, _)| name);
        match order {
            Order::Ascending => views(&mut names),
            Order::Descending => views(&mut names.rev()),
        }
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
            .filter(|_| enabled && job.is_some_and(|job| !job.rules.is_daemon()))
            .and_then(|timetable| timetable.next_after(self.now.max(entry.effective_from)));
        JobView {
            name: name.to_string(),
            app: job.map(|job| job.app.clone()),
            enabled: entry.disabled.is_none(),
            disabled: entry.disabled.as_deref().cloned(),
            pending: entry.pending.len(),
            running: self.active.get(name).and_then(|runs| runs.first().cloned()),
            running_count: self.active_count(name),
            firings: entry.firings.as_deref().copied().unwrap_or_default(),
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

    /// One live run, with the document it was made with.
    pub fn run(&self, id: &RunId) -> Option<RunView> {
        let mut view = self.run_row(id)?;
        let source = &self.runs.get(id)?.job.source;
        view.document = Some(DocumentText(Arc::clone(source)));
        Some(view)
    }

    /// One live run as lists show it.
    fn run_row(&self, id: &RunId) -> Option<RunView> {
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
            .filter(|run| {
                let app = run.job.app.as_str();
                let prefixes = &filter.app_prefixes;
                prefixes.is_empty()
                    || prefixes.iter().any(|prefix| app.starts_with(prefix.as_str()))
            })
            .take(limit)
            .filter_map(|run| self.run_row(&run.id))
            .collect()
    }

    /// The pending run of a job that comes next.
    pub fn next_pending(&self, job: &JobName) -> Option<RunView> {
        let ready = self.ready_of.get(job).and_then(|ready| ready.first());
        let pending = self.jobs.get(job)?.pending.first();
        self.run_row(ready.map(|(_, _, id)| id).or_else(|| pending.map(|(_, id)| id))?)
    }

    /// Jobs with pending runs, by name, those behind `after`.
    pub fn ready(&self, after: Option<&JobName>, limit: usize) -> Vec<ReadyView> {
        self.queued
            .range(Order::Ascending.behind(after))
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
}
