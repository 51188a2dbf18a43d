//! What becomes of offers: asked for when something waits or is about to come, kept for what needs
//! them and for the warm reserve, else given back with filters that keep away what nobody wants.
//! Absent: what they are used for.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::effect::{Action, Effects};
use crate::engine::{Engine, ReadyKey};
use crate::ids::{AgentId, OfferId};
use crate::placement::{Candidate, Unplaced};
use crate::registered::Rules;
use crate::resources::{Demand, Kind};
use crate::timers::Deadline;
use crate::wait::Wait;

/// Offers declined while nothing is known to come are not wanted for this long; demand revives them.
const IDLE_REFUSE_MS: u64 = 60 * 60 * 1000;
/// Offers given back although something waits that may fit: others get their chance, then we look
/// again.
const UNFIT_REFUSE_MS: u64 = 1000;
/// Offers given back although something waits, which is larger than all agents seen together: only
/// more agents help, and those offer by themselves.
const TOO_LARGE_REFUSE_MS: u64 = 5_000;
/// Offers of agents that could not take what waits even if they were empty: long, since only a larger
/// offer could change that, which no filter keeps away.
const TOO_SMALL_REFUSE_MS: u64 = 5 * 60 * 1000;
/// While something waits that does not fit, offers are held this many times longer, so that
/// pieces can come together.
const UNFIT_HOLD_FACTOR: u64 = 6;
/// Offers that are kept for what is to come are looked at again after this long.
const KEPT_AGAIN_MS: u64 = 1000;
/// Waiting runs looked at to fit filters to what they need: beyond them all filters are short.
const WANTED_RUNS_MAX: usize = 256;
/// Distinct needs among them that are compared with every agent.
const WANTED_MAX: usize = 16;
/// At most this share of the agents seen is kept as warm reserve, per mille, and at least one agent:
/// the rest is for others.
const RESERVE_SHARE_MAX: usize = 250;

/// Filters that keep offers away for long.
#[derive(Debug)]
pub(crate) struct Filters {
    /// What they were fitted to: whatever else waits may be kept from offers it could use.
    wanted: Vec<Arc<Rules>>,
}

/// What waits, as far as offers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// Only gangs larger than all agents seen together: offers must not be kept for them.
    TooLarge,
    Something,
}

impl Engine {
    /// Gives back what nobody needs, asks for offers when somebody does.
    pub(crate) fn keep_offers_clean(&mut self, fx: &mut Effects) {
        self.end_overdue_hold();
        if !self.connected {
            return;
        }
        let waiting = self.waiting();
        let demand = waiting != Waiting::Nothing;
        let some_may_fit = waiting == Waiting::Something;
        let factor = if some_may_fit { UNFIT_HOLD_FACTOR } else { 1 };
        let hold = self.settings.offer_hold_ms.saturating_mul(factor);
        let expired = self.expired_agents(hold);
        // What comes is looked at only when something depends on it.
        let filtered = self.suppressed || self.filters.is_some();
        let ahead = if !some_may_fit && (filtered || !expired.is_empty()) {
            self.ahead()
        } else {
            crate::lookahead::Ahead::default()
        };
        let reserve = self.warm_reserve();
        let needed = !ahead.is_empty() || reserve.is_lost();
        if (demand && self.is_kept_away()) || (filtered && needed) {
            self.suppressed = false;
            self.filters = None;
            fx.action(Action::Revive);
        }
        self.reserve_complete = reserve.complete;
        let mut kept = if ahead.is_empty() || expired.is_empty() {
            BTreeSet::new()
        } else {
            self.agents_for_ahead(&ahead)
        };
        kept.extend(reserve.agents);
        let declined: Vec<AgentId> =
            expired.iter().filter(|agent| !kept.contains(*agent)).cloned().collect();
        let any_kept = declined.len() < expired.len();
        if !declined.is_empty() {
            self.decline(declined, waiting, !ahead.is_empty(), fx);
            let idle = !demand && ahead.is_empty() && reserve.complete;
            let rest = self.fleet.leases.keys().all(|agent| kept.contains(agent));
            if idle && rest && !self.suppressed {
                self.suppressed = true;
                fx.action(Action::Suppress);
            }
        }
        self.set_offer_timers(hold, any_kept);
    }

