//! Starts one script in a process group of its own, its outputs taken over. Absent: what becomes of
//! it afterwards.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{self as sys, Pid};

use crate::output::Output;
use crate::script::Script;
use crate::user::{User, UserError};

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
    #[error(transparent)]
    User(#[from] UserError),
    #[error("giving the task's directory {0} to the user the job runs as failed")]
    Owner(PathBuf, #[source] io::Error),
    #[error("the process has no {0}")]
    NoPipe(&'static str),
}

/// Starts `script` in `dir`, as `user` if there is one, to whom the directory is then given. Its first
/// process is the caller's to reap, by its number.
pub(crate) fn spawn(
    script: &Script,
    dir: &Path,
    user: Option<&User>,
) -> Result<(Pid, [Arc<Output>; 2]), StartError> {
    let mut command = Command::new(SHELL);
    command
        .args(&script.arguments)
        .env_clear()
        .envs(&script.environment)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(user) = user {
        chown(dir, Some(user.uid), Some(user.gid))
            .map_err(|source| StartError::Owner(dir.to_owned(), source))?;
        // With the user the supplementary groups of this process are given up, too.
        command.uid(user.uid).gid(user.gid);
        command.env("USER", &user.name).env("HOME", AsRef::<OsStr>::as_ref(&user.home));
    }
    let child = command.spawn().map_err(|source| StartError::Spawn(dir.to_owned(), source))?;
    let leader = Pid::from_child(&child);
    let outputs = take_outputs(child, dir).inspect_err(|_| {
        // Nobody will know of it, so nothing of it may run; it is reaped like an orphan.
        let _gone = sys::kill_process_group(leader, sys::Signal::KILL);
    })?;
    Ok((leader, outputs))
}

/// Takes over stdout and stderr of `child`; the handle itself has no further use.
fn take_outputs(child: Child, dir: &Path) -> Result<[Arc<Output>; 2], StartError> {
    let take = |pipe: Option<OwnedFd>, name: &'static str| {
        let pipe = pipe.ok_or(StartError::NoPipe(name))?;
        let path = dir.join(name);
        Output::new(pipe, path.clone())
            .map(Arc::new)
            .map_err(|source| StartError::Output(path, source))
    };
    Ok([
        take(child.stdout.map(OwnedFd::from), "stdout")?,
        take(child.stderr.map(OwnedFd::from), "stderr")?,
    ])
}
