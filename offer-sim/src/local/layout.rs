//! Where things are in the work directory: sandboxes as a real agent lays them out, and what the
//! agent must remember. No reading and writing beyond making the directories.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use shiftwork_proto::mesos::v1::ExecutorInfo;

use crate::StartError;
use crate::world::{AgentId, ContainerId};

/// The directories of one agent.
#[derive(Debug)]
pub(crate) struct Layout {
    work_dir: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// A layout below `work_dir`, made absolute because executors run elsewhere.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(crate) fn new(work_dir: &Path) -> Result<Self, StartError> {
        let error =
            |source| StartError::WorkDir { path: work_dir.to_owned(), step: "make", source };
        std::fs::create_dir_all(work_dir).map_err(error)?;
        Ok(Self { work_dir: work_dir.canonicalize().map_err(error)? })
    }

    /// Makes the directories and takes them for this process: what stands in them is recovered as
    /// the remains of a former life, which must not be another agent that lives. The lock is held as
    /// long as the file given.
    ///
    /// # Errors
    /// When a directory cannot be made, or another process has them.
    pub(crate) fn create(&self) -> Result<File, StartError> {
        for path in [self.sandboxes(), self.executors(), self.journals()] {
            std::fs::create_dir_all(&path).map_err(|source| StartError::WorkDir {
                path,
                step: "make",
                source,
            })?;
        }
        self.lock()
    }

    fn lock(&self) -> Result<File, StartError> {
        let path = self.work_dir.join("meta/lock");
        let error = |source| StartError::WorkDir { path: path.clone(), step: "lock", source };
        let file = File::create(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: self.work_dir.clone() }),
            Err(TryLockError::Error(source)) => Err(error(source)),
        }
    }

    pub(crate) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Everything that may be read over HTTP is below this.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.work_dir.join("slaves")
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.work_dir.join("meta/agent.json")
    }

    /// One record for each executor that was started.
    pub(crate) fn executors(&self) -> PathBuf {
        self.work_dir.join("meta/executors")
    }

    pub(crate) fn executor(&self, container: &ContainerId) -> PathBuf {
        self.executors().join(format!("{container}.json"))
    }

    fn journals(&self) -> PathBuf {
        self.work_dir.join("meta/updates")
    }

    pub(crate) fn journal(&self, container: &ContainerId) -> PathBuf {
        self.journals().join(&container.0)
    }

    /// The sandbox of one run. Ids were checked by the master to be file names.
    pub(crate) fn sandbox(
        &self,
        agent: &AgentId,
        info: &ExecutorInfo,
        container: &ContainerId,
    ) -> PathBuf {
        let framework = info.framework_id.as_ref().map_or("none", |id| id.value.as_str());
        self.sandboxes()
            .join(&agent.0)
            .join("frameworks")
            .join(framework)
            .join("executors")
            .join(&info.executor_id.value)
            .join("runs")
            .join(&container.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_directory_has_one_agent_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        let lock = layout.create().unwrap();
        assert!(matches!(layout.create(), Err(StartError::InUse { .. })));
        drop(lock);
        assert!(layout.create().is_ok());
    }
}
