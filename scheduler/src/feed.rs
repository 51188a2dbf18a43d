//! What happened lately, in order and with a key each, for whoever watches. Absent: what happened
//! before that; a watcher that comes from further back reads the history first.
//!
//! The owner adds events when what they tell of is durable. Watchers read by key at their own pace:
//! a slow one delays nobody and misses nothing, it only ends up reading the history.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::trace::{EventKey, EventRow};

/// Events kept: some seconds of a busy cluster, so that a watcher that reads steadily never needs
/// the history.
const EVENTS_MAX: usize = 16_384;

/// The latest events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    recent: Arc<Mutex<Recent>>,
    latest: watch::Sender<EventKey>,
}

#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<Arc<EventRow>>,
    /// Every event behind this key is kept.
    complete_behind: EventKey,
}

/// The events behind a key are no longer all kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOld {
    /// All behind this key are.
    pub complete_behind: EventKey,
}

impl Default for Feed {
    fn default() -> Self {
        Self { recent: Arc::default(), latest: watch::channel(EventKey::default()).0 }
    }
}

// === impl Feed ===

impl Feed {
    /// A tenure begins: its events are all that will be kept.
    pub(crate) fn begin(&self, epoch: u64) {
        let start = EventKey { epoch, sequence: 0 };
        let mut recent = self.recent();
        recent.events.clear();
        recent.complete_behind = start;
        drop(recent);
        self.latest.send_replace(start);
    }

    /// Adds events, in their order.
    pub(crate) fn add(&self, events: Vec<Arc<EventRow>>) {
        let Some(last) = events.last().map(|event| event.key()) else { return };
        let mut recent = self.recent();
        recent.events.extend(events);
        while recent.events.len() > EVENTS_MAX {
            if let Some(gone) = recent.events.pop_front() {
                recent.complete_behind = gone.key();
            }
        }
        drop(recent);
        self.latest.send_replace(last);
    }

    /// The key of the latest event, and when there is another.
    pub fn latest(&self) -> watch::Receiver<EventKey> {
        self.latest.subscribe()
    }

    /// The events behind a key, at most `limit`.
    ///
    /// # Errors
    /// When the key is so old that some of them are no longer kept.
    pub fn behind(&self, key: EventKey, limit: usize) -> Result<Vec<Arc<EventRow>>, TooOld> {
        let recent = self.recent();
        if key < recent.complete_behind {
            return Err(TooOld { complete_behind: recent.complete_behind });
        }
        let first = recent.events.partition_point(|event| event.key() <= key);
        Ok(recent.events.iter().skip(first).take(limit).cloned().collect())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // Whoever panicked had it whole: each change above is one step.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(epoch: u64, sequence: u64) -> Arc<EventRow> {
        Arc::new(EventRow { epoch, sequence, ..EventRow::default() })
    }

    fn sequences(feed: &Feed, behind: EventKey, limit: usize) -> Vec<u64> {
        let events = feed.behind(behind, limit).unwrap();
        events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn watchers_go_on_behind_what_they_have() {
        let feed = Feed::default();
        feed.begin(3);
        let start = EventKey { epoch: 3, sequence: 0 };
        assert!(sequences(&feed, start, 9).is_empty());
        // Not every number is an event's.
        feed.add(vec![event(3, 1), event(3, 4), event(3, 5)]);
        assert_eq!(sequences(&feed, start, 2), [1, 4]);
        assert_eq!(sequences(&feed, EventKey { epoch: 3, sequence: 2 }, 9), [4, 5]);
        assert_eq!(*feed.latest().borrow(), EventKey { epoch: 3, sequence: 5 });
        let former = feed.behind(EventKey { epoch: 2, sequence: 99 }, 9);
        assert_eq!(former.unwrap_err(), TooOld { complete_behind: start });
    }

    #[test]
    fn what_is_dropped_is_said_to_be() {
        let feed = Feed::default();
        feed.begin(1);
        let count = EVENTS_MAX as u64 + 10;
        feed.add((1..=count).map(|sequence| event(1, sequence)).collect());
        let complete_behind = EventKey { epoch: 1, sequence: 10 };
        let old = feed.behind(EventKey { epoch: 1, sequence: 9 }, 1);
        assert_eq!(old.unwrap_err(), TooOld { complete_behind });
        assert_eq!(sequences(&feed, complete_behind, 1), [11]);
    }
}
