//! `/tasks/{task}/logs`: what a task wrote, read from its agent; where that is gone, what the shard
//! remembers. Absent: how an agent is asked; `agent_files` knows.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use shiftwork_engine::ids::{AppName, FrameworkId, RunId, TaskId};
use shiftwork_engine::view::ShardState;
use shiftwork_engine::{Engine, RunFilter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Answer;
use crate::agent_files::{AgentFiles, CHUNK_LEN_MAX, FilePlace, FilesError, Stream};
use crate::api::ApiState;
use crate::api::extract::Named;
use crate::api::params::{Params, RawParams};
use crate::api::problem::Problem;
use crate::api::run_lookup::no_history;
use crate::trace;

/// How often a followed file is looked at: soon enough for people.
const FOLLOW_POLL: Duration = Duration::from_millis(500);

/// Followers at a time: each asks an agent twice a second.
const FOLLOWERS_MAX: usize = 100;

/// Permits of all followers.
static FOLLOWERS: Semaphore = Semaphore::const_new(FOLLOWERS_MAX);

/// Runs of a job among which the run of a task is looked for, of those that live and of those in the
/// history, newest first.
const RUNS_SEARCHED_MAX: usize = 200;

/// A part of what a task wrote.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogView {
    task_id: TaskId,
    stream: Stream,
    /// Where `data` begins in the file.
    offset: u64,
    /// Where to go on reading.
    next: u64,
    /// `agent`, or `status` for the end of the output that came with the last status update.
    source: &'static str,
    /// Why the agent's file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    data: String,
}

/// What the scheduler knows of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    app: AppName,
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

/// `GET /tasks/{task}/logs?stream=&offset=&length=&follow=`
pub(super) async fn read(
    State(state): State<ApiState>,
    params: RawParams,
    Named(task): Named<TaskId>,
) -> Answer {
    let params = params.only(&["stream", "offset", "length", "follow"])?;
    let (stream, offset, length) = read_range(&params)?;
    let follow =
        params.read("follow", |text| text.parse::<bool>().map_err(|_| "must be true or false"))?;
    let known = find(&state, &task).await?;
    let framework = state.query(|engine| engine.framework_id().cloned()).await?;
    let place = framework.as_ref().and_then(|id| place(id, &known, &task, stream));
    let Some(place) = place else {
        return Err(Problem::unavailable("no master has been reached yet: ask again shortly"));
    };
    if follow.unwrap_or(false) {
        return follow_file(state, task, known, place, offset);
    }
    let log = match state.agent_files.read(&place, offset, length).await {
        Ok(chunk) => {
            let next = offset + chunk.data.len() as u64;
            LogView {
                task_id: task,
                stream,
                offset,
                next,
                source: "agent",
                note: None,
                data: chunk.data,
            }
        }
        Err(error) => remembered(task, stream, &known, &error)?,
    };
    Ok(Json(log).into_response())
}

fn read_range(params: &Params) -> Result<(Stream, u64, u64), Problem> {
    let stream = params.read("stream", |text| match text {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err("must be stdout or stderr"),
    })?;
    let offset = params.read("offset", |text| {
        text.parse::<u64>().map_err(|_| "must be a whole number of bytes from 0")
    })?;
    let length = params.count("length", CHUNK_LEN_MAX as usize, CHUNK_LEN_MAX as usize)?;
    Ok((stream.unwrap_or(Stream::Stdout), offset.unwrap_or(0), length as u64))
}

fn place(
    framework: &FrameworkId,
    known: &Known,
    task: &TaskId,
    stream: Stream,
) -> Option<FilePlace> {
    FilePlace::of(framework, &known.app, task, stream)
}

/// What is left of the output where the agent's file is not to be had: its end.
fn remembered(
    task: TaskId,
    stream: Stream,
    known: &Known,
    error: &FilesError,
) -> Result<LogView, Problem> {
    let left = &known.left;
    let data = match stream {
        Stream::Stdout => left.stdout.clone(),
        Stream::Stderr => left.stderr.clone().or_else(|| left.message.clone()),
    };
    let Some(data) = data else {
        let detail = format!("output of task {task}: {error}");
        return Err(Problem::not_found(&detail));
    };
    let note = Some(error.to_string());
    let next = data.len() as u64;
    Ok(LogView { task_id: task, stream, offset: 0, next, source: "status", note, data })
}

