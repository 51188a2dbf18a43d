//! One run of an executor from its sandbox to its last process. The world hears of its start and
//! of its end.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use prost::Message;
use shiftwork_proto::mesos::v1::{CommandInfo, TaskInfo, executor};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::processes::{self, Process};
use super::record::{self, ExecutorRecord};
use super::{command, environment, fetch, journal, sandbox};
use crate::hub::Input;
use crate::world::{ContainerId, Event, StartExecutor};

/// The wait status of a process that SIGKILL ended, for a run whose own could not be learnt.
const KILLED: i32 = 9;

/// Runs an executor until nothing of it is left.
pub(super) async fn run(shared: Arc<Shared>, start: StartExecutor, kill: CancellationToken) {
    let agent = start.agent.clone();
    let container = start.container.clone();
    let path = shared.layout.sandbox(&start.agent, &start.executor, &start.container);
    let event = match prepare(&start, path.clone()).await {
        Err(why) => Event::ExecutorNotStarted { agent, container, why },
        Ok(output) => match &start.command_task {
            Some(task) => {
                let task = TaskInfo::clone(task);
                command::run(&shared, &start, task, (&path, output), &kill).await;
                Event::ExecutorExited { agent, container, wait_status: 0 }
            }
            None => run_process(&shared, &start, (&path, output), &kill).await,
        },
    };
    let unsent = clear_away(&shared, start.container, path).await;
    shared.hub.send(Input::Exited { event, unsent }).await;
}

/// Makes the sandbox and brings in the command's files. There is no image to run it in: it is refused
/// as by a Mesos agent that is told of no image provider.
async fn prepare(start: &StartExecutor, path: PathBuf) -> Result<(File, File), String> {
    let task_container = start.command_task.as_ref().and_then(|task| task.container.as_ref());
    let container = task_container.or(start.executor.container.as_ref());
    if let Some(image) = container.and_then(|c| c.mesos.as_ref()?.image.as_ref()) {
        return Err(format!("Unsupported container image type: {}", image.r#type().as_str_name()));
    }
    let task_command = start.command_task.as_ref().and_then(|task| task.command.as_ref());
    let command = task_command.or(start.executor.command.as_ref());
    let uris = command.map(|command| command.uris.clone()).unwrap_or_default();
    let task = tokio::task::spawn_blocking(move || {
        let output = sandbox::create(&path)
            .map_err(|error| format!("cannot make the sandbox {}: {error}", path.display()))?;
        fetch::fetch(&uris, &path).map_err(|error| error.to_string())?;
        Ok(output)
    });
    task.await.unwrap_or_else(|error| Err(format!("preparing the sandbox failed: {error}")))
}

async fn run_process(
    shared: &Shared,
    start: &StartExecutor,
    (path, output): (&Path, (File, File)),
    kill: &CancellationToken,
) -> Event {
    let agent = start.agent.clone();
    let container = start.container.clone();
    let info = start.executor.command.clone().unwrap_or_default();
    let spawned = command_line(&info).and_then(|mut command| {
        command.env_clear().envs(environment::environment(shared, start, path));
        spawn(command, path, output).map_err(|error| format!("cannot start the command: {error}"))
    });
    let (mut child, pid) = match spawned {
        Ok(spawned) => spawned,
        Err(why) => return Event::ExecutorNotStarted { agent, container, why },
    };
    remember(shared, start, path, pid);
    let event = Event::ExecutorStarted { agent: agent.clone(), container: container.clone(), pid };
    shared.hub.send(Input::World(event)).await;
    let status = wait(&mut child, pid, kill).await;
    let wait_status = status.map_or(KILLED, ExitStatusExt::into_raw);
    Event::ExecutorExited { agent, container, wait_status }
}

/// A command as the API describes it: through the shell, or a program with its arguments, the
/// first of which is its name.
pub(super) fn command_line(info: &CommandInfo) -> Result<Command, String> {
    let value = info.value.as_deref().unwrap_or_default();
    if value.is_empty() {
        return Err("the command is empty: set CommandInfo.value".to_owned());
    }
    if info.shell() {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(value);
        Ok(command)
    } else {
        let mut command = Command::new(value);
        if let Some((name, arguments)) = info.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        Ok(command)
    }
}

/// Starts a command in its sandbox as the leader of a process group, out of reach of a terminal.
pub(super) fn spawn(
    mut command: Command,
    sandbox: &Path,
    (stdout, stderr): (File, File),
) -> std::io::Result<(Child, u32)> {
    let child = command
        .current_dir(sandbox)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()?;
    let pid = child.id().ok_or_else(|| std::io::Error::other("the process has no number"))?;
    Ok((child, pid))
}

/// Waits for the process, which is killed with its group when `kill` says so.
async fn wait(
    child: &mut Child,
    pid: u32,
    kill: &CancellationToken,
) -> std::io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => status,
        () = kill.cancelled() => {
            processes::kill_group(pid);
            child.wait().await
        }
    }
}

/// Writes the executor down, so that a later life of the agent finds and ends it.
fn remember(shared: &Shared, start: &StartExecutor, sandbox: &Path, pid: u32) {
    let Some(process) = Process::find(pid) else { return };
    let framework_id = start.framework.id.as_ref().map(|id| id.value.clone());
    let record = ExecutorRecord {
        process,
        sandbox: sandbox.to_owned(),
        framework_id: framework_id.unwrap_or_default(),
        executor_id: start.executor.executor_id.value.clone(),
    };
    if let Err(error) = record::write_executor(&shared.layout, &start.container, &record) {
        tracing::error!(container = %start.container, %error, "an executor is not on record");
    }
}

/// Kills what the run left behind, and takes the updates that its executor did not get rid of.
async fn clear_away(
    shared: &Shared,
    container: ContainerId,
    sandbox: PathBuf,
) -> Vec<executor::Call> {
    let layout = shared.layout.clone();
    let task = tokio::task::spawn_blocking(move || {
        let records = record::read_executors(&layout);
        let own = records.iter().find(|(recorded, _)| *recorded == container);
        if let Some((_, record)) = own {
            processes::kill_group(record.process.pid);
        }
        processes::kill_sandbox(&sandbox);
        sandbox::collect_garbage(&layout);
        own.map_or_else(Vec::new, |(_, record)| unsent_updates(record))
    });
    task.await.unwrap_or_default()
}

/// The updates in an executor's own file, as the calls it would have made.
fn unsent_updates(record: &ExecutorRecord) -> Vec<executor::Call> {
    let call = |update| executor::Call {
        executor_id: (&crate::world::ExecutorId(record.executor_id.clone())).into(),
        framework_id: (&crate::world::FrameworkId(record.framework_id.clone())).into(),
        r#type: Some(executor::call::Type::Update.into()),
        update: Some(update),
        ..executor::Call::default()
    };
    read_unacknowledged(&record.sandbox).into_iter().map(call).collect()
}

/// The updates in an executor's own file; none when there is no file, and up to a torn tail.
pub(super) fn read_unacknowledged(sandbox: &Path) -> Vec<executor::call::Update> {
    journal::read_records(&sandbox.join(record::UNACKNOWLEDGED_FILE))
        .into_iter()
        .map_while(|record| executor::call::Update::decode(record).ok())
        .collect()
}
