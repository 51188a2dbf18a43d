//! Messages under way between the master and its agents: how long they take, in their order, and
//! what is lost when a connection breaks. Without a delay nothing is ever under way.

use std::collections::BTreeMap;

use super::chance::Fate;
use super::distribution::Distribution;
use super::id::AgentId;
use super::mail::{Mail, ToAgent};
use super::timers::{Timer, Timers};

/// Messages at which a connection may break: both are lost, and nobody sends them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A task to run.
    Launch,
    /// A task to kill.
    Kill,
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Transit {
    fate: Fate,
    sent: u64,
    under_way: BTreeMap<u64, Mail>,
    /// When the latest message arrives, to each agent and from it: none overtakes another.
    latest: BTreeMap<AgentId, [u64; 2]>,
    /// How many of each kind are lost, 0 to 1, and how many were.
    losses: [(f64, u64); 2],
}

// === impl Transit ===

impl Transit {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            fate: Fate::new(seed),
            sent: 0,
            under_way: BTreeMap::new(),
            latest: BTreeMap::new(),
            losses: [(0.0, 0); 2],
        }
    }

    /// Sends a message on its way; gives it back when it is there at once.
    pub(super) fn send(
        &mut self,
        now_ms: u64,
        delay: &Distribution,
        timers: &mut Timers,
        mail: Mail,
    ) -> Option<Mail> {
        if *delay == Distribution::Constant(0) {
            return Some(mail);
        }
        self.sent += 1;
        let takes_ms = delay.sample_ms(self.fate.number("delay", self.sent)).unwrap_or(0);
        let (agent, way) = address(&mail);
        if !self.latest.contains_key(agent) {
            self.latest.insert(agent.clone(), [0; 2]);
        }
        let latest = self.latest.get_mut(agent).and_then(|ways| ways.get_mut(way));
        let at_ms = now_ms.saturating_add(takes_ms);
        let at_ms = latest.map_or(at_ms, |latest| {
            *latest = at_ms.max(*latest);
            *latest
        });
        timers.set(at_ms, Timer::Mail(self.sent));
        self.under_way.insert(self.sent, mail);
        None
    }

    /// A message arrives, unless its connection broke.
    pub(super) fn arrive(&mut self, number: u64) -> Option<Mail> {
        self.under_way.remove(&number)
    }

    /// The connection of one agent breaks: what is under way on it is lost.
    pub(super) fn break_off(&mut self, agent: &AgentId) {
        self.under_way.retain(|_, mail| address(mail).0 != agent);
    }

    /// All connections end.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    pub(super) fn lose(&mut self, what: Lost, probability: f64) {
        if let Some((share, _)) = self.losses.get_mut(what as usize) {
            *share = probability;
        }
    }

    pub(super) fn lose_nothing(&mut self) {
        self.losses.iter_mut().for_each(|(share, _)| *share = 0.0);
    }

    pub(super) fn lost(&self, what: Lost) -> u64 {
        self.losses.get(what as usize).map_or(0, |(_, lost)| *lost)
    }

    /// Whether a message of the master is lost.
    pub(super) fn loses(&mut self, message: &ToAgent) -> bool {
        let what = match message {
            ToAgent::RunTask(_) => Lost::Launch,
            ToAgent::KillTask { .. } => Lost::Kill,
            _ => return false,
        };
        let Some((share, lost)) = self.losses.get_mut(what as usize) else { return false };
        if *share <= 0.0 {
            return false;
        }
        self.sent += 1;
        let loses = self.fate.happens_to("loss", self.sent, *share);
        *lost += u64::from(loses);
        loses
    }
}

/// Whose connection a message takes, and which way: 0 to the agent, 1 to the master.
fn address(mail: &Mail) -> (&AgentId, usize) {
    match mail {
        Mail::ToAgent { to, .. } => (to, 0),
        Mail::ToMaster { from, .. } => (from, 1),
    }
}
