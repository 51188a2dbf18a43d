//! What is kept of a job's document while the job waits: its text, and the rules that are asked of
//! every firing, shared by all jobs with the same. The rest is parsed when shards are launched,
//! which takes some microseconds; a million jobs that wait, and a hundred thousand that are due at
//! once, take neither room nor time for what nobody looks at. Absent: checks; only documents that
//! were parsed once come here.

use std::sync::Arc;

use shiftwork_schedule::BoundedSchedule;

use crate::document::{
    Concurrency, Constraint, Execution, Job, JobExecutor, Misfire, OnUnreachable, Placement,
    Source, jitter_delay_ms,
};
use crate::engine::Engine;
use crate::ids::{AppName, CalendarName, JobName};
use crate::resources::Demand;
use crate::settings::Settings;

/// What is asked of a job before its work is: equal for many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rules {
    pub(crate) execution: Execution,
    pub(crate) sharding_total_count: u32,
    pub(crate) demand: Demand,
    pub(crate) executor: JobExecutor,
    pub(crate) misfire: Misfire,
    pub(crate) concurrency: Concurrency,
    pub(crate) jitter_ms: u64,
    pub(crate) priority: u8,
    pub(crate) failover: bool,
    pub(crate) on_unreachable: OnUnreachable,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) queue_timeout_ms: Option<u64>,
    pub(crate) kill_grace_period_ms: u64,
    pub(crate) placement: Placement,
    pub(crate) constraints: Arc<[Constraint]>,
}

/// A job's document at rest.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) source: Source,
    pub(crate) app: AppName,
    /// Shared by all jobs with equal ones.
    pub(crate) rules: Arc<Rules>,
    /// Shared by all jobs with the same one, once it has joined its timer.
    pub(crate) schedule: Option<Arc<BoundedSchedule>>,
    pub(crate) calendars: Box<[CalendarName]>,
}

/// The document a run is made with: at hand is what a run that waits is asked for.
#[derive(Debug, Clone)]
pub(crate) struct RunJob {
    pub(crate) name: JobName,
    pub(crate) app: AppName,
    pub(crate) rules: Arc<Rules>,
    pub(crate) source: Source,
    schedule: Option<Arc<BoundedSchedule>>,
    /// All of it, once it has been asked for.
    whole: Option<Arc<Job>>,
}

// === impl Rules ===

impl Rules {
    fn of(job: &Job) -> Self {
        Self {
            execution: job.execution,
            sharding_total_count: job.sharding_total_count,
            demand: job.demand,
            executor: job.executor,
            misfire: job.misfire,
            concurrency: job.concurrency,
            jitter_ms: job.jitter_ms,
            priority: job.priority,
            failover: job.failover,
            on_unreachable: job.on_unreachable,
            timeout_ms: job.timeout_ms,
            queue_timeout_ms: job.queue_timeout_ms,
            kill_grace_period_ms: job.kill_grace_period_ms,
            placement: job.placement,
            constraints: Arc::clone(&job.constraints),
        }
    }

    pub(crate) fn is_daemon(&self) -> bool {
        self.execution == Execution::Daemon
    }

    /// How long a task may be out of reach before it counts as lost, milliseconds; `None` for ever.
    pub(crate) fn unreachable_timeout_ms(&self, settings: &Settings) -> Option<u64> {
        match self.on_unreachable {
            OnUnreachable::Failover => Some(settings.unreachable_timeout_ms),
            OnUnreachable::Wait => None,
        }
    }

    /// How many runs may be active at once.
    pub(crate) fn active_max(&self) -> u32 {
        match (self.execution, self.concurrency) {
            (Execution::Transient, Concurrency::Allow { max }) => max,
            _ => 1,
        }
    }
}

// === impl Registered ===

impl Registered {
    /// The document of the job of this name, for a run of it.
    pub(crate) fn for_run(&self, name: &JobName) -> RunJob {
        RunJob {
            name: name.clone(),
            app: self.app.clone(),
            rules: Arc::clone(&self.rules),
            source: Arc::clone(&self.source),
            schedule: self.schedule.clone(),
            whole: None,
        }
    }
}

// === impl RunJob ===

impl RunJob {
    /// A document that has just been parsed.
    pub(crate) fn of(job: Arc<Job>) -> Self {
        Self {
            name: job.name.clone(),
            app: job.app.clone(),
            rules: Arc::new(Rules::of(&job)),
            source: Arc::clone(&job.source),
            schedule: job.schedule.clone(),
            whole: Some(job),
        }
    }

    /// How long after its logical time a run of the schedule starts, milliseconds.
    pub(crate) fn jitter_delay_ms(&self) -> u64 {
        jitter_delay_ms(&self.name, self.rules.jitter_ms)
    }

    /// All of it; `None` if a text that was parsed once cannot be parsed any more, which would be a
    /// defect of the parser.
    pub(crate) fn whole(&mut self) -> Option<Arc<Job>> {
        if self.whole.is_none() {
            self.whole = Job::parse_again(&self.source, self.schedule.clone()).map(Arc::new);
        }
        self.whole.clone()
    }
}

impl Engine {
    /// What is kept of a job.
    pub(crate) fn registered(&mut self, job: &Job) -> Registered {
        let app = self.apps.get_key_value(&job.app).map(|(app, _)| app);
        let app = app.unwrap_or(&job.app).clone();
        let rules = Rules::of(job);
        let rules = self.rules.get(&rules).cloned().unwrap_or_else(|| Arc::new(rules));
        self.rules.insert(Arc::clone(&rules));
        Registered {
            source: Arc::clone(&job.source),
            app,
            rules,
            schedule: job.schedule.clone(),
            calendars: job.calendars.clone().into(),
        }
    }

    /// A job's document is no longer in its place: rules that no other job has are forgotten.
    pub(crate) fn forget_rules(&mut self, rules: Arc<Rules>) {
        /// The one here and the one in the set.
        const LAST: usize = 2;
        if Arc::strong_count(&rules) <= LAST {
            self.rules.remove(&rules);
        }
    }

    /// A job that can be read and its document at rest.
    pub(crate) fn registered_job(&self, name: &JobName) -> Option<&Registered> {
        self.jobs.get(name)?.document.as_ref().ok()
    }

    /// The document of a job that can be read, for a run of it.
    pub(crate) fn run_job(&self, name: &JobName) -> Option<RunJob> {
        let (name, entry) = self.jobs.get_key_value(name)?;
        Some(entry.document.as_ref().ok()?.for_run(name))
    }
}
