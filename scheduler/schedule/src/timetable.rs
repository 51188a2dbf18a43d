//! A schedule with the days on which it does not fire. A firing on an excluded day is none: it is
//! not late, not missed, not moved. Absent: what happens to firings.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::schedule::BoundedSchedule;
use crate::timestamp::Timestamp;

/// Excluded days passed over in the search for one firing, more than ten years of a daily
/// schedule: a schedule and calendars that leave nothing must not be searched to the end of time.
const EXCLUDED_MAX: usize = 4_000;

/// When something fires, all considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// When it would fire.
    pub schedule: Arc<BoundedSchedule>,
    /// On their days it does not.
    pub calendars: Vec<Arc<Calendar>>,
}

impl From<BoundedSchedule> for Timetable {
    /// Without calendars.
    fn from(schedule: BoundedSchedule) -> Self {
        Self { schedule: Arc::new(schedule), calendars: Vec::new() }
    }
}

impl Timetable {
    /// The first firing strictly after an instant; none if the next ten years or so have none.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        for _ in 0..EXCLUDED_MAX {
            let firing = self.schedule.next_after(from)?;
            match self.excluded_span(firing) {
                None => return Some(firing),
                Some((_, last)) => from = last,
            }
        }
        None
    }

    /// The latest firing in `(after, at]`.
    pub fn last_at_or_before(&self, at: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let mut until = at;
        for _ in 0..EXCLUDED_MAX {
            let firing = self.schedule.last_at_or_before(until, after)?;
            match self.excluded_span(firing) {
                None => return Some(firing),
                Some((first, _)) => until = first.checked_sub(1)?,
            }
        }
        None
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

    fn excluded_span(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.calendars.iter().find_map(|calendar| calendar.excluded_span(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::LocalDate;
    use crate::cron::Cron;
    use crate::interval::Interval;
    use crate::schedule::Schedule;
    use crate::zone::Zone;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(expression: &str, zone: &str) -> BoundedSchedule {
        let cron = Cron::parse(expression).unwrap();
        Schedule::Cron { cron, zone: Zone::parse(zone).unwrap() }.into()
    }

    fn calendar(zone: &str, weekdays: &[u32], ranges: &[(&str, &str)]) -> Arc<Calendar> {
        let date = |text: &str| text.parse::<LocalDate>().unwrap();
        let ranges = ranges.iter().map(|(from, to)| (date(from), date(to)));
        let zone = Zone::parse(zone).unwrap();
        Arc::new(Calendar::new(zone, weekdays.iter().copied(), ranges))
    }

    fn timetable(schedule: BoundedSchedule, calendars: Vec<Arc<Calendar>>) -> Timetable {
        Timetable { schedule: Arc::new(schedule), calendars }
    }

    #[test]
    fn excluded_days_are_passed_over() {
        let daily = timetable(
            cron("0 0 2 * * ?", "Europe/Berlin"),
            vec![
                calendar("Europe/Berlin", &[0, 6], &[]),
                calendar("UTC", &[], &[("2026-12-24", "2026-12-26")]),
            ],
        );
        // Wednesday, then the holidays, then the weekend.
        let (firings, more) =
            daily.firings_between(ts("2026-12-23T00:00:00Z"), ts("2026-12-30T00:00:00Z"), 9);
        let expected = ["2026-12-23T01:00:00Z", "2026-12-28T01:00:00Z", "2026-12-29T01:00:00Z"];
        assert_eq!((firings, more), (expected.map(ts).to_vec(), false));
        let last = daily.last_at_or_before(ts("2026-12-27T20:00:00Z"), ts("2026-12-01T00:00:00Z"));
        assert_eq!(last, Some(ts("2026-12-23T01:00:00Z")));
    }

    #[test]
    fn where_nothing_is_left_the_search_ends() {
        let calendars = vec![calendar("UTC", &[0, 6], &[]), calendar("UTC", &[1, 2, 3, 4, 5], &[])];
        let never = timetable(cron("* * * * * ?", "UTC"), calendars);
        assert_eq!(never.next_after(ts("2026-11-20T00:00:00Z")), None);
        assert_eq!(never.last_at_or_before(ts("2026-11-20T00:00:00Z"), Timestamp::MIN), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// The firings of a timetable are those of its schedule whose local dates are not excluded.
        #[test]
        fn a_timetable_is_the_schedule_less_the_excluded(
            period_ms in 600_000_u64..200_000_000,
            weekday in 0_u32..7,
            range_start in 0_i64..40,
            zone in prop_oneof![Just("Europe/Berlin"), Just("America/St_Johns"), Just("UTC")],
            start in 0_i64..30 * 86_400_000,
        ) {
            let origin = ts("2026-10-10T00:00:00Z");
            let interval = Interval { period_ms, start_at: origin.plus_millis(start), count: None };
            let schedule: BoundedSchedule = Schedule::Every(interval).into();
            let first = origin.plus_millis(range_start * 86_400_000).to_string()[..10].to_owned();
            let calendar = calendar(zone, &[weekday], &[(&first, &first)]);
            let (after, until) = (origin, origin.plus_millis(60 * 86_400_000));
            let (all, _) = schedule.firings_between(after, until, usize::MAX);
            let expected: Vec<_> =
                all.into_iter().filter(|at| !calendar.excludes(*at)).collect();
            let timetable = timetable(schedule, vec![calendar]);
            let (firings, more) = timetable.firings_between(after, until, usize::MAX);
            prop_assert!(!more);
            prop_assert_eq!(timetable.last_at_or_before(until, after), expected.last().copied());
            prop_assert_eq!(firings, expected);
        }
    }
}
