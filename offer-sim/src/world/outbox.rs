//! The schedulers' streams when they are slow: events leave one at a time, in their order. An
//! outbox that is not slow holds nothing.

use std::collections::VecDeque;

use super::event::Effect;
use super::timers::{Timer, Timers};

/// What waits to leave.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Effect>,
    /// Between two events, and until when; `None` when streams are as fast as they can be.
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    interval_ms: u64,
    until_ms: u64,
}

// === impl Outbox ===

impl Outbox {
    /// Slows all streams down for a while.
    pub(super) fn slow(&mut self, now_ms: u64, timers: &mut Timers, interval_ms: u64, for_ms: u64) {
        let until_ms = now_ms.saturating_add(for_ms);
        self.pace = Some(Pace { interval_ms: interval_ms.max(1), until_ms });
        timers.set(now_ms + interval_ms.max(1), Timer::Outbox);
    }

    /// Lets everything out from the next event on.
    pub(super) fn end(&mut self, now_ms: u64, timers: &mut Timers) {
        if self.pace.is_some() {
            self.pace = Some(Pace { interval_ms: 1, until_ms: now_ms });
            timers.set(now_ms, Timer::Outbox);
        }
    }

    /// Passes an effect on, now or in its turn. Only what goes to schedulers ever waits.
    pub(super) fn push(&mut self, effect: Effect, effects: &mut Vec<Effect>) {
        let to_scheduler =
            matches!(effect, Effect::ToScheduler { .. } | Effect::CloseScheduler { .. });
        if to_scheduler && self.pace.is_some() {
            self.waiting.push_back(effect);
        } else {
            effects.push(effect);
        }
    }

    /// The next event's turn, or everything's when the slowness is over.
    pub(super) fn release(&mut self, now_ms: u64, timers: &mut Timers, effects: &mut Vec<Effect>) {
        let Some(pace) = self.pace else { return };
        if now_ms >= pace.until_ms {
            self.pace = None;
            effects.extend(self.waiting.drain(..));
            return;
        }
        effects.extend(self.waiting.pop_front());
        timers.set((now_ms + pace.interval_ms).min(pace.until_ms), Timer::Outbox);
    }
}
