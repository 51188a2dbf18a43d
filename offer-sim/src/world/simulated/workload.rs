//! What simulated executors do with their tasks, as a user describes it in distributions.

use shiftwork_proto::mesos::v1::TaskInfo;

use super::super::chance::Fate;
use super::super::distribution::Distribution;
use super::super::event::StartExecutor;
use super::plan::{ExecutorPlan, TaskPlan, Work};

/// How simulated executors and their tasks fare.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// From an executor's start to its SUBSCRIBE.
    pub start_delay: Distribution,
    /// From a task's launch in its executor to its end.
    pub task_duration: Distribution,
    /// The part of tasks that end FAILED, 0 to 1.
    pub failure_rate: f64,
    /// From an executor's SUBSCRIBE until it crashes with exit 1.
    pub executor_lifetime: Distribution,
    /// Tasks whose name or id contains one of these run until they are killed.
    pub run_forever: Vec<String>,
}

impl Default for Workload {
    /// Tasks that take ten seconds and succeed, in executors that are up after a tenth of one.
    fn default() -> Self {
        Self {
            start_delay: Distribution::Constant(100),
            task_duration: Distribution::Constant(10_000),
            failure_rate: 0.0,
            executor_lifetime: Distribution::Forever,
            run_forever: Vec::new(),
        }
    }
}

// === impl Workload ===

impl Workload {
    /// Whether a task is one of those that run until they are killed.
    fn runs_forever(&self, task: &TaskInfo) -> bool {
        self.run_forever.iter().any(|text| {
            task.name.contains(text.as_str()) || task.task_id.value.contains(text.as_str())
        })
    }
}

/// A workload whose chances are drawn by name: one more task does not change what becomes of the
/// others.
#[derive(Debug)]
pub(super) struct DrawnWorkload {
    pub(super) workload: Workload,
    pub(super) fate: Fate,
}

// === impl DrawnWorkload ===

impl Work for DrawnWorkload {
    fn executor(&mut self, start: &StartExecutor) -> ExecutorPlan {
        let name = start.container.0.as_str();
        let lifetime = &self.workload.executor_lifetime;
        ExecutorPlan {
            up_after_ms: self.workload.start_delay.sample_ms(self.fate.draw("start", name)),
            crash_after_ms: lifetime.sample_ms(self.fate.draw("lifetime", name)),
            idle_ms: None,
            leave_after_ms: 0,
        }
    }

    fn task(&mut self, task: &TaskInfo) -> TaskPlan {
        let name = task.task_id.value.as_str();
        let duration = &self.workload.task_duration;
        let lasts = !self.workload.runs_forever(task);
        TaskPlan {
            says_starting: false,
            run_after_ms: Some(0),
            end_after_ms: duration.sample_ms(self.fate.draw("duration", name)).filter(|_| lasts),
            fails: self.fate.happens("failure", name, self.workload.failure_rate),
            data: None,
            reports: None,
            says_killing: true,
            kill_after_ms: 0,
        }
    }
}
