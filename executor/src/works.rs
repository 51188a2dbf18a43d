//! Work of every kind behind one door: scripts, requests, jobs in Rust. Absent: what is particular to
//! any of them.

use std::sync::Arc;

use shiftwork_proto::shiftwork::v1::{Http, JobClass};
use shiftwork_schedule::Timestamp;

use crate::core::{Event, Signal, TaskSpec, TaskSpecWork, WorkId};
use crate::error_chain;
use crate::http::{RequestError, Requests};
use crate::jobs::{JobStartError, Registry, RunningJobs};
use crate::process::Processes;
use crate::spawn::StartError;

/// All work of this executor.
pub(crate) struct Works {
    pub(crate) processes: Processes,
    requests: Requests,
    jobs: RunningJobs,
    events: Vec<Event>,
}

/// Why work inside this process cannot be started.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Directory(#[from] StartError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Job(#[from] JobStartError),
}

// === impl Works ===

impl Works {
    pub(crate) fn new(processes: Processes, registry: Registry) -> Self {
        let (requests, jobs) = (Requests::default(), RunningJobs::new(registry));
        Self { processes, requests, jobs, events: Vec::new() }
    }

    /// Starts work. The answer is among the next events.
    pub(crate) fn start(&mut self, work: WorkId, spec: &Arc<TaskSpec>, firing: Option<Timestamp>) {
        let started = match &spec.work {
            TaskSpecWork::Script(command_line) => {
                self.processes.start(work, spec, command_line, firing);
                return;
            }
            TaskSpecWork::Http(http) => self.start_request(work, spec, http, firing),
            TaskSpecWork::Class(class) => self.start_job(work, spec, class, firing),
        };
        let task = spec.id.clone();
        self.events.push(match started {
            Ok(()) => Event::Started { task, work },
            Err(error) => {
                self.processes.end_task_dir(&task);
                Event::StartFailed { task, work, reason: error_chain(&error) }
            }
        });
    }

    /// Ends work, in the way of its kind; work that has ended is none of anybody's.
    pub(crate) fn signal(&mut self, work: WorkId, signal: Signal) {
        self.processes.signal(work, signal);
        self.requests.cancel(work);
        self.jobs.signal(work, signal);
    }

    /// Waits until work inside this process has ended; what of it is among the events.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            () = self.requests.wait() => {}
            () = self.jobs.wait() => {}
        }
    }

    /// What has happened since this was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.processes.set_jobs_run(self.jobs.is_any_running());
        self.processes.settle();
        let mut events = std::mem::take(&mut self.events);
        events.extend(self.processes.take_events());
        let inside = [self.requests.take_events(), self.jobs.take_events()].concat();
        for event in inside {
            if let Event::Gone { task, .. } = &event {
                self.processes.end_task_dir(task);
            }
            events.push(event);
        }
        events
    }

    fn start_request(
        &mut self,
        work: WorkId,
        spec: &TaskSpec,
        http: &Http,
        firing: Option<Timestamp>,
    ) -> Result<(), WorkError> {
        let dir = self.processes.begin_task_dir(&spec.id)?;
        Ok(self.requests.start(work, spec, http, firing, &dir)?)
    }

    fn start_job(
        &mut self,
        work: WorkId,
        spec: &Arc<TaskSpec>,
        class: &JobClass,
        firing: Option<Timestamp>,
    ) -> Result<(), WorkError> {
        let dir = self.processes.begin_task_dir(&spec.id)?;
        Ok(self.jobs.start(work, spec, class, firing, &dir)?)
    }
}
