//! The maintenance schedule: offers of hosts in it say so, and frameworks that use such a host are
//! asked to leave by inverse offers. Their answers decide nothing here.

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1;
use shiftwork_proto::mesos::v1::{DurationInfo, InverseOffer, Unavailability, scheduler};

use super::super::Turn;
use super::super::event::{AgentSpec, MaintenanceWindow};
use super::super::id::{AgentId, ExecutorId, FrameworkId, OfferId};
use super::super::timers::Timer;
use super::Master;
use super::offers::agent_url;
use super::reconcile::time_info;

/// `refuse_seconds` when it is absent, as the API defines it.
const REFUSE_SECONDS_DEFAULT: f64 = 5.0;
/// Longest time that an answer to an inverse offer stands: a year, as for a filter.
const REFUSE_SECONDS_MAX: f64 = 365.0 * 24.0 * 3600.0;

/// The schedule, and what frameworks were asked because of it.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    windows: Vec<MaintenanceWindow>,
    /// Inverse offers that were not answered.
    asked: BTreeMap<OfferId, (FrameworkId, AgentId)>,
    /// Until when those who answered are not asked again.
    answered: BTreeMap<(FrameworkId, AgentId), u64>,
    /// Somebody may have to be asked at the end of this step.
    wanted: bool,
}

// === impl Maintenance ===

impl Maintenance {
    /// Takes over the schedule of a former master, which is all that it had stored.
    pub(super) fn keep_schedule(&mut self, former: Self) {
        self.windows = former.windows;
        self.wanted = true;
    }

    /// When an agent's host is not to be used, if it is in the schedule.
    pub(super) fn unavailability(&self, spec: &AgentSpec) -> Option<Unavailability> {
        let window =
            self.windows.iter().find(|window| window.hostnames.contains(&spec.hostname))?;
        let nanoseconds = |ms: u64| ms.saturating_mul(1_000_000).min(i64::MAX as u64) as i64;
        let duration = window.duration_ms.map(|ms| DurationInfo { nanoseconds: nanoseconds(ms) });
        Some(Unavailability { start: time_info(window.start_ms), duration })
    }

    /// Looks at the end of this step whether somebody has to be asked.
    pub(super) fn look(&mut self) {
        self.wanted |= !self.windows.is_empty();
    }
}

// === impl Master ===

