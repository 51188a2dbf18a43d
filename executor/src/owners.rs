//! Which process belongs to which script. Absent: any signal; and any look at /proc but for what marks
//! a process.
//!
//! A process belongs to the script whose group it is in, else to whom its parent belongs, else to whom
//! it belonged when it was last looked at, else to the task that its environment or its working
//! directory names. One that hides all of that (a new session, a cleared environment, another
//! directory, parents that are gone) can only be of a script that ran when it was first seen and had
//! begun before it: it is the last such script's, and ends with it at the latest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::process::Pid;

use crate::core::WorkId;
use crate::procfs::{self, Process, ProcessKey};
use crate::script::TASK_ID_VARIABLE;

/// What tells the processes of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The group of its first process.
    pub(crate) leader: Pid,
    /// When that began, as [`Process::started`]; 0 if it was not seen.
    pub(crate) started: u64,
    /// The task, as its environment names it.
    pub(crate) task: String,
    /// Where it was started.
    pub(crate) dir: PathBuf,
}

/// What is remembered of processes between two looks.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// Those that were there before any script, and what jobs in this process have started: nobody's
    /// to end.
    exempt: HashSet<ProcessKey>,
    /// The scripts that a process can belong to; one when it is known.
    seen: HashMap<ProcessKey, BTreeSet<WorkId>>,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whose each process is.
    pub(crate) owners: HashMap<Pid, WorkId>,
    /// The scripts that each of the others, if it lives, can be of: the last of them has not ended before
    /// it has.
    pub(crate) ambiguous: Vec<BTreeSet<WorkId>>,
    /// Processes that can only be of scripts that have ended.
    pub(crate) abandoned: Vec<Process>,
}

// === impl Owners ===

impl Owners {
    /// `before` are the processes below this one that no script has started.
    pub(crate) fn new(before: &[Process]) -> Self {
        let exempt = before.iter().map(Process::key).collect();
        Self { exempt, ..Self::default() }
    }

    /// Sorts `descendants` of the process `own`, parents first. `jobs_run`: jobs in this process may be
    /// starting processes as well.
    pub(crate) fn find(
        &mut self,
        own: &Process,
        descendants: &[Process],
        works: &BTreeMap<WorkId, Claim>,
        jobs_run: bool,
    ) -> Found {
        let mut found = Found::default();
        let by_group: HashMap<Pid, WorkId> =
            works.iter().map(|(work, claim)| (claim.leader, *work)).collect();
        for process in descendants {
            if let Some(owner) = self.known_owner(process, &by_group, &found, works) {
                self.seen.insert(process.key(), BTreeSet::from([owner]));
                found.owners.insert(process.pid, owner);
            } else if self.is_exempt(process, own, descendants)
                || (jobs_run && !self.seen.contains_key(&process.key()))
            {
                self.exempt.insert(process.key());
            } else {
                self.sort_stray(process, works, &mut found);
            }
        }
        let keys: HashSet<ProcessKey> = descendants.iter().map(Process::key).collect();
        self.seen.retain(|key, _| keys.contains(key));
        self.exempt.retain(|key| keys.contains(key));
        found
    }

    /// By all that tells for certain.
    fn known_owner(
        &self,
        process: &Process,
        by_group: &HashMap<Pid, WorkId>,
        found: &Found,
        works: &BTreeMap<WorkId, Claim>,
    ) -> Option<WorkId> {
        let of_group = process.group.and_then(|group| by_group.get(&group));
        let of_parent = || process.parent.and_then(|parent| found.owners.get(&parent));
        let of_past = || {
            let seen = self.seen.get(&process.key())?;
            seen.first().copied().filter(|work| seen.len() == 1 && works.contains_key(work))
        };
        let known = of_group.or_else(of_parent).copied().or_else(of_past);
        known.or_else(|| owner_by_mark(process, works))
    }

    fn is_exempt(&self, process: &Process, own: &Process, descendants: &[Process]) -> bool {
        let parent =
            process.parent.and_then(|pid| descendants.iter().find(|other| other.pid == pid));
        self.exempt.contains(&process.key())
            || parent.is_some_and(|parent| self.exempt.contains(&parent.key()))
            // Scripts have groups of their own; this one's is for jobs in this process.
            || process.group == own.group
    }

    fn sort_stray(
        &mut self,
        process: &Process,
        works: &BTreeMap<WorkId, Claim>,
        found: &mut Found,
    ) {
        let claims = self.seen.entry(process.key()).or_insert_with(|| {
            let older = works.iter().filter(|(_, claim)| claim.started <= process.started);
            older.map(|(work, _)| *work).collect()
        });
        claims.retain(|work| works.contains_key(work));
        match claims.first() {
            None => found.abandoned.push(*process),
            Some(only) if claims.len() == 1 => {
                found.owners.insert(process.pid, *only);
            }
            Some(_) if process.zombie => {}
            Some(_) => found.ambiguous.push(claims.clone()),
        }
    }
}

// === impl Found ===