/// Finds the run of a task: among those that live, then among the newest of its job.
async fn find(state: &ApiState, task: &TaskId) -> Result<Known, Problem> {
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
    let filter = trace::RunFilter { job: Some(job.to_string()), ..trace::RunFilter::default() };
    let page = state.history.runs(&filter, None, RUNS_SEARCHED_MAX).await.map_err(no_history)?;
    let runs: Vec<Value> =
        page.runs.iter().filter_map(|run| serde_json::from_str(&run.json).ok()).collect();
    // A task that is no longer a shard's latest is of the app its job's other runs are of.
    find_stored(&runs, task)
        .or_else(|| {
            app_of(runs.first()?).map(|app| Known { app, live: None, left: Left::default() })
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
        Some(Known { app: run.app.clone(), live, left })
    });
    // An earlier attempt of a shard of a run that lives.
    found.or_else(|| {
        let app = runs.first()?.app.clone();
        Some(Known { app, live: None, left: Left::default() })
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
        Some(Known { app: app_of(run)?, live: None, left })
    })
}

fn app_of(run: &Value) -> Option<AppName> {
    AppName::parse(run["app"].as_str()?).ok()
}

// === following ===

/// A file that is being followed.
struct Follower {
    state: ApiState,
    task: TaskId,
    place: FilePlace,
    offset: u64,
    /// The run, while the task may still write.
    live: Option<RunId>,
    over: bool,
    _permit: SemaphorePermit<'static>,
}

/// Server-sent events: `log` with the data, its id the offset behind it; `rotated` when the file was
/// begun anew; `end` when the task has ended and all was sent; `problem` when it cannot be read.
fn follow_file(
    state: ApiState,
    task: TaskId,
    known: Known,
    place: FilePlace,
    offset: u64,
) -> Answer {
    let permit = FOLLOWERS.try_acquire().map_err(|_| {
        Problem::unavailable(format!(
            "{FOLLOWERS_MAX} logs are being followed: read without follow"
        ))
    })?;
    let live = known.live;
    let follower = Follower { state, task, place, offset, live, over: false, _permit: permit };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let response: Response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    Ok(response)
}

// === impl Follower ===

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        loop {
            // Asked before the file is read: what is written in between is then still read.
            let ended = self.has_ended().await;
            match self.read().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) if ended => return Some(self.last("end", "the task has ended")),
                Ok(None) => tokio::time::sleep(FOLLOW_POLL).await,
                Err(error) => return Some(self.last("problem", &error.to_string())),
            }
        }
    }

    /// What is new in the file.
    async fn read(&mut self) -> Result<Option<Event>, FilesError> {
        let files: &AgentFiles = &self.state.agent_files;
        let chunk = files.read(&self.place, self.offset, CHUNK_LEN_MAX).await?;
        if chunk.data.is_empty() {
            if files.len(&self.place).await? >= self.offset {
                return Ok(None);
            }
            self.offset = 0;
            return Ok(Some(Event::default().event("rotated").data("the file was begun anew")));
        }
        self.offset += chunk.data.len() as u64;
        // As a JSON string: a line feed would end the event's data, a carriage return be lost.
        let data = Value::String(chunk.data).to_string();
        Ok(Some(Event::default().event("log").id(self.offset.to_string()).data(data)))
    }

    async fn has_ended(&mut self) -> bool {
        let Some(run) = self.live.clone() else {
            return true;
        };
        let task = self.task.clone();
        let asked = self.state.query(move |engine| {
            let run = engine.run(&run)?;
            let shard =
                run.shards.into_iter().find(|shard| shard.task_id.as_ref() == Some(&task))?;
            matches!(
                shard.state,
                ShardState::Launching
                    | ShardState::Running
                    | ShardState::Unreachable
                    | ShardState::Killing
            )
            .then_some(())
        });
        // Without a leader nothing is known: it has not ended as far as anybody can tell.
        let ended = matches!(asked.await, Ok(None));
        if ended {
            self.live = None;
        }
        ended
    }

    fn last(&mut self, kind: &'static str, text: &str) -> Event {
        self.over = true;
        Event::default().event(kind).data(text.replace(['\n', '\r'], " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
