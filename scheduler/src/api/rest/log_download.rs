//! `/tasks/{task}/logs/download`: all that a task wrote, as a file. Absent: finding the task and its file
//! (`logs.rs`).

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use futures_util::stream;
use shiftwork_engine::ids::TaskId;

use super::logs::{STREAM, find, place, read_stream, rest_of};
use super::{Answer, BASE};
use crate::agent_files::{AgentFiles, CHUNK_LEN_MAX, FilePlace, FilesError, Stream};
use crate::api::ApiState;
use crate::api::extract::Named;
use crate::api::operation::{Answered, Operation};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::table::Table;

/// The route of downloads.
pub(super) fn routes(table: Table) -> Table {
    table.route(
        Operation::get(
            format!("{BASE}/tasks/{{task}}/logs/download"),
            "downloadLogs",
            "All that a task wrote, as a file.",
        )
        .tag("tasks")
        .query(&[&STREAM])
        .answers(200, Answered::Text("text/plain"))
        .refuses(&[404]),
        download,
    )
}

/// What is still to be read.
struct Rest {
    files: AgentFiles,
    /// The files, the last first, and how far the last was read.
    places: Vec<FilePlace>,
    offset: u64,
}

/// `GET /tasks/{task}/logs/download?stream=`
async fn download(
    State(state): State<ApiState>,
    params: Params,
    Named(task): Named<TaskId>,
) -> Answer {
    let stream = read_stream(&params)?;
    let known = find(&state, &task).await?;
    let framework = state.query(|engine| engine.framework_id().cloned()).await?;
    let place = framework.as_ref().and_then(|id| place(id, &known, &task, stream));
    let Some(place) = place else {
        return Err(Problem::unavailable("no master has been reached yet: ask again shortly"));
    };
    let files = state.agent_files.clone();
    // Whether it can be read at all is known before the answer begins.
    let body = match files.len(&place).await {
        Ok(_) => {
            let places = vec![place.clone(), place.rotated()];
            Body::from_stream(stream::try_unfold(Rest { files, places, offset: 0 }, next))
        }
        Err(error) => Body::from(rest_of(&task, stream, &known, &error)?),
    };
    let name = file_name(&task, stream);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// The next part; what was put aside comes first.
async fn next(mut rest: Rest) -> Result<Option<(Bytes, Rest)>, FilesError> {
    while let Some(place) = rest.places.last() {
        match rest.files.read(place, rest.offset, CHUNK_LEN_MAX).await {
            Ok(chunk) if !chunk.data.is_empty() => {
                rest.offset += chunk.data.len() as u64;
                return Ok(Some((Bytes::from(chunk.data), rest)));
            }
            Ok(_) | Err(FilesError::NoFile(_)) => {
                rest.places.pop();
                rest.offset = 0;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The job, the shard and the stream; an id may hold what no file's name should.
fn file_name(task: &TaskId, stream: Stream) -> String {
    let of = task.job_and_item().map(|(job, item)| format!("{job}-{item}"));
    let of = of.unwrap_or_else(|| "task".to_owned());
    format!("{of}.{}.txt", stream.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_for_its_shard() {
        let task = TaskId::new("nightly@-@3@-@READY@-@S1@-@u");
        assert_eq!(file_name(&task, Stream::Stderr), "nightly-3.stderr.txt");
        assert_eq!(file_name(&TaskId::new("\"\n"), Stream::Stdout), "task.stdout.txt");
    }
}
