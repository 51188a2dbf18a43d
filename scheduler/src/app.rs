//! Wiring: opens what is stored, serves the API, and leads tenure after tenure until told to
//! stop. There is one path for start, take-over and doubt: be elected, take over, restore, run.

mod data_dir;
mod serving;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use shiftwork_engine::record::{Key, Write};
use shiftwork_engine::{Effects, Engine, Event, Settings};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent_files::AgentFiles;
use crate::api::{self, ApiState, ElasticJobConfig, IdempotencyKeys, Leadership, RequestRate};
use crate::audit::{self, Auditor};
use crate::auth::{AUTH_NODE, Auth, AuthConfig};
use crate::grpc_args::{self, GrpcListen};
use crate::mesos::{self, DriverConfig, DriverHandle, DriverState};
use crate::metrics::Metrics;
use crate::oidc::Oidc;
use crate::registry::{
    Change, EmbeddedRegistry, Epoch, LeaderInfo, Nodes, Registry, Standing, Tenure,
    ZooKeeperConfig, ZooKeeperRegistry, documents, follow, keys, no_changes,
};
use crate::secrets::{KEY_FILE_NAME, Key as SecretKey, Secrets};
use crate::tls_server::ServerTls;
use crate::trace::{
    History, HistoryTarget, Retention, SpoolLimits, TenureRow, TraceRecord, WriterOptions,
};
use crate::turn::{self, Handle, Inbox, Outlets, Owner};

/// Pause before the lead is taken again after it was lost to an error: long enough not to spin.
const TENURE_PAUSE: Duration = Duration::from_secs(1);

/// What a scheduler is started with.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// Where the history and its spool are kept, and the registry unless it is elsewhere.
    pub data_dir: PathBuf,
    /// The registry that several schedulers share; `None` for one of this scheduler alone.
    pub registry: Option<ZooKeeperConfig>,
    /// Where REST is served.
    pub http: SocketAddr,
    /// Where others reach it; `None` for `http` as it is.
    pub advertise: Option<String>,
    /// Where gRPC is served, if that was said.
    pub grpc: Option<GrpcListen>,
    /// Where others reach it; `None` for the host of REST and the port it listens on.
    pub advertise_grpc: Option<String>,
    /// The Mesos masters and who we are to them.
    pub driver: DriverConfig,
    /// Who may use it.
    pub auth: AuthConfig,
    /// The certificate it is served with; none for plain HTTP.
    pub tls: Option<ServerTls>,
    /// How many requests an address may send a second; 0 for any number.
    pub requests_per_second_max: u32,
    /// The file of the key for secrets; none for one in the data directory, unless the registry is
    /// shared.
    pub secret_key_file: Option<PathBuf>,
    /// Logging in through an identity provider, if there is one.
    pub oidc: Option<Oidc>,
    /// The engine's settings.
    pub settings: Settings,
    /// How Elastic-Job-Cloud's REST is served.
    pub elastic_job: ElasticJobConfig,
    /// Where the history is kept, and how long.
    pub history: HistoryConfig,
    /// How often the leader audits its firings; none for never.
    pub audit_every: Option<Duration>,
}

/// Where the history is kept, and how long.
#[derive(Debug, Clone, Default)]
pub struct HistoryConfig {
    /// The database; none for a file in the data directory.
    pub target: Option<HistoryTarget>,
    /// What is kept of it.
    pub retention: Retention,
}

