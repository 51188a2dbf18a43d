//! `TaskStatus` -> `StatusUpdate`. Absent: what an update means for a task; that is the engine's.

use prost::Message as _;
use shiftwork_engine::event::{Outcome, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, TaskId};
use shiftwork_engine::record::Usage;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::task_status::{Reason, Source};
use shiftwork_proto::shiftwork::v1::TaskOutcome;
use shiftwork_schedule::Timestamp;

use super::incoming::required;
use super::{WireError, command_mode};

/// Longest message kept, in bytes: it goes into run records and the history, and a master quotes
/// a whole `ExecutorInfo` in its own.
const MESSAGE_LEN_MAX: usize = 4096;

/// Longest end of an output kept, in bytes: what an executor of ours sends at most.
const TAIL_LEN_MAX: usize = 4096;

/// Begins the message of a task that was refused because of its `ExecutorInfo`.
const EXECUTOR_DIFFERS: &str = "ExecutorInfo is not compatible with existing ExecutorInfo";

/// Reads one update.
///
/// # Errors
/// When the task is not named or its state is none we know.
pub(super) fn read_status(status: mesos::TaskStatus) -> Result<StatusUpdate, WireError> {
    let task = required(status.task_id.value.clone(), "TaskStatus.task_id")?;
    let state = read_state(&task, status.state)?;
    let reason = match status.reason.map_or(StatusReason::Other, read_reason) {
        StatusReason::Other if state == TaskState::Error && differs(&status) => {
            StatusReason::ExecutorDiffers
        }
        reason => reason,
    };
    let outcome = match status.data.and_then(read_outcome) {
        None if status.source == Some(Source::Executor as i32) => {
            status.message.as_deref().and_then(command_mode::read_outcome)
        }
        outcome => outcome,
    };
    Ok(StatusUpdate {
        agent: status.agent_id.map(|id| id.value).filter(|id| !id.is_empty()).map(AgentId::new),
        state,
        reason,
        message: status.message.map(shorten),
        uuid: status.uuid.filter(|uuid| !uuid.is_empty()).map(Vec::from),
        task: TaskId::new(task),
        outcome,
    })
}

fn read_state(task: &str, number: i32) -> Result<TaskState, WireError> {
    use mesos::TaskState as Wire;
    let state = Wire::try_from(number)
        .map_err(|_| WireError::UnknownState { task: task.to_owned(), number })?;
    Ok(match state {
        Wire::TaskStaging => TaskState::Staging,
        Wire::TaskStarting => TaskState::Starting,
        Wire::TaskRunning => TaskState::Running,
        Wire::TaskKilling => TaskState::Killing,
        Wire::TaskFinished => TaskState::Finished,
        Wire::TaskFailed => TaskState::Failed,
        Wire::TaskKilled => TaskState::Killed,
        Wire::TaskError => TaskState::Error,
        Wire::TaskLost => TaskState::Lost,
        Wire::TaskDropped => TaskState::Dropped,
        Wire::TaskUnreachable => TaskState::Unreachable,
        Wire::TaskGone => TaskState::Gone,
        Wire::TaskGoneByOperator => TaskState::GoneByOperator,
        Wire::TaskUnknown => TaskState::Unknown,
    })
}

/// Whether a master refused a task because its executor runs as another. Only the words say so.
fn differs(status: &mesos::TaskStatus) -> bool {
    status.reason == Some(Reason::TaskInvalid as i32)
        && status.message.as_deref().is_some_and(|text| text.starts_with(EXECUTOR_DIFFERS))
}

/// A number of a later Mesos is no reason to lose the update: the state says enough.
fn read_reason(number: i32) -> StatusReason {
    let Ok(reason) = Reason::try_from(number) else {
        return StatusReason::Other;
    };
    match reason {
        Reason::Reconciliation => StatusReason::Reconciliation,
        Reason::ExecutorTerminated
        | Reason::ExecutorUnregistered
        | Reason::ExecutorRegistrationTimeout
        | Reason::ExecutorReregistrationTimeout
        | Reason::ContainerLaunchFailed
        | Reason::ContainerUpdateFailed
        | Reason::ContainerPreempted => StatusReason::ExecutorLost,
        Reason::AgentRemoved
        | Reason::AgentRemovedByOperator
        | Reason::AgentDisconnected
        | Reason::AgentRestarted
        | Reason::AgentUnknown
        | Reason::AgentDraining => StatusReason::AgentLost,
        _ => StatusReason::Other,
    }
}

/// `data` belongs to whoever wrote the executor: what is no outcome of ours is none at all.
fn read_outcome(data: bytes::Bytes) -> Option<Outcome> {
    let outcome = TaskOutcome::decode(data).ok().filter(|outcome| outcome.version > 0)?;
    let measured = |figure: u64| Some(figure).filter(|figure| *figure > 0);
    Some(Outcome {
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        usage: Some(Usage {
            duration_ms: outcome.duration_ms,
            memory_peak_bytes: measured(outcome.memory_peak_bytes),
            cpu_time_ms: measured(outcome.cpu_time_ms),
        }),
        http_status: outcome.http_status.and_then(|status| u16::try_from(status).ok()),
        failure: Some(outcome.failure).filter(|text| !text.is_empty()).map(shorten),
        stdout_tail: read_tail(&outcome.stdout_tail),
        stderr_tail: read_tail(&outcome.stderr_tail),
        firing_time: Some(outcome.firing_time_ms)
            .filter(|millis| *millis != 0)
            .map(Timestamp::from_millis),
    })
}

/// The end of an output as text. It goes to people's terminals and into JSON, so that what controls
/// the one and swells the other is left out.
fn read_tail(bytes: &[u8]) -> String {
    let bytes = bytes.get(bytes.len().saturating_sub(TAIL_LEN_MAX)..).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_text(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn shorten(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_LEN_MAX));
    message
}
