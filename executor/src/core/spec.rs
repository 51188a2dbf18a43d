//! Reads a task's payload into what the core works with, or says why it cannot be run. Absent: any
//! default for what the scheduler must decide.

use prost::Message as _;
use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::shiftwork::v1::task_payload::Work;
use shiftwork_proto::shiftwork::v1::{self as wire, ExecutionType, Http, JobClass, TaskPayload};
use shiftwork_schedule::{BoundedSchedule, Cron, Interval, Schedule, Timestamp, Zone};

use super::TaskId;

/// The newest payload meaning this executor knows (`TaskPayload.version`).
const PAYLOAD_VERSION: u32 = 1;

/// One task, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    /// The task.
    pub id: TaskId,
    /// The payload as it came; what stands beside it here was checked.
    pub payload: TaskPayload,
    /// What to run.
    pub work: TaskSpecWork,
    /// Once, or by a schedule.
    pub kind: TaskSpecKind,
    /// Running longer is killed; milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What a task runs.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskSpecWork {
    /// A command line for the shell, not blank.
    Script(String),
    /// A request, its URI and method not blank.
    Http(Http),
    /// A job registered in this executor, its name not blank.
    Class(JobClass),
}

/// How often the work of a task runs.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskSpecKind {
    /// Once.
    Transient,
    /// At every firing of a schedule, until killed.
    Daemon {
        /// When to fire.
        schedule: BoundedSchedule,
        /// Whether a missed firing is made afterwards.
        misfire: bool,
    },
}