/// A scheduler that has been started.
pub struct Scheduler {
    /// Where REST is served, the port filled in.
    pub http: SocketAddr,
    /// Where gRPC is served, if it is.
    pub grpc: Option<SocketAddr>,
    /// The way to the engine.
    pub handle: Handle,
    tenures: tokio::task::JoinHandle<anyhow::Result<()>>,
    tracker: TaskTracker,
    history: History,
    /// Freed by the system with the process at the latest.
    lock: File,
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
    let lock = data_dir::lock(data_dir)?;
    let listener = TcpListener::bind(config.http).await.with_context(|| {
        format!("cannot serve on {}: choose another address with --http", config.http)
    })?;
    let http = listener.local_addr()?;
    let grpc_listener = grpc_args::bind(config.grpc, http).await?;
    let grpc = grpc_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let (standing, _) = watch::channel(Standing::Starting);
    let (own, own_receiver) = watch::channel(None);
    let registry: Box<dyn Registry> = if let Some(registry) = config.registry.clone() {
        Box::new(ZooKeeperRegistry::new(registry, standing.clone()))
    } else {
        data_dir::warn_if_lost(data_dir);
        Box::new(EmbeddedRegistry::open(data_dir).await?)
    };
    let retention = config.history.retention;
    let writer_options = WriterOptions { retention, ..WriterOptions::default() };
    let (history, writer) = History::open(
        data_dir,
        config.history.target.clone(),
        SpoolLimits::default(),
        writer_options,
    )
    .with_context(|| format!("cannot open the history in {}", data_dir.display()))?;

    let (handle, inbox) = turn::channel();
    let tracker = TaskTracker::new();
    // The writer stops last, so that it gets what happens while the rest stops.
    let writer_stop = CancellationToken::new();
    tracker.spawn(writer.run(writer_stop.clone()));
    let metrics = Metrics::new();
    let auditor = Auditor::new(
        handle.clone(),
        history.clone(),
        metrics.clone(),
        config.settings.default_zone.clone(),
    );
    if let Some(every) = config.audit_every {
        let standing = standing.subscribe();
        tracker.spawn(audit::watch(auditor.clone(), every, standing, shutdown.clone()));
    }
    let credentials = config.elastic_job.credentials.clone();
    let configured = credentials.map(|known| (known.username, known.password));
    let auth = Auth::new(AuthConfig { configured, ..config.auth.clone() }, handle.clone());
    let secrets = Secrets::new(secret_key(&config)?, handle.clone());
    let state = ApiState {
        auth: auth.clone(),
        secrets: secrets.clone(),
        oidc: config.oidc.clone(),
        rate: RequestRate::new(config.requests_per_second_max),
        keys: IdempotencyKeys::default(),
        secure_cookies: config.tls.is_some(),
        auditor,
        metrics: metrics.clone(),
        handle: handle.clone(),
        history: history.clone(),
        agent_files: agent_files(&config.driver)?,
        default_zone: config.settings.default_zone.clone(),
        leadership: Leadership { standing: standing.subscribe(), own: own_receiver },
    };
    if let Some(listener) = grpc_listener {
        let tls = config.tls.clone();
        tracker.spawn(serving::serve_grpc(listener, tls, state.clone(), shutdown.clone()));
    }
    if let Some(registry) = config.registry.clone() {
        let (told, nodes) = watch::channel(Nodes::new());
        tracker.spawn(follow(registry, AUTH_NODE, told, shutdown.clone()));
        let stop = shutdown.clone();
        tracker.spawn(serving::follow_auth(auth.clone(), nodes, standing.subscribe(), stop));
    }
    let router = api::router(state, config.elastic_job.clone());
    let router = api::with_standby(router, standing.subscribe());
    if let Some(tls) = config.tls.clone() {
        tracker.spawn(serving::serve(tls.accept(listener), router, shutdown.clone()));
        tracker.spawn(tls.follow(metrics.clone(), shutdown.clone()));
    } else {
        tracker.spawn(serving::serve(listener, router, shutdown.clone()));
    }
    tracker.close();
    let addresses = serving::addresses(&config, http, grpc);
    let id = uuid::Uuid::new_v4().to_string();
    let history_of_tenures = history.clone();
    let tenures = Tenures {
        config,
        auth,
        secrets,
        id,
        addresses,
        standing,
        own,
        history: history_of_tenures,
        metrics,
        shutdown,
    };
    let stop = tenures.shutdown.clone();
    let tenures = tokio::spawn(async move {
        let result = tenures.run(registry, inbox).await;
        // Whatever ended it: nothing is served for a scheduler that is no more.
        stop.cancel();
        writer_stop.cancel();
        result
    });
    Ok(Scheduler { http, grpc, handle, tenures, tracker, history, lock })
}

