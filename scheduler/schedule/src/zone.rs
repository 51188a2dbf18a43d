//! IANA time zones as stretches of constant offset. Absent: which data they come from, see `tzdb.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::tz::TimeZone;

use crate::timestamp::Timestamp;
use crate::tzdb::tzdb;

/// An IANA time zone, for example `Europe/Berlin`. Cheap to clone; ordered by name.
#[derive(Clone)]
pub struct Zone {
    rules: TimeZone,
}

/// Why a name is not a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Nothing given.
    #[error("the time zone is empty: write an IANA name such as UTC or Europe/Berlin")]
    Empty,
    /// `+02:00` or `UTC+2`.
    #[error(
        "time zone {name:?} is an offset, which knows no DST: write an IANA name such as \
         Europe/Berlin, or Etc/GMT-2 for a fixed UTC+2"
    )]
    Offset {
        /// What was given.
        name: String,
    },
    /// Not in the database, but a name like it is.
    #[error("time zone {name:?} is not in the IANA database ({version}); did you mean {nearest}?")]
    Misspelt {
        /// What was given.
        name: String,
        /// The name most like it.
        nearest: String,
        /// Which one, as [`tzdb`](crate::tzdb()) shows it.
        version: String,
    },
    /// Not in the database.
    #[error(
        "time zone {name:?} is not in the IANA database ({version}): write Area/City as in \
         Europe/Berlin or America/New_York, or UTC"
    )]
    Unknown {
        /// What was given.
        name: String,
        /// Which one, as [`tzdb`](crate::tzdb()) shows it.
        version: String,
    },
}

/// Names longer than this are cut in errors and not compared: the longest of the database has 32.
const NAME_LEN_MAX: usize = 64;

/// A suggestion may differ from the name given by this many edits; more would be a guess.
const SUGGESTION_EDITS_MAX: usize = 2;

/// Shorter names are abbreviations such as BST, whose neighbours (EST) are far away.
const SUGGESTION_LEN_MIN: usize = 5;

// === impl Zone ===

impl Zone {
    /// Looks a name up, without regard to ASCII case.
    ///
    /// # Errors
    /// [`ZoneError`] names what was given and what to write instead.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        let name = name.trim();
        if name.is_empty() {
            return Err(ZoneError::Empty);
        }
        tzdb().get(name).map(|rules| Self { rules }).ok_or_else(|| not_found(name))
    }

    /// Coordinated universal time.
    pub const fn utc() -> Self {
        Self { rules: TimeZone::UTC }
    }

    /// The name as the database spells it.
    pub fn name(&self) -> &str {
        self.rules.iana_name().unwrap_or("UTC")
    }

    /// Local time with offset and zone, `2027-03-28T03:00:00+02:00[Europe/Berlin]`; instants
    /// beyond the year 9999 are written in UTC.
    pub fn format(&self, instant: Timestamp) -> String {
        match jiff::Timestamp::from_millisecond(instant.as_millis()) {
            Ok(at) => at.to_zoned(self.rules.clone()).to_string(),
            Err(_) => instant.to_string(),
        }
    }

    /// The instant that a local time without offset names, `2026-11-20T02:00` or with seconds; where
    /// it is in a gap or occurs twice, the first that fits as RFC 5545 has it. `None` for what is no
    /// local time.
    pub fn parse_local(&self, text: &str) -> Option<Timestamp> {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let at = local.to_zoned(self.rules.clone()).ok()?.timestamp();
        Some(Timestamp::from_millis(at.as_millisecond()))
    }

    /// The stretch of constant offset that holds an instant, in seconds since the epoch. `None`
    /// beyond the years -9999 and 9999.
    pub(crate) fn stretch_at(&self, instant_s: i64) -> Option<Stretch> {
        let at = jiff::Timestamp::from_second(instant_s).ok()?;
        // `preceding` is strict, and a stretch holds its first instant.
        let just_after = jiff::Timestamp::from_second(instant_s + 1).ok()?;
        let offset_s = i64::from(self.rules.to_offset(at).seconds());
        let begins = self.rules.preceding(just_after).next().map(|change| change.timestamp());
        let ends = self.rules.following(at).next().map(|change| change.timestamp());
        let before = begins.and_then(|at| jiff::Timestamp::from_second(at.as_second() - 1).ok());
        Some(Stretch {
            start_s: begins.map_or(i64::MIN, jiff::Timestamp::as_second),
            end_s: ends.map_or(i64::MAX, jiff::Timestamp::as_second),
            offset_s,
            previous_offset_s: before
                .map_or(offset_s, |at| i64::from(self.rules.to_offset(at).seconds())),
        })
    }
}

