//! `/tasks/{task}/logs`: what a task wrote, read from its agent; where that is gone, what the shard
//! remembers. Absent: how an agent is asked; `agent_files` knows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use shiftwork_engine::ids::{AppName, FrameworkId, RunId, TaskId};
use shiftwork_engine::view::ShardState;
use shiftwork_engine::{Engine, RunFilter};

use super::log_follow::{Follower, events};
use super::{Answer, BASE};
use crate::agent_files::{CHUNK_LEN_MAX, FilePlace, FilesError, Stream};
use crate::api::ApiState;
use crate::api::extract::Named;
use crate::api::operation::{Answered, LAST_EVENT_ID, Operation};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::run_lookup::{RUNS_SEARCHED_MAX, caught_up, no_history};
use crate::api::table::Table;
use crate::trace;

/// Which of the two files.
pub(super) static STREAM: Param = Param {
    name: "stream",
    about: "Which output; stdout unless given.",
    kind: Kind::OneOf(&["stdout", "stderr"]),
};

/// From where on.
static OFFSET: Param =
    Param { name: "offset", about: "From which byte on.", kind: Kind::Integer(0, i64::MAX as u64) };

/// How much.
static LENGTH: Param = Param {
    name: "length",
    about: "At most so many bytes.",
    kind: Kind::Integer(1, CHUNK_LEN_MAX),
};

/// What was before.
static ROTATED: Param = Param {
    name: "rotated",
    about: "The file that was put aside when the present one was begun; nothing if there is none.",
    kind: Kind::Boolean,
};

/// Whether to go on.
static FOLLOW: Param = Param {
    name: "follow",
    about: "Server-sent events with what is written from then on, until the task has ended.",
    kind: Kind::Boolean,
};

/// The route of logs.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(format!("{BASE}/tasks/{{task}}/logs"), "readLogs", "What a task wrote.")
            .tag("tasks")
            .query(&[&STREAM, &OFFSET, &LENGTH, &ROTATED, &FOLLOW])
            .header(&LAST_EVENT_ID)
            .answers(200, Answered::Stream(Some("Log")))
            .refuses(&[404]),
        get,
    )
}

/// A part of what a task wrote.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LogView {
    pub(in crate::api) task_id: TaskId,
    pub(in crate::api) stream: Stream,
    /// Where `data` begins in the file.
    pub(in crate::api) offset: u64,
    /// Where to go on reading.
    pub(in crate::api) next: u64,
    /// The file's length, where nothing was read: less than `offset` if it was begun anew since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) size: Option<u64>,
    /// `agent`, or `status` for the end of the output that came with the last status update.
    pub(in crate::api) source: &'static str,
    /// Why the agent's file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) note: Option<String>,
    pub(in crate::api) data: String,
}

/// Which part of what a task wrote is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Part {
    pub(in crate::api) stream: Stream,
    /// From which byte on.
    pub(in crate::api) offset: u64,
    /// At most so many bytes.
    pub(in crate::api) length: u64,
    /// Of the file that was put aside when the present one was begun.
    pub(in crate::api) rotated: bool,
}

/// What the scheduler knows of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    app: AppName,
    /// Of the executor that runs it, as far as it is known: of earlier attempts the first.
    generation: u32,
    /// The run, while the task may still write.
    live: Option<RunId>,
    /// What is left of its output, if this task was its shard's latest.
    left: Left,
}

/// What a shard remembers of what its task wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Left {
    stdout: Option<String>,
    stderr: Option<String>,
    message: Option<String>,
}

/// `GET /tasks/{task}/logs?stream=&offset=&length=&rotated=&follow=`
async fn get(
    State(state): State<ApiState>,
    params: Params,
    headers: HeaderMap,
    Named(task): Named<TaskId>,
) -> Answer {
    let (stream, offset, length) = read_range(&params)?;
    // A browser that reconnects says how far it came.
    let offset = resumed(&headers)?.unwrap_or(offset);
    let flag = |param: &Param| {
        let read = |text: &str| text.parse::<bool>().map_err(|_| "must be true or false");
        params.read(param.name, read).map(|given| given.unwrap_or(false))
    };
    let (rotated, follows) = (flag(&ROTATED)?, flag(&FOLLOW)?);
    if follows {
        return Ok(events(follow(state, task, stream, offset).await?));
    }
    let part = Part { stream, offset, length, rotated };
    Ok(Json(read(&state, task, part).await?).into_response())
}

/// Begins to follow what a task writes, from a byte on.
///
/// # Errors
/// 404 for a task that is nowhere, 503 before a master was reached or with followers enough.
pub(in crate::api) async fn follow(
    state: ApiState,
    task: TaskId,
    stream: Stream,
    offset: u64,
) -> Result<Follower, Problem> {
    let (known, place) = located(&state, &task, stream).await?;
    Follower::begin(state, task, known.live, place, offset)
}

