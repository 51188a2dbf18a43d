//! Real processes: starts scripts, signals all that belongs to them, and says when nothing of them is
//! left. Absent: timers and decisions; when to signal is the core's business.
//!
//! Each script leads a process group of its own. Processes that leave the group are found as
//! descendants of the executor, which adopts every orphan among them; `owners` tells whose they are.
//! The first process of a script is not reaped before all others
//! are gone: until then the kernel gives its number to nobody else, and a signal to its group cannot
//! meet a stranger.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{self as sys, Pid};
use shiftwork_schedule::Timestamp;
use tokio::task::{AbortHandle, JoinSet};

use crate::cgroup::{Cgroup, Cgroups};
use crate::core::{Event, Signal, TaskId, TaskSpec, WorkEnd, WorkId};
use crate::error_chain;
use crate::output::Output;
use crate::owners::{Claim, Found, Owners};
use crate::procfs::{self, Process};
use crate::sandbox::Sandbox;
use crate::script::Script;
use crate::signals;
use crate::spawn::{self, StartError};
use crate::user;

/// How often processes under SIGKILL are looked for again: they may still have made others.
const SWEEP_KILL: Duration = Duration::from_millis(50);
/// How often remains of a script are looked for otherwise. Their end is told by SIGCHLD; this is for
/// the rare one that is not.
const SWEEP_IDLE: Duration = Duration::from_secs(1);
/// How often in a row remains are looked for because each look found more; then others get a turn.
const SWEEPS_MAX: usize = 8;
/// How long the executor waits at its own end for killed processes to be gone.
const END_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it looks meanwhile.
const END_WAIT_STEP: Duration = Duration::from_millis(10);

/// All processes of all tasks of this executor.
#[derive(Debug)]
pub struct Processes {
    own: Process,
    sandbox: Sandbox,
    app_environment: BTreeMap<String, String>,
    works: BTreeMap<WorkId, Running>,
    /// What tells the processes of each work.
    claims: BTreeMap<WorkId, Claim>,
    owners: Owners,
    /// Whether jobs in this process may have processes of their own.
    jobs_run: bool,
    /// Dropped after those of the works, which are below it.
    cgroups: Cgroups,
    /// Pumps of outputs, and removals of old directories.
    background: JoinSet<()>,
    events: Vec<Event>,
    /// When /proc was last read.
    swept: Instant,
    /// Whether the next [`Processes::settle`] has something to look for.
    unsettled: bool,
}

#[derive(Debug)]
struct Running {
    task: TaskId,
    leader: Pid,
    cgroup: Option<Cgroup>,
    leader_ended: bool,
    /// To be sent to what has left the group, when it is next looked for.
    signal: Option<Signal>,
    outputs: [Arc<Output>; 2],
    pumps: [AbortHandle; 2],
}

// === impl Processes ===

impl Processes {
    /// Makes this process the one that adopts the orphans of its descendants, and scripts open to the
    /// signals of terminals.
    ///
    /// # Errors
    ///
    /// The kernel's, when it refuses that.
    pub fn new(sandbox: PathBuf) -> io::Result<Self> {
        let own_pid = sys::getpid();
        sys::set_child_subreaper(Some(own_pid))?;
        signals::hear_terminal()?;
        let own = procfs::find(own_pid)
            .ok_or_else(|| io::Error::other("/proc does not show this very process"))?;
        Ok(Self {
            own,
            claims: BTreeMap::new(),
            owners: Owners::new(&procfs::descendants(own_pid)),
            jobs_run: false,
            sandbox: Sandbox::new(sandbox),
            cgroups: Cgroups::new(),
            app_environment: BTreeMap::new(),
            works: BTreeMap::new(),
            background: JoinSet::new(),
            events: Vec::new(),
            swept: Instant::now(),
            unsettled: false,
        })
    }

    /// Sets what the app's document adds to the environment of scripts started from now on.
    pub fn set_app_environment(&mut self, environment: BTreeMap<String, String>) {
        self.app_environment = environment;
    }

    /// Tells whether jobs in this process run: what they start is theirs to wait for.
    pub(crate) fn set_jobs_run(&mut self, jobs_run: bool) {
        self.jobs_run = jobs_run;
    }

