//! One run of a task's script, from the request to start it until no process of it is left: the
//! timeout, the kill ladder, the clearing away of what it leaves behind. Absent: what the end of it
//! means for the task.

use super::event::{Now, Signal, Usage, WorkEnd, WorkId};

/// Why a piece of work is being ended; a later, greater intent takes the place of a lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Intent {
    /// It ran longer than its timeout.
    Timeout,
    /// The scheduler asked for it.
    Kill,
    /// The executor is shutting down.
    Shutdown,
}

/// A run of the script.
#[derive(Debug)]
pub(super) struct Work {
    id: WorkId,
    begun_ms: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Asked for, not answered yet.
    Starting,
    /// Its first process runs.
    Running { timeout_at_ms: Option<u64> },
    /// On the kill ladder. `ended` once the first process is gone; others may still be there.
    Stopping { intent: Intent, kill_at_ms: Option<u64>, ended: Option<Ended> },
    /// The first process ended by itself; what it left behind is being killed.
    Clearing { ended: Ended },
}

/// How the first process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) end: WorkEnd,
    pub(super) duration_ms: u64,
}

/// A run of the script of which nothing is left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// Why it was ended; `None` when it ended by itself.
    pub(super) intent: Option<Intent>,
    /// How it ended; `None` when its end was never seen.
    pub(super) ended: Option<Ended>,
    /// What it has used.
    pub(super) usage: Usage,
}

// === impl Work ===

impl Work {
    pub(super) fn new(id: WorkId, now: Now) -> Self {
        Self { id, begun_ms: now.mono_ms, phase: Phase::Starting }
    }

    pub(super) fn id(&self) -> WorkId {
        self.id
    }

    /// The process runs. Says whether the work is really under way (and not being ended already).
    pub(super) fn on_started(&mut self, now: Now, timeout_ms: Option<u64>) -> bool {
        self.begun_ms = now.mono_ms;
        let starting = matches!(self.phase, Phase::Starting);
        if starting {
            let timeout_at_ms = timeout_ms.map(|ms| now.mono_ms.saturating_add(ms));
            self.phase = Phase::Running { timeout_at_ms };
        }
        starting
    }

    /// Begins to end the work, or changes how it is being ended. The signal to send now, if any.
    pub(super) fn stop(&mut self, now: Now, intent: Intent, grace_ms: u64) -> Option<Signal> {
        match &mut self.phase {
            Phase::Starting | Phase::Running { .. } => {
                self.phase = Phase::Stopping {
                    intent,
                    kill_at_ms: Some(now.mono_ms.saturating_add(grace_ms)),
                    ended: None,
                };
                Some(Signal::Terminate)
            }
            Phase::Stopping { intent: before, kill_at_ms, .. } => {
                *before = intent.max(*before);
                // Asked again, the work may get less time than it was given first, never more.
                let sooner = now.mono_ms.saturating_add(grace_ms);
                *kill_at_ms = kill_at_ms.map(|at_ms| at_ms.min(sooner));
                None
            }
            // It ended by itself before anybody wanted it to: that is what will be reported.
            Phase::Clearing { .. } => None,
        }
    }

    /// What the passing of time asks for: a signal to send, if any.
    pub(super) fn on_time(&mut self, now: Now, grace_ms: u64) -> Option<Signal> {
        match &mut self.phase {
            Phase::Running { timeout_at_ms: Some(at_ms) } if *at_ms <= now.mono_ms => {
                self.stop(now, Intent::Timeout, grace_ms)
            }
            Phase::Stopping { kill_at_ms, .. } => {
                kill_at_ms.take_if(|at_ms| *at_ms <= now.mono_ms).map(|_| Signal::Kill)
            }
            _ => None,
        }
    }

    /// The first process ended. The signal to send to what may be left of it, if any.
    pub(super) fn on_leader_ended(&mut self, now: Now, end: WorkEnd) -> Option<Signal> {
        let new = Ended { end, duration_ms: now.mono_ms.saturating_sub(self.begun_ms) };
        match &mut self.phase {
            Phase::Starting | Phase::Running { .. } => {
                self.phase = Phase::Clearing { ended: new };
                Some(Signal::Kill)
            }
            // Its children keep what is left of the grace: they too got SIGTERM.
            Phase::Stopping { ended, .. } => {
                ended.get_or_insert(new);
                None
            }
            Phase::Clearing { .. } => None,
        }
    }

    /// Nothing of it is left.
    pub(super) fn finish(self, usage: Usage) -> Finished {
        let (intent, ended) = match self.phase {
            Phase::Starting | Phase::Running { .. } => (None, None),
            Phase::Stopping { intent, ended, .. } => (Some(intent), ended),
            Phase::Clearing { ended } => (None, Some(ended)),
        };
        Finished { intent, ended, usage }
    }

    /// Why it is being ended, if it is.
    pub(super) fn intent(&self) -> Option<Intent> {
        match &self.phase {
            Phase::Stopping { intent, .. } => Some(*intent),
            _ => None,
        }
    }

    /// It was told to end, and then killed, and goes on all the same.
    pub(super) fn outlived_its_kill(&self) -> bool {
        matches!(self.phase, Phase::Stopping { kill_at_ms: None, ended: None, .. })
    }

    /// The next monotonic moment at which [`Work::on_time`] has something to say.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Running { timeout_at_ms } => *timeout_at_ms,
            Phase::Stopping { kill_at_ms, .. } => *kill_at_ms,
            Phase::Starting | Phase::Clearing { .. } => None,
        }
    }
}

// === impl Finished ===

impl Finished {
    /// Whether it ended by itself and well.
    pub(super) fn succeeded(&self) -> bool {
        let well = |ended: &Ended| ended.end.exited.is_good();
        self.intent.is_none() && self.ended.as_ref().is_some_and(well)
    }
}
