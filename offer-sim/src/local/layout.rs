//! Where things are in the work directory: sandboxes as a real agent lays them out, and what the
//! agent must remember. No reading and writing beyond making the directories.

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

    pub(crate) fn create(&self) -> Result<(), StartError> {
        for path in [self.sandboxes(), self.executors(), self.journals()] {
            std::fs::create_dir_all(&path).map_err(|source| StartError::WorkDir {
                path,
                step: "make",
                source,
            })?;
        }
        Ok(())
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
