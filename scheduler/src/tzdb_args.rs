//! Which time zone data to fire by, on the command line and in the environment, and reading it from
//! a directory. Absent: what is done with it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use shiftwork_schedule::{Tzdb, TzdbError};

/// Where systems keep compiled zones; the first that is there counts.
const SYSTEM_DIRECTORIES: [&str; 3] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Not zones by IANA's names: the same data anew, with leap seconds, and links to what is set up here.
const NOT_ZONES: [&str; 4] = ["posix", "right", "localtime", "posixrules"];

/// What every compiled zone begins with.
const MAGIC: &[u8] = b"TZif";

/// The deepest names are like `America/Argentina/Buenos_Aires`; a link that leads in a circle ends.
const DEPTH_MAX: usize = 4;

/// The largest zones have under 4 KB; what is much larger is something else.
const ZONE_BYTES_MAX: u64 = 256 * 1024;

/// There are about 600 names; a directory of very many files is something else.
const FILES_MAX: usize = 10_000;

/// Releases are named like `2026e`; longer lines are something else.
const RELEASE_LEN_MAX: usize = 32;

/// A server's option.
#[derive(Debug, Clone, Args)]
pub struct TzdbArgs {
    /// Time zone data to fire by: bundled, system (/usr/share/zoneinfo), or a directory of compiled
    /// zones; read once at start. All schedulers of a registry should use the same. Executors fire
    /// DAEMON jobs by the data bundled with them
    #[arg(long, env = "SHIFTWORK_TZDB", default_value = "bundled", value_name = "SOURCE")]
    tzdb: TzdbChoice,
}

impl TzdbArgs {
    /// Puts it in force.
    ///
    /// # Errors
    /// As [`TzdbChoice::install`].
    pub fn install(&self) -> Result<(), TzdbChoiceError> {
        self.tzdb.install()
    }
}

/// Which data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TzdbChoice {
    /// That of this program.
    Bundled,
    /// That of the operating system.
    System,
    /// That of a directory.
    Directory(PathBuf),
}

/// Why the data that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TzdbChoiceError {
    /// The system has none.
    #[error(
        "this system has no time zone data (looked in {}): install it (tzdata), name its directory, \
         or use the bundled data",
        SYSTEM_DIRECTORIES.join(", ")
    )]
    NoSystem,
    /// A file or directory cannot be read.
    #[error(
        "cannot read the time zone data {} ({source}): name a directory of compiled zones that may \
         be read, or use the bundled data", path.display()
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a directory of zones.
    #[error(
        "{} is not time zone data ({problem}): name a directory of compiled zones, or use the \
         bundled data", path.display()
    )]
    Foreign {
        /// Which file or directory.
        path: PathBuf,
        /// What was unexpected.
        problem: &'static str,
    },
    /// The data itself is not usable.
    #[error(transparent)]
    Unusable(#[from] TzdbError),
}

impl FromStr for TzdbChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "bundled" => Self::Bundled,
            "system" => Self::System,
            path => Self::Directory(PathBuf::from(path)),
        })
    }
}

// === impl TzdbChoice ===

impl TzdbChoice {
    /// Reads the data and puts it in force for the process. Must come before anything is parsed.
    ///
    /// # Errors
    /// [`TzdbChoiceError`] says what is absent or cannot be read.
    pub fn install(&self) -> Result<(), TzdbChoiceError> {
        match self {
            // In force unless another one is.
            Self::Bundled => Ok(()),
            Self::System => {
                let there = SYSTEM_DIRECTORIES.iter().map(Path::new).find(|path| path.is_dir());
                Ok(read(there.ok_or(TzdbChoiceError::NoSystem)?)?.install()?)
            }
            Self::Directory(path) => Ok(read(path)?.install()?),
        }
    }
}

/// Reads all of a directory, so that nothing of it is asked for later on, when it may be another.
fn read(directory: &Path) -> Result<Tzdb, TzdbChoiceError> {
    let mut files = BTreeMap::new();
    collect(directory, "", 1, &mut files)?;
    Ok(Tzdb::from_tzif(&directory.display().to_string(), release(directory)?, &files)?)
}

