//! A DAEMON task: fires its shard by its own schedule, one firing at a time, until killed. Absent:
//! the schedule's arithmetic (see `plan`) and the processes.

use std::sync::Arc;

use shiftwork_schedule::{BoundedSchedule, Timestamp};

use super::TaskSpec;
use super::context::Context;
use super::event::Usage;
use super::plan::Plan;
use super::report::{self, Report};
use super::work::{Intent, Work};

/// The daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    plan: Plan,
    sampling: Sampling,
    firing: Option<Firing>,
    /// Set once the daemon is to end with the firing under way.
    last: bool,
}

#[derive(Debug)]
struct Firing {
    moment: Timestamp,
    reported: bool,
    work: Work,
}

/// Which firings are reported: one in N, Elastic-Job-Cloud's `eventTraceSamplingCount`.
#[derive(Debug)]
struct Sampling {
    one_in: u32,
    silent: u32,
}

// === impl Daemon ===

impl Daemon {
    pub(super) fn new(
        schedule: BoundedSchedule,
        misfire: bool,
        one_in: u32,
        now: Timestamp,
    ) -> Self {
        let sampling = Sampling { one_in, silent: 0 };
        Self { plan: Plan::new(schedule, misfire, now), sampling, firing: None, last: false }
    }

    pub(super) fn work(&self) -> Option<&Work> {
        self.firing.as_ref().map(|firing| &firing.work)
    }

    pub(super) fn work_mut(&mut self) -> Option<&mut Work> {
        self.firing.as_mut().map(|firing| &mut firing.work)
    }

    /// The moment to wake for, while nothing is being fired.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        if self.firing.is_some() { None } else { self.plan.next() }
    }

    pub(super) fn on_clock_set_back(&mut self, now: Timestamp) {
        self.plan.on_clock_set_back(now);
    }

    /// Fires when idle and due.
    pub(super) fn on_time(&mut self, spec: &Arc<TaskSpec>, cx: &mut Context<'_>) {
        if self.firing.is_none()
            && let Some(moment) = self.plan.due(cx.now.wall)
        {
            self.fire(moment, spec, cx);
        }
    }

    /// The firing's process could not be started: the firing failed, the daemon lives on.
    pub(super) fn on_start_failed(
        &mut self,
        spec: &Arc<TaskSpec>,
        reason: &str,
        cx: &mut Context<'_>,
    ) {
        if let Some(firing) = self.firing.take() {
            let outcome = report::outcome_not_started(reason, Some(firing.moment));
            cx.report(&spec.id, Report::complete(outcome));
            self.fire_missed(spec, cx);
        }
    }

    /// The firing is over. The daemon's terminal report, when it was the last.
    pub(super) fn on_gone(
        &mut self,
        spec: &Arc<TaskSpec>,
        usage: Usage,
        cx: &mut Context<'_>,
    ) -> Option<Report> {
        let Firing { moment, reported, work } = self.firing.take()?;
        let finished = work.finish(usage);
        if finished.intent > Some(Intent::Timeout) {
            return Some(Report::terminal(&finished, spec.timeout_ms));
        }
        // A failure is always reported, whatever the sampling says.
        if reported || !finished.succeeded() {
            let outcome = report::outcome(&finished, Some(moment), spec.timeout_ms);
            cx.report(&spec.id, Report::complete(outcome));
        }
        if self.last {
            return Some(Report::killed_idle());
        }
        self.fire_missed(spec, cx);
        None
    }

    /// The daemon is to end; no firing follows the one under way.
    pub(super) fn stop(&mut self) {
        self.last = true;
    }

    fn fire_missed(&mut self, spec: &Arc<TaskSpec>, cx: &mut Context<'_>) {
        if let Some(moment) = self.plan.due_after_firing(cx.now.wall) {
            self.fire(moment, spec, cx);
        }
    }

    fn fire(&mut self, moment: Timestamp, spec: &Arc<TaskSpec>, cx: &mut Context<'_>) {
        let reported = self.sampling.draw() && cx.may_report(&spec.id);
        if reported {
            cx.report(&spec.id, Report::begin());
        }
        let work = cx.start(spec, Some(moment));
        self.firing = Some(Firing { moment, reported, work });
    }
}

// === impl Sampling ===

impl Sampling {
    /// Whether the next firing is one to report: the Nth after N - 1 silent ones.
    fn draw(&mut self) -> bool {
        self.silent += 1;
        let reported = self.silent >= self.one_in;
        if reported {
            self.silent = 0;
        }
        reported
    }
}
