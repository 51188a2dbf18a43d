//! Reading the sandboxes of the local agent: `/files/browse` and `/files/read`. Nothing outside
//! them is ever shown; what is not there, or not theirs, is 404.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::respond::{not_found, rejected};
use crate::world::Rejection;

/// Most bytes that one read answers, and how many when no length is asked for: sixteen pages, as
/// an agent does.
const READ_LEN_MAX: usize = 16 * 4096;

/// What is asked of `/files/browse`.
#[derive(Debug, Deserialize)]
pub(super) struct Browse {
    path: PathBuf,
}

/// What is asked of `/files/read`.
#[derive(Debug, Deserialize)]
pub(super) struct ReadFile {
    path: PathBuf,
    /// -1, or none, asks for the size.
    offset: Option<i64>,
    /// -1, or none, asks for as much as is given at once.
    length: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Entry {
    gid: String,
    mode: String,
    mtime: f64,
    nlink: u64,
    path: String,
    size: u64,
    uid: String,
}

#[derive(Debug, Serialize)]
struct Chunk {
    data: String,
    offset: u64,
}

pub(super) async fn browse(State(shared): State<Shared>, Query(query): Query<Browse>) -> Response {
    on_disk(shared, query.path, |path| {
        let listing = std::fs::read_dir(&path).ok()?;
        let mut entries: Vec<Entry> =
            listing.flatten().filter_map(|entry| describe(&entry.path())).collect();
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Some(Json(entries).into_response())
    })
    .await
}

pub(super) async fn read(State(shared): State<Shared>, Query(query): Query<ReadFile>) -> Response {
    let offset = query.offset.unwrap_or(-1);
    let length = query.length.unwrap_or(-1);
    if offset < -1 || length < -1 {
        let text = "Negative offset or length: only -1 has a meaning";
        return rejected(&Rejection::bad_request(text));
    }
    on_disk(shared, query.path, move |path| {
        if !path.is_file() {
            return None;
        }
        let chunk = match u64::try_from(offset) {
            Ok(offset) => read_chunk(&path, offset, usize::try_from(length).ok())?,
            Err(_) => Chunk { data: String::new(), offset: path.metadata().ok()?.len() },
        };
        Some(Json(chunk).into_response())
    })
    .await
}

/// Runs `work` on a path that was found to be in a sandbox, off the event loop.
async fn on_disk(
    shared: Shared,
    path: PathBuf,
    work: impl FnOnce(PathBuf) -> Option<Response> + Send + 'static,
) -> Response {
    let Some(layout) = shared.layout else { return not_found() };
    let task = tokio::task::spawn_blocking(move || {
        let path = real_path(&layout.sandboxes(), path);
        let path = inside(&layout.sandboxes(), &path)?;
        work(path)
    });
    match task.await {
        Ok(Some(response)) => response,
        Ok(None) => not_found(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// An agent also shows the sandbox of an executor, the one that runs or ran last, as
/// `/frameworks/{framework}/executors/{executor}/runs/latest`, so that nobody has to know its work
/// directory. The path on disk for such a one; any other as it is.
fn real_path(sandboxes: &Path, path: PathBuf) -> PathBuf {
    let Ok(virtual_path) = path.strip_prefix("/frameworks") else { return path };
    let mut rest = virtual_path.components();
    let mut next = || rest.next().map(|part| Path::new(part.as_os_str()).to_owned());
    let (Some(framework), Some(executors), Some(executor), Some(runs), Some(latest)) =
        (next(), next(), next(), next(), next())
    else {
        return path;
    };
    let is_virtual =
        [&executors, &runs, &latest].into_iter().eq(["executors", "runs", "latest"].map(Path::new));
    let rest = rest.as_path();
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let runs_of = |agent: PathBuf| {
        agent.join("frameworks").join(&framework).join("executors").join(&executor).join("runs")
    };
    let begun = |run: &Path| run.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = entries(sandboxes)
        .flat_map(|agent| entries(&runs_of(agent.path())).collect::<Vec<_>>())
        .map(|run| run.path())
        .max_by_key(|run| begun(run));
    match newest {
        Some(run) if is_virtual => run.join(rest),
        _ => path,
    }
}

/// The real path behind `path`, when it is below `root`; links and `..` are followed first.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let path = path.canonicalize().ok()?;
    path.starts_with(&root).then_some(path)
}

fn read_chunk(path: &Path, offset: u64, length: Option<usize>) -> Option<Chunk> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let length = length.unwrap_or(READ_LEN_MAX).min(READ_LEN_MAX);
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes).ok()?;
    Some(Chunk { data: text(&bytes, bytes.len() == length), offset })
}

/// Bytes as text of the same length, so that readers may add it to their offset: a byte that is no
/// UTF-8 becomes `?`. A character cut off at the end of a full chunk is left for the next one.
fn text(bytes: &[u8], is_full: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        let rest = chunk.invalid();
        let at_end = std::ptr::eq(rest.as_ptr_range().end, bytes.as_ptr_range().end);
        let may_continue =
            std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
        if is_full && at_end && may_continue && !text.is_empty() {
            break;
        }
        text.extend(std::iter::repeat_n('?', rest.len()));
    }
    text
}

