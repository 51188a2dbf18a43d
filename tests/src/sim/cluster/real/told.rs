//! What the master tells a scheduler, through the translation of the real driver, and what that driver
//! makes of the end of its stream.

use offer_sim::world::Effect;
use shiftwork_engine::Event;
use shiftwork_engine::event::{StatusReason, StatusUpdate, TaskState};
use shiftwork_proto::mesos::v1::scheduler;
use shiftwork_scheduler::mesos::wire::{self, Incoming};

use super::{Real, deliver};
use crate::sim::env::{Env, Fact, Happening, StreamId};

/// ERROR of a master that removed the framework.
const REMOVED: &str = "Framework has been removed";
/// ERROR on the stream of an instance that another one has replaced.
const FAILED_OVER: &str = "Framework failed over";
/// What a master says of ACCEPTs that no correct scheduler sends; that an offer is no longer valid is
/// not among it.
const IMPROPER: [&str; 3] = ["Duplicate offer", "Aggregated offers", "No offers specified"];

impl Real {
    pub(super) fn carry_out(&mut self, effect: Effect, env: &mut Env) {
        match effect {
            Effect::ToScheduler { stream, event } => {
                if let Ok(stream) = stream.0.parse() {
                    self.tell(stream, *event, env);
                }
            }
            Effect::CloseScheduler { stream } => {
                if let Ok(stream) = stream.0.parse() {
                    self.end_stream(stream, env);
                }
            }
            // Of executors, which are simulated where this comes from, and of other processes.
            _ => {}
        }
    }

    fn tell(&mut self, id: StreamId, event: scheduler::Event, env: &mut Env) {
        let incoming = match wire::read(event) {
            Ok(incoming) => incoming,
            Err(error) => {
                env.facts.push(Fact::Improper(format!("the driver cannot read: {error}")));
                return;
            }
        };
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let event = match incoming {
            Incoming::Heartbeat | Incoming::Ignored(_) => return,
            Incoming::Subscribed { framework, .. } => {
                stream.framework = Some(framework.as_str().into());
                Event::Subscribed { framework }
            }
            Incoming::Offers { usable, unusable, .. } => {
                for offer in unusable {
                    let text =
                        format!("the driver cannot use offer {:?}: {}", offer.id, offer.error);
                    env.facts.push(Fact::Improper(text));
                }
                self.offers.on_offers(id, &usable, env.now());
                Event::Offers(usable)
            }
            Incoming::Failure { event, .. } => {
                self.offers.on_failure(&event, env.now());
                event
            }
            Incoming::Error(message) => {
                self.on_error(id, &message, env);
                return;
            }
            Incoming::Event(event) => {
                match &event {
                    Event::Rescinded(offer) => self.offers.on_rescinded(offer),
                    Event::Status(update) => self.offers.on_status(update, env),
                    _ => {}
                }
                event
            }
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            deliver(stream, id, event, env);
        }
    }

    fn on_error(&mut self, id: StreamId, message: &str, env: &mut Env) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let (at, to) = (stream.last_at.max(env.now() + 1), stream.process);
        match message {
            REMOVED => {
                let event = Box::new(Event::FrameworkRemoved);
                env.calendar.at(at, Happening::ToScheduler { to, stream: None, event });
            }
            FAILED_OVER => {
                stream.replaced = true;
                env.calendar.at(at, Happening::Deposed(to));
            }
            other => env.facts.push(Fact::Improper(format!("the master says: {other}"))),
        }
    }

    /// The master ends a stream; the driver tells its owner, unless that leads no more.
    fn end_stream(&mut self, id: StreamId, env: &mut Env) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        self.offers.on_stream_gone(id);
        if !stream.replaced {
            deliver(&mut stream, id, Event::Disconnected, env);
        }
    }
}

/// Whether a status says that a call was made which no correct scheduler makes.
pub(super) fn is_improper(update: &StatusUpdate) -> bool {
    let message = update.message.as_deref().unwrap_or_default();
    match update.state {
        TaskState::Error => update.reason != StatusReason::AgentLost,
        TaskState::Dropped => IMPROPER.iter().any(|text| message.contains(text)),
        _ => false,
    }
}
