//! Jobs at work, each on a thread of its own, and how they ended. Absent: any way to end a thread; a
//! job is told to, and returns.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use shiftwork_proto::shiftwork::v1::JobClass;
use shiftwork_schedule::Timestamp;
use tokio::sync::mpsc;

use super::context::{CancellationToken, JobContext};
use super::{Job, JobError, Registry};
use crate::core::{Event, Exited, Signal, TaskId, TaskSpec, Usage, WorkEnd, WorkId};
use crate::error_chain;

/// The longest name of a thread the kernel shows, in bytes.
const THREAD_NAME_LEN_MAX: usize = 15;

/// All Rust jobs at work in this executor.
pub(crate) struct RunningJobs {
    registry: Registry,
    works: BTreeMap<WorkId, (TaskId, CancellationToken)>,
    returned: mpsc::UnboundedReceiver<Returned>,
    /// Unbounded, but holds one message a thread at most.
    returning: mpsc::UnboundedSender<Returned>,
    events: Vec<Event>,
}

/// What a thread says last.
struct Returned {
    work: WorkId,
    end: WorkEnd,
    usage: Usage,
}

/// Why a job cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobStartError {
    #[error(
        "this executor has no job {name:?} (registered are: {known}); set jobClass to one of them, or \
         the app's bootstrapScript to the executor that has it"
    )]
    Unknown { name: String, known: String },
    #[error("the job {name:?} is registered as {registered}; set jobType to that")]
    OtherType { name: String, registered: &'static str },
    #[error("making the output files in {0} failed")]
    Output(PathBuf, #[source] io::Error),
    #[error("the kernel refused a thread for the job")]
    Thread(#[source] io::Error),
}

// === impl RunningJobs ===

impl RunningJobs {
    pub(crate) fn new(registry: Registry) -> Self {
        let (returning, returned) = mpsc::unbounded_channel();
        Self { registry, works: BTreeMap::new(), returned, returning, events: Vec::new() }
    }

    /// Starts a job that writes into `dir`.
    pub(crate) fn start(
        &mut self,
        work: WorkId,
        spec: &Arc<TaskSpec>,
        class: &JobClass,
        firing: Option<Timestamp>,
        dir: &Path,
    ) -> Result<(), JobStartError> {
        let job = self.find(class)?;
        let context = JobContext::new(Arc::clone(spec), firing, dir)
            .map_err(|source| JobStartError::Output(dir.to_owned(), source))?;
        let token = context.cancellation().clone();
        let (returning, streaming) = (self.returning.clone(), class.streaming);
        let name = spec.payload.job.get(..THREAD_NAME_LEN_MAX).unwrap_or(&spec.payload.job);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let end = perform(&job, &context, streaming);
                // Nobody listens only when the executor is leaving.
                let _unheard = returning.send(Returned { work, end, usage: thread_usage() });
            })
            .map_err(JobStartError::Thread)?;
        self.works.insert(work, (spec.id.clone(), token));
        Ok(())
    }

    pub(crate) fn is_any_running(&self) -> bool {
        !self.works.is_empty()
    }

    /// Tells a job to end. It cannot be made to: a thread that goes on holds up nothing but its own
    /// task, and is said to run for as long as it does or until the executor ends, alone with it.
    pub(crate) fn signal(&mut self, work: WorkId, signal: Signal) {
        if let Some((task, token)) = self.works.get(&work) {
            token.cancel();
            if signal == Signal::Kill {
                tracing::warn!(%task, "a Rust job does not heed its cancellation; it is waited for");
            }
        }
    }

    /// Waits until a job has returned.
    pub(crate) async fn wait(&mut self) {
        // The sender is kept in this very struct, so there is always a next one.
        if let Some(Returned { work, end, usage }) = self.returned.recv().await
            && let Some((task, _)) = self.works.remove(&work)
        {
            self.events.push(Event::LeaderEnded { task: task.clone(), work, end });
            self.events.push(Event::Gone { task, work, usage });
        }
    }

    /// What has happened since this was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn find(&self, class: &JobClass) -> Result<Job, JobStartError> {
        let name = class.name.clone();
        let Some(job) = self.registry.get(&name) else {
            let known: Vec<&str> = self.registry.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(JobStartError::Unknown { name, known });
        };
        if job.is_dataflow != class.dataflow {
            let registered = if job.is_dataflow { "DATAFLOW" } else { "SIMPLE" };
            return Err(JobStartError::OtherType { name, registered });
        }
        Ok(job.clone())
    }
}

fn perform(job: &Job, context: &JobContext, streaming: bool) -> WorkEnd {
    // A job that panicked is not called on with what it left behind: its own state is its own risk,
    // as with any thread that dies.
    let returned = catch_unwind(AssertUnwindSafe(|| (job.run)(context, streaming)));
    let exited = match returned {
        Ok(Ok(())) => Exited::Returned,
        Ok(Err(error)) => Exited::Failed { reason: job_error_chain(&error) },
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "with something else than text".to_owned());
            let reason = format!("panicked: {text}");
            context.log_error(&reason);
            Exited::Failed { reason }
        }
    };
    WorkEnd { exited, stdout_tail: context.tail(false), stderr_tail: context.tail(true) }
}

fn job_error_chain(error: &JobError) -> String {
    error_chain(error.as_ref())
}

/// What this thread has used. Memory belongs to the process, not to a thread.
fn thread_usage() -> Usage {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    Usage { memory_peak_bytes: 0, cpu_time_ms: seconds * 1_000 + millis }
}
