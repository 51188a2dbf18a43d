//! What a job in Rust is given: who it is, whether it is to end, where to write. Absent: any way to
//! reach another task.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use shiftwork_schedule::Timestamp;

use crate::core::TaskSpec;
use crate::logfile::{LogFile, Tail};
use crate::sharding_context;

/// One shard of one run, as its job sees it.
#[derive(Debug)]
pub struct JobContext {
    spec: Arc<TaskSpec>,
    logical_time: Timestamp,
    directory: PathBuf,
    cancellation: CancellationToken,
    stdout: Mutex<(LogFile, Tail)>,
    stderr: Mutex<(LogFile, Tail)>,
}

/// Tells a job that it is to end. Clones are one token.
#[derive(Debug, Clone, Default)]
pub struct CancellationToken(Arc<(Mutex<bool>, Condvar)>);

/// Where a job writes what its `stdout` or `stderr` file is to hold.
#[derive(Debug)]
pub struct JobOutput<'a> {
    context: &'a JobContext,
    is_stderr: bool,
}

// === impl JobContext ===

impl JobContext {
    pub(super) fn new(
        spec: Arc<TaskSpec>,
        firing: Option<Timestamp>,
        directory: &Path,
    ) -> io::Result<Self> {
        Ok(Self {
            logical_time: sharding_context::logical_time(&spec, firing),
            spec,
            directory: directory.to_owned(),
            cancellation: CancellationToken::default(),
            stdout: Mutex::new((LogFile::new(directory.join("stdout"))?, Tail::default())),
            stderr: Mutex::new((LogFile::new(directory.join("stderr"))?, Tail::default())),
        })
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        &self.spec.payload.app
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        &self.spec.payload.job
    }

    /// The run: the same for all shards, and over retries and failover of one. With the item and, in
    /// a DAEMON job, the logical time it is the key that makes side effects idempotent.
    pub fn run_id(&self) -> &str {
        &self.spec.payload.run_id
    }

    /// The task: this attempt of this shard.
    pub fn task_id(&self) -> &str {
        &self.spec.id.0
    }

    /// The moment the schedule named, milliseconds since the epoch.
    pub fn logical_time_ms(&self) -> i64 {
        self.logical_time.as_millis()
    }

    /// The moment the schedule named, as `2026-11-20T02:00:00Z`.
    pub fn logical_time(&self) -> String {
        self.logical_time.to_string()
    }

    /// 1 for the first attempt of this shard.
    pub fn attempt(&self) -> u32 {
        self.spec.payload.attempt
    }

    /// Which shard this is, from 0.
    pub fn item(&self) -> u32 {
        self.spec.payload.item
    }

    /// How many shards the run has.
    pub fn sharding_total_count(&self) -> u32 {
        self.spec.payload.sharding_total_count
    }

    /// This shard's own parameter; empty where the job gives none.
    pub fn sharding_parameter(&self) -> &str {
        &self.spec.payload.sharding_parameter
    }

    /// The parameter of all shards.
    pub fn job_parameter(&self) -> &str {
        &self.spec.payload.job_parameter
    }

    /// The job's `env`. The environment of this process is the app's, and one for all tasks.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.spec.payload.env
    }

    /// The ports that were placed for this shard.
    pub fn ports(&self) -> &[u32] {
        &self.spec.payload.ports
    }

    /// A directory of this task's own, which also holds its output files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the job is to end.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Writes a line into the task's `stdout` file.
    pub fn log(&self, line: &str) {
        self.write(false, format!("{line}\n").as_bytes());
    }

    /// Writes a line into the task's `stderr` file, whose end goes into the status update.
    pub fn log_error(&self, line: &str) {
        self.write(true, format!("{line}\n").as_bytes());
    }

    /// The task's `stdout` file, size-limited, for `write!` and what else wants a writer.
    pub fn stdout(&self) -> JobOutput<'_> {
        JobOutput { context: self, is_stderr: false }
    }

    /// The task's `stderr` file, likewise.
    pub fn stderr(&self) -> JobOutput<'_> {
        JobOutput { context: self, is_stderr: true }
    }

    /// The last bytes of an output.
    pub(super) fn tail(&self, is_stderr: bool) -> Bytes {
        self.output(is_stderr).1.bytes()
    }

    fn write(&self, is_stderr: bool, bytes: &[u8]) {
        let mut output = self.output(is_stderr);
        output.0.write(bytes, &mut None);
        output.1.push(bytes);
    }

    fn output(&self, is_stderr: bool) -> MutexGuard<'_, (LogFile, Tail)> {
        let output = if is_stderr { &self.stderr } else { &self.stdout };
        output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl CancellationToken ===

impl CancellationToken {
    /// Whether the job is to end.
    pub fn is_cancelled(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for at most `pause`, and less when the job is to end; whether it is. What a job does
    /// instead of sleeping.
    pub fn wait(&self, pause: Duration) -> bool {
        let (cancelled, changed) = &*self.0;
        let guard = cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, pause, |cancelled| !*cancelled);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells the job, and whatever waits, to end.
    pub fn cancel(&self) {
        let (cancelled, changed) = &*self.0;
        *cancelled.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}

// === impl JobOutput ===

impl Write for JobOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.context.write(self.is_stderr, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn for_tests(directory: &Path, job_parameter: &str) -> JobContext {
    let mut payload = crate::core::testing::payload("true");
    payload.job_parameter = job_parameter.to_owned();
    let info = crate::core::testing::task_info("t", &payload);
    JobContext::new(Arc::new(TaskSpec::read(&info).unwrap()), None, directory).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_in_the_files_and_the_tail() {
        let dir = tempfile::tempdir().unwrap();
        let context = for_tests(dir.path(), "p");
        context.log("one");
        write!(context.stdout(), "two {}", context.item()).unwrap();
        context.log_error("oh no");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("stdout").as_str(), read("stderr").as_str()), ("one\ntwo 1", "oh no\n"));
        assert_eq!(context.tail(true), "oh no\n");
        assert_eq!(context.tail(false), "one\ntwo 1");
        assert_eq!(context.logical_time(), "2026-11-20T02:00:00Z");
    }

    #[test]
    fn a_cancelled_wait_ends_at_once_and_an_undisturbed_one_does_not_say_so() {
        let token = CancellationToken::default();
        assert!(!token.wait(Duration::from_millis(1)));
        let other = token.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_hours(1)));
        token.cancel();
        assert!(waiter.join().unwrap() && token.is_cancelled());
    }
}
