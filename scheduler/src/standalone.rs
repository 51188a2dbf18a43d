//! Everything in one process: scheduler, a Mesos master with one local agent, and executors as
//! its children. The scheduler and the master still talk over a loopback socket: there is one way
//! to get offers.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::app::{self, HistoryConfig, Scheduler, SchedulerConfig};
use crate::grpc_args::GrpcListen;
use crate::mesos::DriverConfig;

/// The name under which this program acts as the executor.
pub const EXECUTOR_NAME: &str = "shiftwork-executor";

/// What standalone is started with.
#[derive(Debug, Clone)]
pub struct StandaloneConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where REST is served.
    pub http: SocketAddr,
    /// Where gRPC is served, if that was said.
    pub grpc: Option<GrpcListen>,
    /// Where the Mesos API is served.
    pub mesos: SocketAddr,
    /// What the agent offers, as Mesos writes it; `None` for this machine's.
    pub resources: Option<String>,
    /// The agent's attributes, as Mesos writes them.
    pub attributes: Option<String>,
    /// Who may use it.
    pub auth: crate::auth::AuthConfig,
    /// The certificate it is served with; none for plain HTTP.
    pub tls: Option<crate::tls_server::ServerTls>,
    /// How many requests an address may send a second; 0 for any number.
    pub requests_per_second_max: u32,
    /// The file of the key for secrets; none for one in the data directory.
    pub secret_key_file: Option<PathBuf>,
    /// Logging in through an identity provider, if there is one.
    pub oidc: Option<crate::oidc::Oidc>,
    /// The engine's settings.
    pub settings: shiftwork_engine::Settings,
    /// How Elastic-Job-Cloud's REST is served.
    pub elastic_job: crate::api::ElasticJobConfig,
    /// Where the history is kept, and how long.
    pub history: HistoryConfig,
    /// How often firings are audited; none for never.
    pub audit_every: Option<std::time::Duration>,
}

/// Looks at what an agent is to offer.
///
/// # Errors
/// It cannot be read, or there is less than nothing of something.
pub fn read_resources(text: &str) -> Result<String, String> {
    let checked = offer_sim::world::parse_resources(text);
    checked.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Looks at an agent's attributes.
///
/// # Errors
/// They cannot be read.
pub fn read_attributes(text: &str) -> Result<String, String> {
    let checked = offer_sim::world::parse_attributes(text);
    checked.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A running standalone.
pub struct Standalone {
    /// The scheduler.
    pub scheduler: Scheduler,
    /// Where the Mesos API is served, the port filled in.
    pub mesos: SocketAddr,
    master: offer_sim::Running,
    master_stop: CancellationToken,
}

/// Starts all of it.
///
/// # Errors
/// What could not be started, with the way out.
pub async fn start(
    config: StandaloneConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<Standalone> {
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!("cannot create the data directory {}", config.data_dir.display())
    })?;
    // Executors are started in other directories.
    let data_dir = config.data_dir.canonicalize()?;
    let bin = link_executor(&data_dir)?;
    // It outlives the scheduler, which stops first.
    let master_stop = CancellationToken::new();
    let master = offer_sim::Config {
        listen: config.mesos,
        own_names_only: config.mesos.ip().is_loopback(),
        work_dir: data_dir.join("agent"),
        agent: Some(offer_sim::LocalAgentConfig {
            resources: config.resources,
            attributes: config.attributes,
            extra_path: vec![bin],
            ..offer_sim::LocalAgentConfig::default()
        }),
        ..offer_sim::Config::default()
    };
    let master = offer_sim::start(master, master_stop.clone()).await.with_context(|| {
        format!("cannot start the Mesos master on {}: choose another with --mesos", config.mesos)
    })?;
    let mesos = master.addr;
    let scheduler = SchedulerConfig {
        data_dir,
        registry: None,
        http: config.http,
        advertise: None,
        grpc: config.grpc,
        advertise_grpc: None,
        driver: DriverConfig::new(vec![mesos.to_string()]),
        auth: config.auth,
        tls: config.tls,
        secret_key_file: config.secret_key_file,
        oidc: config.oidc,
        requests_per_second_max: config.requests_per_second_max,
        settings: config.settings,
        elastic_job: config.elastic_job,
        history: config.history,
        audit_every: config.audit_every,
    };
    match app::start(scheduler, shutdown).await {
        Ok(scheduler) => Ok(Standalone { scheduler, mesos, master, master_stop }),
        Err(error) => {
            master_stop.cancel();
            master.wait().await;
            Err(error)
        }
    }
}

impl Standalone {
    /// Waits until everything has ended and no process is left behind.
    ///
    /// # Errors
    /// Why the scheduler could not go on.
    pub async fn wait(self) -> anyhow::Result<()> {
        let result = self.scheduler.wait().await;
        self.master_stop.cancel();
        self.master.wait().await;
        result
    }
}

/// Puts this program into a directory of its own under the executor's name, so that an app's
/// default `bootstrapScript` finds it on the agent's path and nothing else need be installed.
fn link_executor(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let bin = data_dir.join("bin");
    let link = bin.join(EXECUTOR_NAME);
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    std::fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    // It may point at a former version.
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", link.display()));
        }
        _ => {}
    }
    symlink(&program, &link).with_context(|| format!("cannot create {}", link.display()))?;
    Ok(bin)
}
