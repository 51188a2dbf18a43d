//! A scheduler's own owner loop in this process, with its registry and its history, for benchmarks
//! without HTTP. Absent: who offers and runs (`agents.rs`).

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use shiftwork_engine::command::Command;
use shiftwork_engine::{Effects, Engine, Event};
use shiftwork_scheduler::agent_files::AgentBook;
use shiftwork_scheduler::mesos::{Actions, DriverHandle};
use shiftwork_scheduler::metrics::{Metrics, Reading};
use shiftwork_scheduler::registry::{Registry, Tenure};
use shiftwork_scheduler::secrets::Secrets;
use shiftwork_scheduler::trace::{History, SpoolLimits, WriterOptions};
use shiftwork_scheduler::turn::{self, Ended, Handle, Outlets};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An owner that leads.
pub(super) struct Owner {
    pub(super) history: History,
    metrics: Metrics,
    handle: Handle,
    stop: CancellationToken,
    owning: JoinHandle<(Ended, Box<dyn Registry>)>,
    writing: JoinHandle<()>,
}

/// Its ends towards a master: what it asks for, and what happens.
pub(super) struct Master {
    pub(super) actions: Actions,
    pub(super) events: mpsc::Sender<Event>,
}

// === impl Owner ===

impl Owner {
    /// Lets an engine, and what restoring it wants from the world, lead with a history in `directory`.
    pub(super) fn start(
        engine: Engine,
        restored: Effects,
        registry: Box<dyn Registry>,
        tenure: &Tenure,
        directory: &Path,
    ) -> Result<(Self, Master)> {
        let (driver, actions) = DriverHandle::detached();
        let (history, writer) =
            History::open(directory, None, SpoolLimits::default(), WriterOptions::default())?;
        let stop = CancellationToken::new();
        let writing = tokio::spawn(writer.run(stop.clone()));
        let (handle, mut inbox) = turn::channel();
        let metrics = Metrics::new();
        let outlets = Outlets {
            driver,
            history: history.clone(),
            metrics: metrics.clone(),
            agents: AgentBook::default(),
            secrets: Secrets::new(None, handle.clone()),
        };
        let owner = turn::Owner::new(engine, restored, registry, tenure, outlets, &inbox);
        let (events, mut happened) = mpsc::channel(turn::INPUTS_MAX);
        let stopped = stop.clone();
        let owning =
            tokio::spawn(async move { owner.run(&mut inbox, &mut happened, &stopped).await });
        Ok((Self { history, metrics, handle, stop, owning, writing }, Master { actions, events }))
    }

    /// Asks for a change and waits until it is durable.
    pub(super) async fn command(&self, command: Command) -> Result<()> {
        let reply = self.handle.command("bench".to_owned(), command).await?;
        reply.map(drop).map_err(|refusal| anyhow::anyhow!("refused: {refusal:?}"))
    }

    /// What has been counted since its beginning.
    pub(super) fn metrics(&self) -> String {
        self.metrics.text(&Reading::default())
    }

    /// Ends the tenure in order.
    pub(super) async fn end(self) -> Result<()> {
        self.stop.cancel();
        let (ended, registry) = self.owning.await.context("the owner")?;
        ensure!(matches!(ended, Ended::Shutdown), "the owner ended: {ended:?}");
        registry.close().await;
        self.writing.abort();
        Ok(())
    }
}
