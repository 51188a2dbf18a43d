//! Runs and tasks: made on request, cancelled, killed.

use std::sync::Arc;

use super::{conflict, invalid_field, not_found};
use crate::command::{
    Done, EndedRun, OVERRIDES_LEN_MAX, Overrides, Refusal, Reply, SUBMITTER_LEN_MAX,
};
use crate::document::{Execution, Job, Strictness};
use crate::effect::Effects;
use crate::engine::Engine;
use crate::firing::NewRun;
use crate::ids::{JobName, RunId, TaskId};
use crate::record::{KillIntent, Origin};
use crate::registered::RunJob;
use crate::run::{Requested, Run, first_error};
use crate::view::RunState;

/// Pending runs of one job that triggers and reruns may pile up.
const REQUESTED_PENDING_MAX: usize = 1_000;

impl Engine {
    pub(super) fn trigger(
        &mut self,
        name: &JobName,
        key: Option<String>,
        overrides: Overrides,
        submitter: Option<String>,
        by: &str,
        fx: &mut Effects,
    ) -> Reply {
        let (job, pending) = self.requestable(name)?;
        check_overrides(&job, &overrides)?;
        check_items_run(&overrides)?;
        submitter.as_deref().map_or(Ok(()), check_submitter)?;
        let key = key.unwrap_or_else(|| self.random.run_uuid(self.now).to_string());
        let id = RunId::triggered(name, &key)
            .map_err(|error| invalid_field("Idempotency-Key", error.to_string()))?;
        if let Some(before) = self.requested(&id) {
            let for_whom =
                submitter.as_ref().is_none_or(|it| before.submitter.as_ref() == Some(it));
            return if before.overrides == overrides.mark() && for_whom {
                Ok(Done::RunExists(id))
            } else {
                Err(Refusal::KeyReused { key, run: id })
            };
        }
        has_room(name, pending)?;
        let (logical_time, origin) = (self.now, Origin::Trigger);
        let submitter = Some(submitter.unwrap_or_else(|| by.to_owned()));
        let new = NewRun { id: id.clone(), logical_time, attempt: 1, origin, submitter, overrides };
        self.enqueue(&job, new, fx);
        Ok(Done::RunCreated(id))
    }

    /// Makes the next generation of a run that has ended. While one is under way there is no other:
    /// a request sent twice makes one run.
    pub(super) fn rerun(
        &mut self,
        ended: EndedRun,
        failed_only: bool,
        by: &str,
        fx: &mut Effects,
    ) -> Reply {
        let name = ended.run.job();
        let (now, pending) = self.requestable(&name)?;
        let job = self.document_of_run(&ended)?.unwrap_or(now);
        if self.runs.contains_key(&ended.run) {
            return Err(conflict(format!(
                "run {} has not ended: wait for it or cancel it",
                ended.run
            )));
        }
        let first = ended.run.first_generation(ended.generation);
        let within = |run: &&Run| run.attempt > 1 && run.id.first_generation(run.attempt) == first;
        let later = self.runs.range(&first..).map(|(_, run)| run);
        let mut later = later.take_while(|run| run.id.as_str().starts_with(first.as_str()));
        if let Some(live) = later.find(within) {
            return Ok(Done::RunExists(live.id.clone()));
        }
        let overrides = rerun_overrides(&job, &ended, failed_only)?;
        check_overrides(&job, &overrides)?;
        has_room(&name, pending)?;
        let mut generation = ended.last_generation.max(ended.generation).saturating_add(1);
        let mut id = first.generation(generation);
        while self.requested(&id).is_some() {
            generation = generation.saturating_add(1);
            id = first.generation(generation);
        }
        let (logical_time, origin) = (ended.logical_time, Origin::Rerun);
        let (id_made, attempt) = (id.clone(), generation);
        let submitter = Some(ended.submitter.unwrap_or_else(|| by.to_owned()));
        let new = NewRun { id, logical_time, attempt, origin, submitter, overrides };
        self.enqueue(&job, new, fx);
        Ok(Done::RunCreated(id_made))
    }