/// The key for secrets: of the file that is named, else of one in the data directory where no other
/// scheduler could need it.
fn secret_key(config: &SchedulerConfig) -> anyhow::Result<Option<SecretKey>> {
    let (file, make) = match (&config.secret_key_file, &config.registry) {
        // Made only where it cannot be missing for others.
        (Some(file), registry) => (file.clone(), registry.is_none()),
        (None, None) => (config.data_dir.join(KEY_FILE_NAME), true),
        (None, Some(_)) => return Ok(None),
    };
    Ok(Some(SecretKey::of_file(&file, make)?))
}

fn agent_files(driver: &DriverConfig) -> anyhow::Result<AgentFiles> {
    AgentFiles::new(driver.agents.clone(), &driver.tls, driver.credentials.as_ref())
        .context("the HTTP client for the agents cannot be built")
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
        drop(self.lock);
        result
    }
}

/// Leads again and again.
struct Tenures {
    config: SchedulerConfig,
    auth: Auth,
    secrets: Secrets,
    /// This process, among all that may lead.
    id: String,
    /// Where others reach its APIs.
    addresses: Vec<String>,
    standing: watch::Sender<Standing>,
    /// The same process as the leader, while it leads.
    own: watch::Sender<Option<LeaderInfo>>,
    history: History,
    metrics: Metrics,
    shutdown: CancellationToken,
}

/// What a tenure needs beside the engine: torn down at its end.
struct Connection {
    driver: DriverHandle,
    events: mpsc::Receiver<Event>,
    /// Where `events` come from; it does not keep them open.
    happened: mpsc::WeakSender<Event>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

// === impl Tenures ===

impl Tenures {
    async fn run(self, mut registry: Box<dyn Registry>, mut inbox: Inbox) -> anyhow::Result<()> {
        let mut led = false;
        // The tenure in which another scheduler took our framework over.
        let mut replaced: Option<Epoch> = None;
        loop {
            let Some(mut tenure) = self.take_over(&mut *registry, &mut inbox, led).await? else {
                registry.close().await;
                return Ok(());
            };
            led = true;
            anyhow::ensure!(
                !replaced.take().is_some_and(|before| tenure.epoch.follows(before)),
                "another scheduler subscribed with this framework id, and none of this registry led \
                 meanwhile: two registries must not hold one framework id; stop the other scheduler, \
                 or remove ha/framework_id from this registry to begin as a new framework"
            );
            self.auth.load(tenure.nodes.iter().map(|(path, data)| (path, data)));
            self.secrets.load(tenure.nodes.iter().map(|(path, data)| (path, data)));
            let (engine, effects) = self.restore(&tenure);
            let mut connection = self.connect(&engine)?;
            connection.listen(std::mem::replace(&mut tenure.changes, no_changes()));
            self.own.send_replace(Some(self.leader()));
            self.standing.send_replace(Standing::Leading);
            self.metrics.on_tenure_begun(tenure.epoch.0);
            self.record_tenure(&tenure);
            self.metrics.follow_driver(connection.driver.clone());
            let outlets = Outlets {
                driver: connection.driver.clone(),
                history: self.history.clone(),
                metrics: self.metrics.clone(),
                agents: self.config.driver.agents.clone(),
                secrets: self.secrets.clone(),
            };
            let owner = Owner::new(engine, effects, registry, &tenure, outlets, &inbox);
            let stop = self.tenure_stop(&connection);
            let (ended, back) = owner.run(&mut inbox, &mut connection.events, &stop).await;
            registry = back;
            self.metrics.on_tenure_ended();
            // However it ended: whoever waits for that must not wait any longer.
            stop.cancel();
            self.standing.send_replace(Standing::Standby { leader: None });
            self.own.send_replace(None);
            let failed_over = *connection.driver.state().borrow() == DriverState::FailedOver;
            connection.close().await;
            if self.shutdown.is_cancelled() {
                registry.close().await;
                return Ok(());
            }
            if failed_over && self.config.registry.is_none() {
                anyhow::bail!(
                    "another scheduler subscribed with this framework id: two must not run on \
                     copies of one data directory"
                );
            }
            replaced = failed_over.then_some(tenure.epoch);
            tracing::error!(?ended, "the lead was lost; restoring from the registry");
            inbox.refuse_all();
            tokio::time::sleep(TENURE_PAUSE).await;
        }
    }

