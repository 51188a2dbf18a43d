//! The world: its parts, its clock, and the loop in which one thing happens after another.

use shiftwork_engine::{Event, Settings};

use crate::random::Random;

use super::audit::Audit;
use super::calendar::Calendar;
use super::cluster::{self, Cluster};
use super::commits::CrashPlan;
use super::defects::{Defect, Spoiler};
use super::env::{Env, Fact, Happening, Process};
use super::faults::Fault;
use super::options::Violation;
use super::registry::Registry;
use super::scheduler::{Instance, Tenure};
use super::setup::Setup;
use super::story::Story;
use super::users::Users;

/// When every world begins: 2026-11-20T00:00:00Z.
const BEGIN_MS: i64 = 1_795_132_800_000;
/// The auditor looks at everything this often.
const PULSE_MS: i64 = 5_000;

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) env: Env,
    pub(crate) cluster: Box<dyn Cluster>,
    pub(crate) registry: Registry,
    pub(crate) instances: Vec<Instance>,
    pub(crate) users: Users,
    pub(crate) audit: Audit,
    /// Who holds the lock of the election.
    pub(crate) holder: Option<Process>,
    /// When the latest commit takes effect: none overtakes another.
    pub(crate) applied_at: i64,
    /// The largest transaction that the registry takes.
    pub(crate) transaction_bytes: usize,
    pub(crate) spoiler: Spoiler,
    pub(crate) crash: CrashPlan,
    pub(crate) steps: u64,
    /// Looks of the auditor at everything.
    pub(crate) pulses: u64,
}

/// The bounds of turns are small in some worlds, so that what is due together takes several.
fn settings(mut random: Random) -> Settings {
    let mut bound = |max: usize| match random.between(0, 3) {
        0 => 1,
        1 => 3,
        _ => max,
    };
    let defaults = Settings::default();
    Settings {
        firings_per_turn_max: bound(defaults.firings_per_turn_max),
        launches_per_cycle_max: bound(defaults.launches_per_cycle_max),
        ..defaults
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(setup: Setup, story: Story) -> Self {
        let Setup {
            cluster,
            machines,
            habits,
            clocks,
            users,
            faults,
            transaction_bytes,
            defect,
            mut random,
        } = setup;
        let settings = settings(random.clone());
        let mut env = Env {
            calendar: Calendar::new(BEGIN_MS),
            random: random.fork(),
            faults,
            story,
            facts: Vec::new(),
        };
        let cluster = cluster::new(cluster, &machines, habits, random.fork(), &mut env);
        let spoiler = Spoiler::new(defect);
        let mut registry = Registry::default();
        registry.without_fence = spoiler.is(Defect::NoFence);
        let mut world = Self {
            settings,
            audit: Audit::new(),
            env,
            cluster,
            registry,
            instances: clocks.into_iter().map(Instance::new).collect(),
            users,
            holder: None,
            applied_at: BEGIN_MS,
            transaction_bytes,
            spoiler,
            crash: CrashPlan::default(),
            steps: 0,
            pulses: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.env.calendar.after(10, Happening::Elect);
        self.env.calendar.after(1_000, Happening::User);
        self.env.calendar.after(PULSE_MS, Happening::Pulse);
        for fault in Fault::ALL {
            self.expect(fault);
        }
    }

    /// Puts the next fault of a kind on the calendar.
    fn expect(&mut self, fault: Fault) {
        let env = &mut self.env;
        if let Some(after) = env.faults.next_in(fault, &mut env.random) {
            env.calendar.after(after, Happening::Fault(fault));
        }
    }

    /// Lets the next thing happen. False when a rule was broken or nothing is left to happen.
    pub(crate) fn step(&mut self) -> bool {
        let Some(what) = self.env.calendar.next() else { return false };
        self.steps += 1;
        self.env.story.begin_step(self.steps);
        if !self.happen(what) {
            self.steps -= 1;
        }
        for fact in std::mem::take(&mut self.env.facts) {
            if let Fact::WorkStarted { task, agent, .. } = &fact {
                self.env.tell(agent.as_str(), || format!("{task} works"));
            }
            self.audit.on_fact(&fact);
        }
        self.audit.violation().is_none()
    }

    /// What went wrong, if anything did.
    pub(crate) fn violation(&self) -> Option<Violation> {
        let (invariant, what) = self.audit.violation()?;
        Some(Violation { invariant, what: what.to_owned(), step: self.steps })
    }

    /// False if it was nothing.
    fn happen(&mut self, what: Happening) -> bool {
        match what {
            Happening::Cluster(what) => return self.cluster.happen(what, &mut self.env),
            Happening::Subscribe(process) => self.subscribe(process),
            Happening::StreamClosed(stream) => self.cluster.stream_closed(stream, &mut self.env),
            Happening::ToMaster { from, stream, action } => {
                self.at_master(from, stream, *action);
            }
            Happening::ToScheduler { to, stream, event } => {
                self.at_scheduler(to, stream, event);
            }
            Happening::Deposed(process) => self.deposed(process),
            Happening::Turn(process) => self.turn(process),
            Happening::Wake { process, number } => self.wake(process, number),
            Happening::Apply(commit) => self.apply(commit),
            Happening::Answer { process, commit, outcome } => {
                self.answer(process, commit, outcome);
            }
            Happening::Elect => self.elect(),
            Happening::SessionEnds(process) => self.session_ends(process),
            Happening::Start(instance) => self.start(instance),
            Happening::User => self.user(),
            Happening::Fault(fault) => {
                if self.env.faults.active {
                    self.suffer(fault);
                    self.expect(fault);
                }
            }
            Happening::RegistryBack => self.registry.away = false,
            Happening::Pulse => {
                self.pulse();
                self.env.calendar.after(PULSE_MS, Happening::Pulse);
            }
        }
        true
    }

    /// The tenure of a process, unless that life of it is over.
    pub(crate) fn tenure(&mut self, process: Process) -> Option<&mut Tenure> {
        let instance = self.instances.get_mut(process.instance)?;
        if instance.life != process.life {
            return None;
        }
        instance.tenure.as_deref_mut()
    }

    /// If a process stands still, what is for it waits until it goes on.
    pub(crate) fn stands_still(&self, process: Process) -> Option<i64> {
        let instance = self.instances.get(process.instance)?;
        let until = instance.paused_until?;
        (instance.life == process.life && self.env.now() < until).then_some(until)
    }

    /// The tenure that holds the lock.
    pub(crate) fn leading(&self) -> Option<(Process, &Tenure)> {
        leading(self.holder, &self.instances)
    }

    fn user(&mut self) {
        let Some(process) = self.holder.filter(|process| self.stands_still(*process).is_none())
        else {
            self.env.calendar.after(1_000, Happening::User);
            return;
        };
        let now = self.env.now();
        let wanted = leading(self.holder, &self.instances)
            .and_then(|(_, tenure)| self.users.next(&tenure.engine, now));
        if let Some((request, command)) = wanted {
            self.env.tell("user", || super::brief::command(&command));
            let by = "user".to_owned();
            self.give(process, Event::Command { request, by, command });
        }
        if let Some(after) = self.users.pause_ms() {
            self.env.calendar.after(after, Happening::User);
        }
    }
}

/// The tenure of the process that holds the lock, if that life of it goes on.
pub(crate) fn leading(
    holder: Option<Process>,
    instances: &[Instance],
) -> Option<(Process, &Tenure)> {
    let process = holder?;
    let instance = instances.get(process.instance)?;
    if instance.life != process.life {
        return None;
    }
    Some((process, instance.tenure.as_deref()?))
}
