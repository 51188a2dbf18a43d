//! What will happen when: the one queue that moves the world's time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Things to come, in the order of their time and, at the same time, of their entry.
#[derive(Debug)]
pub(crate) struct Calendar<T> {
    /// The true time, milliseconds since the epoch. Clocks of schedulers may differ.
    pub(crate) now: i64,
    entered: u64,
    heap: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    at: i64,
    number: u64,
    what: T,
}

// === impl Calendar ===

impl<T> Calendar<T> {
    pub(crate) fn new(now: i64) -> Self {
        Self { now, entered: 0, heap: BinaryHeap::new() }
    }

    /// Enters something; what would lie in the past happens next.
    pub(crate) fn at(&mut self, at: i64, what: T) {
        self.entered += 1;
        let at = at.max(self.now);
        self.heap.push(Entry { at, number: self.entered, what });
    }

    /// Enters something for `ms` from now.
    pub(crate) fn after(&mut self, ms: i64, what: T) {
        self.at(self.now + ms, what);
    }

    /// Takes what happens next and moves the time there.
    pub(crate) fn next(&mut self) -> Option<T> {
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<i64> {
        self.heap.peek().map(|entry| entry.at)
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    fn key(&self) -> (i64, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// Reversed: the heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_of_time_then_entry() {
        let mut calendar = Calendar::new(100);
        calendar.after(5, "late");
        calendar.at(1, "past");
        calendar.after(2, "first");
        calendar.after(2, "second");
        let order: Vec<_> = std::iter::from_fn(|| calendar.next()).collect();
        assert_eq!(order, ["past", "first", "second", "late"]);
        assert_eq!(calendar.now, 105);
    }
}
