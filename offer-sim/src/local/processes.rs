//! Processes of this machine, found through `/proc` and killed. Knows nothing of executors beyond
//! the mark they leave in the environment of what they start.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The mark: every task of an executor carries its sandbox in this variable.
const MARK: &[u8] = b"MESOS_SANDBOX=";
/// Pause between two looks for processes that were killed.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long killed processes may take to be gone. One that stays longer hangs in the kernel.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Which process, told apart from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Clock ticks from the machine's start to the process's: field 22 of its `stat`.
    pub(super) start_time: u64,
}

// === impl Process ===

impl Process {
    /// The process that has this number now, `None` when there is none or only its corpse.
    pub(super) fn find(pid: u32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may itself hold blanks and parentheses.
        let after_name = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(after_name + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
        let start_time = fields.nth(18)?.parse().ok()?;
        (!is_dead).then_some(Self { pid, start_time })
    }

    pub(super) fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }
}

/// Kills a process group, whatever is left of it.
pub(super) fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // Fails when nobody is left, which is what is wanted.
        let _gone = kill_process_group(pid, Signal::KILL);
    }
}

/// Kills every process that carries a sandbox at or below `sandbox`, until a look finds none: one
/// may have been started while the others were looked at. Blocks.
pub(super) fn kill_sandbox(sandbox: &Path) {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let found = of_sandbox(sandbox);
        if found.is_empty() {
            return;
        }
        for pid in &found {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _gone = kill_process(pid, Signal::KILL);
            }
        }
        if Instant::now() > deadline {
            tracing::error!(?found, sandbox = %sandbox.display(), "processes survive SIGKILL");
            return;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Live processes whose environment holds the mark of `sandbox`. Those of other users cannot be
/// read, and cannot be ours.
fn of_sandbox(sandbox: &Path) -> Vec<u32> {
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| is_marked(&environment, sandbox))
        })
        .filter(|pid| Process::find(*pid).is_some())
        .collect()
}

fn is_marked(environment: &[u8], sandbox: &Path) -> bool {
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(MARK))
        .any(|value| Path::new(OsStr::from_bytes(value)).starts_with(sandbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_whole_path_below_the_sandbox() {
        let sandbox = Path::new("/w/runs/a");
        for (environment, marked) in [
            (&b"X=1\0MESOS_SANDBOX=/w/runs/a\0"[..], true),
            (b"MESOS_SANDBOX=/w/runs/a/deeper", true),
            (b"MESOS_SANDBOX=/w/runs/ab\0", false),
            (b"NOT_MESOS_SANDBOX=/w/runs/a\0", false),
            (b"", false),
        ] {
            assert_eq!(is_marked(environment, sandbox), marked, "{environment:?}");
        }
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let own = Process::find(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start_time: own.start_time + 1, ..own }.is_alive());
        assert_eq!(Process::find(0), None);
    }
}