    /// Waits for the lead, if need be for ever; `None` when told to stop before. A local registry
    /// that cannot be taken at the start is an error; later it is waited for, as for a full disk.
    async fn take_over(
        &self,
        registry: &mut dyn Registry,
        inbox: &mut Inbox,
        led: bool,
    ) -> anyhow::Result<Option<Tenure>> {
        loop {
            let taken = tokio::select! {
                taken = registry.take_over(self.leader()) => taken,
                () = inbox.refuse_on_standby(self.standing.subscribe()) => continue,
                () = self.shutdown.cancelled() => return Ok(None),
            };
            match taken {
                Ok(tenure) => return Ok(Some(tenure)),
                // Others may mend it, and must not find every scheduler gone when they have.
                Err(error) if led || self.config.registry.is_some() => {
                    let error = anyhow::Error::new(error);
                    let why = format!("{error:#}");
                    tracing::error!(error = why, "cannot take the lead");
                    self.standing.send_replace(Standing::Hindered { why: why.into() });
                }
                Err(error) => return Err(error.into()),
            }
            inbox.refuse_all();
            tokio::select! {
                () = tokio::time::sleep(TENURE_PAUSE) => {}
                () = self.shutdown.cancelled() => return Ok(None),
            }
        }
    }

    /// Tells the history from when on what it holds is of this tenure.
    fn record_tenure(&self, tenure: &Tenure) {
        let record = TraceRecord::Tenure(TenureRow {
            epoch: tenure.epoch.0,
            scheduler: self.id.clone(),
            began_at_ms: turn::now().as_millis(),
            default_zone: self.config.settings.default_zone.to_string(),
            tzdb: shiftwork_schedule::tzdb().release().to_owned(),
        });
        if let Err(error) = self.history.append(&[record]) {
            tracing::error!(%error, "the history's spool cannot be written");
        }
    }

    fn leader(&self) -> LeaderInfo {
        LeaderInfo {
            id: self.id.clone(),
            addresses: self.addresses.clone(),
            since: jiff::Timestamp::now(),
        }
    }

    fn restore(&self, tenure: &Tenure) -> (Engine, Effects) {
        let mut records = Vec::new();
        for (path, data) in &tenure.nodes {
            match keys::place_of(path) {
                keys::Place::Record(key) if documents::says_nothing(&key, data) => {}
                keys::Place::Record(key) => {
                    let data = documents::readable(&key, data).into_owned();
                    records.push((key, data));
                }
                keys::Place::Structure | keys::Place::Auth => {}
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
            tracing::error!(%problem, "found in what is stored");
        }
        let tzdb = shiftwork_schedule::tzdb();
        tracing::info!(epoch = %tenure.epoch, jobs, %tzdb, "leading");
        (engine, effects)
    }

    fn connect(&self, engine: &Engine) -> anyhow::Result<Connection> {
        let (sender, events) = mpsc::channel(turn::INPUTS_MAX);
        let happened = sender.downgrade();
        let tracker = TaskTracker::new();
        let stop = CancellationToken::new();
        let framework = engine.framework_id().cloned();
        let driver = self.config.driver.clone();
        let driver = mesos::spawn(driver, framework, sender, &tracker, stop.clone())?;
        tracker.close();
        Ok(Connection { driver, events, happened, tracker, stop })
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
    /// Passes on to the engine what other programs change in the registry.
    fn listen(&self, mut changes: mpsc::Receiver<Change>) {
        let (stop, happened) = (self.stop.clone(), self.happened.clone());
        self.tracker.spawn(async move {
            while let Some(Some(change)) = stop.run_until_cancelled(changes.recv()).await {
                let keys::Place::Record(key) = keys::place_of(&change.path) else { continue };
                let value = change.value.filter(|value| !documents::says_nothing(&key, value));
                let value = value.map(|value| documents::readable(&key, &value).into_owned());
                let event = Event::RegistryChanged(Write { key, value });
                let Some(happened) = happened.upgrade() else { return };
                if happened.send(event).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Closes the stream without TEARDOWN: tasks go on.
    async fn close(mut self) {
        self.stop.cancel();
        self.events.close();
        self.tracker.wait().await;
    }
}
