//! The local agent: real processes on this machine. It starts and kills what the world says and
//! tells the world what became of it; it decides nothing about tasks.

mod command;
mod environment;
mod fetch;
mod journal;
mod layout;
mod machine;
mod processes;
mod record;
mod recover;
mod run;
mod sandbox;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shiftwork_proto::mesos::v1::{ExecutorInfo, TaskStatus};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::{Hub, Input};
use crate::world::{AgentId, AgentSpec, ContainerId, RecoveredUpdates, StartExecutor};
use crate::{LocalAgentConfig, StartError};
use journal::Journal;
pub(crate) use layout::Layout;
use record::AgentRecord;

/// What every run of an executor needs to know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Arc<Layout>,
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) extra_path: Vec<PathBuf>,
    pub(crate) shutdown_grace: Duration,
}

/// The agent on this machine.
#[derive(Debug)]
pub(crate) struct LocalAgent {
    shared: Arc<Shared>,
    id: AgentId,
    tracker: TaskTracker,
    /// Executors that were started and whose end was not reported; cancelling one kills it.
    running: BTreeMap<ContainerId, CancellationToken>,
    journal: Journal,
    /// Containers that ended, with updates that may still wait for acknowledgement.
    ended: BTreeSet<ContainerId>,
    /// Keeps other processes off the work directory.
    _lock: std::fs::File,
}

// === impl LocalAgent ===

impl LocalAgent {
    /// Takes up the agent that lives in this work directory; `assign` names one that is new.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or another process has it.
    pub(crate) fn open(
        shared: Shared,
        config: &LocalAgentConfig,
        assign: impl FnOnce() -> AgentId,
    ) -> Result<Self, StartError> {
        let lock = shared.layout.create()?;
        let former = AgentRecord::read(&shared.layout)?;
        let id = former.map_or_else(assign, |record| AgentId(record.agent_id));
        let record = AgentRecord { agent_id: id.0.clone(), hostname: config.hostname.clone() };
        record.write(&shared.layout)?;
        Ok(Self {
            journal: Journal::new(shared.layout.clone()),
            shared: Arc::new(shared),
            id,
            tracker: TaskTracker::new(),
            running: BTreeMap::new(),
            ended: BTreeSet::new(),
            _lock: lock,
        })
    }

    pub(crate) fn agent_id(&self) -> &AgentId {
        &self.id
    }

    /// The sandbox of one run, as a path on disk.
    pub(crate) fn sandbox(&self, info: &ExecutorInfo, container: &ContainerId) -> String {
        self.shared.layout.sandbox(&self.id, info, container).to_string_lossy().into_owned()
    }

    /// The directory that all of its paths begin with.
    pub(crate) fn work_dir(&self) -> String {
        self.shared.layout.work_dir().to_string_lossy().into_owned()
    }

    /// The spec that it will register with.
    ///
    /// # Errors
    /// When the configured resources or attributes are not understood.
    pub(crate) fn spec(&self, config: &LocalAgentConfig) -> Result<AgentSpec, StartError> {
        machine::spec(&self.id, config, self.shared.address, &self.shared.layout)
    }

    /// In the background: clears away what a former life left behind, then registers.
    pub(crate) fn recover(&self, spec: AgentSpec, shutdown: CancellationToken) {
        let shared = self.shared.clone();
        self.tracker.spawn(async move {
            let recovered = recover::recover(&shared.layout, shutdown).await;
            shared.hub.send(Input::Register { spec, recovered }).await;
        });
    }

    /// Whether nothing runs in the background.
    pub(crate) fn is_idle(&self) -> bool {
        self.tracker.is_empty()
    }

    pub(crate) fn start(&mut self, start: StartExecutor) {
        let kill = CancellationToken::new();
        self.running.insert(start.container.clone(), kill.clone());
        self.tracker.spawn(run::run(self.shared.clone(), start, kill));
    }

    pub(crate) fn kill(&mut self, container: &ContainerId) {
        if let Some(kill) = self.running.get(container) {
            kill.cancel();
        }
    }

    /// Writes an update down. It is in the kernel's hands before the executor is answered, so that
    /// it outlives this process.
    pub(crate) fn keep(&mut self, container: &ContainerId, status: TaskStatus) {
        self.journal.keep(container, status);
    }

    pub(crate) fn forget(&mut self, container: &ContainerId, uuid: &Bytes) {
        self.journal.forget(container, uuid);
    }

    /// Takes note of what the agent registered with.
    pub(crate) fn registered(&mut self, recovered: &[RecoveredUpdates]) {
        for updates in recovered {
            self.journal.recovered(updates);
            self.ended.insert(updates.container.clone());
        }
    }

    /// An executor ended and nothing of it is left.
    pub(crate) fn exited(&mut self, container: &ContainerId) {
        self.running.remove(container);
        self.ended.insert(container.clone());
    }

    /// Removes the records of executors that ended and whose updates were all acknowledged.
    pub(crate) fn settle(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let journal = &mut self.journal;
        let layout = &self.shared.layout;
        self.ended.retain(|container| {
            if journal.has_pending(container) {
                return true;
            }
            journal.remove(container);
            record::remove_executor(layout, container);
            false
        });
    }
}
