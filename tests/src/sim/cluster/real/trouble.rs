//! What befalls the cluster: the faults of offer-sim, each where it belongs, at the rates of this world.

use std::collections::BTreeMap;

use offer_sim::world::{AgentId, Event, Fault as SimFault, FrameworkId, Lost, UpdateFault};
use shiftwork_proto::mesos::v1::scheduler::{Call, call};

use super::{Amounts, Real, RealHappening, deliver};
use crate::sim::env::{Env, StreamId};
use crate::sim::faults::{Fault, Faults};

/// How late a late update may be, milliseconds.
const LATE_MS: [u64; 3] = [300, 3_000, 20_000];

/// A machine: its agent comes and goes, its size stays.
#[derive(Debug)]
pub(super) struct Host {
    capacity: Amounts,
    agent: Option<AgentId>,
    /// Nothing has befallen it that still lasts.
    is_well: bool,
}

// === impl Host ===

impl Host {
    pub(super) fn new(capacity: &Amounts) -> Self {
        Self { capacity: *capacity, agent: None, is_well: true }
    }

    pub(super) fn boots(&mut self, agent: AgentId) {
        (self.agent, self.is_well) = (Some(agent), true);
    }

    pub(super) fn capacity(&self) -> Amounts {
        self.capacity
    }
}

impl Real {
    /// Disturbs messages for as long as the world lasts, each at its rate.
    pub(super) fn disturb(&mut self, env: &mut Env) {
        let share = |fault| env.faults.share_of(fault);
        let late = LATE_MS.map(|ms| (UpdateFault::Delay { ms }, share(Fault::UpdateLate) / 3.0));
        let mut rules = vec![
            (UpdateFault::Drop, share(Fault::UpdateLost)),
            (UpdateFault::Duplicate, share(Fault::UpdateDoubled)),
            (UpdateFault::Reorder, share(Fault::UpdateReordered)),
        ];
        rules.extend(late);
        let losses =
            [(Lost::Launch, share(Fault::LaunchLost)), (Lost::Kill, share(Fault::KillLost))];
        for (fault, probability) in rules.into_iter().filter(|(_, share)| *share > 0.0) {
            let (agents, for_ms) = (None, None);
            let fault = SimFault::DisturbUpdates { fault, agents, probability, for_ms };
            self.step(Event::Fault(fault), env);
        }
        for (what, probability) in losses {
            self.step(Event::Fault(SimFault::LoseMessages { what, probability }), env);
        }
    }

    pub(super) fn count_disturbances(&self, faults: &mut Faults) {
        let updates = |fault| self.world.updates_disturbed(fault);
        let late = LATE_MS.iter().map(|ms| updates(UpdateFault::Delay { ms: *ms })).sum();
        faults.set(Fault::UpdateLost, updates(UpdateFault::Drop));
        faults.set(Fault::UpdateDoubled, updates(UpdateFault::Duplicate));
        faults.set(Fault::UpdateReordered, updates(UpdateFault::Reorder));
        faults.set(Fault::UpdateLate, late);
        faults.set(Fault::LaunchLost, self.world.messages_lost(Lost::Launch));
        faults.set(Fault::KillLost, self.world.messages_lost(Lost::Kill));
    }

    pub(super) fn befall(&mut self, fault: Fault, env: &mut Env) -> bool {
        match fault {
            Fault::StreamCut => self.cut_any(env),
            Fault::StreamSlow => {
                let interval_ms = self.random.between(1, 300).unsigned_abs();
                let for_ms = self.random.between(1_000, 30_000).unsigned_abs();
                self.fault(SimFault::SlowStreams { interval_ms, for_ms }, env)
            }
            Fault::CallsRefused => {
                let probability = *self.random.pick(&[0.1, 0.5, 1.0]);
                let for_ms = self.random.between(100, 10_000).unsigned_abs();
                self.fault(SimFault::RefuseCalls { probability, for_ms }, env)
            }
            Fault::OfferRescinded => {
                let number = self.random.next();
                let Some(agent) = self.offers.agent_of(number) else { return false };
                let agents = vec![AgentId(agent.to_string())];
                self.fault(SimFault::RescindOffers(Some(agents)), env)
            }
            Fault::ExecutorExit => self.crash_executor(env),
            Fault::MasterFailover => self.fail_over(env),
            Fault::FrameworkRemoved => self.remove_framework(env),
            Fault::AgentAway | Fault::AgentFrozen | Fault::AgentRestart | Fault::AgentGone => {
                self.hit_host(fault, env)
            }
            _ => false,
        }
    }

