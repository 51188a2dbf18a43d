//! Agents and their master in a few lines, for benchmarks without HTTP: what is launched has run and
//! ended at once, and an agent whose offer is gone offers all it has again. Absent: any limit; they
//! never have less.

use std::collections::BTreeMap;
use std::sync::Arc;

use shiftwork_engine::event::{Offer, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, ExecutorId, OfferId};
use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, Resources};
use shiftwork_engine::{Action, Event};

/// The update by which a task ends; the one before begins it.
const FINISHED_UUID: u8 = 2;

/// All of them.
pub(super) struct Agents {
    origin: Arc<Origin>,
    offers_made: u64,
    /// Offers that are out, and of whom.
    offered: BTreeMap<OfferId, AgentId>,
    /// The executor that each agent runs, once it does.
    executors: BTreeMap<AgentId, ExecutorId>,
    /// Tasks that have come.
    pub(super) launched: u64,
    /// Tasks whose end has been acknowledged.
    pub(super) acknowledged: u64,
}

// === impl Agents ===

impl Agents {
    pub(super) fn new() -> Self {
        Self {
            origin: Arc::new(Origin { role: "*".into(), reserved: false, wire: [].into() }),
            offers_made: 0,
            offered: BTreeMap::new(),
            executors: BTreeMap::new(),
            launched: 0,
            acknowledged: 0,
        }
    }

    /// The first offers of so many.
    pub(super) fn offer_all(&mut self, count: u32) -> Event {
        let agents = (0..count).map(|number| AgentId::new(format!("agent-{number}")));
        Event::Offers(agents.map(|agent| self.offer(agent)).collect())
    }

    /// Carries out a call to the master; what follows from it is added to `events`.
    pub(super) fn take(&mut self, action: Action, events: &mut impl Extend<Event>) {
        match action {
            Action::Accept { agent, launches, offers } => {
                for offer in offers {
                    self.offered.remove(&offer);
                }
                for launch in launches {
                    self.launched += 1;
                    self.executors.insert(agent.clone(), launch.executor.id);
                    for (state, uuid) in
                        [(TaskState::Running, 1), (TaskState::Finished, FINISHED_UUID)]
                    {
                        events.extend([Event::Status(StatusUpdate {
                            task: launch.task.clone(),
                            agent: Some(agent.clone()),
                            state,
                            reason: StatusReason::Other,
                            message: None,
                            uuid: Some(vec![uuid; 16]),
                            outcome: None,
                        })]);
                    }
                }
                events.extend([Event::Offers(vec![self.offer(agent)])]);
            }
            Action::Decline { offers, .. } => {
                let agents: Vec<AgentId> =
                    offers.iter().filter_map(|offer| self.offered.remove(offer)).collect();
                let offers: Vec<Offer> =
                    agents.into_iter().map(|agent| self.offer(agent)).collect();
                events.extend((!offers.is_empty()).then_some(Event::Offers(offers)));
            }
            Action::Acknowledge { uuid, .. } => {
                self.acknowledged += u64::from(uuid.first() == Some(&FINISHED_UUID));
            }
            _ => {}
        }
    }

    fn offer(&mut self, agent: AgentId) -> Offer {
        self.offers_made += 1;
        let id = OfferId::new(format!("o{}", self.offers_made));
        self.offered.insert(id.clone(), agent.clone());
        let executors = self.executors.get(&agent).cloned().into_iter().collect();
        let piece =
            |kind, amount| Piece { kind, amount: Milli(amount), origin: Arc::clone(&self.origin) };
        let pieces = vec![piece(Kind::Cpus, 16_000), piece(Kind::Mem, 64_000_000)];
        Offer {
            id,
            hostname: agent.to_string(),
            agent,
            resources: Resources { pieces, ports: Vec::new() },
            attributes: Vec::new(),
            unavailability: None,
            executors,
        }
    }
}
