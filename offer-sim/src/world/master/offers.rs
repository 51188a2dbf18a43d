//! Offers: made, declined, rescinded, forgotten. What is in them is decided by the allocator.

use std::collections::BTreeMap;

use shiftwork_proto::mesos::v1;
use shiftwork_proto::mesos::v1::{Address, Url, offer, resource::AllocationInfo, scheduler};

use super::super::Turn;
use super::super::event::AgentSpec;
use super::super::id::{AgentId, ExecutorId, FrameworkId, OfferId};
use super::super::resource_wire::to_wire;
use super::super::resources::Resources;
use super::super::timers::Timer;
use super::Master;
use super::allocator::Allocation;

/// An offer that a framework has not answered.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) framework: FrameworkId,
    pub(super) agent: AgentId,
    pub(super) role: String,
    /// Allocated to the role.
    pub(super) resources: Resources,
}

// === impl Master ===

impl Master {
    /// At the end of a step: makes the offers that are due, one event for each framework.
    pub(in super::super) fn flush_offers(&mut self, turn: &mut Turn<'_>) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<v1::Offer>> = BTreeMap::new();
        for allocation in self.allocate() {
            let framework = allocation.framework.clone();
            if let Some(offer) = self.make_offer(turn, allocation) {
                by_framework.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in by_framework {
            let event = scheduler::Event {
                r#type: Some(scheduler::event::Type::Offers.into()),
                offers: Some(scheduler::event::Offers { offers }),
                ..scheduler::Event::default()
            };
            self.tell(turn, &framework, event);
        }
    }

    fn make_offer(&mut self, turn: &mut Turn<'_>, allocation: Allocation) -> Option<v1::Offer> {
        let framework = self.frameworks.get(&allocation.framework)?;
        let agent = self.agents.get(&allocation.agent)?;
        let spec = &agent.spec;
        let id = turn.ids.offer();
        let form = framework.wire_form();
        let resources = allocation.resources.allocated_to(Some(&allocation.role));
        let of_framework = |(key, _): (&(FrameworkId, ExecutorId), _)| {
            (key.0 == allocation.framework).then(|| (&key.1).into())
        };
        let allocation_info = AllocationInfo { role: Some(allocation.role.clone()) };
        let wire = v1::Offer {
            id: (&id).into(),
            framework_id: (&allocation.framework).into(),
            agent_id: (&spec.id).into(),
            hostname: spec.hostname.clone(),
            url: Some(agent_url(spec)),
            unavailability: self.maintenance.unavailability(spec),
            resources: to_wire(&resources, form),
            attributes: spec.attributes.clone(),
            executor_ids: agent.executors.iter().filter_map(of_framework).collect(),
            allocation_info: form.allocation_info.then_some(allocation_info),
            ..v1::Offer::default()
        };
        if let Some(timeout_ms) = turn.config.offer_timeout_ms {
            turn.timers.set(turn.now_ms + timeout_ms, Timer::OfferTimeout(id.clone()));
        }
        let Allocation { framework, role, agent, .. } = allocation;
        self.offers.insert(id, Offer { framework, agent, role, resources });
        Some(wire)
    }

    /// DECLINE: the resources go back, and are kept from this framework for a while. Offers that
    /// are no longer there are passed over: they were rescinded while the call was on its way.
    pub(super) fn on_decline(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: scheduler::call::Decline,
    ) {
        let refuse_seconds = call.filters.and_then(|filters| filters.refuse_seconds);
        for id in call.offer_ids.iter().map(OfferId::from) {
            if self.offers.get(&id).is_some_and(|offer| offer.framework == *framework)
                && let Some(offer) = self.offers.remove(&id)
            {
                let refused = (offer.role.as_str(), &offer.agent, &offer.resources);
                self.allocator.refuse(turn, framework, refused, refuse_seconds);
                self.give_back(turn, &offer.agent, &offer.resources);
            }
        }
    }

    pub(in super::super) fn on_offer_timeout(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        self.rescind(turn, id);
    }

    /// Takes an offer back from its framework.
    pub(super) fn rescind(&mut self, turn: &mut Turn<'_>, id: &OfferId) {
        if let Some(offer) = self.offers.remove(id) {
            let event = scheduler::Event {
                r#type: Some(scheduler::event::Type::Rescind.into()),
                rescind: Some(scheduler::event::Rescind { offer_id: id.into() }),
                ..scheduler::Event::default()
            };
            self.tell(turn, &offer.framework, event);
            self.give_back(turn, &offer.agent, &offer.resources);
        }
    }

    /// Takes back all offers of a framework that cannot be told.
    pub(super) fn forget_offers_of(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        let of_framework =
            |(id, offer): (&OfferId, &Offer)| (offer.framework == *framework).then(|| id.clone());
        let ids: Vec<_> = self.offers.iter().filter_map(of_framework).collect();
        for id in ids {
            if let Some(offer) = self.offers.remove(&id) {
                self.give_back(turn, &offer.agent, &offer.resources);
            }
        }
    }
}

/// Where an agent's API is.
pub(super) fn agent_url(spec: &AgentSpec) -> Url {
    Url {
        scheme: "http".to_owned(),
        address: Address {
            hostname: Some(spec.hostname.clone()),
            ip: Some(spec.ip.clone()),
            port: i32::from(spec.port),
        },
        path: Some("/slave(1)".to_owned()),
        ..Url::default()
    }
}

/// The tasks of every LAUNCH among some operations, in order.
pub(super) fn launched_tasks(operations: Vec<offer::Operation>) -> Vec<v1::TaskInfo> {
    operations
        .into_iter()
        .filter_map(|operation| operation.launch)
        .flat_map(|launch| launch.task_infos)
        .collect()
}