    /// The document a run that has ended was made with, where the history has it.
    fn document_of_run(&self, ended: &EndedRun) -> Result<Option<RunJob>, Refusal> {
        let Some(document) = &ended.document else {
            return Ok(None);
        };
        let (text, zone) = (document.0.get().as_bytes(), &self.settings.default_zone);
        let unreadable = |problem: String| {
            let run = &ended.run;
            conflict(format!(
                "the document of run {run} cannot be read ({problem}): trigger its job"
            ))
        };
        let job = Job::parse(text, Strictness::Stored, zone)
            .map_err(|errors| unreadable(first_error("job document", &errors)))?;
        if job.name != ended.run.job() {
            return Err(unreadable(format!("it is of job {}", job.name)));
        }
        if job.execution == Execution::Daemon {
            let detail = format!("run {} is of a DAEMON: it always runs", ended.run);
            return Err(conflict(detail));
        }
        // The app of then may be gone or stopped although the job has another one by now.
        self.app_document(&job.app).map_err(|problem| {
            conflict(format!("run {} cannot be made once more: {problem}", ended.run))
        })?;
        if let Some(reason) = self.disabled_reason(&job.name, &job.app) {
            return Err(conflict(format!("{reason}: enable it first")));
        }
        Ok(Some(RunJob::of(Arc::new(job))))
    }

    /// What a run was asked for with, if it lives or ended lately.
    fn requested(&self, id: &RunId) -> Option<Requested> {
        let of = |run: &Run| Requested::of(run);
        let ended = || self.ended_requests.iter().find(|(ended, _)| ended == id);
        self.runs.get(id).map(of).or_else(|| Some(ended()?.1.clone()))
    }

    /// A job of which runs can be asked for, and how many are pending.
    fn requestable(&self, name: &JobName) -> Result<(RunJob, usize), Refusal> {
        let Some(entry) = self.jobs.get(name) else {
            return Err(not_found("job", name));
        };
        if let Err(broken) = &entry.document {
            return Err(conflict(format!("job {name} cannot run: {}", broken.problem)));
        }
        let Some(job) = self.run_job(name) else {
            return Err(conflict(format!("the document of job {name} cannot be read: update it")));
        };
        if job.rules.is_daemon() {
            return Err(conflict(format!("job {name} is a DAEMON: it always runs")));
        }
        if let Some(reason) = self.disabled_reason(name, &job.app) {
            return Err(conflict(format!("{reason}: enable it first")));
        }
        Ok((job, entry.pending.len()))
    }

    pub(super) fn cancel_run(&mut self, id: &RunId, by: &str, fx: &mut Effects) -> Reply {
        let Some(run) = self.runs.get(id) else {
            return Err(not_found("live run", id));
        };
        if run.is_daemon() {
            let detail = format!("a DAEMON always runs: disable job {} instead", run.job.name);
            return Err(conflict(detail));
        }
        if run.is_pending() {
            self.end_pending(id, RunState::Cancelled, format!("cancelled by {by}"), fx);
        } else {
            self.cancel_active(id, KillIntent::Cancel, fx);
        }
        Ok(Done::Accepted)
    }

    pub(super) fn kill_task(&mut self, task: &TaskId, fx: &mut Effects) -> Reply {
        let Some((run, item)) = self.tasks.get(task).cloned() else {
            return Err(not_found("live task", task));
        };
        let daemon = self.runs.get(&run).is_some_and(Run::is_daemon);
        let intent = if daemon { KillIntent::Relaunch } else { KillIntent::Cancel };
        self.kill_shard(&run, item, intent, fx);
        Ok(Done::Accepted)
    }

    pub(super) fn reconcile_now(&mut self, fx: &mut Effects) -> Reply {
        if !self.connected {
            return Err(conflict("not subscribed at the Mesos master: try again later".to_owned()));
        }
        self.reconcile_all(fx);
        Ok(Done::Accepted)
    }
}

