//! How a process leads: it is elected, restores, takes turns, commits them, and releases what waited
//! for the commit, as the real owner does.

use std::collections::VecDeque;
use std::rc::Rc;

use shiftwork_engine::{Effects, Engine, Event};
use shiftwork_schedule::Timestamp;

use super::brief;
use super::commits::Boundary;
use super::defects::Defect;
use super::env::{CommitId, Happening, Process, StreamId};
use super::faults::Fault;
use super::registry::{Cut, Outcome};
use super::scheduler::{COMMITS_IN_FLIGHT_MAX, Cause, InFlight, Step, Tenure, Turn};
use super::world::World;

/// Between the end of a tenure and the next election.
const TENURE_PAUSE_MS: i64 = 1_000;
/// Until a driver tries again to subscribe.
const SUBSCRIBE_AGAIN_MS: i64 = 1_500;

/// An owner looks at the clock at least this often.
const SLEEP_MAX_MS: i64 = 10_000;

impl World {
    /// Who is there and does not stand still may become the leader, if nobody is.
    pub(super) fn elect(&mut self) {
        if self.holder.is_some() {
            return;
        }
        let candidates: Vec<Process> = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, found)| found.up && found.tenure.is_none())
            .map(|(instance, found)| Process { instance, life: found.life })
            .filter(|process| self.stands_still(*process).is_none())
            .collect();
        if self.registry.away || candidates.is_empty() {
            self.env.calendar.after(TENURE_PAUSE_MS, Happening::Elect);
            return;
        }
        let process = *self.env.random.pick(&candidates);
        self.holder = Some(process);
        self.lead(process);
    }

    fn lead(&mut self, process: Process) {
        let now = self.clock(process);
        let (epoch, mut records) = self.registry.take_over();
        self.env.tell("scheduler", || format!("{process} leads, epoch {epoch}"));
        self.spoiler.spoil_records(&mut records);
        let seed = self.env.random.next();
        let mut fx = Effects::default();
        let at = Timestamp::from_millis(now);
        let engine = Engine::restore(self.settings.clone(), seed, at, records, &mut fx);
        let framework = engine.framework_id().cloned();
        let tenure = Tenure {
            engine,
            epoch,
            inbox: VecDeque::new(),
            in_flight: VecDeque::new(),
            stream: None,
            framework,
            turns: 0,
            turn_due: false,
            wake: 0,
            calls_at: 0,
        };
        if let Some(instance) = self.instances.get_mut(process.instance) {
            instance.tenure = Some(Box::new(tenure));
        }
        self.audit.on_tenure(process, epoch, &self.registry);
        let mut step = Step::new(Cause::Restore, now).take(&mut fx);
        self.spoiler.spoil(&mut step);
        self.audit.on_step(process, &step);
        self.commit(process, vec![step]);
        self.env.calendar.after(20, Happening::Subscribe(process));
        self.sleep(process);
    }

    /// What a process's clock shows.
    pub(super) fn clock(&self, process: Process) -> i64 {
        let off = self.instances.get(process.instance).map_or(0, |found| found.clock_off);
        self.env.now() + off
    }

    // --- messages ---

    pub(super) fn subscribe(&mut self, process: Process) {
        if let Some(until) = self.stands_still(process) {
            self.env.calendar.at(until, Happening::Subscribe(process));
            return;
        }
        let Some(tenure) = self.tenure(process).filter(|tenure| tenure.stream.is_none()) else {
            return;
        };
        let framework = tenure.framework.clone();
        if !self.cluster.subscribe(process, framework, &mut self.env) {
            self.env.calendar.after(SUBSCRIBE_AGAIN_MS, Happening::Subscribe(process));
        }
    }

    /// The driver hears from the master, or has something to tell by itself.
    pub(super) fn at_scheduler(
        &mut self,
        process: Process,
        stream: Option<StreamId>,
        event: Box<Event>,
    ) {
        if let Some(until) = self.stands_still(process) {
            self.env.calendar.at(until, Happening::ToScheduler { to: process, stream, event });
            return;
        }
        let Some(tenure) = self.tenure(process) else { return };
        match (&*event, stream) {
            (Event::Subscribed { framework }, Some(_)) => {
                tenure.stream = stream;
                tenure.framework = Some(framework.clone());
            }
            (Event::Disconnected, Some(_)) if tenure.stream == stream => {
                tenure.stream = None;
                let again = self.env.random.between(100, SUBSCRIBE_AGAIN_MS);
                self.env.calendar.after(again, Happening::Subscribe(process));
            }
            (Event::FrameworkRemoved, _) => {
                tenure.stream = None;
                tenure.framework = None;
            }
            (_, Some(_)) if tenure.stream != stream => return,
            _ => {}
        }
        self.give(process, *event);
    }

    /// Puts an event into the inbox of the owner, who takes a turn soon.
    pub(super) fn give(&mut self, process: Process, event: Event) {
        let Some(tenure) = self.tenure(process) else { return };
        tenure.inbox.push_back(event);
        self.turn_soon(process);
    }

    fn turn_soon(&mut self, process: Process) {
        let Some(tenure) = self.tenure(process) else { return };
        if !tenure.turn_due && tenure.in_flight.len() < COMMITS_IN_FLIGHT_MAX {
            tenure.turn_due = true;
            let after = self.env.random.between(0, 3);
            self.env.calendar.after(after, Happening::Turn(process));
        }
    }

    // --- turns ---

    pub(super) fn wake(&mut self, process: Process, number: u64) {
        if self.tenure(process).is_some_and(|tenure| tenure.wake == number) {
            self.turn_soon(process);
        }
    }

    pub(super) fn turn(&mut self, process: Process) {
        if let Some(until) = self.stands_still(process) {
            self.env.calendar.at(until, Happening::Turn(process));
            return;
        }
        let now = self.clock(process);
        let inputs = self.env.random.between(1, 64) as usize;
        let Some(tenure) = self.tenure(process) else { return };
        tenure.turn_due = false;
        if tenure.in_flight.len() >= COMMITS_IN_FLIGHT_MAX {
            return;
        }
        let count = inputs.min(tenure.inbox.len());
        let happened: Vec<Event> = tenure.inbox.drain(..count).collect();
        let mut steps = Vec::with_capacity(count + 1);
        for event in happened {
            steps.extend(self.engine_step(process, now, event));
        }
        steps.extend(self.engine_place(process, now));
        self.commit(process, steps);
        if self.tenure(process).is_some_and(|tenure| !tenure.inbox.is_empty()) {
            self.turn_soon(process);
        }
        self.sleep(process);
    }

    fn engine_step(&mut self, process: Process, now: i64, mut event: Event) -> Option<Step> {
        self.audit.on_event(process, now, &event);
        let instance = process.instance;
        self.env.tell("scheduler", || format!("{instance} hears {}", brief::event(&event)));
        if let Some(acknowledge) = self.spoiler.swallows(&event, &mut self.env.random) {
            self.send(process, acknowledge);
            return None;
        }
        if self.spoiler.hides(&event) {
            return None;
        }
        self.spoiler.spoil_event(&mut event);
        let cause = Cause::of(&event);
        let mut fx = Effects::default();
        self.tenure(process)?.engine.step(Timestamp::from_millis(now), event, &mut fx);
        let mut step = Step::new(cause, now).take(&mut fx);
        self.spoiler.spoil(&mut step);
        self.audit.on_step(process, &step);
        Some(step)
    }

    fn engine_place(&mut self, process: Process, now: i64) -> Option<Step> {
        let mut fx = Effects::default();
        self.tenure(process)?.engine.place(Timestamp::from_millis(now), &mut fx);
        let mut step = Step::new(Cause::Place, now).take(&mut fx);
        self.spoiler.spoil(&mut step);
        self.audit.on_step(process, &step);
        Some(step)
    }

    /// The owner sleeps until the engine wants to be called, and not for long.
    fn sleep(&mut self, process: Process) {
        let now = self.clock(process);
        let Some(tenure) = self.tenure(process) else { return };
        let deadline = tenure.engine.next_deadline().map_or(i64::MAX, Timestamp::as_millis);
        tenure.wake += 1;
        let number = tenure.wake;
        let after = deadline.saturating_sub(now).clamp(1, SLEEP_MAX_MS);
        self.env.calendar.after(after, Happening::Wake { process, number });
    }

    // --- commits ---

    fn commit(&mut self, process: Process, steps: Vec<Step>) {
        let Some(tenure) = self.tenure(process) else { return };
        tenure.turns += 1;
        let (epoch, number) = (tenure.epoch, tenure.turns);
        let turn = Turn::new(Some(process), (epoch, number), steps, self.transaction_bytes);
        if turn.is_empty() {
            return;
        }
        let turn = Rc::new(turn);
        self.audit.on_issued(&turn);
        self.hasten(process, &turn);
        // Also what only acts passes the fence: a deposed leader must not kill or acknowledge.
        let fenced = turn.acts() && !self.spoiler.is(Defect::ActionsUnfenced);
        let commit = (!turn.transactions.is_empty() || fenced).then(|| self.send_commit(&turn));
        let outcome = commit.is_none().then_some(Outcome::Done);
        if let Some(tenure) = self.tenure(process) {
            tenure.in_flight.push_back(InFlight { turn, commit, outcome });
        }
        self.release(process);
    }

    fn send_commit(&mut self, turn: &Rc<Turn>) -> CommitId {
        let cut = if self.env.strikes(Fault::CommitUnknown) {
            let most = turn.transactions.len() as u64;
            Cut::After(self.env.random.below(most + 1) as usize)
        } else {
            Cut::No
        };
        let slow = self.env.strikes(Fault::CommitSlow);
        let most = if slow { 5_000 } else { 4 };
        let at = (self.env.now() + self.env.random.between(1, most)).max(self.applied_at);
        self.applied_at = at;
        let id = self.registry.commit(turn.epoch, Rc::clone(turn), cut);
        self.env.calendar.at(at, Happening::Apply(id));
        id
    }

    pub(super) fn apply(&mut self, commit: CommitId) {
        if self.crash.strikes(Boundary::BeforeCommit) {
            self.registry.forget_on_its_way();
            self.crash_leader();
            return;
        }
        let Some((turn, count, outcome)) = self.registry.decide(commit) else { return };
        for transaction in turn.transactions.iter().take(count) {
            self.audit.on_transaction(&turn, transaction, &self.registry);
            self.registry.write(turn.writes_of(transaction));
        }
        self.audit.on_applied(&turn, outcome);
        if outcome == Outcome::Done {
            self.users.remember(&turn);
        }
        let writes = || turn.steps.iter().flat_map(|step| &step.writes);
        self.env.tell("registry", || {
            let keys: Vec<String> = writes().map(brief::write).collect();
            format!("epoch {} {outcome:?}, {count} transactions: {}", turn.epoch, keys.join(" "))
        });
        if self.crash.strikes(Boundary::AfterCommit) {
            self.crash_leader();
            return;
        }
        if let Some(process) = turn.process {
            let after = self.env.random.between(0, 2);
            self.env.calendar.after(after, Happening::Answer { process, commit, outcome });
        }
    }

    pub(super) fn answer(&mut self, process: Process, commit: CommitId, outcome: Outcome) {
        if let Some(until) = self.stands_still(process) {
            self.env.calendar.at(until, Happening::Answer { process, commit, outcome });
            return;
        }
        let Some(tenure) = self.tenure(process) else { return };
        if let Some(found) = tenure.in_flight.iter_mut().find(|f| f.commit == Some(commit)) {
            found.outcome = Some(outcome);
        }
        self.release(process);
        if self.tenure(process).is_some_and(|tenure| !tenure.inbox.is_empty()) {
            self.turn_soon(process);
        }
        self.sleep(process);
    }

    /// Releases, in order, what waits for commits that are done. A failed one ends the tenure.
    fn release(&mut self, process: Process) {
        loop {
            let Some(tenure) = self.tenure(process) else { return };
            let Some(outcome) = tenure.in_flight.front().and_then(|first| first.outcome) else {
                return;
            };
            let Some(first) = tenure.in_flight.pop_front() else { return };
            let ignored =
                self.spoiler.is(Defect::UnknownCountsAsDone) && outcome == Outcome::Unknown;
            if outcome != Outcome::Done && !ignored {
                self.env.tell("scheduler", || format!("{process} resigns: {outcome:?}"));
                self.end_tenure(process);
                return;
            }
            if !self.release_turn(process, &first.turn) {
                return;
            }
        }
    }

    /// False if the process died in the middle.
    fn release_turn(&mut self, process: Process, turn: &Rc<Turn>) -> bool {
        for step in &turn.steps {
            for action in &step.actions {
                if self.spoiler.hastens(action) {
                    continue;
                }
                if self.env.faults.crashes_between_effects(&mut self.env.random) {
                    self.crash(process.instance);
                    return false;
                }
                self.audit.on_released(turn, action, &self.registry);
                self.send(process, action.clone());
            }
            for (request, reply) in &step.replies {
                self.audit.on_reply(turn, reply);
                self.users.hear(*request);
            }
        }
        if self.crash.strikes(Boundary::AfterEffects) {
            self.crash_leader();
            return false;
        }
        true
    }

    /// Defects that do not wait.
    fn hasten(&mut self, process: Process, turn: &Rc<Turn>) {
        for action in turn.steps.iter().flat_map(|step| &step.actions) {
            if self.spoiler.hastens(action) {
                self.audit.on_released(turn, action, &self.registry);
                self.send(process, action.clone());
            }
        }
        if self.spoiler.is(Defect::ReplyBeforeCommit) {
            for step in &turn.steps {
                for (_, reply) in &step.replies {
                    self.audit.on_reply(turn, reply);
                }
            }
        }
    }

    /// A process leads no more; its driver closes the stream.
    pub(super) fn end_tenure(&mut self, process: Process) {
        let Some(tenure) = self.tenure(process) else { return };
        let stream = tenure.stream;
        if let Some(instance) = self.instances.get_mut(process.instance) {
            instance.tenure = None;
            // What is still under way for this tenure is for nobody.
            instance.life += 1;
        }
        if let Some(stream) = stream {
            let after = self.env.random.between(0, 50);
            self.env.calendar.after(after, Happening::StreamClosed(stream));
        }
        if self.holder == Some(process) {
            self.holder = None;
        }
        self.env.calendar.after(TENURE_PAUSE_MS, Happening::Elect);
    }
}
