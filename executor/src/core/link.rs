//! The connection to the agent as the core sees it: when to subscribe again, and when a lost agent
//! is lost for good. Absent: sockets.

use super::event::Now;

/// The first pause after a lost subscription; doubled up to the agent's bound.
const BACKOFF_FIRST_MS: u64 = 100;
/// A subscription that lasted this long was a good one: the pauses after it begin small again. One
/// that the agent accepts and drops at once must not become a hot loop.
const STABLE_MS: u64 = 10_000;
/// How long an executor tries to subscribe for the first time. Mesos' own default for the agent's
/// side of the same wait (`--executor_registration_timeout`).
const REGISTRATION_TIMEOUT_MS: u64 = 60_000;

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    state: State,
    backoff_ms_max: u64,
    recovery_timeout_ms: Option<u64>,
    ever_subscribed: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Away { since_ms: u64, retry_at_ms: u64, backoff_ms: u64 },
    Subscribing { since_ms: u64, backoff_ms: u64 },
    Subscribed { since_ms: u64, backoff_ms: u64 },
}

/// What the connection asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Subscribe,
    GiveUp,
}

// === impl Link ===

impl Link {
    pub(super) fn new(now: Now, backoff_ms_max: u64, recovery_timeout_ms: Option<u64>) -> Self {
        let at_ms = now.mono_ms;
        let state =
            State::Away { since_ms: at_ms, retry_at_ms: at_ms, backoff_ms: BACKOFF_FIRST_MS };
        // A bound below the first pause would make a hot loop of it.
        let backoff_ms_max = backoff_ms_max.max(BACKOFF_FIRST_MS);
        Self { state, backoff_ms_max, recovery_timeout_ms, ever_subscribed: false }
    }

    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.state, State::Subscribed { .. })
    }

    /// Says whether a subscription was awaited at all.
    pub(super) fn on_subscribed(&mut self, now: Now) -> bool {
        let State::Subscribing { backoff_ms, .. } = self.state else {
            return false;
        };
        self.state = State::Subscribed { since_ms: now.mono_ms, backoff_ms };
        self.ever_subscribed = true;
        true
    }

    pub(super) fn on_disconnected(&mut self, now: Now) {
        let (since_ms, before_ms) = match self.state {
            State::Away { .. } => return,
            State::Subscribing { since_ms, backoff_ms } => (since_ms, Some(backoff_ms)),
            State::Subscribed { since_ms, backoff_ms } => {
                let lasted_ms = now.mono_ms.saturating_sub(since_ms);
                (now.mono_ms, (lasted_ms < STABLE_MS).then_some(backoff_ms))
            }
        };
        let backoff_ms = before_ms.map_or(BACKOFF_FIRST_MS, |before_ms| {
            before_ms.saturating_mul(2).min(self.backoff_ms_max)
        });
        let retry_at_ms = now.mono_ms.saturating_add(backoff_ms);
        self.state = State::Away { since_ms, retry_at_ms, backoff_ms };
    }

    pub(super) fn on_time(&mut self, now: Now) -> Option<Demand> {
        if self.lost_at_ms().is_some_and(|at_ms| at_ms <= now.mono_ms) {
            return Some(Demand::GiveUp);
        }
        match self.state {
            State::Away { since_ms, retry_at_ms, backoff_ms } if retry_at_ms <= now.mono_ms => {
                self.state = State::Subscribing { since_ms, backoff_ms };
                Some(Demand::Subscribe)
            }
            _ => None,
        }
    }

    /// The next monotonic moment at which [`Link::on_time`] has something to say.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let lost_at_ms = self.lost_at_ms();
        match self.state {
            State::Away { retry_at_ms, .. } => {
                Some(lost_at_ms.map_or(retry_at_ms, |at_ms| at_ms.min(retry_at_ms)))
            }
            State::Subscribing { .. } | State::Subscribed { .. } => lost_at_ms,
        }
    }

    fn lost_at_ms(&self) -> Option<u64> {
        let since_ms = match self.state {
            State::Away { since_ms, .. } | State::Subscribing { since_ms, .. } => since_ms,
            State::Subscribed { .. } => return None,
        };
        let patience_ms = if self.ever_subscribed {
            self.recovery_timeout_ms.unwrap_or(0)
        } else {
            REGISTRATION_TIMEOUT_MS
        };
        Some(since_ms.saturating_add(patience_ms))
    }
}