/// Why a task cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// `TaskInfo.data` is absent or empty.
    #[error(
        "the task carries no payload in TaskInfo.data; launch it through the Shiftwork scheduler"
    )]
    NoPayload,
    /// `TaskInfo.data` is not a `TaskPayload`.
    #[error(
        "TaskInfo.data is not a Shiftwork task payload; scheduler and executor must be of one release"
    )]
    Undecodable(#[source] prost::DecodeError),
    /// The payload says it is of no version, so it is something else that happens to decode.
    #[error(
        "TaskInfo.data is not a Shiftwork task payload (version 0); launch it through the Shiftwork \
         scheduler"
    )]
    Unversioned,
    /// The payload is newer than this executor.
    #[error(
        "the task's payload is of version {got}, this executor knows up to {PAYLOAD_VERSION}; deploy \
         a newer shiftwork-executor with the app"
    )]
    NewerVersion {
        /// The payload's version.
        got: u32,
    },
    /// Neither TRANSIENT nor DAEMON.
    #[error("the task's payload has execution type {got}; it must be TRANSIENT (1) or DAEMON (2)")]
    UnknownExecutionType {
        /// The number found.
        got: i32,
    },
    /// No work, or work of a kind this executor does not know.
    #[error(
        "the task's payload names no work this executor can run; it must be a script, an HTTP \
         request or a registered job"
    )]
    NoWork,
    /// A script without a command.
    #[error("the job's script command line is blank; set scriptCommandLine")]
    BlankCommand,
    /// A request without URI or method.
    #[error("the job's HTTP request has a blank {field}; set it in the job's document")]
    BlankRequest {
        /// What is blank.
        field: &'static str,
    },
    /// A job without a name.
    #[error("the job's class is blank; set jobClass to a name the app's executor registers")]
    BlankClass,
    /// A name or value that no process can be given.
    #[error(
        "the job's env entry {name:?} cannot be given to a process; a name must not be empty or \
         contain '=', and neither name nor value may contain a NUL"
    )]
    BadEnvironment {
        /// The entry's name.
        name: String,
    },
    /// A DAEMON without a schedule, or with two.
    #[error(
        "a DAEMON task needs either a cron expression or a period in its schedule, and only one"
    )]
    BadSchedule,
    /// The schedule's cron cannot be parsed.
    #[error("the schedule's cron expression {cron:?} cannot be read")]
    BadCron {
        /// The expression.
        cron: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schedule's time zone is not known here.
    #[error("the schedule's time zone {zone:?} is not known on this agent")]
    BadZone {
        /// The name.
        zone: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

// === impl TaskSpec ===

impl TaskSpec {
    /// Reads and checks the payload of `info`.
    ///
    /// # Errors
    ///
    /// The first thing in the payload that makes the task impossible to run.
    pub fn read(info: &TaskInfo) -> Result<Self, SpecError> {
        let data = info.data.clone().filter(|data| !data.is_empty()).ok_or(SpecError::NoPayload)?;
        let payload = TaskPayload::decode(data).map_err(SpecError::Undecodable)?;
        match payload.version {
            0 => return Err(SpecError::Unversioned),
            1..=PAYLOAD_VERSION => {}
            got => return Err(SpecError::NewerVersion { got }),
        }
        let work = read_work(&payload)?;
        check_environment(&payload)?;
        let kind = match ExecutionType::try_from(payload.execution_type) {
            Ok(ExecutionType::Transient) => TaskSpecKind::Transient,
            Ok(ExecutionType::Daemon) => {
                let wire = payload.schedule.as_ref().ok_or(SpecError::BadSchedule)?;
                let schedule = BoundedSchedule {
                    schedule: read_schedule(wire)?,
                    start_after: wire.start_after_ms.map(Timestamp::from_millis),
                    end_before: wire.end_before_ms.map(Timestamp::from_millis),
                };
                TaskSpecKind::Daemon { schedule, misfire: wire.misfire }
            }
            Ok(ExecutionType::Unspecified) | Err(_) => {
                return Err(SpecError::UnknownExecutionType { got: payload.execution_type });
            }
        };
        let timeout_ms = Some(payload.timeout_ms).filter(|&ms| ms > 0);
        let id = TaskId(info.task_id.value.clone());
        Ok(Self { id, payload, work, kind, timeout_ms })
    }
}

fn read_work(payload: &TaskPayload) -> Result<TaskSpecWork, SpecError> {
    let is_blank = |text: &str| text.trim().is_empty();
    match payload.work.clone().ok_or(SpecError::NoWork)? {
        Work::Script(script) if is_blank(&script.command_line) => Err(SpecError::BlankCommand),
        Work::Script(script) => Ok(TaskSpecWork::Script(script.command_line)),
        Work::Http(http) if is_blank(&http.uri) => Err(SpecError::BlankRequest { field: "URI" }),
        Work::Http(http) if is_blank(&http.method) => {
            Err(SpecError::BlankRequest { field: "method" })
        }
        Work::Http(http) => Ok(TaskSpecWork::Http(http)),
        Work::JobClass(class) if is_blank(&class.name) => Err(SpecError::BlankClass),
        Work::JobClass(class) => Ok(TaskSpecWork::Class(class)),
    }
}

fn check_environment(payload: &TaskPayload) -> Result<(), SpecError> {
    let bad = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    match payload.env.iter().find(bad) {
        None => Ok(()),
        Some((name, _)) => Err(SpecError::BadEnvironment { name: name.clone() }),
    }
}

fn read_schedule(wire: &wire::Schedule) -> Result<Schedule, SpecError> {
    match (wire.cron.as_str(), wire.every_ms) {
        ("", 0) => Err(SpecError::BadSchedule),
        ("", every_ms) => Ok(Schedule::Every(Interval {
            period_ms: every_ms,
            start_at: Timestamp::from_millis(wire.start_at_ms),
            count: Some(wire.count).filter(|&count| count > 0),
        })),
        (cron, 0) => {
            let zone_name = if wire.time_zone.is_empty() { "UTC" } else { &wire.time_zone };
            let zone = Zone::parse(zone_name).map_err(|source| SpecError::BadZone {
                zone: zone_name.to_owned(),
                source: source.into(),
            })?;
            let parsed = Cron::parse(cron).map_err(|source| SpecError::BadCron {
                cron: cron.to_owned(),
                source: source.into(),
            })?;
            Ok(Schedule::Cron { cron: parsed, zone })
        }
        (_, _) => Err(SpecError::BadSchedule),
    }
}
