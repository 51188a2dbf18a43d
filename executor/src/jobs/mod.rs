//! Jobs in Rust: what an app's own executor registers, and how it is started. Absent: when a job
//! runs; that is decided as for any other work.

mod context;
mod running;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

pub use context::{CancellationToken, JobContext, JobOutput};
pub(crate) use running::{JobStartError, RunningJobs};

/// Why a job failed. Anything with a message will do; `?` turns most errors into it.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

/// What a job returns: an error fails the shard, and its message goes into the status update.
pub type JobResult = Result<(), JobError>;

/// A job that is executed once a firing.
///
/// It runs on a thread of its own. A panic fails this shard only. A job that is killed, or has run for
/// longer than its `timeout`, has to notice it: [`JobContext::cancellation`] tells, and the task has ended
/// when the job has returned. One that does not is left running while other tasks of this executor do;
/// with the last of them the executor ends, and the job with it.
pub trait SimpleJob: Send + Sync + 'static {
    /// Does the work of one shard.
    ///
    /// # Errors
    /// Whatever made it fail.
    fn execute(&self, context: &JobContext) -> JobResult;
}

/// A job that fetches data and processes it, once a firing or, when the job's document says
/// `streamingProcess`, until nothing is fetched any more. Threads, panics and kills are as with
/// [`SimpleJob`]; a streaming job that is killed fetches no more.
pub trait DataflowJob: Send + Sync + 'static {
    /// What is fetched.
    type Item;

    /// Fetches what there is to do for one shard; nothing ends the firing.
    ///
    /// # Errors
    /// Whatever made it fail.
    fn fetch(&self, context: &JobContext) -> Result<Vec<Self::Item>, JobError>;

    /// Processes what was fetched.
    ///
    /// # Errors
    /// Whatever made it fail.
    fn process(&self, context: &JobContext, items: Vec<Self::Item>) -> JobResult;
}

/// An executor with an app's own jobs: registers them by name, then runs.
///
/// ```no_run
/// use shiftwork_executor::{Executor, JobContext, JobResult, SimpleJob};
///
/// struct Greeter;
///
/// impl SimpleJob for Greeter {
///     fn execute(&self, context: &JobContext) -> JobResult {
///         context.log(&format!("hello from shard {}", context.item()));
///         Ok(())
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     Executor::new().simple("greeter", Greeter).run()
/// }
/// ```
#[derive(Default)]
#[must_use = "an executor does nothing before it runs"]
pub struct Executor {
    jobs: Registry,
    twice: Option<String>,
}

/// Runs a job; the flag says whether it streams.
type Run = dyn Fn(&JobContext, bool) -> JobResult + Send + Sync;

/// A registered job.
#[derive(Clone)]
pub(crate) struct Job {
    run: Arc<Run>,
    is_dataflow: bool,
}

/// All registered jobs, by name.
pub(crate) type Registry = BTreeMap<String, Job>;

// === impl Executor ===

impl Executor {
    /// Without jobs of its own it runs scripts and requests, as `shiftwork-executor` does.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a job under the name that documents give as `jobClass`, with `jobType` SIMPLE.
    pub fn simple(self, name: &str, job: impl SimpleJob) -> Self {
        let run = move |context: &JobContext, _: bool| job.execute(context);
        self.register(name, Job { run: Arc::new(run), is_dataflow: false })
    }

    /// Registers a job under the name that documents give as `jobClass`, with `jobType` DATAFLOW.
    pub fn dataflow(self, name: &str, job: impl DataflowJob) -> Self {
        let run = move |context: &JobContext, streaming: bool| flow(&job, context, streaming);
        self.register(name, Job { run: Arc::new(run), is_dataflow: true })
    }

    /// Works as an executor under the Mesos agent that started this process, until there is nothing
    /// left to do: 0 when idle or asked to leave, 1 when the agent was lost, a job did not heed its kill
    /// or the machine refused something, 2 when no agent started it or two jobs have one name.
    ///
    /// To be called on the main thread of a process that has no other.
    pub fn run(self) -> ExitCode {
        if let Some(name) = self.twice {
            eprintln!("shiftwork-executor: two jobs are registered as {name:?}; rename one");
            return ExitCode::from(crate::EXIT_USAGE);
        }
        crate::run_process(self.jobs)
    }

    fn register(mut self, name: &str, job: Job) -> Self {
        if self.jobs.insert(name.to_owned(), job).is_some() {
            self.twice = Some(name.to_owned());
        }
        self
    }
}

/// One firing of a dataflow.
fn flow<J: DataflowJob>(job: &J, context: &JobContext, streaming: bool) -> JobResult {
    loop {
        let items = job.fetch(context)?;
        if items.is_empty() {
            return Ok(());
        }
        job.process(context, items)?;
        if !streaming || context.cancellation().is_cancelled() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Counts down; says what it processed.
    struct Countdown(Mutex<(u32, Vec<u32>)>);

    impl DataflowJob for Countdown {
        type Item = u32;

        fn fetch(&self, context: &JobContext) -> Result<Vec<u32>, JobError> {
            let mut state = self.0.lock().unwrap();
            if context.job_parameter() == "broken" {
                return Err("no source".into());
            }
            let next = state.0.checked_sub(1).inspect(|left| state.0 = *left);
            Ok(next.into_iter().collect())
        }

        fn process(&self, context: &JobContext, items: Vec<u32>) -> JobResult {
            self.0.lock().unwrap().1.extend(&items);
            if items.contains(&1) && context.job_parameter() == "stop at 1" {
                context.cancellation().cancel();
            }
            Ok(())
        }
    }

    fn check(parameter: &str, streaming: bool, expected: &[u32]) {
        let job = Countdown(Mutex::new((3, Vec::new())));
        let dir = tempfile::tempdir().unwrap();
        let context = context::for_tests(dir.path(), parameter);
        flow(&job, &context, streaming).unwrap();
        assert_eq!(job.0.lock().unwrap().1, expected);
    }

    #[test]
    fn a_dataflow_processes_once_or_until_there_is_nothing_or_it_is_killed() {
        check("", false, &[2]);
        check("", true, &[2, 1, 0]);
        check("stop at 1", true, &[2, 1]);
    }

    #[test]
    fn a_fetch_that_fails_fails_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let context = context::for_tests(dir.path(), "broken");
        let error = flow(&Countdown(Mutex::new((1, Vec::new()))), &context, true).unwrap_err();
        assert_eq!(error.to_string(), "no source");
    }
}
