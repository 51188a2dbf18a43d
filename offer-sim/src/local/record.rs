//! What the agent must know after a restart: its own id, and each executor it started. Small JSON
//! files, replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Layout;
use super::journal::remove_file;
use super::processes::Process;
use crate::StartError;
use crate::world::ContainerId;

/// Where an executor writes down what it has yet to have acknowledged.
pub(super) const UNACKNOWLEDGED_FILE: &str = "unacknowledged-updates";

/// The agent itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AgentRecord {
    pub(super) agent_id: String,
    pub(super) hostname: String,
}

/// An executor that was started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExecutorRecord {
    pub(super) process: Process,
    pub(super) sandbox: PathBuf,
    pub(super) framework_id: String,
    pub(super) executor_id: String,
}

// === impl AgentRecord ===

impl AgentRecord {
    /// The record of a former life, `None` in a new work directory.
    pub(super) fn read(layout: &Layout) -> Result<Option<Self>, StartError> {
        let path = layout.agent();
        read(&path).map_err(|source| StartError::WorkDir { path, step: "read", source })
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), StartError> {
        let path = layout.agent();
        write(&path, self).map_err(|source| StartError::WorkDir { path, step: "write", source })
    }
}

/// Writes down an executor, so that a later life finds it.
pub(super) fn write_executor(
    layout: &Layout,
    container: &ContainerId,
    record: &ExecutorRecord,
) -> io::Result<()> {
    write(&layout.executor(container), record)
}

/// Every executor written down. A record that cannot be read is reported and left alone.
pub(super) fn read_executors(layout: &Layout) -> Vec<(ContainerId, ExecutorRecord)> {
    let Ok(entries) = std::fs::read_dir(layout.executors()) else { return Vec::new() };
    let mut records = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(container) = name.strip_suffix(".json") else { continue };
        match read(&path) {
            Ok(Some(record)) => records.push((ContainerId(container.to_owned()), record)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "unreadable executor record");
            }
        }
    }
    records.sort_by(|(left, _), (right, _)| left.cmp(right));
    records
}

/// Forgets an executor that has nothing left to say, and removes what it wrote down itself.
pub(super) fn remove_executor(layout: &Layout, container: &ContainerId) {
    let path = layout.executor(container);
    if let Ok(Some(record)) = read::<ExecutorRecord>(&path) {
        remove_file(&record.sandbox.join(UNACKNOWLEDGED_FILE));
    }
    remove_file(&path);
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file as a whole: a reader finds the old text or the new one.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, serde_json::to_vec_pretty(value)?)?;
    std::fs::rename(&temporary, path)
}
