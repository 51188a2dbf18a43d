//! Following what a task writes; server-sent events and gRPC's `FollowLogs` are two faces of it. Absent:
//! finding the task and its file (`logs.rs`).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::Value;
use shiftwork_engine::ids::{RunId, TaskId};
use shiftwork_engine::view::ShardState;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::agent_files::{AgentFiles, CHUNK_LEN_MAX, FilePlace, FilesError};
use crate::api::ApiState;
use crate::api::problem::Problem;

/// How often a followed file is looked at: soon enough for people.
const FOLLOW_POLL: Duration = Duration::from_millis(500);

/// Followers at a time: each asks an agent twice a second.
const FOLLOWERS_MAX: usize = 100;

/// Permits of all followers.
static FOLLOWERS: Semaphore = Semaphore::const_new(FOLLOWERS_MAX);

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Followed {
    /// What was written, and where to go on behind it; of the file that was put aside, nowhere.
    Log(String, Option<u64>),
    /// The file was begun anew.
    Rotated,
    /// The task has ended and all was told.
    End,
    /// The file cannot be read.
    Unreadable(String),
}

/// A file that is being followed.
pub(in crate::api) struct Follower {
    state: ApiState,
    task: TaskId,
    place: FilePlace,
    offset: u64,
    /// How far the file that was put aside has been sent, while it comes first.
    aside: Option<u64>,
    /// The run, while the task may still write.
    live: Option<RunId>,
    over: bool,
    _permit: SemaphorePermit<'static>,
}

/// Server-sent events: `log` with the data, its id the offset behind it; `rotated` when the file was
/// begun anew; `end` when the task has ended and all was sent; `problem` when it cannot be read.
pub(super) fn events(follower: Follower) -> Response {
    let events = follower.stream().map(|followed| Ok::<_, Infallible>(event(followed)));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn event(followed: Followed) -> Event {
    let of =
        |kind: &str, text: &str| Event::default().event(kind).data(text.replace(['\n', '\r'], " "));
    match followed {
        // As a JSON string: a line feed would end the event's data, a carriage return be lost.
        Followed::Log(data, next) => {
            let event = Event::default().event("log").data(Value::String(data).to_string());
            match next {
                Some(next) => event.id(next.to_string()),
                None => event,
            }
        }
        Followed::Rotated => of("rotated", "the file was begun anew"),
        Followed::End => of("end", "the task has ended"),
        Followed::Unreadable(problem) => of("problem", &problem),
    }
}

// === impl Follower ===

impl Follower {
    /// Begins at a byte.
    ///
    /// # Errors
    /// 503 with followers enough.
    pub(super) fn begin(
        state: ApiState,
        task: TaskId,
        live: Option<RunId>,
        place: FilePlace,
        offset: u64,
    ) -> Result<Self, Problem> {
        let permit = FOLLOWERS.try_acquire().map_err(|_| {
            Problem::unavailable(format!(
                "{FOLLOWERS_MAX} logs are being followed: read without follow"
            ))
        })?;
        // Before the beginning of a file is what was put aside when it was begun anew.
        let aside = (offset == 0).then_some(0);
        Ok(Self { state, task, place, offset, aside, live, over: false, _permit: permit })
    }

    /// What is written from there on, until the task has ended.
    pub(in crate::api) fn stream(self) -> impl Stream<Item = Followed> + Send {
        stream::unfold(self, |mut follower| async move {
            let followed = follower.next().await?;
            Some((followed, follower))
        })
    }

    async fn next(&mut self) -> Option<Followed> {
        if self.over {
            return None;
        }
        loop {
            // Asked before the file is read: what is written in between is then still read.
            let ended = self.has_ended().await;
            match self.read().await {
                Ok(Some(followed)) => return Some(followed),
                Ok(None) if ended => return Some(self.last(Followed::End)),
                Ok(None) => tokio::time::sleep(FOLLOW_POLL).await,
                Err(error) => return Some(self.last(Followed::Unreadable(error.to_string()))),
            }
        }
    }

    /// What is new in the file.
    async fn read(&mut self) -> Result<Option<Followed>, FilesError> {
        let files: &AgentFiles = &self.state.agent_files;
        if let Some(at) = self.aside {
            match files.read(&self.place.rotated(), at, CHUNK_LEN_MAX).await {
                Ok(chunk) if !chunk.data.is_empty() => {
                    self.aside = Some(at + chunk.data.len() as u64);
                    return Ok(Some(Followed::Log(chunk.data, None)));
                }
                Ok(_) | Err(FilesError::NoFile(_)) => self.aside = None,
                Err(error) => return Err(error),
            }
        }
        let chunk = files.read(&self.place, self.offset, CHUNK_LEN_MAX).await?;
        if chunk.data.is_empty() {
            if files.len(&self.place).await? >= self.offset {
                return Ok(None);
            }
            // What was not sent of the old file is in the one put aside.
            self.aside = Some(std::mem::take(&mut self.offset));
            return Ok(Some(Followed::Rotated));
        }
        self.offset += chunk.data.len() as u64;
        Ok(Some(Followed::Log(chunk.data, Some(self.offset))))
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

    fn last(&mut self, followed: Followed) -> Followed {
        self.over = true;
        followed
    }
}
