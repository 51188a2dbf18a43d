//! The books of live runs: by age, by job, and where each is stored. Every live run is entered and
//! taken out here. Absent: what runs go through.

use crate::engine::Engine;
use crate::ids::{JobName, RunId};
use crate::run::Run;

impl Engine {
    /// Enters a run.
    pub(crate) fn add_run(&mut self, run: Run) {
        self.by_age.insert((run.created_at, run.id.clone()));
        self.runs.insert(run.id.clone(), run);
    }

    /// Takes a run out that has ended.
    pub(crate) fn take_run(&mut self, id: &RunId) -> Option<Run> {
        let run = self.runs.remove(id)?;
        self.by_age.remove(&(run.created_at, run.id.clone()));
        Some(run)
    }

    /// A run is launched: from now on it is one of the active runs of its job. The first of them
    /// is stored in the job's own place, the others beside it.
    pub(crate) fn activate(&mut self, id: &RunId) {
        let job = id.job();
        let taken = self.active_runs(&job).any(|run| !run.parallel);
        if let Some(run) = self.runs.get_mut(id) {
            run.parallel = taken;
        }
        self.active.entry(job).or_default().insert(id.clone());
    }

    /// An active run has ended.
    pub(crate) fn deactivate(&mut self, job: &JobName, id: &RunId) {
        if let Some(runs) = self.active.get_mut(job) {
            runs.remove(id);
            if runs.is_empty() {
                self.active.remove(job);
            }
        }
    }

    /// The active runs of a job.
    pub(crate) fn active_runs(&self, job: &JobName) -> impl Iterator<Item = &Run> {
        self.active.get(job).into_iter().flatten().filter_map(|id| self.runs.get(id))
    }

    /// Their ids.
    pub(crate) fn active_ids(&self, job: &JobName) -> Vec<RunId> {
        self.active.get(job).map(|runs| runs.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn active_count(&self, job: &JobName) -> usize {
        self.active.get(job).map_or(0, std::collections::BTreeSet::len)
    }

    /// How many runs of a job may be active at once, by the document it has now.
    pub(crate) fn active_max(&self, job: &JobName) -> usize {
        self.registered_job(job).map_or(1, |job| job.rules.active_max() as usize)
    }
}