    fn fault(&mut self, fault: SimFault, env: &mut Env) -> bool {
        self.step(Event::Fault(fault), env);
        true
    }

    fn crash_executor(&mut self, env: &mut Env) -> bool {
        let all: Vec<_> = self.world.simulated_executors().map(|(_, it)| it.clone()).collect();
        if all.is_empty() {
            return false;
        }
        let container = self.random.pick(&all).clone();
        self.fault(SimFault::CrashExecutor(container), env)
    }

    // --- streams ---

    fn cut_any(&mut self, env: &mut Env) -> bool {
        let Some(stream) = self.streams.keys().next_back().copied() else { return false };
        self.cut(stream, env);
        true
    }

    /// A stream breaks: the driver tells its owner, and the master notices as well.
    pub(super) fn cut(&mut self, id: StreamId, env: &mut Env) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        self.offers.on_stream_gone(id);
        deliver(&mut stream, id, shiftwork_engine::Event::Disconnected, env);
        let stream = id.to_string().as_str().into();
        self.step(Event::SchedulerGone { stream }, env);
    }

    /// The leading master dies. The next one is there at once for agents; schedulers find it later.
    fn fail_over(&mut self, env: &mut Env) -> bool {
        if env.now() < self.away_until {
            return false;
        }
        self.away_until = env.now() + self.random.between(500, 30_000);
        self.fault(SimFault::FailOverMaster, env)
    }

    /// The framework is removed, as by an operator or after too long an absence.
    fn remove_framework(&mut self, env: &mut Env) -> bool {
        let mut streams = self.streams.values().rev();
        let Some(framework) = streams.find_map(|stream| stream.framework.clone()) else {
            return false;
        };
        let call = Call {
            r#type: Some(call::Type::Teardown.into()),
            framework_id: Some((&framework).into()),
            ..Call::default()
        };
        self.forget_framework(&framework);
        for stream in self.streams.values_mut() {
            stream.removed |= stream.framework.as_ref() == Some(&framework);
        }
        self.step(Event::SchedulerCall { framework, call: Box::new(call) }, env);
        true
    }

    fn forget_framework(&mut self, framework: &FrameworkId) {
        self.loads.on_removed(framework);
        let (orphans, rest) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(_, given)| given.framework == *framework);
        self.given = rest;
        self.orphans.extend(BTreeMap::into_keys(orphans));
    }

    // --- hosts ---

    fn hit_host(&mut self, fault: Fault, env: &mut Env) -> bool {
        let well = self.hosts.iter().enumerate().filter(|(_, host)| host.is_well);
        let well: Vec<_> = well.filter_map(|(n, host)| Some((n, host.agent.clone()?))).collect();
        if well.is_empty() {
            return false;
        }
        let (number, agent) = self.random.pick(&well).clone();
        if let Some(host) = self.hosts.get_mut(number) {
            host.is_well = false;
        }
        let agents = vec![agent.clone()];
        let (hit, back) = match fault {
            Fault::AgentAway => (SimFault::CutOffAgents(agents), Some(agent)),
            Fault::AgentFrozen => (SimFault::FreezeAgents(agents), Some(agent)),
            Fault::AgentRestart => (SimFault::KillAgents(agents), None),
            _ => (SimFault::MarkAgentsGone(agents), None),
        };
        env.tell("fault", || format!("{hit:?}"));
        match back {
            Some(agent) => {
                let after = self.random.waiting_ms(1.2 * self.habits.health_ms as f64);
                env.cluster(after, RealHappening::Mended(number, agent));
            }
            None => env.cluster(self.random.between(5_000, 60_000), RealHappening::Boots(number)),
        }
        self.fault(hit, env)
    }

    /// A host can be reached again, or goes on.
    pub(super) fn mend(&mut self, number: usize, agent: &AgentId, env: &mut Env) {
        let Some(host) = self.hosts.get_mut(number) else { return };
        if host.agent.as_ref() != Some(agent) {
            return;
        }
        host.is_well = true;
        env.tell(&agent.0, || "is there again");
        self.step(Event::Fault(SimFault::ThawAgents(vec![agent.clone()])), env);
        self.step(Event::Fault(SimFault::ReconnectAgents(vec![agent.clone()])), env);
    }

    /// A host boots that vanished, or that was marked gone and is set up anew.
    pub(super) fn boot_again(&mut self, number: usize, env: &mut Env) {
        let agent = self.hosts.get_mut(number).and_then(|host| host.agent.take());
        if let Some(agent) = agent {
            self.step(Event::Fault(SimFault::KillAgents(vec![agent])), env);
        }
        self.boot(number, env);
    }
}
