//! One type for everything that fires, and its window. No timers: callers ask what comes next.

use crate::cron::Cron;
use crate::interval::Interval;
use crate::timestamp::Timestamp;
use crate::zone::Zone;

/// When something fires. Equal schedules fire at the same instants, so one timer serves them all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {
    /// By a cron expression in a zone.
    Cron {
        /// The expression.
        cron: Cron,
        /// The zone whose local time it means.
        zone: Zone,
    },
    /// At a fixed rate.
    Every(Interval),
    /// Once.
    At(Timestamp),
}

/// A schedule that is live only within a window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedSchedule {
    /// When it would fire.
    pub schedule: Schedule,
    /// It fires strictly after this instant; `None` = from the beginning of time.
    pub start_after: Option<Timestamp>,
    /// It fires strictly before this instant; `None` = no end.
    pub end_before: Option<Timestamp>,
}

// === impl Schedule ===

impl Schedule {
    /// The first firing strictly after an instant.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { cron, zone } => cron.next_after(zone, after),
            Self::Every(interval) => interval.next_after(after),
            Self::At(at) => Some(*at).filter(|at| *at > after),
        }
    }

    /// The latest firing in `(after, at]`. Costs about the same however long the gap: a misfire
    /// policy that wants only the last missed firing need not count through the others.
    pub fn last_at_or_before(&self, at: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { cron, zone } => cron.last_at_or_before(zone, at, after),
            Self::Every(interval) => interval.last_at_or_before(at).filter(|last| *last > after),
            Self::At(once) => Some(*once).filter(|once| after < *once && *once <= at),
        }
    }

    /// The zone its local times are shown in: that of a cron expression, else UTC.
    pub fn zone(&self) -> Zone {
        match self {
            Self::Cron { zone, .. } => zone.clone(),
            Self::Every(_) | Self::At(_) => Zone::utc(),
        }
    }
}

// === impl BoundedSchedule ===

impl BoundedSchedule {
    /// The first firing strictly after an instant.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.schedule.next_after(self.start_after.map_or(after, |s| s.max(after)))?;
        self.end_before.is_none_or(|end| next < end).then_some(next)
    }

    /// The latest firing in `(after, at]`, see [`Schedule::last_at_or_before`].
    pub fn last_at_or_before(&self, at: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let after = self.start_after.map_or(after, |start| start.max(after));
        let at = match self.end_before {
            Some(end) => at.min(end.checked_sub(1)?),
            None => at,
        };
        self.schedule.last_at_or_before(at, after)
    }

    /// The firings in `(after, until]` in order, at most `limit` of them, and whether more were
    /// left out.
    pub fn firings_between(
        &self,
        after: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> (Vec<Timestamp>, bool) {
        let mut firings = Vec::new();
        let mut from = after;
        while let Some(firing) = self.next_after(from).filter(|firing| *firing <= until) {
            if firings.len() >= limit {
                return (firings, true);
            }
            firings.push(firing);
            from = firing;
        }
        (firings, false)
    }

    /// Number of firings in `(after, until]`, counted up to `limit`: `limit` means "that or more".
    pub fn count_between(&self, after: Timestamp, until: Timestamp, limit: usize) -> usize {
        let mut from = after;
        let mut count = 0;
        while count < limit
            && let Some(firing) = self.next_after(from).filter(|firing| *firing <= until)
        {
            count += 1;
            from = firing;
        }
        count
    }
}