/// The task and the file with its output.
async fn located(
    state: &ApiState,
    task: &TaskId,
    stream: Stream,
) -> Result<(Known, FilePlace), Problem> {
    let known = find(state, task).await?;
    let framework = state.query(|engine| engine.framework_id().cloned()).await?;
    let place = framework.as_ref().and_then(|id| place(id, &known, task, stream));
    let unknown = || Problem::unavailable("no master has been reached yet: ask again shortly");
    Ok((known, place.ok_or_else(unknown)?))
}

/// A part of what a task wrote.
///
/// # Errors
/// 404 for a task or an output that is nowhere, 503 before a master was reached.
pub(in crate::api) async fn read(
    state: &ApiState,
    task: TaskId,
    part: Part,
) -> Result<LogView, Problem> {
    let Part { stream, offset, length, rotated } = part;
    let (known, place) = located(state, &task, stream).await?;
    let place = if rotated { place.rotated() } else { place };
    Ok(match state.agent_files.read(&place, offset, length).await {
        Ok(chunk) => {
            let size = if chunk.data.is_empty() {
                // It may be gone by now; then nothing is said of it.
                state.agent_files.len(&place).await.ok()
            } else {
                None
            };
            LogView::of_agent(task, stream, offset, size, chunk.data)
        }
        Err(FilesError::NoFile(_)) if rotated => {
            LogView::of_agent(task, stream, offset, Some(0), String::new())
        }
        Err(error) => remembered(task, stream, &known, &error)?,
    })
}

// === impl LogView ===

impl LogView {
    /// A part of the agent's file.
    fn of_agent(
        task_id: TaskId,
        stream: Stream,
        offset: u64,
        size: Option<u64>,
        data: String,
    ) -> Self {
        let next = offset + data.len() as u64;
        Self { task_id, stream, offset, next, size, source: "agent", note: None, data }
    }
}

fn read_range(params: &Params) -> Result<(Stream, u64, u64), Problem> {
    let stream = read_stream(params)?;
    let offset = params.read(OFFSET.name, |text| {
        text.parse::<u64>().map_err(|_| "must be a whole number of bytes from 0")
    })?;
    let length = params.count(LENGTH.name, CHUNK_LEN_MAX as usize, CHUNK_LEN_MAX as usize)?;
    Ok((stream, offset.unwrap_or(0), length as u64))
}

/// Which of the two files is asked for.
pub(super) fn read_stream(params: &Params) -> Result<Stream, Problem> {
    let stream = params.read(STREAM.name, |text| match text {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err("must be stdout or stderr"),
    })?;
    Ok(stream.unwrap_or(Stream::Stdout))
}

/// Where a stream that broke off goes on.
fn resumed(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID.name) else {
        return Ok(None);
    };
    let offset = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Problem::parameter(LAST_EVENT_ID.name, "must be the id of an event of this log");
    offset.map(Some).ok_or_else(wrong)
}

pub(super) fn place(
    framework: &FrameworkId,
    known: &Known,
    task: &TaskId,
    stream: Stream,
) -> Option<FilePlace> {
    FilePlace::of(framework, &known.app, known.generation, task, stream)
}

/// What is left of the output where the agent's file is not to be had: its end.
fn remembered(
    task: TaskId,
    stream: Stream,
    known: &Known,
    error: &FilesError,
) -> Result<LogView, Problem> {
    let data = rest_of(&task, stream, known, error)?;
    let note = Some(error.to_string());
    let next = data.len() as u64;
    Ok(LogView { task_id: task, stream, offset: 0, next, size: None, source: "status", note, data })
}

/// The end of the output, as it came with the last status.
pub(super) fn rest_of(
    task: &TaskId,
    stream: Stream,
    known: &Known,
    error: &FilesError,
) -> Result<String, Problem> {
    let left = &known.left;
    let data = match stream {
        Stream::Stdout => left.stdout.clone(),
        Stream::Stderr => left.stderr.clone().or_else(|| left.message.clone()),
    };
    data.ok_or_else(|| Problem::not_found(&format!("output of task {task}: {error}")))
}

/// Finds the run of a task: among those that live, then among the newest of its job.
pub(super) async fn find(state: &ApiState, task: &TaskId) -> Result<Known, Problem> {
    let Some((job, _)) = task.job_and_item() else {
        return Err(Problem::not_found(&format!("task {task}")));
    };
    let (asked, of_job) = (task.clone(), job.clone());
    let live = state.query(move |engine| {
        let filter = RunFilter { job: Some(of_job), ..RunFilter::default() };
        find_live(engine, &filter, &asked)
    });
    if let Some(known) = live.await? {
        return Ok(known);
    }
    caught_up(state).await?;
    let filter = trace::RunFilter { job: Some(job.to_string()), ..trace::RunFilter::default() };
    let page = state.history.runs(&filter, None, RUNS_SEARCHED_MAX).await.map_err(no_history)?;
    let runs: Vec<Value> =
        page.runs.iter().filter_map(|run| serde_json::from_str(&run.json).ok()).collect();
    // A task that is no longer a shard's latest is of the app its job's other runs are of.
    find_stored(&runs, task)
        .or_else(|| {
            app_of(runs.first()?).map(|app| Known {
                app,
                generation: 1,
                live: None,
                left: Left::default(),
            })
        })
        .ok_or_else(|| Problem::not_found(&format!("task {task}")))
}

