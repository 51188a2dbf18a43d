//! From local times to instants: the rule for DST. The dialect of the fields is not known here.

use super::parse::Fields;
use crate::zone::{Stretch, Zone};

/// Every hour of the day, as a set.
const EVERY_HOUR: u64 = (1 << 24) - 1;

/// No zone has moved its clocks by more than a day, and offsets stay within 26 hours; a stretch of
/// this length cannot be affected by what happens at its other end.
const FAR_S: i64 = 3 * 86_400;

/// Stretches looked at for one firing. Two or three suffice; the limit only guards against a zone
/// that changes its offset from hour to hour.
const STRETCHES_MAX: usize = 64;

/// How an expression behaves when clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One hour of the day: a local time, once a day whatever the clocks do.
    FixedTime,
    /// Several hours of the day: follows elapsed time through the change.
    ElapsedTime,
    /// All hours of the day: as before, and no hour is special enough to be made up for.
    EveryHour,
}

// === impl Fields ===

impl Fields {
    pub(super) fn pace(&self) -> Pace {
        match self.hours.len() {
            1 => Pace::FixedTime,
            _ if self.hours.0 == EVERY_HOUR => Pace::EveryHour,
            _ => Pace::ElapsedTime,
        }
    }

    /// The first firing not before `from_s`; both in seconds since the epoch.
    pub(super) fn next_firing(&self, zone: &Zone, from_s: i64) -> Option<i64> {
        let mut from_s = from_s;
        for _ in 0..STRETCHES_MAX {
            let stretch = zone.stretch_at(from_s)?;
            if let Some(firing) = self.first_in_stretch(stretch, from_s) {
                return Some(firing);
            }
            let end_s = stretch.end_s;
            if end_s == i64::MAX {
                return None;
            }
            // A stretch that ends soon may give way to one that repeats local times from before
            // `from_s`. Else nothing fires until shortly before the next fitting local time, and
            // the changes of the clocks until then need no look.
            from_s = if end_s.saturating_sub(from_s) < FAR_S {
                end_s
            } else {
                let local = self.next_local(from_s + stretch.offset_s)?;
                end_s.max(local - stretch.offset_s - FAR_S)
            };
        }
        None
    }

    /// The first firing of a stretch not before `from_s`, which lies in it.
    fn first_in_stretch(&self, stretch: Stretch, from_s: i64) -> Option<i64> {
        let made_up = self.made_up_after_gap(stretch, from_s);
        let mut local_from = from_s + stretch.offset_s;
        if self.pace() == Pace::FixedTime {
            // Local times below this were shown in the stretch before, and fired there.
            local_from = local_from.max(stretch.old_local_start_s());
        }
        let regular = self.next_local(local_from).map(|local| local - stretch.offset_s);
        made_up.into_iter().chain(regular).min().filter(|firing| *firing < stretch.end_s)
    }

    /// The first firing not before `from_s` whose local time was skipped when the clocks went
    /// forward at the start of the stretch.
    fn made_up_after_gap(&self, stretch: Stretch, from_s: i64) -> Option<i64> {
        let gap_end_s = stretch.local_start_s();
        if from_s + stretch.previous_offset_s >= gap_end_s {
            return None;
        }
        let skipped = |from| self.next_local(from).filter(|local| *local < gap_end_s);
        match self.pace() {
            // Once, at the first instant after the gap.
            Pace::FixedTime if from_s <= stretch.start_s => {
                skipped(stretch.old_local_start_s()).map(|_| stretch.start_s)
            }
            Pace::FixedTime | Pace::EveryHour => None,
            // As if the clocks had not been touched yet.
            Pace::ElapsedTime => skipped(from_s + stretch.previous_offset_s)
                .map(|local| local - stretch.previous_offset_s),
        }
    }
}