    /// Starts the script `command_line` of `spec`. The answer is among the next [`Processes::take_events`].
    pub fn start(
        &mut self,
        work: WorkId,
        spec: &TaskSpec,
        command_line: &str,
        firing: Option<Timestamp>,
    ) {
        let task = spec.id.clone();
        let event = match self.try_start(work, spec, command_line, firing) {
            Ok(()) => Event::Started { task, work },
            Err(error) => {
                self.end_task_dir(&task);
                Event::StartFailed { task, work, reason: error_chain(&error) }
            }
        };
        self.events.push(event);
    }

    /// Signals everything that belongs to `work`; a kill is repeated until nothing does.
    pub fn signal(&mut self, work: WorkId, signal: Signal) {
        if let Some(running) = self.works.get_mut(&work) {
            running.signal = Some(signal);
            if let Some(cgroup) = running.cgroup.as_ref().filter(|_| signal == Signal::Kill) {
                cgroup.kill();
            }
            // The group at once and as a whole; what has left it when it has been looked for.
            let _gone = sys::kill_process_group(running.leader, signals::number(signal));
            self.unsettled = true;
        }
    }

    /// A SIGCHLD came: some child, own or adopted, has ended.
    pub fn on_child_ended(&mut self) {
        for (work, running) in &mut self.works {
            if running.leader_ended {
                continue;
            }
            if let Some(exited) = signals::peek_end(running.leader) {
                running.leader_ended = true;
                let [stdout, stderr] = &running.outputs;
                stdout.take_rest();
                stderr.take_rest();
                let end =
                    WorkEnd { exited, stdout_tail: stdout.tail(), stderr_tail: stderr.tail() };
                let task = running.task.clone();
                self.events.push(Event::LeaderEnded { task, work: *work, end });
            }
        }
        self.unsettled = true;
    }

    /// Looks for what belongs to whom, after signals were sent or children ended: passes signals on,
    /// reaps adopted children, notices what is gone.
    pub fn settle(&mut self) {
        for _ in 0..SWEEPS_MAX {
            if !std::mem::take(&mut self.unsettled) {
                break;
            }
            self.sweep();
        }
        while self.background.try_join_next().is_some() {}
    }

    /// As [`Processes::settle`], whether or not anything is known to have happened.
    pub fn sweep(&mut self) {
        self.swept = Instant::now();
        let (descendants, found) = self.look();
        let mut alive = BTreeSet::new();
        for process in descendants.iter().filter(|process| !process.zombie) {
            let Some(work) = found.owners.get(&process.pid) else {
                continue;
            };
            let Some(running) = self.works.get(work) else {
                continue;
            };
            alive.insert(*work);
            let outside = process.group != Some(running.leader);
            match running.signal {
                Some(Signal::Kill) => signals::kill_checked(process, &running.task, outside),
                Some(Signal::Terminate) if outside => {
                    let _gone = sys::kill_process(process.pid, sys::Signal::TERM);
                }
                Some(Signal::Terminate) | None => {}
            }
        }
        let gone: Vec<WorkId> = self
            .works
            .iter_mut()
            .filter_map(|(work, running)| {
                running.signal = running.signal.filter(|signal| *signal == Signal::Kill);
                (running.leader_ended && !alive.contains(work)).then_some(*work)
            })
            .collect();
        self.end_all_of(gone);
    }

    /// Ends those of `works` of which a second look finds nothing either. What forked and ended during the
    /// first may have been missed with what it forked: the one was gone by the time it was looked at, the
    /// other not there when the list was made.
    fn end_all_of(&mut self, works: Vec<WorkId>) {
        if works.is_empty() {
            return;
        }
        let (descendants, found) = self.look();
        let living = descendants.iter().filter(|process| !process.zombie);
        let left: BTreeSet<&WorkId> =
            living.filter_map(|process| found.owners.get(&process.pid)).collect();
        for work in works {
            // The last of several that go at once has the strays that may be any one's.
            if left.contains(&work) || found.waits_for_a_stray(work, &self.claims) {
                self.unsettled = true;
            } else {
                self.on_gone(work);
            }
        }
    }

    /// Who there is, and whose; what is nobody's any more is taken away.
    fn look(&mut self) -> (Vec<Process>, Found) {
        let descendants = procfs::descendants(self.own.pid);
        self.reap_adopted(&descendants);
        let found = self.owners.find(&self.own, &descendants, &self.claims, self.jobs_run);
        found.abandoned.iter().for_each(signals::kill_abandoned);
        (descendants, found)
    }