fn find_live(engine: &Engine, filter: &RunFilter, task: &TaskId) -> Option<Known> {
    let runs = engine.live_runs(filter, None, RUNS_SEARCHED_MAX);
    let found = runs.iter().find_map(|run| {
        let shard = run.shards.iter().find(|shard| shard.task_id.as_ref() == Some(task))?;
        let writes = matches!(
            shard.state,
            ShardState::Launching
                | ShardState::Running
                | ShardState::Unreachable
                | ShardState::Killing
        );
        let live = writes.then(|| run.id.clone());
        let left = Left {
            stdout: shard.stdout_tail.clone(),
            stderr: shard.stderr_tail.clone(),
            message: shard.message.clone(),
        };
        Some(Known { app: run.app.clone(), generation: shard.executor_generation, live, left })
    });
    // An earlier attempt of a shard of a run that lives.
    found.or_else(|| {
        let app = runs.first()?.app.clone();
        Some(Known { app, generation: 1, live: None, left: Left::default() })
            .filter(|_| names_shard_of(&runs, task))
    })
}

/// Whether one of the runs has the shard that the task's id names.
fn names_shard_of(runs: &[shiftwork_engine::view::RunView], task: &TaskId) -> bool {
    let Some((_, item)) = task.job_and_item() else {
        return false;
    };
    runs.iter().any(|run| run.shards.iter().any(|shard| shard.item == item && shard.attempt > 1))
}

fn find_stored(runs: &[Value], task: &TaskId) -> Option<Known> {
    runs.iter().find_map(|run| {
        let is_it = |shard: &&Value| shard["taskId"] == task.as_str();
        let shard = run["shards"].as_array()?.iter().find(is_it)?;
        let text = |name: &str| shard[name].as_str().map(str::to_owned);
        let left = Left {
            stdout: text("stdoutTail"),
            stderr: text("stderrTail"),
            message: text("message"),
        };
        let generation = shard["executorGeneration"].as_u64();
        let generation = generation.and_then(|number| number.try_into().ok()).unwrap_or(1);
        Some(Known { app: app_of(run)?, generation, live: None, left })
    })
}

fn app_of(run: &Value) -> Option<AppName> {
    AppName::parse(run["app"].as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::params::RawParams;

    fn task(item: u32) -> TaskId {
        TaskId::new(format!("job@-@{item}@-@READY@-@S1@-@u"))
    }

    #[test]
    fn a_stored_run_tells_app_and_message_of_its_tasks() {
        let runs = [
            serde_json::json!({"app": "app", "shards": []}),
            serde_json::json!({"app": "app", "shards": [
                {"taskId": task(0).as_str(), "message": null},
                {"taskId": task(1).as_str(), "message": "exited with code 3: oh no",
                    "stdoutTail": "so far"}]}),
        ];
        let known = find_stored(&runs, &task(1)).unwrap();
        assert_eq!(known.left.message.as_deref(), Some("exited with code 3: oh no"));
        assert_eq!(known.left.stdout.as_deref(), Some("so far"));
        assert_eq!(find_stored(&runs, &task(0)).unwrap().left, Left::default());
        assert_eq!(find_stored(&runs, &task(2)), None);
    }

    #[test]
    fn without_the_agent_what_is_left_is_shown_and_says_why() {
        let known = |message: Option<&str>| Known {
            app: AppName::parse("app").unwrap(),
            generation: 1,
            live: None,
            left: Left { message: message.map(str::to_owned), ..Left::default() },
        };
        let error = FilesError::UnknownAgent(shiftwork_engine::ids::AgentId::new("S1"));
        let view = remembered(task(0), Stream::Stderr, &known(Some("oh no")), &error).unwrap();
        assert_eq!((view.data.as_str(), view.source), ("oh no", "status"));
        assert!(view.note.unwrap().contains("S1"));
        let mut both = known(Some("oh no"));
        both.left.stderr = Some("whole end".to_owned());
        both.left.stdout = Some("so far".to_owned());
        for (stream, data) in [(Stream::Stderr, "whole end"), (Stream::Stdout, "so far")] {
            assert_eq!(remembered(task(0), stream, &both, &error).unwrap().data, data);
        }
        let problem = remembered(task(0), Stream::Stderr, &known(None), &error).unwrap_err();
        assert_eq!(problem.status().as_u16(), 404);
    }

    #[test]
    fn a_range_is_read_or_refused_by_name() {
        let range = |query: &str| {
            let raw = RawParams::parse(&format!("/x?{query}").parse().unwrap());
            read_range(&raw.only(&["stream", "offset", "length"])?)
        };
        assert_eq!(range("").unwrap(), (Stream::Stdout, 0, CHUNK_LEN_MAX));
        assert_eq!(range("stream=stderr&offset=9&length=3").unwrap(), (Stream::Stderr, 9, 3));
        for bad in ["stream=stdin", "offset=-1", "offset=x", "length=0", "length=999999999"] {
            assert_eq!(range(bad).unwrap_err().status().as_u16(), 400, "{bad}");
        }
    }
}
