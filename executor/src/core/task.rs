//! One task, from LAUNCH to its one terminal update. Absent: any sight of other tasks.

use std::sync::Arc;

use shiftwork_proto::mesos::v1::TaskState;
use shiftwork_schedule::Timestamp;

use super::context::Context;
use super::daemon::Daemon;
use super::event::{Now, Usage, WorkEnd, WorkId};
use super::report::{self, Report};
use super::work::{Intent, Work};
use super::{TaskSpec, TaskSpecKind, TaskSpecWork};

/// A task that has not reached its terminal state.
#[derive(Debug)]
pub(super) struct Task {
    spec: Arc<TaskSpec>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Transient(Option<Work>),
    Daemon(Box<Daemon>),
}

/// Whether a task goes on after what just happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// Its terminal update was made; the task is to be forgotten.
    Ends,
}

// === impl Task ===

impl Task {
    pub(super) fn launch(spec: TaskSpec, cx: &mut Context<'_>) -> Self {
        let spec = Arc::new(spec);
        let kind = match &spec.kind {
            TaskSpecKind::Transient => Kind::Transient(Some(cx.start(&spec, None))),
            TaskSpecKind::Daemon { schedule, misfire } => {
                cx.report(&spec.id, Report::state(TaskState::TaskRunning));
                let one_in = spec.payload.event_sampling_count;
                let daemon = Daemon::new(schedule.clone(), *misfire, one_in, cx.now.wall);
                Kind::Daemon(Box::new(daemon))
            }
        };
        Self { spec, kind }
    }

    /// Ends the task: at once if nothing of it runs, else by the kill ladder.
    pub(super) fn stop(
        &mut self,
        intent: Intent,
        grace_ms: Option<u64>,
        cx: &mut Context<'_>,
    ) -> Fate {
        let grace_ms = grace_ms.unwrap_or(self.spec.payload.kill_grace_period_ms);
        if let Kind::Daemon(daemon) = &mut self.kind {
            daemon.stop();
        }
        if let Some(work) = self.work_mut() {
            let signal = work.stop(cx.now, intent, grace_ms);
            cx.signal(work.id(), signal);
            Fate::Lives
        } else {
            cx.report(&self.spec.id, Report::killed_idle());
            Fate::Ends
        }
    }

    pub(super) fn on_started(&mut self, work: WorkId, cx: &mut Context<'_>) {
        let timeout_ms = self.spec.timeout_ms;
        let begun = self.current(work).is_some_and(|work| work.on_started(cx.now, timeout_ms));
        if begun && matches!(self.kind, Kind::Transient(_)) {
            cx.report(&self.spec.id, Report::state(TaskState::TaskRunning));
        }
    }

    pub(super) fn on_start_failed(
        &mut self,
        work: WorkId,
        reason: &str,
        cx: &mut Context<'_>,
    ) -> Fate {
        let Some(intent) = self.current(work).map(|work| work.intent()) else {
            return Fate::Lives;
        };
        match &mut self.kind {
            Kind::Daemon(daemon) if intent.is_none() => {
                daemon.on_start_failed(&self.spec, reason, cx);
                Fate::Lives
            }
            // Somebody wanted it to end, and it has.
            _ if intent.is_some() => {
                cx.report(&self.spec.id, Report::killed_idle());
                Fate::Ends
            }
            _ => {
                let outcome = report::outcome_not_started(reason, None);
                let message = format!("cannot start: {reason}");
                cx.report(&self.spec.id, Report::not_started(message, Some(outcome)));
                Fate::Ends
            }
        }
    }

    pub(super) fn on_leader_ended(&mut self, work: WorkId, end: WorkEnd, cx: &mut Context<'_>) {
        if let Some(current) = self.current(work) {
            let signal = current.on_leader_ended(cx.now, end);
            cx.signal(work, signal);
        }
    }

    pub(super) fn on_gone(&mut self, work: WorkId, usage: Usage, cx: &mut Context<'_>) -> Fate {
        if self.current(work).is_none() {
            return Fate::Lives;
        }
        let terminal = match &mut self.kind {
            Kind::Transient(work) => {
                let finished = work.take().map(|work| work.finish(usage));
                finished.map(|finished| Report::terminal(&finished, self.spec.timeout_ms))
            }
            Kind::Daemon(daemon) => daemon.on_gone(&self.spec, usage, cx),
        };
        match terminal {
            Some(terminal) => {
                cx.report(&self.spec.id, terminal);
                Fate::Ends
            }
            None => Fate::Lives,
        }
    }

    /// Timeouts, escalations and firings that have come due.
    pub(super) fn on_time(&mut self, cx: &mut Context<'_>) {
        let grace_ms = self.spec.payload.kill_grace_period_ms;
        // Twice, so that a grace of nothing escalates within the same step.
        for _ in 0..2 {
            if let Some(work) = self.work_mut() {
                let signal = work.on_time(cx.now, grace_ms);
                cx.signal(work.id(), signal);
            }
        }
        if let Kind::Daemon(daemon) = &mut self.kind {
            daemon.on_time(&self.spec, cx);
        }
    }

    /// Whether it is a job in this process that goes on although it was killed: a thread can be asked to
    /// end, never made to.
    pub(super) fn is_stuck(&self) -> bool {
        let work = match &self.kind {
            Kind::Transient(work) => work.as_ref(),
            Kind::Daemon(daemon) => daemon.work(),
        };
        matches!(self.spec.work, TaskSpecWork::Class(_))
            && work.is_some_and(Work::outlived_its_kill)
    }

    pub(super) fn on_clock_set_back(&mut self, now: Timestamp) {
        if let Kind::Daemon(daemon) = &mut self.kind {
            daemon.on_clock_set_back(now);
        }
    }

    /// The next monotonic moment at which [`Task::on_time`] has something to do.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match &self.kind {
            Kind::Transient(work) => work.as_ref(),
            Kind::Daemon(daemon) => daemon.work(),
        }
        .and_then(Work::deadline_ms)
    }

    /// The next moment of the wall clock at which [`Task::on_time`] has something to do.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Transient(_) => None,
            Kind::Daemon(daemon) => daemon.next_moment(),
        }
    }

    /// Whether [`Task::on_time`] has something to do.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.deadline_ms().is_some_and(|at_ms| at_ms <= now.mono_ms)
            || self.next_moment().is_some_and(|moment| moment <= now.wall)
    }

    fn work_mut(&mut self) -> Option<&mut Work> {
        match &mut self.kind {
            Kind::Transient(work) => work.as_mut(),
            Kind::Daemon(daemon) => daemon.work_mut(),
        }
    }

    /// The work under way, if it is the one meant: a late word about an earlier one finds nothing.
    fn current(&mut self, id: WorkId) -> Option<&mut Work> {
        self.work_mut().filter(|work| work.id() == id)
    }
}
