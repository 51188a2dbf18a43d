//! What a status update says: states, messages for people, outcomes for the scheduler. Absent:
//! when to send one.

use bytes::Bytes;
use prost::Message as _;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::TaskState;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_proto::mesos::v1::task_status::Source;
use shiftwork_proto::shiftwork::v1::TaskOutcome;
use shiftwork_schedule::Timestamp;

use super::event::{Exited, Now, TaskId};
use super::work::{Finished, Intent};

/// Message of the update that marks a daemon busy; Elastic-Job-Cloud's word.
pub(super) const BEGIN: &str = "BEGIN";
/// Message of the update that marks a daemon idle; Elastic-Job-Cloud's word.
pub(super) const COMPLETE: &str = "COMPLETE";

/// The outcome's meaning that is written here (`TaskOutcome.version`).
const OUTCOME_VERSION: u32 = 1;
/// How much of stderr a message for people ends with, in bytes: a few lines on a screen. The whole
/// tail is in the outcome.
const MESSAGE_STDERR_LEN_MAX: usize = 512;
/// How much of each output goes into an outcome, in bytes; the payload's contract.
const OUTCOME_TAIL_LEN_MAX: usize = 4096;

/// What an update says beside the task it is about.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) state: TaskState,
    pub(super) message: Option<String>,
    pub(super) outcome: Option<TaskOutcome>,
}

// === impl Report ===

impl Report {
    /// A state without more to say.
    pub(super) fn state(state: TaskState) -> Self {
        Self { state, message: None, outcome: None }
    }

    /// A daemon's firing begins.
    pub(super) fn begin() -> Self {
        Self { message: Some(BEGIN.to_owned()), ..Self::state(TaskState::TaskRunning) }
    }

    /// A daemon's firing is over.
    pub(super) fn complete(outcome: TaskOutcome) -> Self {
        Self {
            message: Some(COMPLETE.to_owned()),
            outcome: Some(outcome),
            ..Self::state(TaskState::TaskRunning)
        }
    }

    /// The task cannot be run, or its process cannot be started.
    pub(super) fn not_started(message: String, outcome: Option<TaskOutcome>) -> Self {
        Self { message: Some(message), outcome, ..Self::state(TaskState::TaskFailed) }
    }

    /// The task was killed while none of its processes ran.
    pub(super) fn killed_idle() -> Self {
        Self {
            message: Some("killed before its process ran".to_owned()),
            ..Self::state(TaskState::TaskKilled)
        }
    }

    /// The terminal report of work that is over.
    pub(super) fn terminal(finished: &Finished, timeout_ms: Option<u64>) -> Self {
        let state = match finished.intent {
            Some(Intent::Kill | Intent::Shutdown) => TaskState::TaskKilled,
            None if finished.succeeded() => TaskState::TaskFinished,
            Some(Intent::Timeout) | None => TaskState::TaskFailed,
        };
        let message = match state {
            TaskState::TaskFinished => describe_success(finished),
            _ => Some(describe(finished, timeout_ms)),
        };
        Self { state, message, outcome: Some(outcome(finished, None, timeout_ms)) }
    }

    /// The update for `task`.
    pub(super) fn into_update(
        self,
        task: &TaskId,
        executor_id: &str,
        uuid: [u8; 16],
        now: Now,
    ) -> Update {
        let status = mesos::TaskStatus {
            task_id: mesos::TaskId { value: task.0.clone() },
            state: self.state.into(),
            message: self.message,
            source: Some(Source::Executor.into()),
            data: self.outcome.map(|outcome| Bytes::from(outcome.encode_to_vec())),
            executor_id: Some(mesos::ExecutorId { value: executor_id.to_owned() }),
            timestamp: Some(now.wall.as_millis() as f64 / 1_000.0),
            uuid: Some(Bytes::copy_from_slice(&uuid)),
            ..mesos::TaskStatus::default()
        };
        Update { status }
    }
}

