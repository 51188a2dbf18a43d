//! The executor that an agent brings along for tasks with a command of their own: it lives in this
//! process and runs one command. It speaks to the hub as any executor does.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use shiftwork_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus, executor as api, task_status};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::run::{command_line, spawn};
use super::{Shared, environment, processes};
use crate::hub::Input;
use crate::world::StartExecutor;

/// From SIGTERM to SIGKILL when neither the task nor the kill says.
const KILL_GRACE_DEFAULT: Duration = Duration::from_secs(3);

/// The executor of one command.
struct CommandExecutor<'a> {
    shared: &'a Shared,
    start: &'a StartExecutor,
    task: TaskInfo,
}

/// Runs a task's command and reports it, until it ended or `kill` says so.
pub(super) async fn run(
    shared: &Shared,
    start: &StartExecutor,
    task: TaskInfo,
    (sandbox, output): (&Path, (File, File)),
    kill: &CancellationToken,
) {
    let executor = CommandExecutor { shared, start, task };
    let mut call = executor.call(api::call::Type::Subscribe);
    call.subscribe = Some(api::call::Subscribe::default());
    let call = Box::new(call);
    let asked = shared.hub.ask(|reply| Input::SubscribeExecutor { call, reply }).await;
    let Ok(mut opened) = asked else { return };
    if !executor.wait_for_launch(&mut opened.events, kill).await {
        return;
    }
    executor.report(TaskState::TaskStarting, None).await;
    let command = executor.task.command.clone().unwrap_or_default();
    let spawned = command_line(&command).and_then(|mut line| {
        line.env_clear().envs(environment::environment(shared, start, sandbox));
        let asked = command.environment.iter().flat_map(|environment| &environment.variables);
        line.envs(asked.map(|variable| (&variable.name, variable.value())));
        spawn(line, sandbox, output).map_err(|error| format!("Failed to launch command: {error}"))
    });
    match spawned {
        Err(why) => executor.report(TaskState::TaskFailed, Some(why)).await,
        Ok((child, pid)) => {
            executor.report(TaskState::TaskRunning, None).await;
            executor.watch(child, pid, &mut opened.events, kill).await;
        }
    }
}

// === impl CommandExecutor ===

impl CommandExecutor<'_> {
    fn call(&self, r#type: api::call::Type) -> api::Call {
        api::Call {
            executor_id: self.start.executor.executor_id.clone(),
            framework_id: self.start.framework.id.clone().unwrap_or_default(),
            r#type: Some(r#type.into()),
            ..api::Call::default()
        }
    }

    /// Sends an update. The agent keeps it, so this executor need not.
    async fn report(&self, state: TaskState, message: Option<String>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let uuid = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        let status = TaskStatus {
            task_id: self.task.task_id.clone(),
            state: state.into(),
            message,
            source: Some(task_status::Source::Executor.into()),
            timestamp: Some(now.as_secs_f64()),
            uuid: Some(uuid),
            ..TaskStatus::default()
        };
        let mut call = self.call(api::call::Type::Update);
        call.update = Some(api::call::Update { status });
        let call = Box::new(call);
        let asked = self.shared.hub.ask(|reply| Input::CallExecutor { call, reply }).await;
        if let Err(rejection) = asked {
            tracing::warn!(text = rejection.text, "an update of a command was refused");
        }
    }

    /// Whether the task came before the end did.
    async fn wait_for_launch(
        &self,
        events: &mut mpsc::Receiver<api::Event>,
        kill: &CancellationToken,
    ) -> bool {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = kill.cancelled() => None,
            };
            match event.map(|event| event.r#type()) {
                Some(api::event::Type::Launch) => return true,
                Some(api::event::Type::Shutdown) | None => return false,
                Some(_) => {}
            }
        }
    }

    /// Follows the command to its end: TERM when asked to, KILL when that takes too long.
    async fn watch(
        &self,
        mut child: Child,
        pid: u32,
        events: &mut mpsc::Receiver<api::Event>,
        kill: &CancellationToken,
    ) {
        let mut kill_at: Option<tokio::time::Instant> = None;
        let mut is_killed = false;
        let status = loop {
            let escalation = kill_at.unwrap_or_else(|| tokio::time::Instant::now() + FAR);
            tokio::select! {
                status = child.wait() => break status,
                () = kill.cancelled() => {
                    processes::kill_group(pid);
                    break child.wait().await;
                }
                () = tokio::time::sleep_until(escalation), if kill_at.is_some() => {
                    processes::kill_group(pid);
                    kill_at = None;
                }
                Some(event) = events.recv() => {
                    let is_kill = event.r#type() == api::event::Type::Kill;
                    let is_end = is_kill || event.r#type() == api::event::Type::Shutdown;
                    if is_end && !is_killed {
                        is_killed = true;
                        if is_kill {
                            self.report(TaskState::TaskKilling, None).await;
                        }
                        kill_at = Some(tokio::time::Instant::now() + self.grace(&event));
                        terminate_group(pid);
                    }
                }
            }
        };
        processes::kill_group(pid);
        let (state, message) = outcome(status, is_killed);
        self.report(state, Some(message)).await;
    }

    /// The grace that the kill gives, or the task itself.
    fn grace(&self, event: &api::Event) -> Duration {
        let of_kill = event.kill.as_ref().and_then(|kill| kill.kill_policy.as_ref());
        let period = of_kill
            .or(self.task.kill_policy.as_ref())
            .and_then(|policy| policy.grace_period.as_ref())
            .and_then(|period| u64::try_from(period.nanoseconds).ok());
        period.map_or(KILL_GRACE_DEFAULT, Duration::from_nanos)
    }
}

/// A moment that is never waited for: the branch that names it is off.
const FAR: Duration = Duration::from_hours(1);

fn terminate_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Fails when it is gone already, which its end will tell.
        let _gone = kill_process_group(pid, Signal::TERM);
    }
}

/// The state that an end means, and the words for it.
fn outcome(status: std::io::Result<ExitStatus>, is_killed: bool) -> (TaskState, String) {
    let Ok(status) = status else {
        return (TaskState::TaskFailed, "Failed to get exit status for command".to_owned());
    };
    let message = match (status.code(), status.signal()) {
        (Some(code), _) => format!("Command exited with status {code}"),
        (None, Some(signal)) => format!("Command terminated with signal {}", signal_name(signal)),
        (None, None) => "Command ended".to_owned(),
    };
    let state = match status.code() {
        _ if is_killed => TaskState::TaskKilled,
        Some(0) => TaskState::TaskFinished,
        _ => TaskState::TaskFailed,
    };
    (state, message)
}

/// The name that strsignal(3) gives the signals that end commands most often.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "Hangup".to_owned(),
        2 => "Interrupt".to_owned(),
        6 => "Aborted".to_owned(),
        9 => "Killed".to_owned(),
        11 => "Segmentation fault".to_owned(),
        15 => "Terminated".to_owned(),
        other => format!("Signal {other}"),
    }
}