    fn waiting(&self) -> Waiting {
        if !self.has_demand() {
            return Waiting::Nothing;
        }
        let too_large = |(_, _, run): &ReadyKey| {
            let wait = self.runs.get(run).map(|run| &run.wait);
            matches!(wait, Some(Wait::Unplaced(why)) if matches!(**why, Unplaced::TooLarge { .. }))
        };
        // Of more, some will fit.
        let none_fits = self.ready.len() <= WANTED_RUNS_MAX && self.ready.iter().all(too_large);
        if self.due.is_empty() && none_fits { Waiting::TooLarge } else { Waiting::Something }
    }

    /// Something waits, and offers it could use may be kept away from us.
    fn is_kept_away(&self) -> bool {
        if self.suppressed {
            return true;
        }
        let Some(filters) = &self.filters else { return false };
        let known = |rules: &Arc<Rules>| filters.wanted.contains(rules);
        self.wanted().is_none_or(|wanted| !wanted.iter().all(known))
    }

    /// What waits needs; `None` if that is too much to look at.
    fn wanted(&self) -> Option<Vec<Arc<Rules>>> {
        if self.ready.len() + self.due.len() > WANTED_RUNS_MAX {
            return None;
        }
        let ready = self.ready.iter().map(|(_, _, run)| run);
        let runs = ready.chain(self.due.iter().map(|((_, _, run), _)| run));
        let mut wanted: Vec<Arc<Rules>> = Vec::new();
        for run in runs.filter_map(|run| self.runs.get(run)) {
            if !wanted.contains(&run.job.rules) {
                wanted.push(Arc::clone(&run.job.rules));
            }
        }
        (wanted.len() <= WANTED_MAX).then_some(wanted)
    }

    /// Agents of which offers have been held for long, kept for no gang. All offers of an agent go
    /// together: a part of a lease helps nobody.
    fn expired_agents(&self, hold_ms: u64) -> Vec<AgentId> {
        let old = |since: Timestamp| since.saturating_add(hold_ms) <= self.now;
        let leases = self.fleet.leases.iter().filter(|(agent, _)| !self.holds.keeps(agent));
        leases
            .filter(|(_, lease)| lease.offers.iter().any(|offer| old(offer.since)))
            .map(|(agent, _)| agent.clone())
            .collect()
    }

    /// `soon`: something is about to come that does not need them.
    fn decline(&mut self, agents: Vec<AgentId>, waiting: Waiting, soon: bool, fx: &mut Effects) {
        if soon && waiting != Waiting::Something {
            // Only for so long is it known that they are not needed.
            let refuse_ms = self.settings.offer_lookahead_ms;
            self.decline_for(agents, refuse_ms, None, fx);
            return;
        }
        if waiting == Waiting::Nothing {
            let until = self.next_lookahead().map_or(IDLE_REFUSE_MS, |at| {
                at.since(self.now).max(0).unsigned_abs().clamp(UNFIT_REFUSE_MS, IDLE_REFUSE_MS)
            });
            self.decline_for(agents, until, Some(Vec::new()), fx);
            return;
        }
        let wanted = self.wanted().unwrap_or_default();
        let fit = self.agents_that_could_take(&wanted);
        let (fit, too_small): (Vec<_>, Vec<_>) =
            agents.into_iter().partition(|agent| wanted.is_empty() || fit.contains(agent));
        if waiting == Waiting::TooLarge {
            // Whatever else comes gets them at once.
            let fitted = (!wanted.is_empty()).then(|| wanted.clone());
            self.decline_for(fit, TOO_LARGE_REFUSE_MS, fitted, fx);
        } else {
            self.decline_for(fit, UNFIT_REFUSE_MS, None, fx);
        }
        self.decline_for(too_small, TOO_SMALL_REFUSE_MS, Some(wanted), fx);
    }

