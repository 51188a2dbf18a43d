//! A cgroup (v2) for each script, where the host lets us have one: its processes are killed in one
//! stroke, and what they used is counted whole. Absent: limits, which are Mesos' business; and any
//! reliance on it, as most of what is done here is done without cgroups as well.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

use crate::core::{Usage, WorkId};

/// What stands in a cgroup's name before the number of the executor that made it.
const NAME_PREFIX: &str = "shiftwork-";

/// Where the cgroups of scripts are made.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// `None` where the host has none for us.
    own: Option<PathBuf>,
}

/// The cgroup of one script; dropping it gives it back once it is empty.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
}

// === impl Cgroups ===

impl Cgroups {
    /// Makes a cgroup below the one this process is in. Where that is not possible, which is said
    /// once, scripts stay where the executor is.
    pub(crate) fn new() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let parent = place(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        if let Some(parent) = &parent {
            clear_away(parent, |pid| Path::new("/proc").join(pid).exists());
        }
        let own =
            parent.map(|parent| parent.join(format!("{NAME_PREFIX}{}", getpid()))).filter(|own| {
                // An earlier process of this number may have left it, if it was killed.
                let made = fs::create_dir(own).is_ok() || own.is_dir();
                made && own.join("cgroup.kill").exists()
            });
        if let Some(own) = &own {
            tracing::info!(cgroup = %own.display(), "scripts have cgroups");
        } else {
            tracing::info!("the host gives no cgroups (v2): scripts are found by process");
        }
        Self { own }
    }

    /// A cgroup with the first process of a script in it. What that has forked before it is moved
    /// stays outside, and is found as anything is where there are no cgroups.
    pub(crate) fn begin(&self, work: WorkId, leader: Pid) -> Option<Cgroup> {
        let dir = self.own.as_ref()?.join(work.to_string());
        fs::create_dir(&dir).ok()?;
        let cgroup = Cgroup { dir };
        fs::write(cgroup.dir.join("cgroup.procs"), leader.to_string()).ok()?;
        Some(cgroup)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            // Not while something is in it, which then goes with the container.
            let _left = fs::remove_dir(own);
        }
    }
}

// === impl Cgroup ===

impl Cgroup {
    /// Kills every process in it, and those that are being forked.
    pub(crate) fn kill(&self) {
        // It can only fail when the cgroup is gone.
        let _gone = fs::write(self.dir.join("cgroup.kill"), "1");
    }

    /// What all processes that were ever in it have used, beside what is known of the first.
    pub(crate) fn usage(&self, known: Usage) -> Usage {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        // The peak is there only if somebody has turned the memory controller on for us.
        let peak = read("memory.peak").trim().parse().unwrap_or(0);
        Usage {
            memory_peak_bytes: known.memory_peak_bytes.max(peak),
            cpu_time_ms: known.cpu_time_ms.max(cpu_time_us(&read("cpu.stat")) / 1_000),
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Not while something is in it, which then goes with the container.
        let _left = fs::remove_dir(&self.dir);
    }
}

/// Removes what executors that were killed have left. Only what is empty can be removed at all.
fn clear_away(parent: &Path, is_alive: impl Fn(&str) -> bool) {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries(parent) {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME_PREFIX));
        if pid.is_some_and(|pid| !is_alive(pid)) {
            for script in entries(&entry.path()) {
                let _in_use = fs::remove_dir(script.path());
            }
            let _in_use = fs::remove_dir(entry.path());
        }
    }
}

/// The directory of the cgroup this process is in, from its two descriptions in /proc.
fn place(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let mount = mountinfo.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| fields.split(' ').nth(4))?
    })?;
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A path outside the cgroup namespace is not ours to use.
    (!path.split('/').any(|part| part == "..")).then(|| Path::new(mount).join(path))
}

fn cpu_time_us(stat: &str) -> u64 {
    let value = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_in_either_layout() {
        let unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "29 24 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let own = |mounts: &str, cgroup: &str| place(mounts, cgroup);
        assert_eq!(own(unified, "0::/mesos/x\n"), Some("/sys/fs/cgroup/mesos/x".into()));
        assert_eq!(
            own(hybrid, "4:memory:/y\n0::/\n"),
            Some(PathBuf::from("/sys/fs/cgroup/unified/"))
        );
        assert_eq!(own("", "0::/x"), None);
        assert_eq!(own(unified, "4:memory:/y"), None);
        assert_eq!(own(unified, "0::/../x"), None);
    }

    #[test]
    fn only_what_the_dead_left_empty_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["shiftwork-1/7", "shiftwork-2/8", "shiftwork-3/9/full", "other-1"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        clear_away(dir.path(), |pid| pid == "2");
        let is_left = |path: &str| dir.path().join(path).exists();
        assert!(!is_left("shiftwork-1"));
        assert!(is_left("shiftwork-2/8") && is_left("shiftwork-3/9/full") && is_left("other-1"));
    }

    #[test]
    fn cpu_time_is_read_from_the_statistics() {
        assert_eq!(cpu_time_us("usage_usec 1234\nuser_usec 1000\n"), 1234);
        assert_eq!(cpu_time_us("nonsense"), 0);
    }
}
