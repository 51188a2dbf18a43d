//! Who runs on this machine, read from /proc. Absent: any signal.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use rustix::process::Pid;

/// The most that is read of a process' environment, in bytes. The kernel allows a process some
/// megabytes; the variable that is looked for stands near the front of what the executor gives.
const ENVIRONMENT_LEN_MAX: u64 = 1024 * 1024;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Option<Pid>,
    pub(crate) group: Option<Pid>,
    /// Ended, and waiting for its parent to notice.
    pub(crate) zombie: bool,
    /// When it began, in ticks since the machine did: with its number it is one process and no other.
    pub(crate) started: u64,
}

/// Names one process, and no later one of the same number.
pub(crate) type ProcessKey = (Pid, u64);

// === impl Process ===

impl Process {
    pub(crate) fn key(&self) -> ProcessKey {
        (self.pid, self.started)
    }
}

/// The process of this number, if there is one.
pub(crate) fn find(pid: Pid) -> Option<Process> {
    parse_stat(&fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// The working directory of the process `pid`.
pub(crate) fn working_directory(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()
}

/// All descendants of `root`, parents before their children. Processes that come and go meanwhile
/// may be missing.
pub(crate) fn descendants(root: Pid) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .collect::<Vec<_>>();
    let all = pids.into_iter().filter_map(|pid| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(&stat)
    });
    below(root, all)
}

/// The value of the environment variable `name` in the process `pid`, as it was when its program
/// began.
pub(crate) fn environment_value(pid: Pid, name: &str) -> Option<Vec<u8>> {
    let file = fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let mut bytes = Vec::new();
    file.take(ENVIRONMENT_LEN_MAX).read_to_end(&mut bytes).ok()?;
    bytes
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_vec)
}

fn below(root: Pid, all: impl Iterator<Item = Process>) -> Vec<Process> {
    let mut children: HashMap<Pid, Vec<Process>> = HashMap::new();
    for process in all {
        if let Some(parent) = process.parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut at = 0;
    while let Some(process) = found.get(at) {
        let more = children.remove(&process.pid).unwrap_or_default();
        found.extend(more);
        at += 1;
    }
    found
}

/// How many fields of a stat stand between the group and the start time.
const FIELDS_TO_START: usize = 16;

/// Reads `pid (name) state ppid pgrp ... starttime ...`; the name may hold anything, parentheses included.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let text = String::from_utf8_lossy(stat);
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, _name) = head.split_once(" (")?;
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?;
    let mut pid_field = || fields.next()?.parse().ok().map(Pid::from_raw);
    let (parent, group) = (pid_field()?, pid_field()?);
    let zombie = matches!(state, "Z" | "X");
    let started = fields.nth(FIELDS_TO_START).and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
    Some(Process { pid: Pid::from_raw(pid.parse().ok()?)?, parent, group, zombie, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    fn process(raw: i32, parent: i32) -> Process {
        Process {
            pid: pid(raw),
            parent: Some(pid(parent)),
            group: Some(pid(raw)),
            zombie: false,
            started: 0,
        }
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let stat =
            b"4242 (a) Z (b \xff) S 17 4240 4240 0 -1 4194304 99 0 0 0 1 2 0 0 20 0 1 0 777 9";
        let expected = Process {
            pid: pid(4242),
            parent: Some(pid(17)),
            group: Some(pid(4240)),
            zombie: false,
            started: 777,
        };
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat(b"1 (x) Z 0 0 0").map(|p| (p.parent, p.zombie)), Some((None, true)));
        for bad in [&b""[..], b"1", b"1 (x)", b"1 (x) S", b"x (x) S 1 1", b"0 (x) S 1 1"] {
            assert_eq!(parse_stat(bad), None);
        }
    }

    #[test]
    fn only_descendants_are_found_and_parents_come_first() {
        let all = [process(9, 5), process(5, 2), process(3, 1), process(2, 1), process(4, 3)];
        let found: Vec<i32> = below(pid(2), all.into_iter())
            .iter()
            .map(|process| process.pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(found, [5, 9]);
    }

    #[test]
    fn this_process_is_among_the_descendants_of_its_parent() {
        let own = rustix::process::getpid();
        let parent = rustix::process::getppid().unwrap();
        assert!(descendants(parent).iter().any(|process| process.pid == own && !process.zombie));
    }

    #[test]
    fn the_environment_of_a_process_can_be_asked() {
        let own = rustix::process::getpid();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(environment_value(own, "PATH"), Some(path.into_bytes()));
        assert_eq!(environment_value(own, "NO_SUCH_VARIABLE"), None);
    }
}
