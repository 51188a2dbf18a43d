//! Signals to processes, and the news of their end. Absent: which process is whose.

use std::io;

use rustix::process::{self as sys, Pid, PidfdFlags, WaitId, WaitIdOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::core::{Exited, Signal, TaskId, Usage};
use crate::procfs::{self, Process};
use crate::script::TASK_ID_VARIABLE;

/// Listens to the signals that terminals send. What the executor ignores (under `nohup`, or behind a
/// shell's `&`) its scripts would ignore as well, and no shell can change that; what it listens to
/// does to them what it does by default. A terminal that is closed ends no executor: that is for
/// its agent.
pub(crate) fn hear_terminal() -> io::Result<()> {
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
        // What installs the handler outlives what would tell of its signals.
        let _heard = signal(kind)?;
    }
    Ok(())
}

/// How the child `leader` ended, if it has; it stays to be reaped.
pub(crate) fn peek_end(leader: Pid) -> Option<Exited> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match sys::waitid(WaitId::Pid(leader), options) {
        Ok(Some(status)) => status
            .exit_status()
            .map(Exited::Code)
            .or_else(|| status.terminating_signal().map(Exited::Signal)),
        Ok(None) => None,
        // Somebody else took its status. It is gone, and that is all there is to know.
        Err(_) => Some(Exited::Signal(0)),
    }
}

/// Takes note of the end of a child, so that the kernel may forget it.
pub(crate) fn reap(pid: Pid) {
    // It can only fail for a child that was reaped before.
    let _reaped = sys::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// As [`reap`], and what the child and those it waited for have used.
pub(crate) fn reap_with_usage(pid: Pid) -> Usage {
    let Ok(Some(reaped)) = wait4::try_wait4_pid(pid.as_raw_nonzero().get().unsigned_abs()) else {
        return Usage::default();
    };
    let cpu_time = reaped.rusage.utime + reaped.rusage.stime;
    Usage {
        memory_peak_bytes: reaped.rusage.maxrss,
        cpu_time_ms: u64::try_from(cpu_time.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Kills one process of `task`. One outside the task's group has a number that may have passed to a
/// stranger since it was looked up, so it is held and looked at again first.
pub(crate) fn kill_checked(process: &Process, task: &TaskId, outside: bool) {
    let Ok(handle) = sys::pidfd_open(process.pid, PidfdFlags::empty()) else {
        return;
    };
    let marked = || procfs::environment_value(process.pid, TASK_ID_VARIABLE);
    let stranger = outside && marked().is_some_and(|other| other != task.0.as_bytes());
    if !stranger {
        let _gone = sys::pidfd_send_signal(&handle, sys::Signal::KILL);
    }
}

/// Kills a process that belongs to nothing any more, unless its number has passed to another since it
/// was looked up.
pub(crate) fn kill_abandoned(process: &Process) {
    let Ok(handle) = sys::pidfd_open(process.pid, PidfdFlags::empty()) else {
        return;
    };
    if procfs::find(process.pid).is_some_and(|now| now.key() == process.key()) {
        let _gone = sys::pidfd_send_signal(&handle, sys::Signal::KILL);
    }
}

/// The kernel's word for it.
pub(crate) fn number(signal: Signal) -> sys::Signal {
    match signal {
        Signal::Terminate => sys::Signal::TERM,
        Signal::Kill => sys::Signal::KILL,
    }
}
