//! What may happen to status updates on their way from agents to the master: lost, late, twice, or
//! in another order. Nothing is changed in them, and nothing else is touched.

use std::collections::BTreeMap;

use super::Turn;
use super::chance::Fate;
use super::event::UpdateFault;
use super::id::AgentId;
use super::mail::ToMaster;
use super::timers::Timer;

/// How long an update that is to be overtaken waits at most for the next one.
const OVERTAKEN_MS_MAX: u64 = 1000;

/// A disturbance in force.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) fault: UpdateFault,
    /// `None` for every agent.
    pub(super) agents: Option<Vec<AgentId>>,
    pub(super) probability: f64,
    /// `None` until it is ended.
    pub(super) until_ms: Option<u64>,
}

/// The rules in force and the updates that they hold back.
#[derive(Debug)]
pub(super) struct Disturbance {
    fate: Fate,
    drawn: u64,
    rules: Vec<Rule>,
    held: BTreeMap<u64, (AgentId, ToMaster)>,
    /// Which of `held` waits to be overtaken.
    overtaken: Option<u64>,
    /// How often each fault struck.
    struck: BTreeMap<UpdateFault, u64>,
}

// === impl Disturbance ===

impl Disturbance {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            fate: Fate::new(seed),
            drawn: 0,
            rules: Vec::new(),
            held: BTreeMap::new(),
            overtaken: None,
            struck: BTreeMap::new(),
        }
    }

    pub(super) fn struck(&self) -> &BTreeMap<UpdateFault, u64> {
        &self.struck
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Ends all rules. What is held back still comes when it was to come.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What arrives now instead of a message that an agent sent.
    pub(super) fn disturb(
        &mut self,
        turn: &mut Turn<'_>,
        from: AgentId,
        message: ToMaster,
    ) -> Vec<(AgentId, ToMaster)> {
        if !matches!(message, ToMaster::StatusUpdate { .. }) {
            return vec![(from, message)];
        }
        let mut arriving = Vec::new();
        let fault = self.rule_for(turn.now_ms, &from);
        if let Some(fault) = fault {
            *self.struck.entry(fault).or_default() += 1;
        }
        match fault {
            Some(UpdateFault::Drop) => {}
            Some(UpdateFault::Duplicate) => {
                arriving.push((from.clone(), message.clone()));
                arriving.push((from, message));
            }
            Some(UpdateFault::Delay { ms }) => {
                self.hold(turn, ms, from, message);
            }
            Some(UpdateFault::Reorder) if self.overtaken.is_none() => {
                self.overtaken = Some(self.hold(turn, OVERTAKEN_MS_MAX, from, message));
            }
            None | Some(UpdateFault::Reorder) => arriving.push((from, message)),
        }
        if let Some(number) = self.overtaken.take_if(|_| !arriving.is_empty()) {
            arriving.extend(self.held.remove(&number));
        }
        arriving
    }

    /// An update was held back long enough.
    pub(super) fn release(&mut self, number: u64) -> Option<(AgentId, ToMaster)> {
        self.overtaken.take_if(|overtaken| *overtaken == number);
        self.held.remove(&number)
    }

    fn hold(&mut self, turn: &mut Turn<'_>, ms: u64, from: AgentId, message: ToMaster) -> u64 {
        self.drawn += 1;
        turn.timers.set(turn.now_ms.saturating_add(ms), Timer::HeldUpdate(self.drawn));
        self.held.insert(self.drawn, (from, message));
        self.drawn
    }

    /// The first rule that applies and that chance lets apply.
    fn rule_for(&mut self, now_ms: u64, agent: &AgentId) -> Option<UpdateFault> {
        self.rules.retain(|rule| rule.until_ms.is_none_or(|until_ms| now_ms < until_ms));
        for rule in &self.rules {
            if rule.agents.as_ref().is_some_and(|agents| !agents.contains(agent)) {
                continue;
            }
            self.drawn += 1;
            if self.fate.happens_to("update", self.drawn, rule.probability) {
                return Some(rule.fault);
            }
        }
        None
    }
}
