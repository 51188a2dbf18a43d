//! The end of every simulation: nothing goes wrong any more and nothing new is asked for. All that was
//! begun must come to its end in bounded time, and what is left must be what the registry says.

use shiftwork_engine::view::{RunState, RunView, ShardState};
use shiftwork_engine::{Effects, Engine, RunFilter};
use shiftwork_schedule::Timestamp;

use super::env::{Happening, Process};
use super::kept;
use super::world::{World, leading};

/// Time in which everything must have come to its end: many runs of one job may wait for each other,
/// and a clock that was put back holds everything up until it has caught up.
const SETTLE_MS: i64 = 6 * 3_600_000;
/// So long users wait for machines that cannot be reached.
const PATIENCE_MS: i64 = 3_600_000;
/// An offer is held at most this long while nothing waits: the hold, and the way of the call.
const HOLD_MAX_MS: i64 = 10_000;
/// Memory and registry are compared at every so many looks: it costs a whole restart.
const PULSES_COMPARED: u64 = 6;
/// More than any world has.
const LIST_MAX: usize = 10_000;

impl World {
    /// From time to time: what the leader believes is what the registry holds.
    pub(super) fn pulse(&mut self) {
        let Some((process, _)) = self.leading() else { return };
        if self.stands_still(process).is_some() {
            return;
        }
        let now = self.clock(process);
        self.audit.on_pulse(process, now);
        self.pulses += 1;
        if !self.pulses.is_multiple_of(PULSES_COMPARED) {
            return;
        }
        let result = self.memory_agrees(now);
        self.audit.check("memory and registry agree", result);
    }

    /// Restoring from the registry gives what the leader has in memory, if nothing is under way.
    fn memory_agrees(&self, now: i64) -> Result<(), String> {
        let Some((_, tenure)) = self.leading() else { return Ok(()) };
        let engine = &tenure.engine;
        let at = Timestamp::from_millis(now);
        let due = engine.next_deadline().is_some_and(|deadline| deadline <= at);
        if !tenure.in_flight.is_empty() || due || self.registry.epoch() != tenure.epoch {
            return Ok(());
        }
        let restored = self.restored(now);
        // A clock that was set back is no record's fault.
        let clock = restored.clock_problem();
        let problems = restored.status().problems;
        if let Some(problem) = problems.iter().find(|problem| Some(*problem) != clock.as_ref()) {
            return Err(format!("a record cannot be read: {problem}"));
        }
        let (mine, stored) = (runs(engine), runs(&restored));
        for (mine, stored) in mine.iter().zip(&stored) {
            if mine != stored {
                return Err(format!("in memory {mine:?}, in the registry {stored:?}"));
            }
        }
        if mine.len() != stored.len() {
            return Err(format!("{} runs in memory, {} stored", mine.len(), stored.len()));
        }
        let (mine, stored) = (engine.status(), restored.status());
        if (mine.apps, mine.jobs, mine.tasks) != (stored.apps, stored.jobs, stored.tasks) {
            return Err(format!("in memory {mine:?}, in the registry {stored:?}"));
        }
        Ok(())
    }

    /// What a new leader would begin with.
    fn restored(&self, now: i64) -> Engine {
        let (at, settings) = (Timestamp::from_millis(now), self.settings.clone());
        Engine::restore(settings, 0, at, self.registry.stored(), &mut Effects::default())
    }

