//! Wiring: opens what is stored, serves the API, and leads tenure after tenure until told to
//! stop. There is one path for start, take-over and doubt: take over, restore, run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use shiftwork_engine::record::Key;
use shiftwork_engine::{Effects, Engine, Settings};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, ApiState};
use crate::mesos::{self, DriverConfig, DriverHandle, DriverState};
use crate::registry::{EmbeddedRegistry, LeaderInfo, Registry, Tenure, keys};
use crate::trace::{History, SpoolLimits, WriterOptions};
use crate::turn::{self, Handle, Inbox, Owner};

/// Pause before the lead is taken again after it was lost to an error: long enough not to spin.
const TENURE_PAUSE: Duration = Duration::from_secs(1);

/// What a scheduler is started with.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// Where the registry, the history and its spool are kept.
    pub data_dir: PathBuf,
    /// Where REST is served.
    pub http: SocketAddr,
    /// The Mesos masters and who we are to them.
    pub driver: DriverConfig,
    /// The engine's settings.
    pub settings: Settings,
}

/// A scheduler that has been started.
pub struct Scheduler {
    /// Where REST is served, the port filled in.
    pub http: SocketAddr,
    /// The way to the engine.
    pub handle: Handle,
    tenures: tokio::task::JoinHandle<anyhow::Result<()>>,
    tracker: TaskTracker,
    history: History,
}

/// Starts a scheduler. It stops when `shutdown` is cancelled.
///
/// # Errors
/// What could not be opened, with the way out.
pub async fn start(
    config: SchedulerConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<Scheduler> {
    let data_dir = &config.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create the data directory {}", data_dir.display()))?;
    let listener = TcpListener::bind(config.http).await.with_context(|| {
        format!("cannot serve on {}: choose another address with --http", config.http)
    })?;
    let http = listener.local_addr()?;
    let registry = EmbeddedRegistry::open(data_dir).await?;
    let (history, writer) =
        History::open(data_dir, SpoolLimits::default(), WriterOptions::default())
            .with_context(|| format!("cannot open the history in {}", data_dir.display()))?;

    let (handle, inbox) = turn::channel();
    let tracker = TaskTracker::new();
    // The writer stops last, so that it gets what happens while the rest stops.
    let writer_stop = CancellationToken::new();
    tracker.spawn(writer.run(writer_stop.clone()));
    let state = ApiState {
        handle: handle.clone(),
        history: history.clone(),
        default_zone: config.settings.default_zone.clone(),
    };
    tracker.spawn(serve(listener, state, shutdown.clone()));
    tracker.close();
    let tenures = Tenures { config, http, history: history.clone(), shutdown };
    let tenures = tokio::spawn(async move {
        let result = tenures.run(Box::new(registry), inbox).await;
        writer_stop.cancel();
        result
    });
    Ok(Scheduler { http, handle, tenures, tracker, history })
}

async fn serve(listener: TcpListener, state: ApiState, shutdown: CancellationToken) {
    if let Err(error) = api::serve(listener, api::router(state), shutdown).await {
        tracing::error!(%error, "the API stopped");
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Waits until everything has ended.
    ///
    /// # Errors
    /// Why the scheduler could not go on.
    pub async fn wait(self) -> anyhow::Result<()> {
        let result = match self.tenures.await {
            Ok(result) => result,
            Err(error) => Err(anyhow::Error::new(error).context("the owner loop failed")),
        };
        self.tracker.wait().await;
        self.history.close().await;
        result
    }
}

/// Leads again and again.
struct Tenures {
    config: SchedulerConfig,
    http: SocketAddr,
    history: History,
    shutdown: CancellationToken,
}

/// What a tenure needs beside the engine: torn down at its end.
struct Connection {
    driver: DriverHandle,
    events: mpsc::Receiver<shiftwork_engine::Event>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

// === impl Tenures ===

impl Tenures {
    async fn run(self, mut registry: Box<dyn Registry>, mut inbox: Inbox) -> anyhow::Result<()> {
        loop {
            let tenure = registry.take_over(self.leader()).await?;
            let (engine, effects) = self.restore(&tenure);
            let mut connection = self.connect(&engine)?;
            let owner = Owner::new(
                engine,
                effects,
                registry,
                tenure.epoch,
                connection.driver.clone(),
                self.history.clone(),
                &inbox,
            );
            let stop = self.tenure_stop(&connection);
            let (ended, back) = owner.run(&mut inbox, &mut connection.events, &stop).await;
            registry = back;
            let failed_over = *connection.driver.state().borrow() == DriverState::FailedOver;
            connection.close().await;
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
            if failed_over {
                anyhow::bail!(
                    "another scheduler subscribed with this framework id: two must not run on \
                     copies of one data directory"
                );
            }
            tracing::error!(?ended, "the lead was lost; restoring from the registry");
            inbox.refuse_all();
            tokio::time::sleep(TENURE_PAUSE).await;
        }
    }

    fn leader(&self) -> LeaderInfo {
        LeaderInfo {
            id: uuid::Uuid::new_v4().to_string(),
            addresses: vec![format!("http://{}", self.http)],
            since: jiff::Timestamp::now(),
        }
    }

    fn restore(&self, tenure: &Tenure) -> (Engine, Effects) {
        let mut records = Vec::new();
        for (path, data) in &tenure.nodes {
            match keys::place_of(path) {
                // A parent that was only made for its children.
                keys::Place::Record(_) if data.is_empty() => {}
                keys::Place::Record(key) => records.push((key, data.to_vec())),
                keys::Place::Structure => {}
                keys::Place::Unknown => {
                    tracing::warn!(%path, "skipped: not a node of this program");
                }
            }
        }
        let count =
            |wanted: fn(&Key) -> bool| records.iter().filter(|(key, _)| wanted(key)).count();
        let jobs = count(|key| matches!(key, Key::Job(_)));
        let mut effects = Effects::default();
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let settings = self.config.settings.clone();
        let engine = Engine::restore(settings, seed, turn::now(), records, &mut effects);
        for problem in engine.status().problems {
            tracing::error!(%problem, "a stored record cannot be read");
        }
        tracing::info!(epoch = %tenure.epoch, jobs, "leading");
        (engine, effects)
    }

    fn connect(&self, engine: &Engine) -> anyhow::Result<Connection> {
        let (sender, events) = mpsc::channel(turn::INPUTS_MAX);
        let tracker = TaskTracker::new();
        let stop = CancellationToken::new();
        let framework = engine.framework_id().cloned();
        let driver = self.config.driver.clone();
        let driver = mesos::spawn(driver, framework, sender, &tracker, stop.clone())?;
        tracker.close();
        Ok(Connection { driver, events, tracker, stop })
    }

    /// A tenure ends with the process, or when another instance took the framework over.
    fn tenure_stop(&self, connection: &Connection) -> CancellationToken {
        let stop = self.shutdown.child_token();
        let ended = stop.clone();
        let mut state = connection.driver.state();
        connection.tracker.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                _ = state.wait_for(|state| *state == DriverState::FailedOver) => ended.cancel(),
            }
        });
        stop
    }
}

// === impl Connection ===

impl Connection {
    /// Closes the stream without TEARDOWN: tasks go on.
    async fn close(mut self) {
        self.stop.cancel();
        self.events.close();
        self.tracker.wait().await;
    }
}