/// The outcome of work that is over; `firing` for a daemon.
pub(super) fn outcome(
    finished: &Finished,
    firing: Option<Timestamp>,
    timeout_ms: Option<u64>,
) -> TaskOutcome {
    let ended = finished.ended.as_ref();
    let exited = ended.map(|ended| &ended.end.exited);
    let exit_code = exited.and_then(|exited| match exited {
        Exited::Code(code) => Some(*code),
        _ => None,
    });
    let signal = exited.and_then(|exited| match exited {
        Exited::Signal(signal) => Some(*signal),
        _ => None,
    });
    let http_status = exited.and_then(|exited| match exited {
        Exited::Answered { status, .. } => Some(u32::from(*status)),
        _ => None,
    });
    let tail = ended.map_or_else(Bytes::new, |ended| ended.end.stderr_tail.clone());
    let stdout = ended.map_or(&[][..], |ended| ended.end.stdout_tail.as_ref());
    let note = match finished.intent {
        Some(Intent::Timeout) => format!("\nshiftwork: {}\n", timed_out(timeout_ms)),
        _ => String::new(),
    };
    TaskOutcome {
        version: OUTCOME_VERSION,
        exit_code,
        signal,
        duration_ms: ended.map_or(0, |ended| ended.duration_ms),
        stderr_tail: tail_with_note(&tail, &note),
        firing_time_ms: firing.map_or(0, Timestamp::as_millis),
        memory_peak_bytes: finished.usage.memory_peak_bytes,
        cpu_time_ms: finished.usage.cpu_time_ms,
        http_status,
        stdout_tail: Bytes::copy_from_slice(last(stdout, OUTCOME_TAIL_LEN_MAX)),
        failure: if finished.succeeded() {
            String::new()
        } else {
            describe_ending(finished, timeout_ms)
        },
    }
}

/// The outcome of work that never began; the reason stands where its stderr would.
pub(super) fn outcome_not_started(reason: &str, firing: Option<Timestamp>) -> TaskOutcome {
    TaskOutcome {
        version: OUTCOME_VERSION,
        stderr_tail: tail_with_note(&[], &format!("shiftwork: {reason}\n")),
        firing_time_ms: firing.map_or(0, Timestamp::as_millis),
        failure: format!("cannot start: {reason}"),
        ..TaskOutcome::default()
    }
}

fn tail_with_note(tail: &[u8], note: &str) -> Bytes {
    let all = [tail, note.as_bytes()].concat();
    Bytes::copy_from_slice(last(&all, OUTCOME_TAIL_LEN_MAX))
}

/// How it ended, and the last it said.
fn describe(finished: &Finished, timeout_ms: Option<u64>) -> String {
    let what = describe_ending(finished, timeout_ms);
    let text = tail_text(finished);
    if text.is_empty() { what } else { format!("{what}: {text}") }
}

fn describe_ending(finished: &Finished, timeout_ms: Option<u64>) -> String {
    let ending = finished
        .ended
        .as_ref()
        .map_or_else(|| "its end was not seen".to_owned(), |ended| describe_end(&ended.end.exited));
    match finished.intent {
        None => ending,
        Some(Intent::Timeout) => format!("{} ({ending})", timed_out(timeout_ms)),
        Some(Intent::Kill | Intent::Shutdown) => format!("killed ({ending})"),
    }
}

/// What a request was answered is worth reading when all is well, too.
fn describe_success(finished: &Finished) -> Option<String> {
    let answered = |exited: &Exited| matches!(exited, Exited::Answered { .. });
    finished.ended.as_ref().filter(|ended| answered(&ended.end.exited))?;
    Some(tail_text(finished)).filter(|text| !text.is_empty())
}

fn describe_end(exited: &Exited) -> String {
    match exited {
        Exited::Code(code) => format!("exited with code {code}"),
        Exited::Signal(signal) => format!("ended by signal {signal}{}", signal_name(*signal)),
        Exited::Answered { status, .. } => format!("answered with status {status}"),
        Exited::Returned => "returned".to_owned(),
        Exited::Failed { reason } => reason.clone(),
        Exited::Cancelled => "its request was cancelled".to_owned(),
    }
}

fn tail_text(finished: &Finished) -> String {
    let tail = finished.ended.as_ref().map_or(&[][..], |ended| ended.end.stderr_tail.as_ref());
    let text = String::from_utf8_lossy(last(tail, MESSAGE_STDERR_LEN_MAX));
    // Half a character at the cut is no part of what the work said.
    text.trim_start_matches(char::REPLACEMENT_CHARACTER).trim().to_owned()
}

fn timed_out(timeout_ms: Option<u64>) -> String {
    let ms = timeout_ms.unwrap_or(0);
    match ms % 1_000 {
        0 => format!("timed out after {} s", ms / 1_000),
        _ => format!("timed out after {ms} ms"),
    }
}

/// The names people know; the numbers are the same on every Linux these run on.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        5 => " (SIGTRAP)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        10 => " (SIGUSR1)",
        11 => " (SIGSEGV)",
        12 => " (SIGUSR2)",
        13 => " (SIGPIPE)",
        14 => " (SIGALRM)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

fn last(bytes: &[u8], len_max: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(len_max)..).unwrap_or(bytes)
}
