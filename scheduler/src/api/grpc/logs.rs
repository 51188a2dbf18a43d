//! What tasks write: read and followed. Absent: finding it (`rest/logs.rs`, `rest/log_follow.rs`).

use std::pin::Pin;

use futures_util::{Stream as Messages, StreamExt as _};
use shiftwork_engine::ids::TaskId;
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::follow_logs_response::What;
use tonic::Status;

use super::request;
use crate::agent_files::{CHUNK_LEN_MAX, Stream};
use crate::api::ApiState;
use crate::api::access::Named;
use crate::api::problem::Problem;
use crate::api::rest::log_follow::Followed;
use crate::api::rest::logs::{self, Part};
use crate::auth::Identity;

/// Messages of one follower.
pub(super) type Parts =
    Pin<Box<dyn Messages<Item = Result<wire::FollowLogsResponse, Status>> + Send>>;

/// A part of what a task wrote.
///
/// # Errors
/// 403 for another app's, 404 for a task or an output that is nowhere, or 503.
pub(super) async fn read(
    state: &ApiState,
    identity: &Identity,
    request: wire::ReadLogsRequest,
) -> Result<wire::Log, Problem> {
    let task = named(state, identity, &request.task).await?;
    let length = match u64::from(request.length) {
        0 => CHUNK_LEN_MAX,
        length if length <= CHUNK_LEN_MAX => length,
        _ => {
            let message = format!("must be from 1 to {CHUNK_LEN_MAX}, or 0 for the most");
            return Err(Problem::parameter("length", message));
        }
    };
    let (stream, offset) = (stream(request.stream)?, offset(request.offset)?);
    let part = Part { stream, offset, length, rotated: request.rotated };
    let log = logs::read(state, task, part).await?;
    let stream = match log.stream {
        Stream::Stdout => wire::LogStream::Stdout,
        Stream::Stderr => wire::LogStream::Stderr,
    };
    Ok(wire::Log {
        task_id: log.task_id.to_string(),
        stream: stream.into(),
        offset: log.offset,
        next: log.next,
        size: log.size,
        source: log.source.to_owned(),
        note: log.note,
        data: log.data,
    })
}

/// Begins to follow.
///
/// # Errors
/// 403 for another app's, 404 for a task that is nowhere, or 503.
pub(super) async fn follow(
    state: &ApiState,
    identity: &Identity,
    request: wire::FollowLogsRequest,
) -> Result<Parts, Problem> {
    let task = named(state, identity, &request.task).await?;
    let (stream, offset) = (stream(request.stream)?, offset(request.offset)?);
    let follower = logs::follow(state.clone(), task, stream, offset).await?;
    Ok(Box::pin(follower.stream().map(told)))
}

fn told(followed: Followed) -> Result<wire::FollowLogsResponse, Status> {
    let what = match followed {
        Followed::Log(data, next) => What::Part(wire::LogPart { data, next }),
        Followed::Rotated => What::Rotated(wire::LogRotated {}),
        Followed::End => What::End(wire::LogEnd {}),
        Followed::Unreadable(problem) => return Err(Problem::unavailable(problem).into()),
    };
    Ok(wire::FollowLogsResponse { what: Some(what) })
}

async fn named(state: &ApiState, identity: &Identity, task: &str) -> Result<TaskId, Problem> {
    let task: TaskId = request::name("task", task)?;
    Named::Task(task.clone()).admit(state, identity).await?;
    Ok(task)
}

fn stream(number: i32) -> Result<Stream, Problem> {
    match wire::LogStream::try_from(number) {
        Ok(wire::LogStream::Unspecified | wire::LogStream::Stdout) => Ok(Stream::Stdout),
        Ok(wire::LogStream::Stderr) => Ok(Stream::Stderr),
        Err(_) => Err(Problem::parameter("stream", "is none that this version knows")),
    }
}

/// Agents count in numbers with a sign.
fn offset(offset: u64) -> Result<u64, Problem> {
    if i64::try_from(offset).is_err() {
        return Err(Problem::parameter("offset", "is beyond the end of any file"));
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_is_told_until_it_cannot_be_read() {
        let log = told(Followed::Log("a\n".to_owned(), Some(2))).unwrap();
        let part = wire::LogPart { data: "a\n".to_owned(), next: Some(2) };
        assert_eq!(log.what, Some(What::Part(part)));
        assert_eq!(told(Followed::End).unwrap().what, Some(What::End(wire::LogEnd {})));
        let refused = told(Followed::Unreadable("agent S0 is away".to_owned())).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        assert!(refused.message().contains("S0"), "{refused}");
    }

    #[test]
    fn a_stream_is_stdout_unless_it_is_said() {
        assert_eq!((stream(0), stream(2)), (Ok(Stream::Stdout), Ok(Stream::Stderr)));
        assert!(stream(9).unwrap_err().detail().starts_with("stream"));
        assert!(offset(u64::MAX).unwrap_err().detail().starts_with("offset"));
    }
}
