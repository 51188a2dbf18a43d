//! One process and the signals it gets.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A process that is told to end gets this long before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a process that is to end.
const POLL: Duration = Duration::from_millis(20);

/// A child process, ended with its handle.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A program built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is not built: cargo build --workspace --bins, with --release if this is",
        path.display()
    );
    Ok(path)
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

// === impl Process ===

impl Process {
    /// Starts a program; what it says goes to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        Ok(Self { child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL, and it is gone.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// SIGTERM; killed if it does not end in time. True if it ended by itself.
    pub(crate) fn end(&mut self) -> bool {
        self.thaw();
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < END_PATIENCE {
            if !self.is_alive() {
                return true;
            }
            std::thread::sleep(POLL);
        }
        self.kill();
        false
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // An error means that it has ended already.
            let _ended = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_alive() {
            self.end();
        }
    }
}