fn describe(path: &Path) -> Option<Entry> {
    let metadata = path.symlink_metadata().ok()?;
    let mtime = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Entry {
        gid: owner_name("/etc/group", metadata.gid()),
        mode: mode_text(&metadata),
        mtime: mtime.as_secs() as f64,
        nlink: metadata.nlink(),
        path: path.to_string_lossy().into_owned(),
        size: metadata.len(),
        uid: owner_name("/etc/passwd", metadata.uid()),
    })
}

/// The name of a user or group in a colon-separated table whose third field is the number; the
/// number itself when it is not there.
fn owner_name(table: &str, id: u32) -> String {
    let id = id.to_string();
    let lines = std::fs::read_to_string(table).unwrap_or_default();
    let name = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    name.unwrap_or(id)
}

/// As `ls -l` writes it.
fn mode_text(metadata: &Metadata) -> String {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        _ => '-',
    };
    let mode = metadata.permissions().mode();
    let bits = (0..9).map(|bit| {
        let letter = ['r', 'w', 'x'][bit % 3];
        if mode & (0o400 >> bit) == 0 { '-' } else { letter }
    });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_the_length_of_bytes() {
        assert_eq!(text("häuser".as_bytes(), false), "häuser");
        assert_eq!(text(b"a\xffb\xc3", false), "a?b?");
        // A character cut by the end of a full chunk comes whole with the next one.
        assert_eq!(text(b"ab\xc3", true), "ab");
        assert_eq!(text(b"\xa4c", true), "?c");
        // Nothing but a cut character must not stop the reader for ever.
        assert_eq!(text(b"\xc3", true), "?");
    }

    #[test]
    fn the_latest_run_of_an_executor_has_a_path_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("S0/frameworks/f/executors/a@-@S0/runs");
        for (run, age_s) in [("old", 60), ("new", 0)] {
            let run = runs.join(run);
            std::fs::create_dir_all(&run).unwrap();
            let begun = std::time::SystemTime::now() - std::time::Duration::from_secs(age_s);
            File::open(&run).unwrap().set_modified(begun).unwrap();
        }
        let real = |path: &str| real_path(root.path(), path.into());
        let file = "/frameworks/f/executors/a@-@S0/runs/latest/tasks/t/stdout";
        assert_eq!(real(file), runs.join("new/tasks/t/stdout"));
        for other in [
            "/frameworks/f/executors/a@-@S0/runs/old/x",
            "/frameworks/g/executors/a@-@S0/runs/latest/x",
            "/frameworks/f",
            "/etc/passwd",
        ] {
            assert_eq!(real(other), Path::new(other));
        }
    }

    #[test]
    fn paths_outside_are_not_found() {
        let root = tempfile::tempdir().unwrap();
        let sandboxes = root.path().join("slaves");
        std::fs::create_dir(&sandboxes).unwrap();
        std::fs::write(root.path().join("secret"), "x").unwrap();
        std::fs::write(sandboxes.join("stdout"), "y").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", sandboxes.join("link")).unwrap();
        assert!(inside(&sandboxes, &sandboxes.join("stdout")).is_some());
        for outside in ["../secret", "link", "nosuch", "/etc/passwd"] {
            assert_eq!(inside(&sandboxes, &sandboxes.join(outside)), None, "{outside}");
        }
    }
}
