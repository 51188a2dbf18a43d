//! Where a task's files lie in the executor's sandbox, and how long they stay. Absent: what is
//! written into them.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::core::TaskId;

/// The directory of all tasks, in the sandbox.
const TASKS_DIR: &str = "tasks";
/// The longest directory name, in bytes; file systems stop here. A task id that fits is its own name,
/// so that whoever knows the task finds its files; the longest the scheduler makes does.
const NAME_LEN_MAX: usize = 255;
/// How much of a task id that is not fit for a name goes into the one made for it, in bytes.
const SAFE_PART_LEN_MAX: usize = 200;
/// How many directories of ended tasks stay. An executor may live for months and run a task a
/// second; Mesos clears a sandbox only after its executor is gone.
const ENDED_KEPT_MAX: usize = 200;

/// The task directories of this executor.
#[derive(Debug)]
pub(crate) struct Sandbox {
    root: PathBuf,
    ended: VecDeque<PathBuf>,
}

// === impl Sandbox ===

impl Sandbox {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, ended: VecDeque::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the working directory of `task`, or finds it made by an earlier firing.
    pub(crate) fn make_task_dir(&self, task: &TaskId) -> io::Result<PathBuf> {
        let dir = self.task_dir(task);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    pub(crate) fn task_dir(&self, task: &TaskId) -> PathBuf {
        self.root.join(TASKS_DIR).join(dir_name(&task.0))
    }

    /// A piece of work of `task` is over. The directory that is now too old to keep, if any.
    pub(crate) fn on_ended(&mut self, task: &TaskId) -> Option<PathBuf> {
        let dir = self.task_dir(task);
        // A daemon's directory is as old as its last firing.
        self.ended.retain(|other| *other != dir);
        self.ended.push_back(dir);
        if self.ended.len() > ENDED_KEPT_MAX { self.ended.pop_front() } else { None }
    }

    /// A piece of work of `task` begins: its directory is in use.
    pub(crate) fn on_begun(&mut self, task: &TaskId) {
        let dir = self.task_dir(task);
        self.ended.retain(|other| *other != dir);
    }
}

/// A directory name for a task id: the id itself where it is safe and short, else what is safe of it
/// and a hash that keeps different ids apart.
fn dir_name(id: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let is_plain = id.chars().all(is_safe) && !id.starts_with('.') && !id.is_empty();
    if is_plain && id.len() <= NAME_LEN_MAX {
        return id.to_owned();
    }
    let safe = id.chars().map(|c| if is_safe(c) { c } else { '_' }).take(SAFE_PART_LEN_MAX);
    format!("_{}_{:016x}", safe.collect::<String>(), fnv_1a(id.as_bytes()))
}

/// FNV-1a, 64 bits: stable over releases, which the standard hasher is not.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shiftwork_task_id_is_its_own_directory_name() {
        let id = "job.a_b@-@12@-@FAILOVER@-@b9a4602a-S0@-@0f8e";
        assert_eq!(dir_name(id), id);
    }

    #[test]
    fn no_id_leaves_the_tasks_directory_or_shares_one() {
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let ids = ["", ".", "..", "../../etc", "a/b", "a_b", "a b", "\0", "ä", &long, &longer];
        let names: std::collections::BTreeSet<String> = ids.map(dir_name).into();
        assert_eq!(names.len(), ids.len());
        for name in names {
            assert!(!name.contains(['/', '\0']) && name != "." && name != "..", "{name}");
            assert!((1..=255).contains(&name.len()), "{name}");
        }
    }

    #[test]
    fn the_oldest_ended_task_makes_room_but_one_in_use_never() {
        let mut sandbox = Sandbox::new("/s".into());
        let task = |number: usize| TaskId(format!("t{number}"));
        for number in 0..ENDED_KEPT_MAX {
            assert_eq!(sandbox.on_ended(&task(number)), None);
        }
        sandbox.on_begun(&task(0));
        assert_eq!(sandbox.on_ended(&task(1_000)), None);
        assert_eq!(sandbox.on_ended(&task(1_001)), Some(sandbox.task_dir(&task(1))));
    }
}