    /// How soon [`Processes::sweep`] is to be called although nothing was heard. Counted from the
    /// last one, so that a busy executor does not put it off for ever.
    pub fn sweep_after(&self) -> Option<Duration> {
        let killing = |running: &Running| running.signal == Some(Signal::Kill);
        let ended = |running: &Running| running.leader_ended;
        let pause = if self.works.values().any(killing) {
            SWEEP_KILL
        } else if self.works.values().any(ended) {
            SWEEP_IDLE
        } else {
            return None;
        };
        Some(pause.saturating_sub(self.swept.elapsed()))
    }

    /// What has happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether anything of `work` may be left.
    pub fn is_running(&self, work: WorkId) -> bool {
        self.works.contains_key(&work)
    }

    /// Kills every descendant of this process and waits, within a bound, until none is left.
    pub async fn end_all(&mut self) {
        let steps = END_WAIT_MAX.as_millis() / END_WAIT_STEP.as_millis();
        for _ in 0..steps {
            let descendants = procfs::descendants(self.own.pid);
            let mut alive = descendants.iter().filter(|process| !process.zombie).peekable();
            if alive.peek().is_none() {
                return;
            }
            for process in alive {
                let _gone = sys::kill_process(process.pid, sys::Signal::KILL);
            }
            tokio::time::sleep(END_WAIT_STEP).await;
        }
    }

    fn try_start(
        &mut self,
        work: WorkId,
        spec: &TaskSpec,
        command_line: &str,
        firing: Option<Timestamp>,
    ) -> Result<(), StartError> {
        let dir = self.begin_task_dir(&spec.id)?;
        let own = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let root = self.sandbox.root();
        let script = Script::new(spec, command_line, firing, root, &self.app_environment, own);
        let user = user::find(&spec.payload.run_as)?;
        let (leader, outputs) = spawn::spawn(&script, &dir, user.as_ref())?;
        let cgroup = self.cgroups.begin(work, leader);
        let pumps =
            outputs.clone().map(|output| self.background.spawn(async move { output.pump().await }));
        let task = spec.id.clone();
        let (leader_ended, signal) = (false, None);
        let running = Running { task, leader, cgroup, leader_ended, signal, outputs, pumps };
        self.works.insert(work, running);
        let started = procfs::find(leader).map_or(0, |process| process.started);
        let task = spec.id.0.clone();
        self.claims.insert(work, Claim { leader, started, task, dir });
        Ok(())
    }

    /// Takes note of the end of orphans that became children of this process. What is in its own group
    /// is a job's, which waits for it itself; once no job runs, nobody will.
    fn reap_adopted(&self, descendants: &[Process]) {
        let leaders: HashSet<Pid> = self.works.values().map(|running| running.leader).collect();
        let adopted = descendants.iter().filter(|process| {
            process.zombie
                && process.parent == Some(self.own.pid)
                && !leaders.contains(&process.pid)
                && !(self.jobs_run && process.group == self.own.group)
        });
        for process in adopted {
            signals::reap(process.pid);
        }
    }

    fn on_gone(&mut self, work: WorkId) {
        self.claims.remove(&work);
        let Some(running) = self.works.remove(&work) else {
            return;
        };
        for output in &running.outputs {
            output.take_rest();
        }
        for pump in &running.pumps {
            pump.abort();
        }
        let usage = signals::reap_with_usage(running.leader);
        let usage = running.cgroup.as_ref().map_or(usage, |cgroup| cgroup.usage(usage));
        self.end_task_dir(&running.task);
        self.events.push(Event::Gone { task: running.task, work, usage });
    }

    /// Makes the directory of `task`, or finds it; it stays while work of the task is in it.
    pub(crate) fn begin_task_dir(&mut self, task: &TaskId) -> Result<PathBuf, StartError> {
        self.sandbox.on_begun(task);
        self.sandbox
            .make_task_dir(task)
            .map_err(|source| StartError::Directory(self.sandbox.task_dir(task), source))
    }

    /// Nothing is left of the work of `task`: its directory is kept until others make it too old.
    pub(crate) fn end_task_dir(&mut self, task: &TaskId) {
        if let Some(old) = self.sandbox.on_ended(task) {
            self.background.spawn_blocking(move || {
                // What cannot be removed now goes with the sandbox.
                let _left = std::fs::remove_dir_all(old);
            });
        }
    }
}
