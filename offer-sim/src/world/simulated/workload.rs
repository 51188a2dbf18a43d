//! What simulated executors do with their tasks, as a user describes it. Draws nothing itself.

use shiftwork_proto::mesos::v1::TaskInfo;

use super::super::distribution::Distribution;

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
    pub(super) fn runs_forever(&self, task: &TaskInfo) -> bool {
        self.run_forever.iter().any(|text| {
            task.name.contains(text.as_str()) || task.task_id.value.contains(text.as_str())
        })
    }
}