impl From<Schedule> for BoundedSchedule {
    /// Without a window.
    fn from(schedule: Schedule) -> Self {
        Self { schedule, start_after: None, end_before: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn cron(expression: &str, zone: &str) -> BoundedSchedule {
        let cron = Cron::parse(expression).expect(expression);
        Schedule::Cron { cron, zone: Zone::parse(zone).expect(zone) }.into()
    }

    fn every(period_ms: u64, start_at: &str) -> BoundedSchedule {
        Schedule::Every(Interval { period_ms, start_at: ts(start_at), count: None }).into()
    }

    #[test]
    fn an_instant_fires_once() {
        let once = Schedule::At(ts("2026-11-20T02:00:00.500Z"));
        assert_eq!(
            once.next_after(ts("2026-11-20T02:00:00Z")),
            Some(once.next_after(Timestamp::MIN).expect("once"))
        );
        assert_eq!(once.next_after(ts("2026-11-20T02:00:00.500Z")), None);
        let at = |at: &str| once.last_at_or_before(ts(at), ts("2026-11-20T01:00:00Z"));
        assert_eq!(at("2026-11-20T02:00:00Z"), None);
        assert_eq!(at("2026-11-20T02:00:00.500Z"), Some(ts("2026-11-20T02:00:00.500Z")));
    }

    #[test]
    fn both_ends_of_the_window_are_outside() {
        let mut daily = cron("0 0 0 * * ?", "UTC");
        daily.start_after = Some(ts("2026-11-20T00:00:00Z"));
        daily.end_before = Some(ts("2026-11-23T00:00:00Z"));
        let (firings, truncated) = daily.firings_between(Timestamp::MIN, Timestamp::MAX, 10);
        assert_eq!(firings, [ts("2026-11-21T00:00:00Z"), ts("2026-11-22T00:00:00Z")]);
        assert!(!truncated);
        let last = daily.last_at_or_before(Timestamp::MAX, Timestamp::MIN);
        assert_eq!(last, firings.last().copied());
        daily.end_before = Some(Timestamp::MIN);
        assert_eq!(daily.last_at_or_before(Timestamp::MAX, Timestamp::MIN), None);
    }

    #[test]
    fn lists_of_firings_say_when_they_are_cut() {
        let minutely = every(60_000, "2026-11-20T00:00:00Z");
        let (after, until) = (ts("2026-11-20T00:00:00Z"), ts("2026-11-20T00:03:00Z"));
        let (all, truncated) = minutely.firings_between(after, until, 3);
        assert_eq!((all.len(), truncated), (3, false));
        assert_eq!(all.last(), Some(&until));
        let (some, truncated) = minutely.firings_between(after, until, 2);
        assert_eq!((some.as_slice(), truncated), (&all[..2], true));
        assert_eq!(minutely.firings_between(after, until, 0), (vec![], true));
        assert_eq!(minutely.firings_between(until, after, 5), (vec![], false));
        assert_eq!(minutely.count_between(after, until, 10), 3);
        assert_eq!(minutely.count_between(after, until, 2), 2);
    }

    /// The last of a gap equals the last of the full list, for schedules dense and sparse.
    #[test]
    fn the_last_firing_of_a_gap_is_the_last_of_its_list() {
        let until = ts("2026-11-01T12:34:56.789Z");
        for schedule in [
            cron("*/7 * * * * ?", "America/New_York"),
            cron("* * 1 * * ?", "America/New_York"),
            cron("0 30 1 * * ?", "America/New_York"),
            cron("0 0 0 ? * MON", "America/New_York"),
            cron("0 0 0 1 1 ?", "America/New_York"),
            every(90_000, "2026-10-01T00:00:30Z"),
            every(90_000, "2027-01-01T00:00:00Z"),
            Schedule::At(ts("2026-10-31T00:00:00Z")).into(),
        ] {
            for after in ["2026-10-31T00:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T12:34:55Z"] {
                let (all, truncated) = schedule.firings_between(ts(after), until, 1_000_000);
                assert!(!truncated);
                let last = schedule.last_at_or_before(until, ts(after));
                assert_eq!(last, all.last().copied(), "{schedule:?} after {after}");
            }
        }
    }

    #[test]
    fn a_gap_of_decades_of_seconds_is_no_work() {
        let secondly = cron("* * * * * ?", "Europe/Berlin");
        let until = ts("2098-06-01T12:00:00.999Z");
        assert_eq!(
            secondly.last_at_or_before(until, Timestamp::MIN),
            Some(ts("2098-06-01T12:00:00Z"))
        );
        let end = secondly.last_at_or_before(Timestamp::MAX, Timestamp::MIN);
        assert_eq!(end, Some(ts("2099-12-31T22:59:59Z")));
    }

    #[test]
    fn equal_schedules_are_equal_keys() {
        let (one, same) = (cron("0 0 2 * * ?", "UTC"), cron("0 0 2 * * ?", "utc"));
        assert_eq!(one, same);
        let all =
            [one, same, cron("0 0 2 * * ?", "Europe/Berlin"), every(5, "2026-01-01T00:00:00Z")];
        assert_eq!(std::collections::BTreeSet::from(all).len(), 3);
    }
}