/// A longest run of instants during which a zone's offset does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub(crate) struct Stretch {
    /// First instant, seconds since the epoch; `i64::MIN` for the first stretch.
    pub(crate) start_s: i64,
    /// First instant no longer in it; `i64::MAX` for the last stretch.
    pub(crate) end_s: i64,
    /// Local time less UTC.
    pub(crate) offset_s: i64,
    /// That of the stretch before; the same as `offset_s` when there is none.
    pub(crate) previous_offset_s: i64,
}

impl Stretch {
    /// Local time at its first instant by the old offset: what the clocks would have shown.
    pub(crate) fn old_local_start_s(self) -> i64 {
        self.start_s.saturating_add(self.previous_offset_s)
    }

    /// Local time at its first instant: what the clocks were moved to.
    pub(crate) fn local_start_s(self) -> i64 {
        self.start_s.saturating_add(self.offset_s)
    }
}

fn not_found(name: &str) -> ZoneError {
    let shown: String = name.chars().take(NAME_LEN_MAX).collect();
    let version = tzdb().to_string();
    let after_utc = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).unwrap_or(name);
    if after_utc.starts_with(['+', '-']) {
        return ZoneError::Offset { name: shown };
    }
    match nearest_name(&shown) {
        Some(nearest) => ZoneError::Misspelt { name: shown, nearest, version },
        None => ZoneError::Unknown { name: shown, version },
    }
}

/// The name of the database most like `name`: its city alone, or a few letters off.
fn nearest_name(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let mut best: Option<(usize, String)> = None;
    for candidate in tzdb().names() {
        let lower = candidate.to_lowercase();
        let city = lower.rsplit('/').next().unwrap_or(&lower);
        let edits = if city == wanted {
            0
        } else if wanted.len() < SUGGESTION_LEN_MIN {
            continue;
        } else {
            edit_distance(&wanted, &lower)
        };
        let better = best.as_ref().is_none_or(|(least, _)| edits < *least);
        if edits <= SUGGESTION_EDITS_MAX && better {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// Fewest insertions, removals and replacements that make one text of another.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, c) in from.chars().enumerate() {
        let mut next = vec![removed + 1];
        for (i, wanted) in to.iter().enumerate() {
            let replaced = row.get(i).copied().unwrap_or(0) + usize::from(c != *wanted);
            let shorter = row.get(i + 1).copied().unwrap_or(0) + 1;
            let longer = next.last().copied().unwrap_or(0) + 1;
            next.push(replaced.min(shorter).min(longer));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect(text).floor_seconds()
    }

    #[test]
    fn names_are_spelt_as_the_database_does() {
        let check = |given: &str, name: &str| {
            assert_eq!(Zone::parse(given).expect(given).name(), name);
        };
        check("europe/berlin", "Europe/Berlin");
        check(" America/New_York ", "America/New_York");
        check("utc", "UTC");
        check("Etc/GMT-2", "Etc/GMT-2");
        assert_eq!(Zone::utc(), Zone::parse("UTC").expect("UTC"));
        assert!(Zone::utc() > Zone::parse("Europe/Berlin").expect("Berlin"));
    }

    #[test]
    fn errors_name_the_zone_and_a_way_out() {
        let check = |given: &str, expected: &str| {
            let error = Zone::parse(given).expect_err(given).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("", "write an IANA name");
        check("+02:00", "\"+02:00\" is an offset");
        check("UTC+2", "\"UTC+2\" is an offset");
        check("Berlin", "did you mean Europe/Berlin?");
        check("Europe/Berlim", "did you mean Europe/Berlin?");
        check("new york", "did you mean America/New_York?");
        check("Mars/Olympus_Mons", "write Area/City");
        check("Etc/Unknown", "\"Etc/Unknown\" is not in the IANA database (bundled 2");
        check(&"x".repeat(5_000), "write Area/City");
    }

    #[test]
    fn stretches_meet_at_the_changes_of_the_clocks() {
        let berlin = Zone::parse("Europe/Berlin").expect("Berlin");
        let summer = berlin.stretch_at(at("2027-03-28T01:00:00Z")).expect("in range");
        assert_eq!(
            summer,
            Stretch {
                start_s: at("2027-03-28T01:00:00Z"),
                end_s: at("2027-10-31T01:00:00Z"),
                offset_s: 7_200,
                previous_offset_s: 3_600,
            }
        );
        let winter = berlin.stretch_at(summer.start_s - 1).expect("in range");
        assert_eq!((winter.end_s, winter.offset_s), (summer.start_s, 3_600));
        assert_eq!(berlin.stretch_at(summer.end_s - 1), Some(summer));
    }

    #[test]
    fn utc_is_one_stretch() {
        let stretch = Zone::utc().stretch_at(0).expect("in range");
        assert_eq!((stretch.start_s, stretch.end_s), (i64::MIN, i64::MAX));
        assert_eq!(Zone::utc().stretch_at(i64::MAX / 2), None);
    }
}