impl Master {
    /// Replaces the schedule. Whoever holds an offer of a host concerned gets a new one that says
    /// so, or that no longer does.
    pub(in super::super) fn on_maintenance_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        windows: Vec<MaintenanceWindow>,
    ) {
        let former = std::mem::replace(&mut self.maintenance.windows, windows);
        let asked = std::mem::take(&mut self.maintenance.asked);
        self.maintenance.answered.clear();
        for (id, (framework, _)) in asked {
            self.tell(turn, &framework, rescind_inverse(&id));
        }
        let named = |windows: &[MaintenanceWindow], hostname: &String| {
            windows.iter().any(|window| window.hostnames.contains(hostname))
        };
        let concerned = |hostname: &String| {
            named(&former, hostname) || named(&self.maintenance.windows, hostname)
        };
        let agents = self.agents.iter().filter(|(_, agent)| concerned(&agent.spec.hostname));
        let agents: Vec<AgentId> = agents.map(|(id, _)| id.clone()).collect();
        for agent in agents {
            self.rescind_offers_on(turn, &agent);
            self.allocator.consider(&agent);
        }
        self.allocator.now();
        self.maintenance.look();
    }

    /// At the end of a step: asks every framework that uses a host in the schedule, and that was
    /// not asked or whose answer no longer stands.
    pub(in super::super) fn flush_inverse_offers(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.maintenance.wanted) {
            return;
        }
        self.maintenance.answered.retain(|_, until_ms| *until_ms > turn.now_ms);
        let mut by_framework: BTreeMap<FrameworkId, Vec<InverseOffer>> = BTreeMap::new();
        for (framework, agent) in self.users_of_scheduled_hosts() {
            let key = (framework, agent);
            let is_asked = self.maintenance.asked.values().any(|asked| *asked == key);
            if is_asked || self.maintenance.answered.contains_key(&key) {
                continue;
            }
            let Some(registered) = self.agents.get(&key.1) else { continue };
            let Some(unavailability) = self.maintenance.unavailability(&registered.spec) else {
                continue;
            };
            let id = turn.ids.offer();
            let inverse = InverseOffer {
                id: (&id).into(),
                url: Some(agent_url(&registered.spec)),
                framework_id: (&key.0).into(),
                agent_id: Some((&key.1).into()),
                unavailability,
                resources: Vec::new(),
            };
            by_framework.entry(key.0.clone()).or_default().push(inverse);
            self.maintenance.asked.insert(id, key);
        }
        for (framework, inverse_offers) in by_framework {
            let event = scheduler::Event {
                r#type: Some(scheduler::event::Type::InverseOffers.into()),
                inverse_offers: Some(scheduler::event::InverseOffers { inverse_offers }),
                ..scheduler::Event::default()
            };
            self.tell(turn, &framework, event);
        }
    }

    /// Connected frameworks with a task or an executor on a host in the schedule.
    fn users_of_scheduled_hosts(&self) -> Vec<(FrameworkId, AgentId)> {
        let mut users = Vec::new();
        for (id, agent) in &self.agents {
            if self.maintenance.unavailability(&agent.spec).is_none() {
                continue;
            }
            let with_executor =
                agent.executors.keys().map(|(framework, _): &(_, ExecutorId)| framework);
            let with_task = self.tasks.iter().filter(|(_, task)| task.agent == *id);
            let using = with_executor.chain(with_task.map(|((framework, _), _)| framework));
            users.extend(using.map(|framework| (framework.clone(), id.clone())));
        }
        users.sort();
        users.dedup();
        users.retain(|(framework, _)| {
            self.frameworks.get(framework).is_some_and(|it| it.stream().is_some())
        });
        users
    }

    pub(super) fn on_accept_inverse(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: scheduler::call::AcceptInverseOffers,
    ) {
        self.on_answer(turn, framework, &call.inverse_offer_ids, call.filters);
    }

    pub(super) fn on_decline_inverse(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: scheduler::call::DeclineInverseOffers,
    ) {
        self.on_answer(turn, framework, &call.inverse_offer_ids, call.filters);
    }

    /// An answer, whichever it is, stands for as long as its filter says.
    fn on_answer(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        ids: &[v1::OfferId],
        filters: Option<v1::Filters>,
    ) {
        let seconds = filters.and_then(|filters| filters.refuse_seconds);
        let seconds = seconds.filter(|seconds| *seconds >= 0.0).unwrap_or(REFUSE_SECONDS_DEFAULT);
        let refused_ms = (seconds.min(REFUSE_SECONDS_MAX) * 1000.0) as u64;
        let until_ms = turn.now_ms + refused_ms.max(turn.config.allocation_interval_ms);
        for id in ids.iter().map(OfferId::from) {
            let asked = self.maintenance.asked.get(&id);
            if asked.is_some_and(|(asked, _)| asked == framework)
                && let Some(key) = self.maintenance.asked.remove(&id)
            {
                self.maintenance.answered.insert(key, until_ms);
                turn.timers.set(until_ms, Timer::InverseOffers);
            }
        }
    }

    /// A framework that cannot be told is asked anew when it is back.
    pub(super) fn forget_inverse_offers_of(&mut self, framework: &FrameworkId) {
        self.maintenance.asked.retain(|_, (asked, _)| asked != framework);
        self.maintenance.look();
    }

    /// Answers no longer stand: whoever gave them is asked in the next allocation.
    pub(in super::super) fn on_inverse_offers_due(&mut self, turn: &mut Turn<'_>) {
        self.allocator.soon(turn);
    }
}

fn rescind_inverse(id: &OfferId) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(scheduler::event::Type::RescindInverseOffer.into()),
        rescind_inverse_offer: Some(scheduler::event::RescindInverseOffer {
            inverse_offer_id: id.into(),
        }),
        ..scheduler::Event::default()
    }
}