    /// `wanted`: what a filter that lasts was fitted to; `None` for one that is over soon.
    fn decline_for(
        &mut self,
        agents: Vec<AgentId>,
        refuse_ms: u64,
        wanted: Option<Vec<Arc<Rules>>>,
        fx: &mut Effects,
    ) {
        let mut offers: Vec<OfferId> =
            agents.iter().flat_map(|agent| self.fleet.spend(agent)).collect();
        if offers.is_empty() {
            return;
        }
        offers.sort();
        fx.action(Action::Decline { offers, refuse_ms });
        if let Some(mut wanted) = wanted {
            // Filters of before may still be in force: they fit only what all of them fit.
            if let Some(before) = &self.filters {
                wanted.retain(|rules| before.wanted.contains(rules));
            }
            self.filters = Some(Filters { wanted });
        }
    }

    /// Agents that could take a shard of what is wanted if they were empty.
    fn agents_that_could_take(&self, wanted: &[Arc<Rules>]) -> BTreeSet<AgentId> {
        let nobody = crate::ids::AppName::none();
        let mut agents = BTreeSet::new();
        for rules in wanted {
            let candidate = Candidate {
                app: &nobody,
                executor: &Demand::default(),
                shard: &rules.demand,
                count: 1,
                placement: rules.placement,
                avoid: None,
                constraints: &rules.constraints,
                siblings: &[],
                ends_by: None,
            };
            agents.extend(self.fleet.agents_that_admit(&candidate));
        }
        agents
    }

    /// The leases of the warm reserve: one that suffices, the smallest such, else the largest until
    /// they suffice together.
    fn warm_reserve(&self) -> Reserve {
        let Some(wanted) = &self.settings.warm_reserve else {
            return Reserve { agents: BTreeSet::new(), complete: true, was_complete: true };
        };
        let was_complete = self.reserve_complete;
        let leases = self.fleet.leases.iter().filter(|(agent, _)| !self.holds.keeps(agent));
        let mut free: Vec<(Demand, &AgentId)> =
            leases.map(|(agent, lease)| (Demand::of_resources(&lease.free), agent)).collect();
        free.sort();
        if let Some((_, agent)) = free.iter().find(|(free, _)| covers(free, wanted)) {
            let agents = BTreeSet::from([(*agent).clone()]);
            return Reserve { agents, complete: true, was_complete };
        }
        let most = (self.fleet.seen().count() * RESERVE_SHARE_MAX / 1000).max(1);
        free.sort_by_key(|(free, agent)| (Reverse(*free), *agent));
        let (mut agents, mut sum) = (BTreeSet::new(), Demand::default());
        for (free, agent) in free.into_iter().take(most) {
            if covers(&sum, wanted) {
                break;
            }
            sum = sum.plus(&free);
            agents.insert(agent.clone());
        }
        // What the limit leaves out is not waited for.
        let complete = covers(&sum, wanted) || agents.len() >= most;
        Reserve { agents, complete, was_complete }
    }

    fn set_offer_timers(&mut self, hold_ms: u64, any_kept: bool) {
        let leases = self.fleet.leases.iter().filter(|(agent, _)| !self.holds.keeps(agent));
        let oldest =
            leases.flat_map(|(_, lease)| lease.offers.iter().map(|offer| offer.since)).min();
        if let Some(oldest) = oldest {
            let again =
                if any_kept { self.now.saturating_add(KEPT_AGAIN_MS) } else { Timestamp::MIN };
            let at = oldest.saturating_add(hold_ms).max(again);
            self.timers.set(Deadline::OfferHold, at);
        }
        if self.suppressed || self.filters.is_some() {
            match self.next_lookahead() {
                Some(at) => self.timers.set(Deadline::Lookahead, at),
                None => self.timers.cancel(&Deadline::Lookahead),
            }
        }
    }
}

/// Leases kept for runs that nobody knows of before.
struct Reserve {
    agents: BTreeSet<AgentId>,
    /// They are as much as is wanted, or as may be kept.
    complete: bool,
    was_complete: bool,
}

impl Reserve {
    /// It was complete and is no more.
    fn is_lost(&self) -> bool {
        self.was_complete && !self.complete
    }
}

fn covers(has: &Demand, wanted: &Demand) -> bool {
    Kind::ALL.into_iter().all(|kind| has.of(kind) >= wanted.of(kind)) && has.ports >= wanted.ports
}
