//! Starts one script in a process group of its own, its outputs taken over. Absent: what becomes of
//! it afterwards.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{self as sys, Pid};

use crate::output::Output;
use crate::script::Script;

/// The shell that runs command lines.
const SHELL: &str = "/bin/sh";

/// Why a script's process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("making the task's directory {0} in the sandbox failed")]
    Directory(PathBuf, #[source] io::Error),
    #[error("starting {SHELL} in {0} failed")]
    Spawn(PathBuf, #[source] io::Error),
    #[error("taking over the output into {0} failed")]
    Output(PathBuf, #[source] io::Error),
    #[error("the process has no {0}")]
    NoPipe(&'static str),
}

/// Starts `script` in `dir`. Its first process is the caller's to reap, by its number.
pub(crate) fn spawn(script: &Script, dir: &Path) -> Result<(Pid, [Arc<Output>; 2]), StartError> {
    let child = Command::new(SHELL)
        .args(&script.arguments)
        .env_clear()
        .envs(&script.environment)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| StartError::Spawn(dir.to_owned(), source))?;
    let leader = Pid::from_child(&child);
    let outputs = take_outputs(child, dir).inspect_err(|_| {
        // Nobody will know of it, so nothing of it may run; it is reaped like an orphan.
        let _gone = sys::kill_process_group(leader, sys::Signal::KILL);
    })?;
    Ok((leader, outputs))
}

/// Takes over stdout and stderr of `child`; the handle itself has no further use.
fn take_outputs(child: Child, dir: &Path) -> Result<[Arc<Output>; 2], StartError> {
    let take = |pipe: Option<OwnedFd>, name: &'static str, with_tail: bool| {
        let pipe = pipe.ok_or(StartError::NoPipe(name))?;
        let path = dir.join(name);
        Output::new(pipe, path.clone(), with_tail)
            .map(Arc::new)
            .map_err(|source| StartError::Output(path, source))
    };
    Ok([
        take(child.stdout.map(OwnedFd::from), "stdout", false)?,
        take(child.stderr.map(OwnedFd::from), "stderr", true)?,
    ])
}
