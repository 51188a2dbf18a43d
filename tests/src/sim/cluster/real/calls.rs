//! Calls through the translation of the real driver, refused ones with what that driver does about it,
//! and what the auditor makes of ACCEPTs: offers that are out, and whether one asks for more than they
//! hold.

use std::collections::BTreeMap;

use offer_sim::world::Event;
use shiftwork_engine::document::JobExecutor;
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_engine::event::{Offer, StatusReason, StatusUpdate};
use shiftwork_engine::ids::{AgentId, ExecutorId, OfferId, TaskId};
use shiftwork_engine::resources::Resources;
use shiftwork_scheduler::mesos::wire;

use super::super::amounts::Amounts;
use super::Real;
use super::told::is_improper;
use crate::sim::env::{Env, Fact, StreamId};

/// How often the driver tries a call that may be repeated.
const TRIES_MAX: u32 = 5;
/// How long nothing like the offers of a failed ACCEPT is wanted.
const GIVE_BACK_REFUSE_MS: u64 = 1_000;
/// What a master says to a call of a framework that it does not know, or no more.
const UNKNOWN_FRAMEWORK: &str = "Framework cannot be found";
/// What it says to a call on a stream of an instance that another one has replaced.
const OTHER_STREAM: &str =
    "included in this request didn't match the stream ID currently associated";

/// Offers that are out, and the ACCEPT at hand.
#[derive(Debug, Default)]
pub(super) struct OffersOut {
    out: BTreeMap<OfferId, OfferOut>,
    /// When executors ended.
    ended: BTreeMap<(AgentId, ExecutorId), i64>,
    /// What executors were to be charged when they were last launched.
    described: BTreeMap<(AgentId, ExecutorId), Resources>,
    /// The executor each task was launched in.
    launched_in: BTreeMap<TaskId, ExecutorId>,
    /// When a task told last that its executor ends: before the master knows it as ended, and offers
    /// go on to name it.
    told_lost: BTreeMap<(AgentId, ExecutorId), i64>,
    accepting: Option<Accepting>,
}

#[derive(Debug)]
struct OfferOut {
    stream: StreamId,
    agent: AgentId,
    amounts: Amounts,
    executors: Vec<ExecutorId>,
    since: i64,
}

/// An ACCEPT while the master looks at it.
#[derive(Debug)]
struct Accepting {
    agent: AgentId,
    since: i64,
    /// Something of it was refused.
    refused: bool,
}

impl Real {
    /// A call arrives. It is given back if its stream is not open, or the master does not take it.
    pub(super) fn take_call(
        &mut self,
        stream: StreamId,
        action: Action,
        env: &mut Env,
    ) -> Option<Action> {
        if !self.is_taken(stream, &action, env) {
            return Some(action);
        }
        match &action {
            Action::Accept { agent, offers, launches } => {
                let (now, outs) = (env.now(), self.offers.take(offers));
                let since = outs.iter().map(|out| out.since).max().unwrap_or(now);
                let spared = self.offers.spared(agent, &outs, launches);
                self.offers.describe(agent, launches);
                self.offers.accepting =
                    Some(Accepting { agent: agent.clone(), since, refused: false });
                let taken = self.send(stream, &action, env);
                let accepting = self.offers.accepting.take();
                if !taken {
                    // Nor can its offers be given back, for which the driver ends the stream.
                    self.cut(stream, env);
                    return Some(action);
                }
                let refused = accepting.is_none_or(|accepting| accepting.refused);
                if let Some(what) = spared.filter(|_| !refused) {
                    let text = format!("on {agent} reserved {what} are spared");
                    env.facts.push(Fact::Improper(format!("{text} and unreserved are used")));
                }
            }
            Action::Decline { offers, .. } => {
                self.offers.take(offers);
                self.send(stream, &action, env);
            }
            _ => {
                self.send(stream, &action, env);
            }
        }
        None
    }

    /// Whether the master takes calls at the moment; if not, what the driver does then.
    fn is_taken(&mut self, stream: StreamId, action: &Action, env: &mut Env) -> bool {
        if !self.streams.contains_key(&stream) {
            return false;
        }
        let now = env.now().unsigned_abs();
        if self.world.refuses_call(now).is_none() {
            return true;
        }
        let accept = if let Action::Accept { offers, .. } = action { Some(offers) } else { None };
        // An ACCEPT is tried once, and its offers are given back with a call that may be tried again.
        let taken = (1..TRIES_MAX).any(|_| self.world.refuses_call(now).is_none());
        if !taken {
            self.cut(stream, env);
        } else if let Some(offers) = accept {
            self.offers.take(offers);
            let (offers, refuse_ms) = (offers.clone(), GIVE_BACK_REFUSE_MS);
            if !self.send(stream, &Action::Decline { offers, refuse_ms }, env) {
                self.cut(stream, env);
            }
        }
        taken && accept.is_none()
    }