fn has_room(name: &JobName, pending: usize) -> Result<(), Refusal> {
    if pending >= REQUESTED_PENDING_MAX {
        let detail = format!("{pending} runs of job {name} are pending: wait or cancel some");
        return Err(conflict(detail));
    }
    Ok(())
}

/// What a rerun changes: as the run did, and only the shards that failed if so asked.
fn rerun_overrides(
    job: &RunJob,
    ended: &EndedRun,
    failed_only: bool,
) -> Result<Overrides, Refusal> {
    let mut overrides = ended.overrides.clone();
    let some = failed_only || !overrides.items.is_empty();
    let (then, now) = (ended.sharding_total_count, job.rules.sharding_total_count);
    if some && then != 0 && then != now {
        return Err(conflict(format!(
            "run {} had {then} shards and job {} has {now} now, so that its shards mean something \
             else: rerun it whole, or trigger the shards you want",
            ended.run, job.name
        )));
    }
    if failed_only && then != 0 {
        if ended.failed_items.is_empty() {
            let detail = format!("every shard of run {} succeeded: rerun it whole", ended.run);
            return Err(conflict(detail));
        }
        overrides.items.clone_from(&ended.failed_items);
    }
    if overrides.items.len() == now as usize {
        overrides.items.clear();
    }
    // Parameters of shards that the job has no more have nothing to apply to.
    overrides.sharding_item_parameters.retain(|item, _| *item < now);
    Ok(overrides)
}

/// Whoever watches by submitter writes the name on a command line.
fn check_submitter(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > SUBMITTER_LEN_MAX || name.chars().any(char::is_control) {
        let message = format!("must have 1 to {SUBMITTER_LEN_MAX} bytes and no control characters");
        return Err(invalid_field("submitter", message));
    }
    Ok(())
}

/// A parameter for a shard that does not run is a mistake. Of a rerun it is none: the run that it
/// repeats may have had more shards.
fn check_items_run(overrides: &Overrides) -> Result<(), Refusal> {
    let Overrides { items, sharding_item_parameters, .. } = overrides;
    let idle = |item: &&u32| !items.is_empty() && !items.contains(item);
    match sharding_item_parameters.keys().find(idle) {
        None => Ok(()),
        Some(item) => {
            let message = format!("names shard {item}, which is not among the items that run");
            Err(invalid_field("shardingItemParameters", message))
        }
    }
}

fn check_overrides(job: &RunJob, overrides: &Overrides) -> Result<(), Refusal> {
    let items = overrides.sharding_item_parameters.values();
    let len = overrides.job_parameter.as_ref().map_or(0, String::len)
        + overrides.env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
        + items.map(String::len).sum::<usize>();
    if len > OVERRIDES_LEN_MAX {
        let message = format!("parameters of {len} bytes, the limit is {OVERRIDES_LEN_MAX}");
        return Err(invalid_field("env", message));
    }
    let count = job.rules.sharding_total_count;
    let chosen = overrides.items.iter().map(|item| ("items", *item));
    let changed = overrides.sharding_item_parameters.keys();
    let changed = changed.map(|item| ("shardingItemParameters", *item));
    if let Some((field, item)) = chosen.chain(changed).find(|(_, item)| *item >= count) {
        let message = format!("names shard {item}; the job has {count}, numbered from 0");
        return Err(invalid_field(field, message));
    }
    let bad = |name: &str, value: &str| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = overrides.env.iter().find(|(name, value)| bad(name, value)) {
        let message = "a name must not be empty nor hold '=', and nothing may hold NUL".to_owned();
        return Err(invalid_field(&format!("env.{name}"), message));
    }
    if overrides.job_parameter.as_ref().is_some_and(|text| text.contains('\0')) {
        return Err(invalid_field("jobParameter", "must not hold NUL".to_owned()));
    }
    if overrides.sharding_item_parameters.values().any(|text| text.contains('\0')) {
        return Err(invalid_field("shardingItemParameters", "must not hold NUL".to_owned()));
    }
    Ok(())
}
