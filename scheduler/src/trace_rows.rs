//! From what the engine says happened to the rows of the history.

use shiftwork_engine::Trace;
use shiftwork_engine::command::Overrides;
use shiftwork_engine::ids::{AppName, JobName, RunId};
use shiftwork_engine::record::Origin;
use shiftwork_engine::view::{RunState, RunView};
use shiftwork_schedule::Timestamp;

use crate::registry::Epoch;
use crate::trace::{EventRow, RunRow, TraceRecord};

/// Makes rows and numbers them, so that an older one never overwrites a newer one.
pub(crate) struct TraceRows {
    epoch: Epoch,
    sequence: u64,
}

/// Rows of one epoch: far more than a leader writes in its life.
const SEQUENCE_BITS: u32 = 40;

// === impl TraceRows ===

impl TraceRows {
    /// Starts numbering for a tenure.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, sequence: 0 }
    }

    /// The row of a trace; none if it cannot be written as JSON, which no run of ours can be.
    pub(crate) fn row(&mut self, trace: &Trace) -> Option<TraceRecord> {
        self.sequence += 1;
        match trace {
            Trace::Run(view) => self.run(view),
            Trace::Task { run, job, at, item, task, state, message } => {
                Some(TraceRecord::Event(EventRow {
                    run_id: run.to_string(),
                    job: job.to_string(),
                    at_ms: at.as_millis(),
                    kind: "TASK".to_owned(),
                    item: Some(*item),
                    task_id: Some(task.to_string()),
                    state: Some((*state).to_owned()),
                    message: message.clone(),
                    epoch: self.epoch.0,
                    sequence: self.sequence,
                }))
            }
            Trace::Changed(_) => None,
            Trace::Missed { job, app, first, last, count, misfire, reason, at } => {
                let mut view = missed(job, app, (*first, *last), *count, reason, *at);
                view.misfire = Some(*misfire);
                self.run(&view)
            }
        }
    }

    fn run(&self, view: &RunView) -> Option<TraceRecord> {
        Some(TraceRecord::Run(RunRow {
            id: view.id.to_string(),
            job: view.job.to_string(),
            app: view.app.to_string(),
            logical_time_ms: view.logical_time.as_millis(),
            state: view.state.name().to_owned(),
            reason: view.reason.clone(),
            attempt: view.attempt,
            created_at_ms: view.created_at.as_millis(),
            started_at_ms: view.started_at.map(Timestamp::as_millis),
            finished_at_ms: view.finished_at.map(Timestamp::as_millis),
            version: (self.epoch.0 << SEQUENCE_BITS) | self.sequence,
            json: serde_json::to_string(&RunView { document: None, ..view.clone() }).ok()?,
            document: view.document.as_ref().map(|document| document.0.get().to_owned()),
        }))
    }
}

/// Firings without a run of their own are seen as one run that was skipped.
fn missed(
    job: &JobName,
    app: &AppName,
    (first, last): (Timestamp, Timestamp),
    count: u64,
    reason: &str,
    at: Timestamp,
) -> RunView {
    let reason = if count > 1 {
        format!("{count} firings from {first} to {last}: {reason}")
    } else {
        reason.to_owned()
    };
    RunView {
        id: RunId::scheduled(job, last),
        job: job.clone(),
        app: app.clone(),
        origin: Origin::Schedule,
        logical_time: last,
        state: RunState::Skipped,
        reason: Some(reason),
        attempt: 1,
        sharding_total_count: 0,
        overrides: Overrides::default(),
        shards: Vec::new(),
        created_at: at,
        started_at: None,
        finished_at: Some(at),
        misfire: None,
        document: None,
    }
}