impl Found {
    /// Whether something lives that can be of no other script of `works` than this one.
    pub(crate) fn waits_for_a_stray(&self, work: WorkId, works: &BTreeMap<WorkId, Claim>) -> bool {
        let is_last = |claims: &BTreeSet<WorkId>| {
            claims.contains(&work)
                && claims.iter().all(|other| *other == work || !works.contains_key(other))
        };
        self.ambiguous.iter().any(is_last)
    }
}

/// By its environment, else by its working directory. Another user's cannot be read.
fn owner_by_mark(process: &Process, works: &BTreeMap<WorkId, Claim>) -> Option<WorkId> {
    if process.zombie {
        return None;
    }
    let find = |is_it: &dyn Fn(&Claim) -> bool| {
        works.iter().find(|(_, claim)| is_it(claim)).map(|(work, _)| *work)
    };
    let task = procfs::environment_value(process.pid, TASK_ID_VARIABLE);
    let of_task = task.and_then(|task| find(&|claim| claim.task.as_bytes() == task));
    of_task.or_else(|| {
        let dir = procfs::working_directory(process.pid)?;
        find(&|claim| !claim.dir.as_os_str().as_bytes().is_empty() && dir.starts_with(&claim.dir))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that no process of this machine has.
    const FAR: i32 = 1 << 30;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(FAR + raw).unwrap()
    }

    fn process(raw: i32, parent: i32, group: i32, started: u64) -> Process {
        let (parent, group) = (Some(pid(parent)), Some(pid(group)));
        Process { pid: pid(raw), parent, group, zombie: false, started }
    }

    fn works(of: &[(u64, i32, u64)]) -> BTreeMap<WorkId, Claim> {
        let claim = |leader, started| Claim {
            leader: pid(leader),
            started,
            task: format!("t{leader}"),
            dir: PathBuf::new(),
        };
        of.iter().map(|(work, leader, started)| (WorkId(*work), claim(*leader, *started))).collect()
    }

    fn find(owners: &mut Owners, all: &[Process], works: &BTreeMap<WorkId, Claim>) -> Found {
        owners.find(&process(1, 0, 1, 0), all, works, false)
    }

    #[test]
    fn what_left_its_group_belongs_to_its_parents_script_and_still_does_as_an_orphan() {
        let (mut owners, two) = (Owners::default(), works(&[(1, 10, 100), (2, 20, 100)]));
        let (leader, hidden) = (process(10, 1, 10, 100), process(11, 10, 11, 110));
        let found = find(&mut owners, &[leader, hidden], &two);
        assert_eq!(found.owners, [(pid(10), WorkId(1)), (pid(11), WorkId(1))].into());
        let orphan = Process { parent: Some(pid(1)), ..hidden };
        assert_eq!(find(&mut owners, &[orphan], &two).owners, [(pid(11), WorkId(1))].into());
    }

    #[test]
    fn a_stray_is_of_the_only_script_that_was_there_before_it() {
        let mut owners = Owners::default();
        let later = works(&[(1, 10, 100), (2, 20, 300)]);
        let found = find(&mut owners, &[process(11, 1, 11, 200)], &later);
        assert_eq!(found.owners, [(pid(11), WorkId(1))].into());
    }

    #[test]
    fn a_stray_that_may_be_of_several_outlives_all_but_the_last_of_them() {
        let (mut owners, stray) = (Owners::default(), [process(11, 1, 11, 200)]);
        let both = works(&[(1, 10, 100), (2, 20, 100)]);
        let found = find(&mut owners, &stray, &both);
        let ambiguous = vec![BTreeSet::from([WorkId(1), WorkId(2)])];
        assert_eq!(found, Found { ambiguous, ..Found::default() });
        // Both may have ended when it is looked at: one of them after the other.
        assert!(!found.waits_for_a_stray(WorkId(1), &both));
        assert!(found.waits_for_a_stray(WorkId(2), &works(&[(2, 20, 100)])));
        // A third that begins later has no claim to it.
        let found = find(&mut owners, &stray, &works(&[(2, 20, 100), (3, 30, 400)]));
        assert_eq!(found.owners, [(pid(11), WorkId(2))].into());
        let found = find(&mut owners, &stray, &works(&[(3, 30, 400)]));
        assert_eq!(found.abandoned, stray);
    }

    #[test]
    fn what_was_there_before_and_what_jobs_start_is_left_alone() {
        let helper = process(5, 1, 5, 50);
        let mut owners = Owners::new(&[helper]);
        let (its_child, of_job) = (process(6, 5, 6, 150), process(7, 1, 1, 150));
        let found = find(&mut owners, &[helper, its_child, of_job], &works(&[(1, 10, 100)]));
        assert_eq!(found, Found::default());
        let own = process(1, 0, 1, 0);
        let left_by_job = [process(8, 1, 8, 160)];
        let found = owners.find(&own, &left_by_job, &works(&[(1, 10, 100)]), true);
        assert_eq!(found, Found::default());
        assert_eq!(find(&mut owners, &left_by_job, &works(&[])), Found::default(), "nor later");
    }
}