    /// Sends a call to the core, as the driver writes it. False if the master it leads to is dead, or
    /// knows nobody under this id any more.
    fn send(&mut self, stream: StreamId, action: &Action, env: &mut Env) -> bool {
        let Some(open) = self.streams.get(&stream) else { return true };
        let (framework, removed, replaced) = (open.framework.clone(), open.removed, open.replaced);
        let Some(framework) = framework else { return true };
        let id = shiftwork_engine::ids::FrameworkId::new(framework.0.clone());
        let call = match wire::write_call(action, &id) {
            Ok(Some(call)) => call,
            Ok(None) => return true,
            Err(error) => {
                env.facts.push(Fact::Improper(format!("the driver cannot write: {error}")));
                return true;
            }
        };
        if let Err(refused) = self.world.admit_scheduler_call(&call, Some(&stream.to_string())) {
            let unknown = refused.text == UNKNOWN_FRAMEWORK;
            if unknown && env.now() < self.away_until {
                // The connection leads to a master that is dead.
                self.cut(stream, env);
            } else if !(unknown && removed || replaced && refused.text.contains(OTHER_STREAM)) {
                // Of a removal or of a successor nobody knows until the end of a slow stream has come;
                // the driver takes what is refused until then for decided.
                let kind = wire::call_kind(action);
                env.facts.push(Fact::Improper(format!("{kind} is refused: {}", refused.text)));
            }
            return !unknown;
        }
        self.step(Event::SchedulerCall { framework, call: Box::new(call) }, env);
        true
    }
}

/// Those that run in an executor of their app's.
fn in_executors(launches: &[Launch]) -> impl Iterator<Item = &Launch> {
    launches.iter().filter(|launch| launch.job.executor == JobExecutor::App)
}

// === impl OffersOut ===

impl OffersOut {
    pub(super) fn count(&self) -> usize {
        self.out.len()
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.out.values().map(|out| out.since).min()
    }

    /// The agent of the `number`th offer that is out, counted round.
    pub(super) fn agent_of(&self, number: u64) -> Option<&AgentId> {
        let place = number.checked_rem(self.out.len() as u64)?;
        self.out.values().nth(place as usize).map(|out| &out.agent)
    }

    pub(super) fn on_offers(&mut self, stream: StreamId, offers: &[Offer], now: i64) {
        for offer in offers {
            let out = OfferOut {
                stream,
                agent: offer.agent.clone(),
                amounts: Amounts::of(&offer.resources),
                executors: offer.executors.clone(),
                since: now,
            };
            self.out.insert(offer.id.clone(), out);
        }
    }

    pub(super) fn on_rescinded(&mut self, offer: &OfferId) {
        self.out.remove(offer);
    }

    pub(super) fn on_stream_gone(&mut self, stream: StreamId) {
        self.out.retain(|_, out| out.stream != stream);
    }

    pub(super) fn on_failure(&mut self, event: &shiftwork_engine::Event, now: i64) {
        let shiftwork_engine::Event::Failure { agent, executor } = event else { return };
        if let Some(executor) = executor {
            self.ended.insert((agent.clone(), executor.clone()), now);
        } else {
            self.ended.retain(|(on, _), _| on != agent);
        }
    }

    /// A status while an ACCEPT is looked at says what the master thinks of it.
    pub(super) fn on_status(&mut self, update: &StatusUpdate, env: &mut Env) {
        if let (StatusReason::ExecutorLost, Some(agent)) = (update.reason, &update.agent)
            && let Some(executor) = self.launched_in.get(&update.task)
        {
            self.told_lost.insert((agent.clone(), executor.clone()), env.now());
        }
        let Some(accepting) = &mut self.accepting else { return };
        accepting.refused = true;
        // The offer still named an executor that has ended meanwhile: nobody could know that it must
        // be paid for again, nor that less is left for what comes after it.
        let mut ended = self.ended.iter().filter(|((on, _), _)| *on == accepting.agent);
        let excused = ended.any(|(_, at)| *at >= accepting.since);
        if is_improper(update) && !excused {
            let message = update.message.as_deref().unwrap_or_default();
            let line = message.lines().next().unwrap_or_default();
            env.facts.push(Fact::Improper(format!("{}: {line}", update.task)));
        }
    }

    fn take(&mut self, offers: &[OfferId]) -> Vec<OfferOut> {
        offers.iter().filter_map(|offer| self.out.remove(offer)).collect()
    }

    /// Notes what executors are to be charged, arrive or not.
    pub(super) fn describe(&mut self, agent: &AgentId, launches: &[Launch]) {
        for Launch { task, executor, .. } in in_executors(launches) {
            self.launched_in.insert(task.clone(), executor.id.clone());
            let key = (agent.clone(), executor.id.clone());
            self.described.insert(key, executor.resources.clone());
        }
    }

    /// What an ACCEPT takes of resources that nobody reserved while it leaves some that are, if it
    /// does.
    fn spared(&self, agent: &AgentId, outs: &[OfferOut], launches: &[Launch]) -> Option<String> {
        // Only the newest of them says what runs by now.
        let newest = outs.iter().max_by_key(|out| out.since)?;
        let since = newest.since;
        let mut used = Amounts::default();
        let mut charged: Vec<&ExecutorId> = Vec::new();
        for launch in launches {
            used += Amounts::of(&launch.resources);
            if launch.job.executor == JobExecutor::Command {
                continue;
            }
            let id = &launch.executor.id;
            let key = (agent.clone(), id.clone());
            let newly = |ends: &BTreeMap<_, i64>| ends.get(&key).is_some_and(|at| *at >= since);
            if newly(&self.ended) || newly(&self.told_lost) {
                return None;
            }
            let runs = newest.executors.contains(id);
            if !runs && !charged.contains(&id) {
                // A launch that got lost may have arrived all the same, and an executor that runs is
                // not to be described anew: until an offer names it, it is paid for once more, to be
                // sure.
                if self.described.get(&key) == Some(&launch.executor.resources) {
                    return None;
                }
                charged.push(id);
                used += Amounts::of(&launch.executor.resources);
            }
        }
        let mut left = Amounts::default();
        for out in outs {
            left += out.amounts;
        }
        if !left.covers(&used) {
            return None;
        }
        left -= used;
        let spared = left.spared(&used);
        (!spared.is_empty()).then(|| spared.join(", "))
    }
}