    /// Lets the world calm down and come to its end.
    pub(super) fn settle(&mut self) {
        self.env.faults.active = false;
        self.registry.away = false;
        self.cluster.calm(&mut self.env);
        let begun = self.env.now();
        let mut told = false;
        while self.audit.violation().is_none() {
            let leading = leading(self.holder, &self.instances);
            if let (false, Some((_, tenure))) = (told, leading) {
                self.users.calm_down(&tenure.engine);
                self.env.calendar.after(1, Happening::User);
                told = true;
            }
            let until = self.env.now() + 10_000;
            while self.env.calendar.next_at().is_some_and(|next| next <= until) {
                if !self.step() {
                    return;
                }
            }
            if self.env.now() > begun + PATIENCE_MS
                && let Some((_, tenure)) = self::leading(self.holder, &self.instances)
                && self.users.is_done()
                && self.users.cancel_waiting(&tenure.engine)
            {
                self.env.calendar.after(1, Happening::User);
            }
            match self.unsettled() {
                None if told => break,
                Some(what) if self.env.now() > begun + SETTLE_MS => {
                    self.audit.check("everything comes to its end", Err(what));
                }
                _ => {}
            }
        }
        if let Some((process, tenure)) = self.leading() {
            let now = self.clock(process);
            let agrees = self.memory_agrees(now);
            let kept = kept::nothing_ended(&tenure.engine, self.registry.records());
            let restored = self.restored(now);
            let bounded = kept::memory_is_bounded(&tenure.engine, &restored);
            self.audit.check("memory and registry agree", agrees);
            self.audit.check("nothing ended is kept", kept);
            self.audit.check("bounded memory", bounded);
        }
    }

    /// What has not come to its end, if anything.
    fn unsettled(&self) -> Option<String> {
        let Some((process, tenure)) = self.leading() else {
            return Some("nobody leads".to_owned());
        };
        let engine = &tenure.engine;
        if !engine.status().connected || !self.users.is_done() {
            return Some("the leader has no subscription".to_owned());
        }
        if !tenure.in_flight.is_empty() || !tenure.inbox.is_empty() {
            return Some("commits are under way".to_owned());
        }
        let runs = engine.live_runs(&RunFilter::default(), None, LIST_MAX);
        if let Some(run) = runs.iter().find(|run| !may_stay(engine, run)) {
            return Some(format!(
                "run {} is {:?}: {:?} {:?}",
                run.id, run.state, run.reason, run.shards
            ));
        }
        let wanted: Vec<_> = engine.running(None, LIST_MAX);
        let working = self.cluster.working();
        let stray = working.iter().find(|task| wanted.iter().all(|w| w.task_id != ***task));
        if let Some(task) = stray {
            return Some(format!("task {task} works and nobody knows it"));
        }
        if working.len() != wanted.len() {
            return Some(format!(
                "{} tasks are believed to run, {} do",
                wanted.len(),
                working.len()
            ));
        }
        self.hoarded(process)
    }

    /// Offers are given back while nothing waits.
    fn hoarded(&self, process: Process) -> Option<String> {
        let oldest = self.cluster.oldest_offer()?;
        let held_ms = self.env.now() - oldest;
        let behind = self.leading().and_then(|(_, tenure)| tenure.engine.next_deadline());
        // While its clock is behind, the engine's time stands still.
        let stands = behind.is_some_and(|at| at.as_millis() > self.clock(process) + HOLD_MAX_MS);
        (held_ms > HOLD_MAX_MS && !stands).then(|| {
            format!("{} offers, the oldest held for {held_ms} ms", self.cluster.offers_out())
        })
    }
}

/// Runs that may be there when all is quiet: daemons that run whole, and what is disabled.
fn may_stay(engine: &Engine, run: &RunView) -> bool {
    let runs = run.shards.iter().all(|shard| shard.state == ShardState::Running);
    let daemon = run.origin == shiftwork_engine::record::Origin::Daemon;
    // A run may be of another app than its job is by now; it says so itself.
    let says = run.reason.as_ref().is_some_and(|reason| reason.contains(" disabled by "));
    let disabled = says || engine.job_blocked(&run.job).is_some();
    (daemon && runs && !disabled) || (run.state == RunState::Pending && disabled)
}

/// All that must survive a restart, in a form that can be compared.
fn runs(engine: &Engine) -> Vec<String> {
    let line = |run: &RunView| {
        let shards: Vec<String> = run
            .shards
            .iter()
            .map(|s| {
                format!("{} {:?} {:?} {} {:?}", s.item, s.state, s.task_id, s.attempt, s.message)
            })
            .collect();
        format!("{} {:?} {:?} {}", run.id, run.state, run.started_at, shards.join("; "))
    };
    engine.live_runs(&RunFilter::default(), None, LIST_MAX).iter().map(line).collect()
}
