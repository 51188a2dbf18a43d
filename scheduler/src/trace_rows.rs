//! From what the engine says happened to the rows of the history.

use shiftwork_engine::Trace;
use shiftwork_engine::command::Overrides;
use shiftwork_engine::effect::Change;
use shiftwork_engine::ids::{AgentId, AppName, JobName, RunId, TaskId};
use shiftwork_engine::record::{Key, Origin};
use shiftwork_engine::statistics::Misfire;
use shiftwork_engine::view::{RunState, RunView};
use shiftwork_schedule::Timestamp;

use crate::agent_files::AgentBook;
use crate::audit_log::Entry;
use crate::auth::Actor;
use crate::registry::Epoch;
use crate::trace::{ChangeRow, EventRow, MissedRow, RunRow, TraceRecord};

/// Makes rows and numbers them, so that an older one never overwrites a newer one.
pub(crate) struct TraceRows {
    epoch: Epoch,
    sequence: u64,
    agents: AgentBook,
}

/// Rows of one epoch: far more than a leader writes in its life.
const SEQUENCE_BITS: u32 = 40;

// === impl TraceRows ===

impl TraceRows {
    /// Starts numbering for a tenure. `agents` tells the hosts of tasks.
    pub(crate) fn new(epoch: Epoch, agents: AgentBook) -> Self {
        Self { epoch, sequence: 0, agents }
    }

    /// Adds the rows of a trace. A run that cannot be written as JSON, which no run of ours can be,
    /// has none.
    pub(crate) fn push(&mut self, trace: &Trace, now: Timestamp, rows: &mut Vec<TraceRecord>) {
        self.sequence += 1;
        let (epoch, sequence) = (self.epoch.0, self.sequence);
        match trace {
            Trace::Run(view) => self.run(view, now, rows),
            Trace::Task { run, job, app, is_daemon, at, item, task, state, message, submitter } => {
                rows.push(TraceRecord::Event(EventRow {
                    run_id: run.to_string(),
                    job: job.to_string(),
                    at_ms: at.as_millis(),
                    kind: "TASK".to_owned(),
                    item: Some(*item),
                    task_id: Some(task.to_string()),
                    state: Some((*state).to_owned()),
                    message: message.clone(),
                    epoch,
                    sequence,
                    hostname: self.hostname(task),
                    submitter: submitter.clone(),
                    app: Some(app.to_string()),
                    is_daemon: Some(*is_daemon),
                }));
            }
            Trace::Missed { job, app, first, last, count, misfire, reason, at } => {
                rows.push(TraceRecord::Missed(MissedRow {
                    job: job.to_string(),
                    app: app.to_string(),
                    first_ms: first.as_millis(),
                    last_ms: last.as_millis(),
                    firings: *count,
                    cause: misfire_name(*misfire).to_owned(),
                    reason: reason.clone(),
                    decided_at_ms: at.as_millis(),
                    epoch,
                    sequence,
                }));
                let mut view = missed(job, app, (*first, *last), *count, reason, *at);
                view.misfire = Some(*misfire);
                self.run(&view, now, rows);
            }
            Trace::Changed(change) => {
                rows.extend(change_row(change, epoch, sequence).map(TraceRecord::Change));
            }
        }
    }

    /// The row of an entry of the audit log.
    pub(crate) fn audit_log(&mut self, by: &Actor, entry: Entry, now: Timestamp) -> TraceRecord {
        self.sequence += 1;
        TraceRecord::AuditLog(entry.row(by, now, self.epoch.0, self.sequence))
    }

    fn hostname(&self, task: &TaskId) -> Option<String> {
        let agent = task.as_str().split("@-@").nth(3)?;
        self.agents.find(&AgentId::new(agent)).map(|address| address.host().to_owned())
    }

    /// A run as it is now, and the event that it is so.
    fn run(&self, view: &RunView, now: Timestamp, rows: &mut Vec<TraceRecord>) {
        rows.push(TraceRecord::Event(EventRow {
            run_id: view.id.to_string(),
            job: view.job.to_string(),
            at_ms: now.as_millis(),
            kind: "RUN".to_owned(),
            state: Some(view.state.name().to_owned()),
            message: view.reason.clone(),
            submitter: view.submitter.clone(),
            app: Some(view.app.to_string()),
            epoch: self.epoch.0,
            sequence: self.sequence,
            ..EventRow::default()
        }));
        rows.extend(self.run_row(view).map(TraceRecord::Run));
    }

    fn run_row(&self, view: &RunView) -> Option<RunRow> {
        Some(RunRow {
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
        })
    }
}

/// The name of the decision, as the API writes it.
pub(crate) fn misfire_name(misfire: Misfire) -> &'static str {
    match misfire {
        Misfire::Skipped => "SKIPPED",
        Misfire::Coalesced => "COALESCED",
        Misfire::Missed => "MISSED",
    }
}

/// The row of a changed document or flag; none for what is neither.
fn change_row(change: &Change, epoch: u64, sequence: u64) -> Option<ChangeRow> {
    let (kind, name) = match &change.key {
        Key::App(name) => ("app", name.to_string()),
        Key::Job(name) => ("job", name.to_string()),
        Key::Calendar(name) => ("calendar", name.to_string()),
        Key::DisabledApp(name) => ("app-flag", name.to_string()),
        Key::DisabledJob(name) => ("job-flag", name.to_string()),
        _ => return None,
    };
    let content = change.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    Some(ChangeRow {
        kind: kind.to_owned(),
        name,
        at_ms: change.at.as_millis(),
        changed_by: change.by.clone(),
        content,
        epoch,
        sequence,
    })
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
        submitter: None,
        overrides: Overrides::default(),
        shards: Vec::new(),
        created_at: at,
        started_at: None,
        finished_at: Some(at),
        misfire: None,
        document: None,
    }
}