fn collect(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), TzdbChoiceError> {
    let foreign = |problem| TzdbChoiceError::Foreign { path: directory.to_owned(), problem };
    if depth > DEPTH_MAX {
        return Err(foreign("its directories are nested too deeply"));
    }
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| TzdbChoiceError::Unreadable { path, source }
    };
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str().filter(|name| !NOT_ZONES.contains(name)) else { continue };
        let metadata = fs::metadata(&path).map_err(at(&path))?;
        if metadata.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if metadata.is_file() && metadata.len() <= ZONE_BYTES_MAX {
            let data = fs::read(&path).map_err(at(&path))?;
            if data.starts_with(MAGIC) {
                files.insert(format!("{prefix}{name}"), data);
            }
        }
        if files.len() > FILES_MAX {
            return Err(foreign("it holds too many files"));
        }
    }
    Ok(())
}

/// What the data says of its release: Linux keeps the source beside the zones, BSD and macOS a file
/// of its own. `None` if it says nothing.
fn release(directory: &Path) -> Result<Option<String>, TzdbChoiceError> {
    for (file, prefix) in [("tzdata.zi", "# version "), ("+VERSION", "")] {
        let path = directory.join(file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(TzdbChoiceError::Unreadable { path, source }),
        };
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix(prefix).map(str::trim).filter(|release| {
            let is_plain = release.chars().all(|c| c.is_ascii_graphic());
            is_plain && (1..=RELEASE_LEN_MAX).contains(&release.len())
        });
        if named.is_some() {
            return Ok(named.map(str::to_owned));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A compiled zone (RFC 9636, version 2) without a past: the rule of its footer holds for ever.
    fn zone() -> Vec<u8> {
        let mut block = b"TZif2".to_vec();
        block.extend([0; 15]);
        for count in [0u32, 0, 0, 0, 1, 4] {
            block.extend(count.to_be_bytes());
        }
        block.extend(3_600i32.to_be_bytes());
        block.extend(*b"\0\0LMT\0");
        let mut data = block.repeat(2);
        data.extend(b"\nCET-1CEST,M3.5.0,M10.5.0/3\n");
        data
    }

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["Europe", "posix", "America/Argentina"] {
            fs::create_dir_all(directory.path().join(folder)).unwrap();
        }
        for name in ["Europe/Berlin", "America/Argentina/Ushuaia", "posix/Paris", "localtime"] {
            fs::write(directory.path().join(name), zone()).unwrap();
        }
        fs::write(directory.path().join("zone.tab"), "# a table").unwrap();
        directory
    }

    #[test]
    fn zones_are_read_with_their_folders_and_what_is_no_zone_is_not() {
        let directory = directory();
        fs::write(directory.path().join("tzdata.zi"), "# version 2031a\nR x\n").unwrap();
        let mut files = BTreeMap::new();
        collect(directory.path(), "", 1, &mut files).unwrap();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["America/Argentina/Ushuaia", "Europe/Berlin"]);
        let tzdb = read(directory.path()).unwrap();
        assert_eq!(tzdb.release(), "2031a");
        assert_eq!(tzdb.source(), directory.path().to_str().unwrap());
    }

    #[test]
    fn the_release_may_stand_elsewhere_or_nowhere() {
        let directory = directory();
        assert!(read(directory.path()).unwrap().release().starts_with("checksum "));
        fs::write(directory.path().join("tzdata.zi"), "# This is something else\n").unwrap();
        fs::write(directory.path().join("+VERSION"), "2030c\n").unwrap();
        assert_eq!(read(directory.path()).unwrap().release(), "2030c");
    }

    #[test]
    fn what_is_absent_or_damaged_is_refused_with_its_path() {
        let directory = directory();
        let error = |path: &Path| read(path).unwrap_err().to_string();
        let absent = directory.path().join("absent");
        assert!(error(&absent).contains(&format!("{} (", absent.display())), "{}", error(&absent));
        let empty = tempfile::tempdir().unwrap();
        assert!(error(empty.path()).starts_with("there are no time zones in "));
        let file = directory.path().join("zone.tab");
        assert!(error(&file).contains("zone.tab"), "{}", error(&file));
        fs::write(directory.path().join("Europe/Rome"), b"TZif2 cut off").unwrap();
        assert!(error(directory.path()).contains("Europe/Rome"), "{}", error(directory.path()));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let directory = directory();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("Europe/again"))
            .unwrap();
        let error = read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("nested too deeply"), "{error}");
    }

    #[test]
    fn words_are_choices_and_all_else_is_a_directory() {
        assert_eq!("bundled".parse(), Ok(TzdbChoice::Bundled));
        assert_eq!("system".parse(), Ok(TzdbChoice::System));
        assert_eq!("./system".parse(), Ok(TzdbChoice::Directory(PathBuf::from("./system"))));
    }
}
